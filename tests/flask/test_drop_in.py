"""Flask-SocketIO's public surface, line by line: every name, every signature, every default, every way to misuse it.

The tables were written down from Flask-SocketIO 5.7 and python-socketio 5.18.  What is behind the names has tests of
its own (``test_context.py``, ``test_namespace.py`` and others); here nothing may be forgotten.
"""

import importlib
import inspect

import flask
import pytest

import truesocket.flask as ours
from tests.support.flasking import served
from tests.support.wire import Wire
from truesocket.errors import AckTimeout, UsageError
from truesocket.flask import Namespace, SocketIO, call, close_room, disconnect, emit, join_room, leave_room, rooms, send

# --- names ------------------------------------------------------------------------------------------------------------

NAMES = [
    "SocketIO",
    "emit",
    "call",
    "send",
    "join_room",
    "leave_room",
    "close_room",
    "rooms",
    "disconnect",
    "Namespace",
    "SocketIOTestClient",
    "ConnectionRefusedError",
]
BY_ACCIDENT = ["has_request_context", "flask", "SessionMixin", "run_with_reloader", "DebuggedApplication"]


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    assert name in ours.__all__
    assert getattr(ours, name) is not None


@pytest.mark.parametrize("name", BY_ACCIDENT)
def test_names_by_accident(name):
    assert getattr(ours, name) is not None
    assert ours.gevent_socketio_found is False


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'SocketIo'"):
        ours.SocketIo  # noqa: B018


@pytest.mark.parametrize("module", ["namespace", "test_client"])
def test_modules(module):
    assert importlib.import_module(f"truesocket.flask.{module}") is not None


# --- signatures -------------------------------------------------------------------------------------------------------

_EMIT = {"namespace": None, "to": None, "room": None, "include_self": True, "skip_sid": None, "callback": None}
_CALL = {"namespace": None, "to": None, "room": None, "timeout": 60, "ignore_queue": False}

#: The object, its positional parameters (with defaults where they have one), and keywords with defaults.
SIGNATURES = [
    (SocketIO.on, "message namespace=None", {}),
    (SocketIO.on_error, "namespace=None", {}),
    (SocketIO.on_error_default, "exception_handler", {}),
    (SocketIO.on_event, "message handler namespace=None", {}),
    (SocketIO.event, "*args **kwargs", {}),
    (SocketIO.on_namespace, "namespace_handler", {}),
    (SocketIO.emit, "event *args", {**_EMIT, "ignore_queue": False}),
    (SocketIO.call, "event *args", _CALL),
    (
        SocketIO.send,
        "data json=False namespace=None to=None callback=None include_self=True skip_sid=None",
        {"room": None, "ignore_queue": False},
    ),
    (SocketIO.close_room, "room namespace=None", {}),
    (
        SocketIO.run,
        "app host=None port=None",
        {
            "debug": None,
            "use_reloader": None,
            "reloader_options": None,
            "extra_files": None,
            "log_output": None,
            "allow_unsafe_werkzeug": False,
            "ssl_context": None,
            "certfile": None,
            "keyfile": None,
        },
    ),
    (SocketIO.stop, "", {}),
    (SocketIO.start_background_task, "target *args **kwargs", {}),
    (SocketIO.sleep, "seconds=0", {}),
    (
        SocketIO.test_client,
        "app namespace=None query_string=None headers=None auth=None flask_test_client=None",
        {},
    ),
    (SocketIO.init_app, "app", {}),
    (emit, "event *args", {**_EMIT, "broadcast": False, "ignore_queue": False}),
    (call, "event *args", _CALL),
    (send, "message", {**_EMIT, "json": False, "broadcast": False, "ignore_queue": False}),
    (join_room, "room sid=None namespace=None", {}),
    (leave_room, "room sid=None namespace=None", {}),
    (close_room, "room namespace=None", {}),
    (rooms, "sid=None namespace=None", {}),
    (disconnect, "sid=None namespace=None silent=False", {}),
    (Namespace.__init__, "namespace=None", {}),
    (Namespace.trigger_event, "event *args", {}),
    (Namespace.emit, "event data=None room=None include_self=True namespace=None callback=None", {}),
    (Namespace.send, "data room=None include_self=True namespace=None callback=None", {}),
    (Namespace.close_room, "room namespace=None", {}),
    (Namespace.call, "event data=None to=None sid=None namespace=None timeout=None ignore_queue=False", {}),
    (Namespace.enter_room, "sid room namespace=None", {}),
    (Namespace.leave_room, "sid room namespace=None", {}),
    (Namespace.rooms, "sid namespace=None", {}),
    (Namespace.disconnect, "sid namespace=None", {}),
    (Namespace.get_session, "sid namespace=None", {}),
    (Namespace.save_session, "sid session namespace=None", {}),
    (Namespace.session, "sid namespace=None", {}),
    (Namespace.is_asyncio_based, "", {}),
]

#: The same of ``socketio.server``, by name.
SERVER = {
    "on": "event handler=None namespace=None",
    "event": "*args **kwargs",
    "register_namespace": "namespace_handler",
    "emit": "event data=None to=None room=None skip_sid=None namespace=None callback=None ignore_queue=False",
    "send": "data to=None room=None skip_sid=None namespace=None callback=None ignore_queue=False",
    "call": "event data=None to=None sid=None namespace=None timeout=60 ignore_queue=False",
    "enter_room": "sid room namespace=None",
    "leave_room": "sid room namespace=None",
    "close_room": "room namespace=None",
    "rooms": "sid namespace=None",
    "get_session": "sid namespace=None",
    "save_session": "sid session namespace=None",
    "session": "sid namespace=None",
    "disconnect": "sid namespace=None ignore_queue=False",
    "shutdown": "",
    "handle_request": "environ start_response",
    "transport": "sid namespace=None",
    "get_environ": "sid namespace=None",
    "instrument": (
        "auth=None mode='development' read_only=False server_id=None namespace='/admin' server_stats_interval=2"
    ),
    "start_background_task": "target *args **kwargs",
    "sleep": "seconds=0",
    "is_asyncio_based": "",
}


def positional(function):
    """The parameters that can be given without their names, in the notation of the table."""
    found = []
    for each in inspect.signature(function).parameters.values():
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.name != "self":
            found.append(each.name if each.default is each.empty else f"{each.name}={each.default!r}")
        elif each.kind is each.VAR_POSITIONAL:
            found.append("*args")
    return found


def check(function, wanted, keywords):
    parameters = inspect.signature(function).parameters
    given = [each for each in wanted.split() if each != "**kwargs"]
    found = positional(function)
    # `run(app)` of ours can be called without the application, and a bound default may stand for a required one
    assert [each.partition("=")[0] for each in found][: len(given)] == [each.partition("=")[0] for each in given]
    for theirs, mine in zip(given, found, strict=False):
        if "=" in theirs:
            assert mine == theirs or float(mine.partition("=")[2]) == float(theirs.partition("=")[2])
    for name, default in keywords.items():
        assert parameters[name].default == default, name
    if "**kwargs" in wanted:
        assert any(each.kind is each.VAR_KEYWORD for each in parameters.values())


@pytest.mark.parametrize(
    ("function", "wanted", "keywords"), SIGNATURES, ids=lambda each: getattr(each, "__qualname__", "")
)
def test_signatures(function, wanted, keywords):
    check(function, wanted, keywords)


@pytest.mark.parametrize("name", SERVER)
def test_signatures_of_the_server(name):
    check(getattr(SocketIO(flask.Flask("app")).server, name), SERVER[name], {})


ATTRIBUTES = {
    "async_mode": "threading",
    "manage_session": True,
    "wsgi_server": None,
    "handlers": [],
    "namespace_handlers": [],
    "exception_handlers": {},
    "default_exception_handler": None,
}


def test_attributes():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    for name, value in ATTRIBUTES.items():
        assert getattr(socketio, name) == value, name
    assert dict(socketio.server_options) == {}
    assert callable(socketio.sockio_mw)
    assert app.extensions["socketio"] is socketio
    for name in ["environ", "eio", "manager", "async_mode", "reason", "namespaces", "logger"]:
        assert getattr(socketio.server, name) is not None


def test_reasons():
    assert {name: getattr(SocketIO.reason, name) for name in dir(SocketIO.reason) if name.isupper()} == {
        "SERVER_DISCONNECT": "server disconnect",
        "CLIENT_DISCONNECT": "client disconnect",
        "PING_TIMEOUT": "ping timeout",
        "TRANSPORT_CLOSE": "transport close",
        "TRANSPORT_ERROR": "transport error",
    }


# --- registration -----------------------------------------------------------------------------------------------------


def test_decorators_return_the_function():
    socketio = SocketIO()

    def handler(*args): ...

    decorators = [
        socketio.on("a"),
        socketio.on("a", namespace="/chat"),
        socketio.on("a", "/chat"),
        socketio.event,
        socketio.event(),
        socketio.event("/chat"),
        socketio.event(namespace="/chat"),
        socketio.on_error(),
        socketio.on_error("/chat"),
        socketio.on_error(namespace="/chat"),
        socketio.on_error_default,
    ]
    assert all(decorate(handler) is handler for decorate in decorators)
    assert socketio.on_event("a", handler, "/chat") is None
    assert socketio.exception_handlers == {"/": handler, "/chat": handler}
    assert socketio.default_exception_handler is handler
    assert socketio.core.registry.find("/chat", "handler") is not None


ORDER = [("/a", "x", 1), ("/a", "*", 2), ("*", "x", 3), ("*", "*", 4)]


@pytest.mark.parametrize("left_out", range(5))
def test_order_of_the_search(left_out):
    """Handlers before catch-alls before every namespace before classes; the first that are left out make way."""

    class Here(Namespace):
        def on_x(self):
            return 5

    class Everywhere(Namespace):
        def on_x(self):
            return 6

    socketio = SocketIO(flask.Flask("app"))
    for namespace, event, number in ORDER[left_out:]:
        socketio.on_event(event, lambda *args, number=number: number, namespace)
    socketio.on_namespace(Here("/a"))
    socketio.on_namespace(Everywhere("*"))
    with served(socketio) as port, Wire(port) as wire:
        wire.join("/a")
        wire.join("/b")
        assert wire.call("x", namespace="/a") == [left_out + 1]
        assert wire.call("x", namespace="/b") == [{0: 3, 1: 3, 2: 3, 3: 4, 4: 6}[left_out]]


def test_catch_all_of_every_namespace():
    """Flask-SocketIO answers ``["", 400]`` here, and does not run the handler."""
    socketio = SocketIO(flask.Flask("app"))
    found = []

    @socketio.on("*", namespace="*")
    def all_of_them(event, *args):
        found.append(flask.request.event)
        return event, list(args), flask.request.namespace

    with served(socketio) as port, Wire(port) as wire:
        wire.join("/any")
        assert wire.call("thing", 1, 2, namespace="/any") == ["thing", [1, 2], "/any"]
    assert found == [{"message": "*", "args": ("thing", 1, 2)}]


# --- emissions --------------------------------------------------------------------------------------------------------


def test_whom_and_what():
    socketio = SocketIO(flask.Flask("app"))

    @socketio.on("all of them")
    def all_of_them(other):
        me = flask.request.sid
        join_room(0)
        emit("none", to=[])  # nobody, not the sender
        socketio.emit("none", to=[])  # nobody, not everybody
        socketio.emit("zero", to=0)  # the room 0, not everybody
        socketio.emit("broadcast", 1, broadcast=True)
        emit("others", broadcast=True, include_self=False)
        socketio.emit("others", include_self=False)
        socketio.emit("not other", skip_sid=[other])
        socketio.emit("both", room=[me, other])
        emit("me")
        emit("two", (1, 2))
        emit("list", [1, 2])
        emit("two", 1, 2)
        send("text")
        send({"a": 1}, json=True)
        socketio.send("text", to=other)
        emit("end", broadcast=True)

    with served(socketio) as port, Wire(port) as a, Wire(port) as b:
        a.join()
        two = b.join()["sid"]
        a.emit("all of them", two)
        got = {}
        for name, wire in (("a", a), ("b", b)):
            got[name] = []
            while not got[name] or got[name][-1] != ["end"]:
                got[name].append(wire.packet().data)
    assert got["a"] == [
        ["zero"],
        ["broadcast", 1],
        ["not other"],
        ["both"],
        ["me"],
        ["two", 1, 2],
        ["list", [1, 2]],
        ["two", 1, 2],
        ["message", "text"],
        ["json", {"a": 1}],
        ["end"],
    ]
    assert got["b"] == [["broadcast", 1], ["others"], ["others"], ["both"], ["message", "text"], ["end"]]


def test_unknown_arguments_are_named():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    with pytest.warns(
        UserWarning, match=r"socketio.emit\(\) has no argument 'rooom', and ignores it; .*'room'"
    ) as seen:
        socketio.emit("x", rooom="a")
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match=r"socketio.send\(\) has no argument 'broadcst'"):
        socketio.send("x", broadcst=True)
    with app.app_context():
        with pytest.warns(UserWarning, match=r"^emit\(\) has no argument 'binary'") as seen:
            emit("x", binary=True, to="a", namespace="/")
        assert seen[0].filename == __file__
        with pytest.warns(UserWarning, match=r"^send\(\) has no argument 'rom'"):
            send("x", rom=1, to="a", namespace="/")


def test_unknown_arguments_of_call_are_named():
    socketio = SocketIO(flask.Flask("app"))
    with (
        pytest.warns(UserWarning, match=r"socketio.call\(\) has no argument 'timout', .*'timeout'"),
        pytest.raises(AckTimeout),
    ):
        socketio.call("x", to="nobody", timout=1)


# --- wrong use --------------------------------------------------------------------------------------------------------

#: What is done, the kind of error (beside UsageError), and what its text says to do instead.
WRONG = {
    "emit without a target": (lambda _: emit("x", namespace="/"), UsageError, "give to=... or broadcast=True"),
    "emit without a namespace": (lambda _: emit("x", to="a"), UsageError, "give namespace='/'"),
    "emit without self": (lambda s: s.emit("x", include_self=False), UsageError, "give skip_sid="),
    "emit to a dict": (lambda s: s.emit("x", to={"a": 1}), UsageError, "a room is a string, a number or a tuple"),
    "emit to a list of lists": (lambda s: s.emit("x", to=[["a"]]), UsageError, "a room is a string"),
    "emit to a generator": (
        lambda s: s.emit("x", to=(each for each in "ab")),
        UsageError,
        r"write list\(...\) around it",
    ),
    "emit of no name": (lambda s: s.emit(5), UsageError, "the first argument is the event's name, a string"),
    "emit of a reserved name": (lambda s: s.emit("connect"), UsageError, "choose another"),
    "emit with a callback": (lambda s: s.emit("x", callback=5), UsageError, "the callback must be a function"),
    "emit of what JSON has not": (lambda s: s.emit("x", object()), TypeError, "not JSON serializable"),
    "call without a target": (lambda s: s.call("x"), ValueError, "asks one client: give to=sid"),
    "call outside of a handler": (lambda _: call("x", namespace="/"), UsageError, "give to="),
    "join without a sid": (lambda _: join_room("a", namespace="/"), UsageError, "give sid="),
    "join of an unknown sid": (lambda _: join_room("a", "nobody", "/"), KeyError, "it may have left just now"),
    "join of no room": (lambda s: s.server.enter_room("x", ["a"]), UsageError, "a room is a string"),
    "rooms without a sid": (lambda _: rooms(namespace="/"), UsageError, "give sid="),
    "a handler that is none": (lambda s: s.on("x")(5), UsageError, "a handler must be a function"),
    "on_event without a function": (lambda s: s.on_event("x", None), UsageError, "a handler must be a function"),
    "on without a name": (lambda s: s.on(print), UsageError, "write @socketio.on\\('name'\\)"),
    "on of a reserved name": (lambda s: s.on("connect_error")(print), UsageError, "choose another"),
    "a namespace without a slash": (lambda s: s.on("x", "chat")(print), UsageError, "must begin with a slash"),
    "on_error without parentheses": (lambda s: s.on_error(print), UsageError, "write @socketio.on_error\\(\\)"),
    "on_error of no function": (lambda s: s.on_error()(5), ValueError, "exception_handler must be callable"),
    "on_error_default of none": (lambda s: s.on_error_default(5), ValueError, "exception_handler must be callable"),
    "on_namespace of a class": (lambda s: s.on_namespace(Namespace), ValueError, "write \\(\\) behind its name"),
    "a task that is none": (lambda s: s.start_background_task(5), UsageError, "give a def function"),
    "two on one application": (lambda s: SocketIO(s.app_of()), UsageError, "has a SocketIO already"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_says_what_to_do_instead(name):
    act, kind, text = WRONG[name]
    app = flask.Flask("app")
    socketio = SocketIO(app)
    with app.app_context(), pytest.raises(kind, match=text) as caught:
        act(socketio)
    assert isinstance(caught.value, UsageError | TypeError)


def test_without_an_extension():
    with flask.Flask("app").app_context(), pytest.raises(UsageError, match=r"write SocketIO\(app\)"):
        emit("x", to="a", namespace="/")
