"""The scenario of scenario.js, lived through by python-socketio's clients, the one of threads and the one of asyncio.

python python_client.py '{"package": "sync", "url": "http://127.0.0.1:5000", ...}'
"""

import asyncio
import importlib.metadata
import inspect
import json
import os
import queue
import sys
import threading
import time
import traceback
import urllib.request

import socketio

PATIENCE = 20
EVENTS = 1000
TEXT = 'naïve 世界 😀 "quoted"\ttab\nline \\n no line \\ \u2028 é'


class Waiting:
    """The client of asyncio, in a loop of its own thread: each call waits for what the coroutine returns."""

    def __init__(self, loop, **options):
        self._loop = loop
        self._client = self._run(self._make(options))

    async def _make(self, options):
        return socketio.AsyncClient(**options)

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def __getattr__(self, name):
        found = getattr(self._client, name)
        if not inspect.iscoroutinefunction(found):
            return found
        return lambda *args, **kwargs: self._run(found(*args, **kwargs))


class Told:
    """What a handler was called with, for the thread that waits for it."""

    def __init__(self, client, event, namespace="/", answer=None):
        self.calls = queue.SimpleQueue()
        self.answer = answer
        client.on(event, self._hear, namespace=namespace)

    def _hear(self, *args):
        self.calls.put(args)
        return self.answer(*args) if self.answer else None

    def wait(self):
        """Return the arguments of the next call."""
        return self.calls.get(timeout=PATIENCE)


def maker(kind):
    """What makes a client: both kinds have the same methods."""
    if kind == "sync":
        return socketio.Client
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return lambda **options: Waiting(loop, **options)


def scenario(job, report):
    # the client of threads starts one for each message, and loses an event whose attachment is there before its text:
    # let a thread that has begun go on for longer than it needs
    sys.setswitchinterval(0.1)
    report["client"] = importlib.metadata.version("python-socketio")
    url, token = job["url"], job["token"]
    make = maker(job["package"])
    form = {"serializer": job["serializer"]}
    client = make(reconnection_delay=0.02, reconnection_delay_max=0.1, randomization_factor=0, **form)
    here, room_here = Told(client, "connect"), Told(client, "connect", "/test_conn")
    gone, room_gone = Told(client, "disconnect"), Told(client, "disconnect", "/test_conn")
    welcome, room_welcome = Told(client, "welcome"), Told(client, "welcome", "/test_conn")
    echoed, answered, back, spelled = (
        Told(client, event) for event in ("echoed", "answered", "binary_back", "spelled")
    )
    pushed, number = Told(client, "pushed"), Told(client, "number")
    news = Told(client, "news", "/test_conn")
    Told(client, "question", answer=lambda question: (question + "?", [7]))

    def acked(event, *args, namespace="/"):
        answers = queue.SimpleQueue()
        client.emit(event, args, namespace=namespace, callback=lambda *answer: answers.put(list(answer)))
        return answers.get(timeout=PATIENCE)

    def until(met):
        deadline = time.monotonic() + PATIENCE
        while not met():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def connect(client, query, namespaces, **more):
        transports = None if job["transports"] == "default" else [job["transports"]]
        client.connect(f"{url}?token={query}", transports=transports, namespaces=namespaces, **more)

    # connect, and the message that the connect handler sent, on two namespaces of one connection
    connect(client, token, ["/", "/test_conn"], auth={"user": "ann"}, wait_timeout=PATIENCE)
    here.wait()
    room_here.wait()
    report["id"] = client.get_sid("/")
    report["namespace_id"] = client.get_sid("/test_conn")
    report["same_connection"] = True  # this client has one connection for all namespaces
    (report["welcome"],) = welcome.wait()
    (report["namespace_welcome"],) = room_welcome.wait()
    report["namespace_ack"] = acked("echo", "in the room", namespace="/test_conn")

    # which way the bytes go; this client upgrades before connect() returns
    report["first_transport"] = "polling" if job["transports"] == "default" else job["transports"]
    report["transport"] = client.transport()
    report["server_transport"], report["jsonp"] = acked("transport")

    # event and ack
    values = ["text", 42, 2.5, True, None, {"list": [1, [2, {"three": 3}]], "empty": {}}]
    report["values"] = values
    report["ack"] = acked("echo", *values)
    report["echoed"] = list(echoed.wait())
    report["ack_of_nothing"] = acked("echo")

    # the server asks, the client acks
    client.emit("ask_me", "why")
    report["answered"] = list(answered.wait())

    # binary both ways, nested
    blob, again, codes = acked("binary", "grün", bytes([0, 1, 2, 255]), {"inside": [bytes([9, 8])]})
    (event,) = back.wait()
    received = [blob, again["again"], event["reversed"], event["list"][0]]
    report["binary_types"] = all(isinstance(each, bytes) for each in received)
    report["binary_ack"] = [list(blob), list(again["again"])]
    report["binary_event"] = [list(event["reversed"]), list(event["list"][0]), event["list"][1]["size"]]
    report["binary_text"] = [codes, event["text"]]

    # text beyond ASCII, and what has to be escaped somewhere
    report["spelling"] = acked("spell", TEXT)
    report["spelled"] = list(spelled.wait())
    report["text"] = TEXT

    # many events, in order
    for each in range(EVENTS):
        client.emit("count", each)
    (report["counted"],) = acked("counted")
    acked("count_for_me", EVENTS)
    report["numbers"] = [number.wait()[0] for _ in range(EVENTS)]

    # as large as may be
    text = ("0123456789" * (job["text_size"] // 10 + 1))[: job["text_size"]]
    binary = (bytes(range(251)) * (job["binary_size"] // 251 + 1))[: job["binary_size"]]
    report["big"] = []
    for data in (text, binary):
        size, right, returned = acked("big", data, len(data))
        report["big"].append([size, right, returned == data])

    # pushes from a background thread: to this client, to everybody in the namespace
    client.emit("push_me")
    report["pushed"] = [pushed.wait()[0]["number"] for _ in range(3)]
    client.emit("push_all", token, namespace="/test_conn")
    while (tag := news.wait()[0]["tag"]) != token:
        pass
    report["news"] = tag

    # the connection breaks, then the server closes it: the client comes back by itself, in both namespaces
    assert gone.calls.empty(), "it had lost its connection before anybody cut it"
    report["returns"] = []
    ends = [lambda: urllib.request.urlopen(f"{url}/-cut-").close(), lambda: client.emit("close_me")]
    for end in ends[:1] if job["close_is_final"] else ends:
        before = client.get_sid("/"), client.get_sid("/test_conn")
        end()
        (reason,) = gone.wait()
        room_gone.wait()
        here.wait()
        room_here.wait()
        until(lambda: client.connected)  # it says so a moment after it has called its handlers
        after = client.get_sid("/"), client.get_sid("/test_conn")
        answers = [acked("echo", "back"), acked("echo", "back", namespace="/test_conn")]
        new_ids = before[0] != after[0] and before[1] != after[1]
        report["returns"].append({"reason": reason, "new_ids": new_ids, "answers": answers})

    # where the second is final: on a connection of its own
    if job["close_is_final"]:
        other = make(reconnection_delay=0.02, **form)
        other_gone = Told(other, "disconnect")
        connect(other, f"{token}-aside", ["/"], wait_timeout=PATIENCE)
        other.emit("close_me")
        (report["close"],) = other_gone.wait()
        until(lambda: other.eio.state == "disconnected")
        assert not other.connected
        assert other._reconnect_task is None, "it comes back after all; say so in the table"

    # namespaces that refuse, on connections of their own
    report["refused"] = {}
    for who in ("secret", "closed", "root"):
        namespace = "/" if who == "root" else f"/{who}"
        shut = make(reconnection=False, **form)
        refused = Told(shut, "connect_error", namespace)
        query = f"{token}-aside" + ("&refuse=1" if who == "root" else "")
        connect(shut, query, [namespace], wait=False)
        (report["refused"][who],) = refused.wait()
        shut.disconnect()

    # the server throws us out of one namespace; the other lives on, until we leave it ourselves
    client.emit("throw_me_out")
    (report["disconnect"],) = gone.wait()
    report["namespace_afterwards"] = acked("echo", "still here", namespace="/test_conn")
    client.disconnect()
    (report["namespace_disconnect"],) = room_gone.wait()
    time.sleep(0.2)  # on polling the good-bye is a request of its own


def main():
    report = {}
    try:
        scenario(json.loads(sys.argv[1]), report)
    except Exception:
        report["failure"] = traceback.format_exc()
    print(json.dumps(report), flush=True)
    os._exit("failure" in report)  # after a failure the client's threads may still wait for something


if __name__ == "__main__":
    main()
