"""What stands around a handler besides the request: its turn, error handlers, refusals, teardown, applications."""

import contextlib
import functools
import json
import logging
import re
import threading
import time
from collections.abc import Iterator

import flask
import pytest
from flask import abort, current_app, g, request, session
from flask.sessions import SecureCookieSessionInterface
from socketio import exceptions as theirs

from tests.support.flasking import served
from tests.support.wire import Gone, Wire, get
from truesocket.codec.socketio import PacketType
from truesocket.core.registry import handler
from truesocket.errors import Refused
from truesocket.flask import ConnectionRefusedError, SocketIO, emit
from truesocket.flask.namespace import Namespace
from truesocket.flask.surroundings import owned, refusal

pytestmark = pytest.mark.usefixtures("way")


def make(name: str = "app", **options) -> tuple[flask.Flask, SocketIO]:
    app = flask.Flask(name)
    app.config["SECRET_KEY"] = "only for tests"
    return app, SocketIO(app, **options)


@contextlib.contextmanager
def joined(socketio: SocketIO, **options) -> Iterator[Wire]:
    with served(socketio) as port, Wire(port, **options) as wire:
        wire.join()
        yield wire


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


KINDS = pytest.mark.parametrize("kind", ["def", "async def"])


def of_kind(kind, function):
    """The function as it is, or as an ``async def``."""
    if kind == "def":
        return function

    @functools.wraps(function)
    async def on_loop(*args):
        return function(*args)

    return on_loop


# --- the order of the beginnings --------------------------------------------------------------------------------------


class SlowNowAndThen(SecureCookieSessionInterface):
    """Takes its time with the sessions of some events: those whose number is divisible by five."""

    def open_session(self, app, request):
        if getattr(request, "event", {}).get("args", (1,))[0] % 5 == 0:
            time.sleep(0.1)
        return super().open_session(app, request)


@pytest.mark.parametrize("kinds", ["a", "d", "ad", "aad", "dda"])
def test_handlers_begin_in_the_order_of_their_events_whatever_their_kinds(kinds):
    """Their surroundings are set up in threads, which overtake each other."""
    app, socketio = make(manage_session=False)
    app.session_interface = SlowNowAndThen()
    begun = []
    socketio.on_event("d", of_kind("def", begun.append))
    socketio.on_event("a", of_kind("async def", begun.append))
    with joined(socketio) as wire:
        for number in range(21):
            wire.emit(kinds[number % len(kinds)], number)
        wire.call("d", 21)
    assert begun == list(range(22))


# --- error handlers ---------------------------------------------------------------------------------------------------


class Broken(Namespace):
    def on_connect(self, auth=None):
        if auth:
            raise ValueError("at connect")

    def on_disconnect(self, reason):
        raise ValueError("at disconnect")

    def on_fail(self, *args):
        raise ValueError("in def", *args)

    async def on_fail_later(self, *args):
        raise ValueError("in async def", *args)


class BrokenWithError(Broken):
    def error(self, exc):
        return "class", type(exc).__name__, request.event["message"]


class BrokenWithAsyncError(Broken):
    async def error(self, exc):
        return "async class", type(exc).__name__, request.event["message"]


@pytest.fixture
def errors(caplog):
    """The records of what went wrong."""
    with caplog.at_level(logging.INFO, "truesocket"):
        yield lambda: [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("event", ["fail", "fail_later"])
@KINDS
def test_an_error_handler_answers_within_the_event(event, kind, errors):
    _app, socketio = make()
    seen = []

    def note(error):
        g.mark = g.get("mark", 0) + 1
        seen.append((type(error).__name__, error.args, request.event, request.namespace, current_app.name, g.mark))
        return "error", request.event["message"]

    socketio.on_error()(of_kind(kind, note))
    socketio.on_error_default(of_kind(kind, lambda error: "default"))
    for namespace in ("/", "/other"):
        socketio.on_namespace(Broken(namespace))
    with joined(socketio) as wire:
        wire.join("/other")
        assert wire.call(event, 1) == ["error", event]
        assert wire.call(event, 2, namespace="/other") == ["default"]
    words = {"fail": "in def", "fail_later": "in async def"}[event]
    assert seen[0] == ("ValueError", (words, 1), {"message": event, "args": (1,)}, "/", "app", 1)
    assert errors() == []


@pytest.mark.parametrize("event", ["fail", "fail_later"])
@pytest.mark.parametrize(("cls", "word"), [(BrokenWithError, "class"), (BrokenWithAsyncError, "async class")])
def test_the_error_method_of_a_class_gets_what_no_error_handler_takes(event, cls, word, errors):
    _app, socketio = make()
    socketio.on_namespace(cls("/"))
    socketio.on_namespace(cls("/on_error"))
    socketio.on_namespace(cls("/on_error_raises"))
    socketio.on_error("/on_error")(lambda error: "on_error")

    @socketio.on_error("/on_error_raises")
    def raises(error):
        raise KeyError from error

    with joined(socketio) as wire:
        wire.join("/on_error")
        wire.join("/on_error_raises")
        assert wire.call(event) == [word, "ValueError", event]
        assert wire.call(event, namespace="/on_error") == ["on_error"]
        assert wire.call(event, namespace="/on_error_raises") == [word, "KeyError", event]
    assert errors() == []


@KINDS
def test_an_error_handler_that_raises_is_logged_with_what_it_was_called_for(kind, errors):
    _app, socketio = make()

    @socketio.on("fail")
    def fail():
        raise ValueError("first")

    def raises(error):
        raise KeyError("second")

    socketio.on_error_default(of_kind(kind, raises))
    with joined(socketio) as wire:
        wire.emit("fail", id=1)
        until(errors)
        assert wire.stays_silent(0.1), "an ack without an answer"
    [record] = errors()
    assert record.exc_info[0] is KeyError


@KINDS
def test_error_handlers_of_connect_and_disconnect(kind, errors):
    """A client whose connect handler failed is not let in by an error handler that looks away."""
    _app, socketio = make()
    seen = []
    socketio.on_error_default(of_kind(kind, lambda error: seen.append((str(error), request.event["message"]))))
    socketio.on_namespace(Broken())
    with served(socketio) as port, Wire(port) as wire:
        with pytest.raises(Gone) as refused:
            wire.join(auth={"bad": True})
        assert json.loads(refused.value.text) == {"message": "Connection rejected by server"}
        wire.join()
        wire.leave()
        until(lambda: len(seen) == 2)
    assert seen == [("at connect", "connect"), ("at disconnect", "disconnect")]
    assert errors() == []


def test_an_error_handler_may_say_why_a_client_is_refused(errors):
    _app, socketio = make()
    socketio.on_namespace(Broken())

    @socketio.on_error()
    def say(error):
        raise Refused("come later", {"after": 60}) from error

    with served(socketio) as port, Wire(port) as wire, pytest.raises(Gone) as refused:
        wire.join(auth={"bad": True})
    assert json.loads(refused.value.text) == {"message": "come later", "data": {"after": 60}}
    assert errors() == []


def test_what_is_no_ordinary_exception_goes_past_the_error_handlers(errors):
    _app, socketio = make()
    seen = []
    socketio.on_error_default(seen.append)

    @socketio.on("exit")
    def leave():
        raise SystemExit

    with joined(socketio) as wire:
        wire.emit("exit")
        until(errors)
    assert seen == []


def test_abort_in_an_event_is_an_error_like_any_other():
    _app, socketio = make()
    socketio.on_event("forbidden", lambda: abort(403))
    socketio.on_error_default(lambda error: {"code": error.code})
    with joined(socketio) as wire:
        assert wire.call("forbidden") == [{"code": 403}]


# --- refusals ---------------------------------------------------------------------------------------------------------


def raising(error):
    def connect():
        raise error

    return connect


UNAUTHORIZED = re.compile("could not verify")
REFUSALS = {
    "abort": (lambda: abort(401), UNAUTHORIZED, {"code": 401}),
    "abort with a word": (lambda: abort(403, "members only"), "members only", {"code": 403}),
    "abort with a response": (lambda: abort(flask.Response(status=429)), "Too Many Requests", {"code": 429}),
    "a missing argument": (lambda: request.args["token"], re.compile("Bad|could not understand"), {"code": 400}),
    "Refused": (raising(Refused("no", {"a": 1})), "no", {"a": 1}),
    "ConnectionRefusedError": (raising(ConnectionRefusedError("no")), "no", None),
    "python-socketio's": (raising(theirs.ConnectionRefusedError("no", 1, 2)), "no", [1, 2]),
    "python-socketio's, bare": (raising(theirs.ConnectionRefusedError()), "Connection rejected by server", None),
    "False": (lambda: False, "Connection rejected by server", None),
}


@pytest.mark.parametrize("name", REFUSALS)
@KINDS
def test_a_connect_handler_refuses(name, kind, errors):
    connect, message, data = REFUSALS[name]
    _app, socketio = make()
    seen = []
    socketio.on_error_default(seen.append)
    socketio.on_event("connect", of_kind(kind, connect))
    with served(socketio) as port, Wire(port) as wire, pytest.raises(Gone) as refused:
        wire.join()
    payload = json.loads(refused.value.text)
    assert re.search(message, payload["message"]), payload
    assert payload.get("data") == data
    assert seen == []
    assert errors() == []


@KINDS
def test_a_database_that_is_down_is_no_refusal(kind, errors):
    import builtins

    _app, socketio = make()
    secret = builtins.ConnectionRefusedError(111, "db.internal:5432 refused")
    socketio.on_event("connect", of_kind(kind, raising(secret)))
    with served(socketio) as port, Wire(port) as wire, pytest.raises(Gone) as refused:
        wire.join()
    assert "internal" not in refused.value.text
    [record] = errors()
    assert record.exc_info[1] is secret


@pytest.mark.parametrize("value", [0, None, "", True, [], "text"])
def test_only_false_itself_refuses(value):
    _app, socketio = make()
    socketio.on_event("connect", lambda: value)
    with joined(socketio):
        pass


def test_refusal_without_python_socketio(monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "socketio.exceptions")
    assert refusal(theirs.ConnectionRefusedError("no")) is None
    assert refusal(ValueError()) is None
    assert refusal(Refused("x")).payload == {"message": "x"}


# --- teardown ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["teardown_request", "teardown_appcontext"])
@KINDS
def test_a_teardown_that_fails_loses_neither_the_ack_nor_the_error(what, kind, errors):
    app, socketio = make()

    @getattr(app, what)
    def broken(error):
        raise RuntimeError("teardown is broken")

    def fail():
        raise ZeroDivisionError("of the handler")

    socketio.on_event("say", of_kind(kind, lambda: "said"))
    socketio.on_event("fail", of_kind(kind, fail))
    with joined(socketio) as wire:
        assert wire.call("say") == ["said"]
        wire.emit("fail", id=99)
        assert wire.call("say") == ["said"]
        until(lambda: len(errors()) >= 4)
    found = sorted(str(record.exc_info[1]) for record in errors())
    assert found == ["of the handler", *["teardown is broken"] * 3]


@KINDS
def test_a_session_that_cannot_be_opened_or_saved_is_the_failure_of_the_event(kind, errors):
    class Down(SecureCookieSessionInterface):
        def open_session(self, app, request):
            if request.event["message"] == "open":
                raise OSError("cannot open")
            return super().open_session(app, request)

        def save_session(self, app, session, response):
            raise OSError("cannot save")

    app, socketio = make(manage_session=False)
    app.session_interface = Down()
    ended = []
    app.teardown_appcontext(lambda error: ended.append(str(error)))
    run = []
    socketio.on_event("open", of_kind(kind, lambda: run.append("open")))
    socketio.on_event("save", of_kind(kind, lambda: session.update(a=1)))
    socketio.on_event("say", of_kind(kind, lambda: "said"))
    with joined(socketio) as wire:
        wire.emit("open", id=90)
        wire.emit("save", id=91)
        assert wire.call("say") == ["said"]
        until(lambda: len(ended) == 3)
        assert wire.stays_silent(0.05)
    assert run == []
    assert sorted(ended) == ["None", "cannot open", "cannot save"]
    assert sorted(str(record.exc_info[1]) for record in errors()) == ["cannot open", "cannot save"]


@KINDS
def test_g_is_fresh_although_the_server_was_made_and_started_in_an_application_context(kind):
    app = flask.Flask("pushed")
    ended = []
    app.teardown_appcontext(lambda error: ended.append(g.pop("mark", None)))

    def mark():
        g.mark = g.get("mark", 0) + 1
        return g.mark

    with app.app_context():
        g.mark = 40
        socketio = SocketIO(app)
        socketio.on_event("mark", of_kind(kind, mark))
        with joined(socketio) as wire:
            assert wire.call("mark") == [1]
            assert wire.call("mark") == [1]
            until(lambda: len(ended) == 2)
        assert ended == [1, 1]
        assert g.mark == 40


# --- what is left of a client, callbacks, applications ----------------------------------------------------------------


@KINDS
def test_a_disconnect_handler_has_request_and_session_as_before(kind):
    _app, socketio = make()
    seen = []

    def disconnect(reason):
        seen.append((request.sid, request.args["token"], session["name"], current_app.name, reason))

    socketio.on_event("name", lambda name: session.update(name=name))
    socketio.on_event("disconnect", of_kind(kind, disconnect))
    with served(socketio) as port, Wire(port, query="token=t") as wire:
        sid = wire.join()["sid"]
        wire.call("name", "Ada")
        wire.pipe.close()
        until(lambda: seen)
    assert seen == [(sid, "t", "Ada", "app", "transport close")]


@pytest.mark.parametrize("how", ["emit", "socketio.emit"])
@KINDS
@pytest.mark.parametrize("event", ["ask", "ask_later"])
def test_a_callback_runs_in_the_context_of_the_client_whose_handler_emitted(how, kind, event):
    _app, socketio = make()
    seen = []
    done = of_kind(kind, lambda *args: seen.append((request.sid, session.get("name"), args)))

    def ask(name, sid):
        session["name"] = name
        (emit if how == "emit" else socketio.emit)("question", to=sid, callback=done)

    socketio.on_event("ask", ask)
    socketio.on_event("ask_later", of_kind("async def", ask))
    with served(socketio) as port, Wire(port) as one, Wire(port) as two:
        sid, other = one.join()["sid"], two.join()["sid"]
        one.call(event, "Ada", other)
        two.answer(two.wait_for(PacketType.EVENT, name="question"), 1, 2)
        until(lambda: seen)
    assert seen == [(sid, "Ada", (1, 2))]


def test_a_callback_keeps_its_name_and_kind():
    app, _socketio = make()

    async def later():
        """Answers."""

    assert owned(None) is None
    assert owned(later) is later
    with app.test_request_context():
        assert owned(later) is later
    with app.test_request_context(environ_overrides={"truesocket.socket": object()}):
        wrapped = owned(later)
    assert wrapped is not later
    assert handler(wrapped).is_async
    assert handler(wrapped).where == handler(later).where


class Through:
    """Leads some clients through another application, as a dispatcher in front of several does."""

    def __init__(self, app, through) -> None:
        self.app, self.through = app, through

    def __call__(self, environ, start_response):
        app = self.through.wsgi_app if "through=one" in environ["QUERY_STRING"] else self.app
        return app(environ, start_response)


def test_a_client_stays_with_the_application_that_it_came_through():
    one, socketio = make("one")
    two = flask.Flask("two")
    socketio.init_app(two)
    socketio.on_event("which", lambda: current_app.name)
    two.wsgi_app = Through(two.wsgi_app, one)
    with served(socketio) as port, Wire(port, query="through=one") as first, Wire(port) as second:
        first.join()
        second.join()
        assert first.call("which") == ["one"]
        assert second.call("which") == ["two"]
        three = flask.Flask("three")
        socketio.init_app(three)
        assert [first.call("which"), second.call("which")] == [["one"], ["two"]]


def test_pages_and_events_at_once(caplog):
    """Contexts of pages and of handlers do not meet."""
    app, socketio = make()
    app.add_url_rule("/page", view_func=lambda: str(hasattr(request, "sid")))
    socketio.on_event("say", lambda number: (request.event["args"][0], request.path))
    with joined(socketio) as wire:
        stop = threading.Event()
        pages = []

        def read():
            while not stop.is_set():
                pages.append(get(port, "/page").body)

        port = wire._port
        thread = threading.Thread(target=read)
        thread.start()
        try:
            for number in range(100):
                assert wire.call("say", number) == [number, "/socket.io/"]
        finally:
            stop.set()
            thread.join()
    assert set(pages) == {b"False"}
