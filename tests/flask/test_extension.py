"""SocketIO: options, binding to applications, registration, debug pages."""

import asyncio
import functools
import threading

import flask
import pytest
from flask.json.provider import DefaultJSONProvider

from tests.support.flasking import served
from tests.support.wire import Gone, Wire, get
from truesocket.core.ports import Handshake
from truesocket.doors.wsgi import APP
from truesocket.errors import UnknownOption, UsageError
from truesocket.flask import ConnectionRefusedError, SocketIO, emit

# --- options ----------------------------------------------------------------------------------------------------------


def test_aliases():
    socketio = SocketIO(resource="/live", max_http_buffer_size=5000)
    assert (socketio.core.config.prefix, socketio.core.config.max_payload) == ("/live/", 5000)
    assert SocketIO(resource="/live", path="/mine").core.config.prefix == "/mine/"


def test_unknown_option_names_the_nearest():
    with pytest.raises(UnknownOption, match=r"SocketIO\(\) has no option 'manage_sessions'; did you mean 'manage_ses"):
        SocketIO(flask.Flask("app"), manage_sessions=False)
    with pytest.raises(TypeError):
        SocketIO().init_app(flask.Flask("app"), pingInterval=5)


def test_options_of_constructor_and_init_app_are_added():
    socketio = SocketIO(ping_interval=5)
    socketio.on_event("say", print)
    socketio.init_app(flask.Flask("app"), ping_timeout=6)
    assert (socketio.core.config.ping_interval, socketio.core.config.ping_timeout) == (5, 6)
    assert socketio.core.registry.find("/", "say") is not None
    socketio.init_app(flask.Flask("app"))
    assert socketio.core.config.ping_timeout == 6


# --- applications -----------------------------------------------------------------------------------------------------


def test_without_application():
    socketio = SocketIO()
    socketio.emit("nobody hears", 1)
    with pytest.raises(UsageError, match="give the Flask application"):
        socketio.run()


def test_factory_binds_several_applications_one_after_another():
    socketio = SocketIO()

    @socketio.on("which")
    def which():
        return flask.current_app.name

    for name in ("first", "second"):
        app = flask.Flask(name)
        socketio.init_app(app)
        assert app.extensions["socketio"] is socketio
        with served(socketio) as port, Wire(port) as wire:
            wire.join()
            assert wire.call("which") == [name]


def test_two_applications_beside_each_other():
    found = []
    for name in ("one", "two"):
        app = flask.Flask(name)
        socketio = SocketIO(app)
        socketio.on_event("say", lambda: emit("said", flask.current_app.name, broadcast=True))
        found.append(socketio)
    with served(found[0]) as a, served(found[1]) as b, Wire(a) as one, Wire(b) as two:
        one.join()
        two.join()
        one.emit("say")
        two.emit("say")
        assert one.event("said") == ["one"]
        assert two.event("said") == ["two"]
        assert one.stays_silent(0.1)


def test_options_cannot_come_when_it_runs():
    socketio = SocketIO(flask.Flask("app"))
    with served(socketio) as port:
        get(port, "/")
        with pytest.raises(UsageError, match="runs already"):
            socketio.init_app(flask.Flask("other"), ping_interval=5)


# --- handlers ---------------------------------------------------------------------------------------------------------


def test_five_ways_to_register():
    socketio = SocketIO(flask.Flask("app"))

    @socketio.on("one")
    def first():
        return 1

    @socketio.event
    def two():
        return 2

    @socketio.event(namespace="/chat")
    def three():
        return 3

    @socketio.event()
    def four():
        return 4

    socketio.on_event("five", lambda: 5)

    @socketio.on("*")
    def rest(name, *args):
        return [name, *args, flask.request.event["message"]]

    assert (first(), two(), three(), four()) == (1, 2, 3, 4)
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        wire.join("/chat")
        assert [wire.call(name) for name in ("one", "two", "four", "five")] == [[1], [2], [4], [5]]
        assert wire.call("three", namespace="/chat") == [3]
        assert wire.call("three", 3) == [["three", 3, "*"]]


def test_forgotten_name_is_told():
    socketio = SocketIO(flask.Flask("app"))
    with pytest.raises(UsageError, match="the event's name is missing"):
        socketio.on(print)  # type: ignore[call-overload]


def test_connect_refused_with_flask_socketios_exception():
    socketio = SocketIO(flask.Flask("app"))

    @socketio.on("connect")
    def connect(auth):
        raise ConnectionRefusedError("no", {"why": auth})

    with served(socketio) as port, Wire(port) as wire, pytest.raises(Gone, match='"message": "no"'):
        wire.join(auth={"a": 1})


# --- several applications ---------------------------------------------------------------------------------------------


def test_the_application_that_a_client_came_through():
    socketio = SocketIO()
    first, second = flask.Flask("first"), flask.Flask("second")
    socketio.init_app(first)
    socketio.init_app(second)
    handshake = Handshake("/", "", [], ("", 0), ("", 0), "http", "test", "websocket")
    assert socketio.app_of() is socketio.app_of(handshake) is second
    handshake.extra = {APP: first}  # as a door does that knows it
    assert socketio.app_of(handshake) is first


def test_the_json_of_the_application_whose_event_it_is():
    class Named(DefaultJSONProvider):
        @staticmethod
        def default(value):
            return f"{type(value).__name__} of {flask.current_app.name}"

    socketio = SocketIO()
    for name in ("first", "second"):
        app = flask.Flask(name)
        app.json = Named(app)
        socketio.init_app(app)
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        socketio.emit("outside", complex(1))
        with app.app_context():
            socketio.emit("inside", complex(1))
        assert wire.event("outside") == wire.event("inside") == ["complex of second"]


# --- background -------------------------------------------------------------------------------------------------------


def test_background_task(caplog):
    socketio = SocketIO()
    got: list[object] = []
    task = socketio.start_background_task(lambda *args, **named: got.append((args, named)), 1, two=2)
    task.join(10)
    assert got == [((1,), {"two": 2})]
    assert task.daemon
    socketio.start_background_task(lambda: 1 / 0).join(10)
    assert "ZeroDivisionError" in caplog.text
    assert caplog.text.count("the background task") == 1


def test_sleep_sleeps():
    started = threading.Event()
    socketio = SocketIO()
    socketio.start_background_task(lambda: (socketio.sleep(0.01), started.set()))
    assert started.wait(10)


def test_a_task_may_be_anything_that_can_be_called():
    got: list[object] = []
    socketio = SocketIO()
    socketio.start_background_task(functools.partial(got.append, 1)).join(10)
    assert got == [1]

    async def later(): ...

    with pytest.raises(UsageError, match=r"asyncio.create_task\(\)"):
        socketio.start_background_task(later)


def test_sleep_is_awaited_on_the_loop():
    socketio = SocketIO(flask.Flask("app"))

    @socketio.on("sleep")
    async def sleep():
        await socketio.sleep(0.001)
        await asyncio.to_thread(socketio.sleep, 0.001)
        return "slept"

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("sleep") == ["slept"]


# --- pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
def test_error_page(debug):
    app = flask.Flask("app")
    socketio = SocketIO(app)

    @app.get("/error")
    def error():
        raise ZeroDivisionError("a bug in a page")

    app.debug = debug
    if debug:
        socketio.use_debugger()
    with served(socketio) as port:
        reply = get(port, "/error")
    assert reply.status == 500
    assert (b"ZeroDivisionError" in reply.body) is debug
    assert (b"Werkzeug" in reply.body) is debug


def test_large_bodies_and_streams():
    app = flask.Flask("app")
    socketio = SocketIO(app)

    @app.post("/size")
    def size():
        return str(len(flask.request.get_data()))

    @app.get("/stream")
    def stream():
        return flask.Response((f"{number}\n" for number in range(5000)), mimetype="text/plain")

    with served(socketio) as port:
        assert get(port, "/size", method="POST", body=b"x" * 3_000_000).body == b"3000000"
        assert get(port, "/stream").body.splitlines()[-1] == b"4999"


def test_forged_headers_do_not_reach_pages():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    app.add_url_rule("/", "index", lambda: flask.request.headers.get("X-User", "nobody"))
    with served(socketio) as port:
        assert get(port, "/", [("X_User", "admin")]).body == b"nobody"
        assert get(port, "/", [("X-User", "Ada")]).body == b"Ada"
