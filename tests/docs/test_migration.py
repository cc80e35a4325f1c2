"""The tables of docs/how-to/migrate-from-flask-socketio.md: every row is a test, or names the one that proves it."""

import builtins
import json
import re
import threading
import time
from collections.abc import Callable
from urllib.request import urlopen

import flask
import pytest
from flask import Flask

import truesocket
from tests.docs.examples import DOCS, ROOT
from tests.support.flasking import served
from tests.support.wire import Gone, Wire
from truesocket import errors
from truesocket.codec.engineio import CLOSE, EnginePacket
from truesocket.codec.socketio import PacketType
from truesocket.core.config import Config
from truesocket.flask import Namespace, SocketIO, emit, join_room
from truesocket.flask.options import ALIASES, OBSOLETE
from truesocket.testing import Client, LiveServer

PAGE = (DOCS / "how-to/migrate-from-flask-socketio.md").read_text(encoding="utf-8")
DIFFERENCES = PAGE.split("## Every difference")[1]
CLAIMED = [
    name for name in re.findall(r"^\| ([^|]+?) \|", DIFFERENCES, re.MULTILINE) if name.strip("- ") and name != "---"
]

#: The row -> its test in this file, or where else it is proven: `file::test`, or a sentence why there is none.
ROWS: dict[str, Callable[..., object] | str] = {
    "emit in connect": "tests/conformance/test_socketio.py::test_what_a_connect_handler_emits_comes_behind",
    "order": "tests/core/test_runner.py::test_short_handlers_start_in_order_and_never_overlap",
    "blocked handler": "tests/core/test_watchdog.py::test_a_blocked_loop_is_named_with_its_line",
    "leavers' loops": "tests/flask/test_context.py",
    "forwarded headers": "tests/core/test_admission.py::test_through_proxies",
    "slow client": "tests/session/test_outbox.py::test_drop_oldest_takes_events_and_leaves_control_packets",
    "patched process": "tests/flask/test_alias.py",
    "the server": "tests/flask/test_running.py",
    "no terminal": "tests/support/servers.py",  # every server of the tests has no terminal
    "stop()": "tests/flask/test_stop.py::test_a_handler_stops_and_its_client_hears_a_close",
    "TLS": "tests/doors/test_tls.py::test_every_form_serves",
    "arguments for another server": "tests/flask/test_run_options.py::test_needless_ones_say_why",
    "Python": "pyproject.toml",
    "async def": "tests/flask/test_context.py",
}


def row(name: str):
    def register(test):
        ROWS[name] = test
        return test

    return register


def made(**options):
    app = Flask("migrated")
    app.secret_key = "migrated"
    return SocketIO(app, **options)


def test_every_row_has_a_proof():
    assert sorted(CLAIMED) == sorted(ROWS)
    for name, proof in ROWS.items():
        if isinstance(proof, str):
            file, _, test = proof.partition("::")
            assert (ROOT / file).exists(), f"{name}: there is no {file}"
            assert f"def {test}" in (ROOT / file).read_text("utf-8") if test else True, f"{name}: no {test} in {file}"


# -- options ------------------------------------------------------------

#: Flask-SocketIO's options -> what is given here, where that must be taken without a word.
SAME = {
    "manage_session": True,
    "path": "socket.io",
    "resource": "socket.io",
    "serializer": "default",
    "async_handlers": True,
    "always_connect": False,
    "namespaces": ["/"],
    "ping_interval": 25,
    "ping_timeout": 20,
    "max_http_buffer_size": 1_000_000,
    "allow_upgrades": True,
    "transports": ["polling", "websocket"],
    "http_compression": True,
    "compression_threshold": 1024,
    "cookie": None,
    "cors_allowed_origins": None,
    "cors_credentials": True,
    "json": None,
    "message_queue": None,
    "channel": "flask-socketio",
    "client_manager": None,
}


def test_every_option_has_a_row():
    section = PAGE.split("## The options")[1].split("## Every difference")[0]
    listed = {
        name for cell in re.findall(r"^\| (`.+?`) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    without_effect = {"async_mode", "logger", "engineio_logger", "monitor_clients"}
    assert listed == SAME.keys() | without_effect
    assert without_effect <= OBSOLETE.keys()
    assert ALIASES == {"resource": "path", "max_http_buffer_size": "max_payload"}


@pytest.mark.parametrize("name", SAME)
def test_options_that_are_the_same(name):
    made(**{name: SAME[name]})


@pytest.mark.parametrize(
    ("name", "value"),
    [("async_mode", "eventlet"), ("logger", True), ("engineio_logger", True), ("monitor_clients", False)],
)
def test_options_without_effect_warn_once(name, value):
    with pytest.warns(DeprecationWarning, match=name) as found:
        made(**{name: value})
    assert len(found) == 1


def test_other_options_are_errors():
    with pytest.raises(errors.UnknownOption, match="ping_interval"):
        made(ping_intervall=3)


def test_a_tuple_of_ping_intervals():
    config: Config = made(ping_interval=(25, 5)).core.config
    assert (config.ping_interval, config.ping_timeout) == (25, 25)


def test_a_message_queue_fails_where_nobody_is_served():
    with pytest.raises(errors.BrokerUnavailable):
        SocketIO(message_queue="redis://somewhere").emit("x")


def test_call_works_without_async_handlers():
    socketio = made(async_handlers=False)
    answers = []

    @socketio.on("ask")
    def ask():
        answers.append(truesocket.flask.call("question"))

    with Client(socketio) as client:
        client.on("question", lambda: 42)
        client.call("ask")
    assert answers == [42]


def test_types_that_json_has_not():
    import uuid

    socketio = made()
    value = uuid.uuid4()

    @socketio.on("which")
    def which():
        return value

    with Client(socketio) as client:
        assert client.call("which") == str(value)


# -- events ------------------------------------------------------------


@row("empty target")
def test_an_empty_list_is_nobody():
    socketio = made()
    with Client(socketio) as client:
        socketio.emit("x", "to nobody", to=[])
        socketio.emit("x", "to all")
        assert client.receive("x").args == ["to all"]


@row("room 0")
def test_room_0():
    socketio = made()

    @socketio.on("enter")
    def enter():
        join_room(0)

    with Client(socketio) as inside, Client(socketio) as outside:
        inside.call("enter")
        socketio.emit("x", 1, to=0)
        socketio.emit("x", 2)
        assert inside.receive("x").args == [1]
        assert outside.receive("x").args == [2]


@row("disconnect masked")
def test_a_type_error_in_disconnect_is_logged_as_it_is(caplog):
    socketio = made()

    @socketio.on("disconnect")
    def gone(reason):
        raise TypeError("my own mistake")

    with Client(socketio) as client:
        client.disconnect()
        until(lambda: "my own mistake" in caplog.text)
    assert "positional" not in caplog.text


@row("connect retried")
def test_a_type_error_in_connect_runs_it_once():
    socketio = made()
    runs = []

    @socketio.on("connect")
    def connect(auth):
        runs.append(auth)
        raise TypeError("my own mistake")

    with pytest.raises(TypeError, match="my own mistake"), Client(socketio):
        pass
    assert len(runs) == 1


@row("catch-all everywhere")
def test_catch_alls_of_every_namespace():
    socketio = made(namespaces="*")
    heard = []
    socketio.on_event("*", lambda event, *args: heard.append((event, *args)), namespace="*")
    with Client(socketio, namespace="/any") as client:
        client.emit("x", 1)
        until(lambda: heard == [("x", 1)])

    class All(Namespace):
        def on_x(self, value):
            heard.append(value)

    socketio = made()
    socketio.on_namespace(All("*"))
    with Client(socketio, namespace="/other") as client:
        client.emit("x", 2)
        until(lambda: heard[-1] == 2)


@row("refused in connect")
def test_what_a_refusing_connect_emits_vanishes():
    socketio = made()

    @socketio.on("connect")
    def connect(auth):
        if auth:
            emit("news", "somebody comes", broadcast=True)
        return not auth

    with Client(socketio) as client:
        with pytest.raises(errors.Refused), Client(socketio, auth={"no": 1}):
            pass
        socketio.emit("news", "nobody came")
        assert client.receive("news").args == ["nobody came"]


@row("builtin refusal")
def test_a_builtin_refusal_tells_the_client_nothing(caplog):
    socketio = made()

    @socketio.on("connect")
    def connect():
        raise ConnectionRefusedError("the database at 10.0.0.7 is down")

    with pytest.raises(builtins.ConnectionRefusedError) as raised, Client(socketio):
        pass  # the test's client raises what the handler raised, and had heard this before:
    assert isinstance(raised.value.__context__, errors.Refused)
    assert "10.0.0.7" not in str(raised.value.__context__)
    assert "10.0.0.7" in caplog.text


@row("error in connect")
def test_an_error_in_connect_refuses_at_once(caplog):
    socketio = made()
    socketio.on_event("connect", lambda: {}["secret key"])
    with pytest.raises(KeyError) as raised, Client(socketio):
        pass
    assert isinstance(raised.value.__context__, errors.Refused)
    assert "secret key" not in str(raised.value.__context__)
    assert "secret key" in caplog.text


@row("abort() in connect")
def test_abort_refuses():
    socketio = made()
    socketio.on_event("connect", lambda: flask.abort(401, "log in first"))
    with pytest.raises(errors.Refused) as refused, Client(socketio):
        pass
    assert refused.value.args == ("log in first", {"code": 401})


@row("failed connect")
def test_a_failed_connect_lets_nobody_in():
    socketio = made()
    heard = []
    socketio.on_event("connect", lambda: 1 / 0)
    socketio.on_error_default(heard.append)
    with pytest.raises(errors.Refused), Client(socketio):
        pass
    assert isinstance(heard[0], ZeroDivisionError)


@row("refusal in an event")
def test_error_handlers_get_a_refusal_in_an_event():
    socketio = made()
    socketio.on_error_default(lambda error: f"handled {error}")

    @socketio.on("x")
    def x():
        raise truesocket.flask.ConnectionRefusedError("not you")

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("x") == ["handled not you"]


@row("unknown namespace")
def test_an_unknown_namespace_is_called_invalid():
    with served(made()) as port, Wire(port) as wire:
        with pytest.raises(Gone) as refused:
            wire.join("/nowhere")
        assert json.loads(refused.value.text) == {"message": "Invalid namespace"}


@row("unknown arguments")
def test_unknown_arguments_warn():
    socketio = made()
    with Client(socketio) as client:
        with pytest.warns(UserWarning, match="namespace"):
            socketio.emit("x", 1, namespce="/y")
        assert client.receive("x").args == [1]


@row("broadcast=True")
def test_broadcast_is_accepted():
    socketio = made()
    with Client(socketio) as client:
        socketio.emit("x", 1, broadcast=True)
        assert client.receive("x").args == [1]


@row("many packets")
def test_many_packets_in_one_request():
    socketio = made()
    heard = []
    socketio.on_event("x", heard.append)
    with LiveServer(socketio) as server:
        address = f"{server.url}/socket.io/?EIO=4&transport=polling"
        with urlopen(address) as answer:
            address += "&sid=" + json.loads(answer.read()[1:])["sid"]
        for packets in (["40"], [f'42["x",{number}]' for number in range(200)]):
            with urlopen(address, data="\x1e".join(packets).encode()) as answer:
                assert answer.status == 200
        until(lambda: heard == list(range(200)))


@row("failed handler")
def test_an_error_handler_answers_for_a_failed_handler(caplog):
    socketio = made()

    @socketio.on("x")
    def x():
        raise KeyError("y")

    with Client(socketio) as client:
        client.emit("x")
        until(lambda: "event 'x', namespace /, sid" in caplog.text)
        socketio.on_error_default(lambda error: repr(error))
        assert client.call("x") == "KeyError('y')"


@row("disconnect and return")
def test_no_ack_comes_behind_a_disconnect():
    socketio = made()

    @socketio.on("x")
    def x():
        truesocket.flask.disconnect()
        return "too late"

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        wire.emit("x", id=1)
        wire.wait_for(PacketType.DISCONNECT)
        until(lambda: not socketio.core.runner.busy())  # its ack would be on its way
        wire.join()
        assert not wire.waiting


@row("emit to the leaver")
def test_a_disconnect_handler_emits_nothing_to_its_client():
    socketio = made()
    ended = threading.Event()
    socketio.on_event("x", lambda: truesocket.flask.disconnect())

    @socketio.on("disconnect")
    def gone():
        emit("news", "to you")
        emit("news", "to all", broadcast=True)
        ended.set()

    with served(socketio) as port, Wire(port) as wire, Wire(port) as other:
        wire.join()
        other.join()
        wire.emit("x")
        wire.wait_for(PacketType.DISCONNECT)
        assert ended.wait(10)
        assert other.event("news") == ["to all"]
        wire.join()
        assert not wire.waiting


@row("Engine.IO CLOSE alone")
def test_a_close_without_a_disconnect_is_the_transports():
    socketio = made()
    reasons = []
    socketio.on_event("disconnect", lambda reason: reasons.append(reason))
    with served(socketio) as port:
        with Wire(port) as wire:
            wire.join()
            wire.pipe.send([EnginePacket(CLOSE)])
            until(lambda: reasons == ["transport close"])
        with Wire(port) as wire:
            wire.join()
            wire.leave()
            until(lambda: reasons == ["transport close", "client disconnect"])


@row("foreign sid as room")
def test_another_clients_sid_is_no_room():
    socketio = made()
    found = []

    @socketio.on("enter")
    def enter(room):
        with pytest.raises(ValueError, match="sid") as error:
            join_room(room)
        found.append(error)

    with Client(socketio) as one, Client(socketio) as other:
        one.call("enter", other.sid)
    assert found


@row("leaving the own sid")
def test_nobody_leaves_the_room_of_their_own_sid():
    socketio = made()
    socketio.on_event("leave", lambda: truesocket.flask.leave_room(flask.request.sid))
    with served(socketio) as port, Wire(port) as wire:
        sid = wire.join()["sid"]
        wire.call("leave")
        socketio.emit("news", 1, to=sid)
        assert wire.event("news") == [1]


@row("room None")
def test_none_is_no_room():
    socketio = made()
    socketio.on_event("enter", lambda: join_room(None))
    socketio.on_error_default(lambda error: type(error).__name__)
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("enter") == ["UsageError"]


@row("rooms() of an unknown sid")
def test_an_unknown_sid_has_no_rooms():
    socketio = made()
    socketio.on_event("rooms", lambda sid: truesocket.flask.rooms(sid))
    socketio.on_error_default(lambda error: type(error).__name__)
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("rooms", "nobody") == ["UnknownSid"]


@row("unknown sid")
def test_an_unknown_sid_is_a_key_error():
    socketio = made()
    with pytest.raises(KeyError):
        socketio.transport("nobody")
    assert issubclass(truesocket.UnknownSid, KeyError)
    with socketio._app.app_context():
        with pytest.raises(truesocket.UnknownSid):
            join_room("room", sid="nobody", namespace="/")
        truesocket.flask.leave_room("room", sid="nobody", namespace="/")
        truesocket.flask.disconnect(sid="nobody", namespace="/")


@row("call and leave")
def test_call_ends_when_the_client_leaves():
    socketio = made()
    with Client(socketio) as client:
        sid = client.sid
        raised = []

        def ask():
            try:
                socketio.call("question", to=sid, timeout=600)
            except truesocket.AckTimeout as error:
                raised.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        client.receive("question")
        client.disconnect()
        asking.join(30)
        assert raised


@row("call's time-out")
def test_every_name_of_the_time_out_catches_it():
    import socketio.exceptions as theirs

    ours = made()
    with Client(ours) as client, pytest.raises(theirs.TimeoutError) as caught:
        ours.call("question", to=client.sid, timeout=0.01)
    assert isinstance(caught.value, truesocket.AckTimeout)
    assert isinstance(caught.value, TimeoutError)


@row("emit's result")
def test_what_emit_returns_may_be_awaited():
    assert hasattr(made().emit("x"), "__await__")


def test_rooms_contains_the_own_sid():
    socketio = made()
    socketio.on_event("rooms", lambda: truesocket.flask.rooms())
    with Client(socketio) as client:
        assert client.call("rooms") == [client.sid]


# -- the application ------------------------------------------------------------


@row("two on one app")
def test_two_on_one_application():
    socketio = made()
    with pytest.raises(truesocket.UsageError, match="already"):
        SocketIO(socketio._app)


@row("server_options")
def test_server_options_are_read_only():
    socketio = made(ping_interval=5)
    assert socketio.server_options["ping_interval"] == 5
    with pytest.raises(TypeError):
        socketio.server_options["ping_interval"] = 6


VIEW = re.findall(r"`(\w+)`", PAGE.split("python-socketio's names and arguments:")[1].split("Other names")[0])


@row("server")
def test_what_the_server_shows():
    socketio = made()
    assert len(VIEW) > 20
    for name in VIEW:
        assert hasattr(socketio.server, name), name
    assert isinstance(socketio.core, truesocket.Server)
    with pytest.raises(AttributeError, match=r"socketio\.core"):
        _ = socketio.server.nonsense


@row("environ")
def test_environ_takes_both_sids():
    socketio = made()
    with Client(socketio) as client:
        (eio_sid,) = socketio.server.environ
        assert socketio.server.environ[eio_sid] is socketio.server.environ[client.sid]
        with pytest.raises(TypeError):
            socketio.server.environ[eio_sid] = {}


@row("manager.rooms")
def test_manager_rooms_is_a_copy():
    socketio = made()
    with Client(socketio) as client:
        socketio.server.manager.rooms.clear()
        assert client.sid in socketio.server.manager.rooms["/"]


@row("eio settings")
def test_eio_settings_are_read_only():
    socketio = made()
    assert socketio.server.eio.allow_upgrades is True
    with pytest.raises(AttributeError, match="SocketIO\\(allow_upgrades"):
        socketio.server.eio.allow_upgrades = False


@row("leave_room, disconnect")
def test_an_unknown_sid_leaves_in_peace():
    socketio = made()
    socketio.server.leave_room("nobody", "room")
    socketio.server.disconnect("nobody")


@row("instrument()")
def test_instrument_warns():
    with pytest.warns(UserWarning, match="dashboard"):
        made().server.instrument()


# -- running ------------------------------------------------------------


@row("clients 1.x and 2.x")
@pytest.mark.parametrize("transport", ["polling", "websocket", "upgrade"])
def test_old_clients_are_served(transport):
    socketio = made()
    socketio.on_event("echo", lambda value: value)
    with served(socketio) as port, Wire(port, revision=3, transport=transport) as wire:  # 1.x and 2.x both say EIO=3
        wire.join()
        assert wire.call("echo", 1) == [1]


# -- the test client -------------------------------------------------------------------------------------------------


@row("handlers in tests")
def test_the_test_client_runs_handlers_elsewhere():
    socketio = made()
    threads = []

    @socketio.on("x")
    def x(fails):
        threads.append(threading.current_thread())
        if fails:
            raise KeyError("y")

    client = socketio.test_client(socketio._app)
    client.emit("x", False)
    assert threads != [threading.current_thread()]
    with pytest.raises(KeyError):
        client.emit("x", True)
    assert socketio.server.async_handlers is True
    client.disconnect()


@row("queue in tests")
def test_the_test_client_with_a_queue(caplog):
    socketio = made(message_queue="redis://somewhere")
    socketio.on_event("x", lambda: emit("y", 1))
    client = socketio.test_client(socketio._app)
    client.emit("x")
    assert client.get_received() == [{"name": "y", "args": [1], "namespace": "/"}]
    client.disconnect()


@row("call() in tests")
def test_call_works_beside_a_test_client():
    socketio = made()
    socketio.on_event("ask", lambda: truesocket.flask.call("question"))
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        client = socketio.test_client(socketio._app)
        wire.emit("ask", id=1)
        wire.answer(wire.wait_for(PacketType.EVENT, name="question"), 42)
        assert wire.wait_for(PacketType.ACK, id=1).data == [42]
        client.disconnect()


def until(met, within: float = 10):
    deadline = time.monotonic() + within
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)
