"""SocketIO: options, binding to applications, registration, debug pages."""

import threading

import flask
import pytest

from tests.support.flasking import served
from tests.support.wire import Gone, Wire, get
from truesocket.errors import UnknownOption, UsageError
from truesocket.flask import ConnectionRefusedError, SocketIO, emit


def test_names_that_flask_socketio_has():
    import truesocket.flask as ours

    names = "SocketIO emit call send join_room leave_room close_room rooms disconnect ConnectionRefusedError"
    assert set(names.split()) <= set(ours.__all__)
    assert issubclass(ConnectionRefusedError, Exception)


# --- options ----------------------------------------------------------------------------------------------------------


def test_aliases():
    socketio = SocketIO(resource="/live", max_http_buffer_size=5000)
    assert (socketio.server.config.prefix, socketio.server.config.max_payload) == ("/live/", 5000)
    assert SocketIO(resource="/live", path="/mine").server.config.prefix == "/mine/"


@pytest.mark.parametrize("name", ["async_mode", "monitor_clients", "logger", "engineio_logger"])
def test_obsolete_options_warn_where_they_are_written(name):
    with pytest.warns(DeprecationWarning, match=rf"SocketIO\({name}=...\) does nothing: ") as caught:
        SocketIO(flask.Flask("app"), **{name: "threading"})
    assert caught[0].filename == __file__


def test_unknown_option_names_the_nearest():
    with pytest.raises(UnknownOption, match=r"SocketIO\(\) has no option 'manage_sessions'; did you mean 'manage_ses"):
        SocketIO(flask.Flask("app"), manage_sessions=False)
    with pytest.raises(TypeError):
        SocketIO().init_app(flask.Flask("app"), pingInterval=5)


def test_options_of_constructor_and_init_app_are_added():
    socketio = SocketIO(ping_interval=5)
    socketio.on_event("say", print)
    socketio.init_app(flask.Flask("app"), ping_timeout=6)
    assert (socketio.server.config.ping_interval, socketio.server.config.ping_timeout) == (5, 6)
    assert socketio.server.registry.find("/", "say") is not None
    socketio.init_app(flask.Flask("app"))
    assert socketio.server.config.ping_timeout == 6


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
        assert wire.call("three", 3) == [["three", 3, "three"]]


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
