"""Flask-Login in handlers, in every session mode; events and namespaces for those who are logged in."""

import contextlib
import json
import logging
import sys
import threading

import flask
import pytest
from cachelib.file import FileSystemCache
from flask import session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_session import Session

from tests.support.flasking import served
from tests.support.wire import Gone, Wire, get
from truesocket.errors import UsageError
from truesocket.flask import SocketIO, login_required
from truesocket.flask.namespace import Namespace

ACK = {"error": "login required", "code": 401}
REFUSAL = {"message": "login required", "data": {"code": 401}}


class User(UserMixin):
    def __init__(self, name: str) -> None:
        self.id = name


class Browser:
    """A browser with cookies, and its connections."""

    def __init__(self, port: int, wires: contextlib.ExitStack) -> None:
        self.port, self.cookie, self._wires = port, "", wires

    def page(self, target: str) -> None:
        reply = get(self.port, target, [("Cookie", self.cookie)] if self.cookie else [])
        assert reply.status == 200, reply.body
        if "set-cookie" in reply.headers:
            self.cookie = reply.headers["set-cookie"].split(";")[0]

    def wire(self, **options) -> Wire:
        return self._wires.enter_context(Wire(self.port, headers=[("Cookie", self.cookie)], **options))


@pytest.fixture
def house(tmp_path):
    """Makes applications with logins: `with house(register, ...) as browser`."""

    @contextlib.contextmanager
    def make(register, *, on_server=False, **options):
        app = flask.Flask("house")
        app.config.update(SECRET_KEY="only for tests")
        if on_server:
            app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(tmp_path / "sessions")))
            Session(app)
        LoginManager(app).user_loader(User)
        app.add_url_rule("/login/<name>", view_func=lambda name: str(login_user(User(name))), endpoint="login")
        app.add_url_rule("/logout", view_func=lambda: str(logout_user()), endpoint="logout")
        socketio = SocketIO(app, **options)
        register(socketio)
        with served(socketio) as port, contextlib.ExitStack() as wires:
            yield Browser(port, wires)

    return make


def refused(wire: Wire, namespace: str = "/") -> object:
    with pytest.raises(Gone) as gone:
        wire.join(namespace)
    return json.loads(gone.value.text)


def who_and_who_later(socketio: SocketIO) -> None:
    @socketio.on("who")
    def who():
        return str(current_user.get_id())

    @socketio.on("who_later")
    async def who_later():
        return str(current_user.get_id())


def pay_and_pay_later(socketio: SocketIO) -> None:
    @socketio.on("pay")
    @login_required
    def pay(amount, currency="EUR"):
        return f"{current_user.id} pays {amount} {currency}"

    @socketio.on("pay_later")
    @login_required
    async def pay_later(amount, currency="EUR"):
        return f"{current_user.id} pays {amount} {currency}"


MODES = pytest.mark.parametrize("mode", ["fork", "request", "live"])
STORES = pytest.mark.parametrize("on_server", [False, True])


@MODES
@STORES
@pytest.mark.parametrize("event", ["who", "who_later"])
def test_current_user(house, mode, on_server, event):
    with house(who_and_who_later, on_server=on_server, session=mode) as browser:
        stranger = browser.wire()
        stranger.join()
        browser.page("/login/ada")
        ada = browser.wire()
        ada.join()
        assert ada.call(event) == ["ada"]
        browser.page("/login/bob")
        bob = browser.wire()
        bob.join()
        seen = [wire.call(event)[0] for wire in (stranger, bob)]
        assert seen == ["None", "bob"]
        # The browser has one session on the server; what the older connection sees of the new login is the mode's.
        assert ada.call(event) == ["bob" if on_server and mode != "fork" else "ada"]


@MODES
@pytest.mark.parametrize("event", ["pay", "pay_later"])
def test_events_for_those_who_are_logged_in(house, mode, event, caplog):
    with caplog.at_level(logging.INFO, "truesocket"), house(pay_and_pay_later, session=mode) as browser:
        stranger = browser.wire()
        stranger.join()
        assert stranger.call(event, 5) == [ACK]
        stranger.emit(event, 5)
        browser.page("/login/ada")
        ada = browser.wire()
        ada.join()
        assert ada.call(event, 5) == ["ada pays 5 EUR"]
        assert ada.call(event, 5, "CHF") == ["ada pays 5 CHF"]
        assert stranger.call(event, 5) == [ACK]
    found = [record for record in caplog.records if "nobody is logged in" in record.getMessage()]
    assert len(found) == 3
    assert {record.levelno for record in found} == {logging.INFO}
    assert f"event {event!r} was not handled" in found[0].getMessage()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_connect_handler_refuses_strangers(house, is_async):
    def register(socketio):
        if is_async:

            @socketio.on("connect")
            @login_required
            async def connect(auth): ...
        else:

            @socketio.on("connect")
            @login_required
            def connect(): ...

    with house(register) as browser:
        assert refused(browser.wire()) == REFUSAL
        browser.page("/login/ada")
        assert browser.wire().join()["sid"]


class Chat(Namespace):
    left: list[str]

    def on_say(self, text):
        return f"{current_user.get_id()}: {text}"

    async def on_say_later(self, text):
        return f"{current_user.get_id()}: {text}"

    @staticmethod
    def on_static(text):
        return f"static {text}"

    def on_disconnect(self, reason):
        self.left.append(reason)


@login_required
class Guarded(Chat):
    pass


@login_required
class GuardedWithConnect(Chat):
    def on_connect(self, auth):
        return self.left.append("connect")


@login_required
class GuardedTrigger(Chat):
    def trigger_event(self, event, *args):
        if event == "own":
            return "own", *args[1:]
        return super().trigger_event(event, *args)


@pytest.mark.parametrize("cls", [Guarded, GuardedWithConnect, GuardedTrigger])
def test_a_namespace_class_for_those_who_are_logged_in(house, cls):
    chat = cls("/chat")
    chat.left = []
    with house(lambda socketio: socketio.on_namespace(chat)) as browser:
        assert refused(browser.wire(), "/chat") == REFUSAL
        browser.page("/login/ada")
        ada = browser.wire()
        ada.join("/chat")
        assert ada.call("say", "hi", namespace="/chat") == ["ada: hi"]
        assert ada.call("say_later", "hi", namespace="/chat") == ["ada: hi"]
        assert ada.call("static", "hi", namespace="/chat") == ["static hi"]
        if cls is GuardedTrigger:
            assert ada.call("own", 1, 2, namespace="/chat") == ["own", 1, 2]
    assert chat.left == (["connect"] if cls is GuardedWithConnect else []) + chat.left[-1:]


@pytest.mark.parametrize("cls", [Guarded, GuardedTrigger])
@pytest.mark.parametrize("event", ["say", "say_later"])
@pytest.mark.parametrize(("mode", "expected"), [("live", ACK), ("request", ACK), ("fork", "ada: hi")])
def test_who_logs_out_while_connected(house, cls, event, mode, expected):
    """Stays connected; the disconnect handler runs for whoever it is by then."""
    chat = cls("/chat")
    chat.left = []
    with house(lambda socketio: socketio.on_namespace(chat), on_server=True, session=mode) as browser:
        browser.page("/login/ada")
        ada = browser.wire()
        ada.join("/chat")
        assert ada.call(event, "hi", namespace="/chat") == ["ada: hi"]
        browser.page("/logout")
        assert ada.call(event, "hi", namespace="/chat") == [expected]
        browser.page("/login/ada")  # another session: this connection has the cookie of the old one
        assert ada.call(event, "hi", namespace="/chat") == [expected]
        again = browser.wire()
        again.join("/chat")
        assert again.call(event, "hi", namespace="/chat") == ["ada: hi"]
        ada.leave("/chat")
        deadline = threading.Event()
        for _ in range(1000):
            if chat.left:
                break
            deadline.wait(0.01)
        assert chat.left == ["client disconnect"]


def test_the_classes_above_stay_as_they_are(house):
    """Guarding a class does not guard its base."""
    with house(lambda socketio: socketio.on_namespace(Chat("/open"))) as browser:
        stranger = browser.wire()
        stranger.join("/open")
        assert stranger.call("say", "hi", namespace="/open") == ["None: hi"]


def test_a_check_of_ones_own_instead_of_flask_login():
    app = flask.Flask("no flask-login")
    app.config.update(SECRET_KEY="only for tests")
    socketio = SocketIO(app)
    named = login_required(check=lambda: "name" in session)
    threads = []

    def in_a_thread():
        threads.append(threading.current_thread().name)
        return "name" in session

    socketio.on_event("name", lambda name: session.update(name=name))
    socketio.on_event("say", named(lambda text: f"{session['name']}: {text}"))

    @socketio.on("say_later")
    @login_required(check=in_a_thread)
    async def say_later(text):
        threads.append(threading.current_thread().name)
        return f"{session['name']}: {text}"

    @named
    class Chat(Namespace):
        def on_say(self):
            return "said"

    socketio.on_namespace(Chat("/chat"))
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert [wire.call("say", 1), wire.call("say_later", 1)] == [[ACK], [ACK]]
        assert refused(wire, "/chat") == REFUSAL
        wire.call("name", "Ada")
        assert [wire.call("say", 1), wire.call("say_later", 1)] == [["Ada: 1"], ["Ada: 1"]]
        wire.join("/chat")
        assert wire.call("say", namespace="/chat") == ["said"]
    check, again, handler = threads
    assert check.startswith("truesocket-control")
    assert again.startswith("truesocket-control")
    assert handler != again, "the check ran on the event loop"


def test_an_event_is_checked_before_its_turn_so_that_the_order_holds():
    """The check of the first event takes long, those behind it wait."""
    app = flask.Flask("in order")
    socketio = SocketIO(app)
    begun = []

    def check():
        if flask.request.event["args"] in ((0,), (5,)):
            threading.Event().wait(0.1)
        return True

    @socketio.on("a")
    @login_required(check=check)
    async def first(number):
        begun.append(number)

    @socketio.on("d")
    @login_required(check=check)
    def second(number):
        begun.append(number)

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        for number in range(11):
            wire.emit("da"[number % 2] if number < 5 else "ad"[number % 2], number)
        wire.call("d", 11)
    assert begun == list(range(12))


@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_that_fails_is_an_error_of_the_event(is_async):
    app = flask.Flask("broken check")
    socketio = SocketIO(app)

    def check():
        raise KeyError("no such table")

    if is_async:

        async def function():
            return "never"
    else:

        def function():
            return "never"

    socketio.on_event("say", login_required(check=check)(function))
    socketio.on_error_default(lambda error: f"error: {error!r}")
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("say") == ["error: KeyError('no such table')"]


def test_two_checks_on_one_handler():
    app = flask.Flask("two")
    socketio = SocketIO(app)
    first, second = [True], [True]

    @socketio.on("say")
    @login_required(check=lambda: first[0])
    @login_required(check=lambda: second[0])
    async def say():
        return "said"

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        for first[0], second[0] in [(True, True), (True, False), (False, True)]:
            assert wire.call("say") == ["said" if first[0] and second[0] else ACK]


# --- wrong use --------------------------------------------------------------------------------------------------------


def test_above_on_it_would_guard_nothing():
    socketio = SocketIO(flask.Flask("x"))
    with pytest.raises(UsageError, match="write it below, next to say"):

        @login_required
        @socketio.on("say")
        def say(): ...


@pytest.mark.parametrize("thing", [7, "say", None.__class__, dict])
def test_what_cannot_be_guarded(thing):
    with pytest.raises(UsageError, match="login_required guards a"):
        login_required(thing)


@pytest.mark.parametrize("installed", [True, False])
def test_without_flask_login_it_says_what_to_do(installed, monkeypatch):
    if not installed:
        monkeypatch.setitem(sys.modules, "flask_login", None)
    app = flask.Flask("x")
    socketio = SocketIO(app)
    socketio.on_event("say", login_required(lambda: None))
    socketio.on_error_default(str)
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        [text] = wire.call("say")
    assert "set up its LoginManager, or say who is logged in: login_required(check=" in text
