"""What the three applications of tests/apps/flask_socketio do, seen from outside by python-socketio's client.

Nothing here knows which server answers, so the same can be asked of Flask-SocketIO itself, in an environment that has
it (with simple-websocket, flask-login, flask-session and cachelib):

    cd tests/apps/flask_socketio && PORT=5001 python chat.py
    python -m tests.migration.drivers chat http://127.0.0.1:5001

Each driver is a table of scenes; a scene gets the address and asserts.
"""

import queue
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import requests
import socketio

LONG = 10  # seconds that anything may take
Scene = Callable[[str], None]


class Person:
    """A browser's worth of cookies, and a Socket.IO client that goes with them."""

    def __init__(self, url: str, *, name: str | None = None) -> None:
        self.url = url
        self.pages = requests.Session()
        self.pages.trust_env = False
        self.client = socketio.Client(http_session=self.pages, reconnection=False, handle_sigint=False)
        self.heard: dict[tuple[str, str], queue.Queue[tuple[Any, ...]]] = {}
        if name is not None:
            self.pages.post(f"{url}/login", data={"name": name}, timeout=LONG).raise_for_status()

    def __enter__(self) -> "Person":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.pages.close()

    def come(self, *namespaces: str, query: str = "", **options: Any) -> "Person":
        """Connects, and remembers whatever is heard from now on."""
        for namespace in namespaces or ("/",):
            self.client.on("*", self._remember(namespace), namespace=namespace)
            for name in ("connect_error", "disconnect"):
                self.client.on(name, self._remember(namespace, name), namespace=namespace)
        self.client.connect(self.url + query, namespaces=list(namespaces or ("/",)), wait_timeout=LONG, **options)
        return self

    def event(self, name: str, namespace: str = "/") -> Any:
        """The next event of this name: its argument, or a tuple of several."""
        try:
            args = self._queue(name, namespace).get(timeout=LONG)
        except queue.Empty:
            raise AssertionError(f"{name!r} was never heard; waiting: {self.waiting}") from None
        return args[0] if len(args) == 1 else args

    def call(self, name: str, data: Any = None, namespace: str = "/") -> Any:
        return self.client.call(name, data, namespace=namespace, timeout=LONG)

    def tell(self, name: str, data: Any = None, namespace: str = "/") -> None:
        self.client.emit(name, data, namespace=namespace)

    def page(self, path: str) -> Any:
        return self.pages.get(self.url + path, timeout=LONG).json()

    @property
    def sid(self) -> str:
        return self.client.get_sid()

    @property
    def waiting(self) -> dict[str, int]:
        return {f"{namespace} {name}": len(each.queue) for (namespace, name), each in self.heard.items() if each.queue}

    def forget(self) -> None:
        self.heard.clear()

    def _queue(self, name: str, namespace: str) -> "queue.Queue[tuple[Any, ...]]":
        return self.heard.setdefault((namespace, name), queue.Queue())

    def _remember(self, namespace: str, name: str | None = None) -> Callable[..., None]:
        def remember(*args: Any) -> None:
            event, *rest = (name, *args) if name else args
            self._queue(event, namespace).put(tuple(rest))

        return remember


# --- chat -------------------------------------------------------------------------------------------------------------


def chat_sessions(url: str) -> None:
    """The login of the page is known; the session of the events begins as the page's and goes its own way."""
    with Person(url, name="Ada") as ada, Person(url) as guest:
        ada.come()
        assert ada.event("my_response") == {"data": "Connected", "name": "Ada", "count": 10}
        for count in (11, 12):
            ada.tell("my_event", {"data": "hi"})
            assert ada.event("my_response") == {"data": "hi", "count": count}
        assert ada.page("/me") == {"name": "Ada", "receive_count": 10}
        guest.come()
        assert guest.event("my_response")["name"] == "guest"
        assert ada.event("online") == ["Ada", "guest"]
        guest.tell("my_broadcast_event", {"data": "to all"})
        assert ada.event("my_response") == guest.event("my_response") == {"data": "to all", "count": 1}
        guest.tell("join", {"room": "kitchen"})
        guest.event("disconnect")  # who is not logged in is sent away
        assert ada.event("gone") == {"name": "guest", "reason": "server disconnect", "count": 1}


def chat_rooms(url: str) -> None:
    with Person(url, name="Ada") as ada, Person(url, name="Bob") as bob, Person(url, name="Cleo") as cleo:
        for each in (ada, bob, cleo):
            each.come()
        assert ada.call("join", {"room": "kitchen"}) == ["kitchen"]
        assert bob.call("join", {"room": "garden"}) == ["garden"]
        assert bob.call("join", {"room": "kitchen"}) == ["garden", "kitchen"]
        assert ada.event("status") == "Bob has come in"
        assert bob.call("my_room_event", {"room": "kitchen", "data": "tea?"}) == ("delivered", 11)
        assert ada.event("room_message") == bob.event("room_message") == {"from": "Bob", "data": "tea?"}
        assert bob.call("leave", {"room": "kitchen"}) == ["garden"]
        assert ada.event("status") == "Bob has left"
        ada.tell("close_room", {"room": "kitchen"})
        assert ada.event("status") == "kitchen is closing"
        assert cleo.call("my_room_event", {"room": "kitchen", "data": "anybody?"}) == ("delivered", 11)
        assert cleo.client.call("whisper", ("Bob", "psst"), timeout=LONG) == 1
        assert bob.event("whispered") == {"from": "Cleo", "text": "psst"}
        for each in (ada, bob, cleo):
            each.tell("my_ping")
            each.event("my_pong")
            assert not {"/ room_message", "/ status", "/ whispered"} & set(each.waiting), each.waiting


def chat_messages(url: str) -> None:
    with Person(url) as one, Person(url) as two:
        one.come(transports=["websocket"])
        two.come(transports=["polling"])
        one.client.send("hello")
        assert one.event("message") == two.event("message") == "hello!"
        two.tell("json", {"a": [1, None]})
        assert two.event("json") == {"heard": {"a": [1, None]}}
        requests.post(f"{url}/announce", data={"text": "lunch", "room": "hall"}, timeout=LONG)
        for each in (one, two):
            assert each.event("announcement") == "lunch"
            assert each.event("announced") == {"to": "hall"}
            assert "/ json" not in each.waiting


def chat_callbacks(url: str) -> None:
    with Person(url) as one, Person(url) as watcher:
        one.client.on("please_confirm", lambda text: (text, 5))
        one.come()
        watcher.come()
        one.tell("ask_for_receipt", "read?")
        assert one.event("receipt") == {"same client": True, "answer": ["read?", 5]}
        one.forget()
        one.tell("disconnect_request")
        assert one.event("my_response") == {"data": "Disconnected!", "count": 1}
        one.event("disconnect")
        assert watcher.event("gone")["reason"] == "server disconnect"


def chat_comings_and_goings(url: str) -> None:
    with Person(url, name="Ada") as ada, Person(url, name="Bob") as bob:
        ada.come()
        bob.come()
        bob.client.disconnect()
        gone = ada.event("gone")
        assert gone["reason"] in ("client disconnect", "transport close")  # the client's two goodbyes run a race
        assert (gone["name"], gone["count"]) == ("Bob", 10)
        try:
            Person(url).come(query="?name=banned")
        except socketio.exceptions.ConnectionError:
            pass
        else:
            raise AssertionError("who is banned came in")
        assert "/ gone" not in ada.waiting


# --- dashboard --------------------------------------------------------------------------------------------------------


def dashboard_pushes(url: str) -> None:
    """Everybody gets every reading, one after the other, at their pace."""
    with Person(url) as one, Person(url) as two:
        one.come(transports=["websocket"], auth={"key": 1})
        assert one.event("hello") == {"colour": None, "auth": {"key": 1}}
        two.come(transports=["polling"])
        readings, moments = [], []
        for _ in range(6):
            readings.append(one.event("reading"))
            moments.append(time.monotonic())
        counts = [each["count"] for each in readings]
        assert counts == list(range(counts[0], counts[0] + 6))
        assert all(0 <= each["value"] < 1 and each["at"].endswith(" GMT") for each in readings)
        spent = moments[-1] - moments[0]
        assert spent > 3 * 0.2, f"five readings within {spent:.2f} s: they came in heaps"
        assert max(later - earlier for earlier, later in pairwise(moments)) < 5
        assert two.event("reading") in readings
        assert two.call("thirds", True) is True
        thirds = [two.event("third") for _ in range(2)]
        assert thirds[1] - thirds[0] == 3
        assert two.call("thirds", False) is False
        assert "/ third" not in one.waiting
        requests.post(f"{url}/pause/1", timeout=LONG)
        assert one.event("paused") is True
        requests.post(f"{url}/pause/0", timeout=LONG)
        assert two.event("paused") is True
        assert two.event("paused") is False
        two.forget()
        two.event("reading")


def dashboard_jobs(url: str) -> None:
    with Person(url) as one, Person(url) as two:
        one.client.on("keep result?", lambda steps: f"kept {steps}")
        one.client.on("are you there?", lambda: "yes")
        for each in (one, two):
            each.come()
        assert one.call("start job", 4) == "started"
        steps = [one.event("progress") for _ in range(4)]
        assert [each["step"] for each in steps] == [1, 2, 3, 4]
        assert steps[0]["by"] == "dashboard"
        assert one.event("job done") == "kept 4"
        assert "/ progress" not in two.waiting
        assert one.call("check", 5) == "yes"
        two.client.on("are you there?", lambda: time.sleep(1))
        assert two.call("check", 0.05) == "no answer"


def dashboard_sessions(url: str) -> None:
    """manage_session=False: pages and events share one session on the server."""
    with Person(url) as one, Person(url) as stranger:
        assert one.pages.get(f"{url}/", timeout=LONG).ok
        one.come()
        assert one.event("hello")["colour"] == "grey"
        assert one.call("colour", "red") == "red"
        assert one.page("/preferences") == {"colour": "red", "seen": 1}
        one.pages.post(f"{url}/preferences/blue", timeout=LONG)
        assert one.call("colour") == "blue"
        assert one.page("/preferences") == {"colour": "blue", "seen": 2}
        stranger.pages.get(f"{url}/", timeout=LONG)
        stranger.come()
        assert stranger.call("colour") == "grey"


def dashboard_bytes(url: str) -> None:
    for transport in ("websocket", "polling"):
        with Person(url) as one:
            one.come(transports=[transport])
            assert one.call("picture", 200) == bytes(200)
            assert one.event("picture") == {"name": "noise", "bytes": bytes(range(200))}


# --- namespaces -------------------------------------------------------------------------------------------------------


def namespaces_lobby(url: str) -> None:
    with Person(url) as one, Person(url) as two:
        one.come()
        two.come()
        assert one.event("welcome") == two.event("welcome") == {"namespace": "/"}
        for count in (1, 2):
            one.tell("my_event", {"data": "x"})
            assert one.event("my_response") == {"data": "x", "count": count}
        one.tell("all", {"data": "all"})
        assert one.event("my_response") == two.event("my_response") == {"data": "all"}
        assert one.call("others", {"data": "others"}) == 1
        assert two.event("my_response") == {"data": "others"}
        one.tell("enter", "here")
        assert one.event("entered") == "here"
        assert two.call("enter_by_name", "here") is True
        assert one.call("end", "here") is False
        two.tell("enter", "here")
        assert two.event("entered") == "here"
        one.tell("say", "to myself")
        assert one.event("message") == "to myself"
        assert one.client.call("my special event", (1, 3), timeout=LONG) == (1, 3, "my special event")
        assert one.call("my special event", 1) == (1, 2, "my special event")
        one.tell("disconnect_request")
        one.event("disconnect")
        assert two.event("left") == {"count": 2, "reason": "server disconnect"}
        assert not {"/ my_response", "/ entered"} & {*one.waiting, *two.waiting}, (one.waiting, two.waiting)


def namespaces_errors(url: str) -> None:
    """Per namespace, in the class, by default: the handler's answer is the ack."""
    with Person(url) as one:
        one.come("/", "/accounts", "/log", "/tickets", auth={"token": "valid"})
        assert one.call("fail", "now") == "failed"
        assert one.event("trouble") == "/ now"
        assert one.client.call("transfer", (30, "Bob"), namespace="/accounts") == {"to": "Bob", "balance": 70}
        assert one.call("transfer", 500, "/accounts") == {
            "error": "not enough money",
            "event": "transfer",
            "args": [500],
        }
        assert one.call("crash", namespace="/accounts")["error"] == "division by zero"
        assert one.call("transfer", 70, "/accounts") == {"to": "the bank", "balance": 0}
        assert one.client.call("any thing", (1, [2]), namespace="/log") == {"event": "any thing", "args": [1, [2]]}
        assert one.call("broken", 5, "/tickets") == "/tickets: KeyError"


def namespaces_tickets(url: str) -> None:
    with Person(url) as one:
        one.come("/tickets")
        assert one.call("ticket", 5, "/tickets") == [5]
        assert one.client.call("never heard of", (1, 2), namespace="/tickets") == ("never heard of", [1, 2], "*")


def namespaces_refusals(url: str) -> None:
    refusal = {"message": "who are you?", "data": {"code": 7}}
    for auth in (None, {"token": "forged"}):
        with Person(url) as one:
            try:
                one.come("/accounts", auth=auth)
            except socketio.exceptions.ConnectionError:
                assert one.event("connect_error", "/accounts") == refusal
            else:
                raise AssertionError("came in without a token")
    with Person(url) as one, Person(url) as two:
        one.come("/accounts", auth={"token": "valid"}, transports=["websocket"])
        two.come("/accounts", auth={"token": "valid"}, transports=["polling"])
        assert one.call("transfer", 100, "/accounts")["balance"] == 0
        assert two.call("transfer", 1, "/accounts")["balance"] == 99


def namespaces_error_method(url: str) -> None:
    """A method `error` of a class, where no handler of errors takes it first; here one does, for every namespace."""
    with Person(url) as one:
        one.come("/log")
        assert one.call("wrong event", namespace="/log") == "/log: LookupError"


SCENES: dict[str, list[Scene]] = {
    "chat": [chat_sessions, chat_rooms, chat_messages, chat_callbacks, chat_comings_and_goings],
    "dashboard": [dashboard_pushes, dashboard_jobs, dashboard_sessions, dashboard_bytes],
    "namespaces": [
        namespaces_lobby,
        namespaces_errors,
        namespaces_tickets,
        namespaces_refusals,
        namespaces_error_method,
    ],
}


def main(name: str, url: str, *only: str) -> int:
    """Plays all scenes; returns how many failed."""
    failed = 0
    for scene in SCENES[name]:
        if only and scene.__name__ not in only:
            continue
        try:
            scene(url)
        except Exception as error:  # the next scene may go well all the same
            failed += 1
            print(f"FAILED {scene.__name__}: {type(error).__name__}: {error}")
        else:
            print(f"ok     {scene.__name__}")
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
