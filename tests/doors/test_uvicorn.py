"""The fast door: what it expects of uvicorn, whom it passes on, how it binds and ends."""

import asyncio
import contextlib
import http.client
import inspect
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import uvicorn
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.support.servers import HOST, ROOT, free_port, running
from tests.support.wire import Gone, RawWebSocket, Wire, get
from truesocket import ASGIApp
from truesocket import Server as Core
from truesocket.doors import uvicorn as door
from truesocket.doors.uvicorn import Door, bind, find_entrance, serve
from truesocket.errors import UnknownOption, UsageError

APP = "tests/apps/run_app.py"


# --- what we expect of uvicorn ----------------------------------------------------------------------------------------


async def other(scope, receive, send):
    """An ASGI application with a WebSocket of its own, that says which path it was asked for."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"own {scope['path']}"})
        message = await receive()
        await send({"type": "websocket.send", "text": message["text"].upper()})
        await send({"type": "websocket.close", "code": 4000})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a page"})


class Spy(Door):
    """A door that remembers how uvicorn treats it."""

    calls: list[str] = []  # noqa: RUF012
    connections: set[object] = set()  # noqa: RUF012

    def __init__(self, *args, **kwargs) -> None:
        type(self).calls.append(f"init {len(args)} {sorted(kwargs)}")
        type(self).connections = kwargs["server_state"].connections
        super().__init__(*args, **kwargs)

    def connection_made(self, transport) -> None:
        type(self).calls.append("connection_made")
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        type(self).calls.append("data_received " + data.split(b"\r\n")[0].decode())
        super().data_received(data)


@contextlib.contextmanager
def in_thread(app, **options):
    """uvicorn in a thread of this process."""
    listener = bind(HOST, 0)
    server = uvicorn.Server(Config(app, log_level="error", lifespan="on", **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive()


@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_contract(parser):
    core = Core()
    Spy.calls.clear()
    with in_thread(ASGIApp(core), ws=Spy, http=parser) as port:
        with Wire(port) as wire:
            wire.join()
            [connection] = Spy.connections
            assert isinstance(connection, door.BookedStream), "uvicorn does not know whom to shut down"
            target = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1"
            assert Spy.calls[1:3] == ["connection_made", f"data_received {target}"]
            words = Spy.calls[0].removeprefix("init 0 ")
            assert {"config", "server_state", "app_state"} <= set(eval(words))
            count = len(Spy.calls)
            for number in range(3):
                wire.emit("nobody hears", number)
            assert core.transport(core.members().result(5)[0]) == "websocket"
        deadline = time.monotonic() + 10
        while core.members().result(5):
            assert time.monotonic() < deadline
        assert len(Spy.calls) == count, "bytes still go through the door: set_protocol was not called"
        assert not Spy.connections


def test_signatures_that_we_lean_on():
    assert {"ws", "http", "lifespan", "proxy_headers", "timeout_graceful_shutdown", "root_path"} <= set(
        inspect.signature(Config).parameters
    )
    assert ServerState().connections == set()
    for name in ("startup", "shutdown", "capture_signals", "handle_exit"):
        assert callable(getattr(uvicorn.Server, name))
    own = door.AutoWebSocketsProtocol
    assert own is not None
    assert {"config", "server_state", "app_state"} <= set(inspect.signature(own).parameters)


def test_string_as_in_the_command_line():
    config = Config(ASGIApp(Core()), ws="truesocket.doors.uvicorn:Door")
    config.load()
    assert config.ws_protocol_class is Door


def test_finds_our_way_in_behind_layers():
    app = ASGIApp(Core())

    class Layer:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)

    for layers in (app, Layer(app), Layer(Layer(app))):
        config = Config(layers)
        config.load()
        assert find_entrance(config) is app.entrance
    config = Config(other)
    config.load()
    assert find_entrance(config) is None


# --- who is passed on -------------------------------------------------------------------------------------------------


def test_other_paths_go_to_uvicorns_own_class():
    with in_thread(ASGIApp(Core(), other), ws=Door) as port:
        with contextlib.closing(RawWebSocket(port, "/chat?x=1", [("Origin", "http://evil.example")])) as websocket:
            assert websocket.receive() == "own /chat"
            websocket.send("text")
            assert websocket.receive() == "TEXT"
            with pytest.raises(Gone) as gone:
                websocket.receive()
            assert gone.value.code == 4000
        with Wire(port) as wire:
            assert wire.join()["sid"]
        assert get(port, "/").body == b"a page"


def test_an_application_without_us_has_its_own_websockets():
    with in_thread(other, ws=Door) as port, contextlib.closing(RawWebSocket(port, "/socket.io/")) as websocket:
        assert websocket.receive() == "own /socket.io/"


def test_root_path_is_cut_off():
    app = ASGIApp(Core(), other)
    with in_thread(app, ws=Door, root_path="/shop") as port, Wire(port, path="/shop/socket.io/") as wire:
        assert wire.join()["sid"]


def test_wrong_upgrade_requests_get_their_status():
    with in_thread(ASGIApp(Core()), ws=Door) as port:
        for header, value, status in (("Sec-WebSocket-Version", "8", b"426"), ("Sec-WebSocket-Key", "x", b"400")):
            with socket.create_connection((HOST, port), timeout=10) as sock:
                head = {
                    "Host": "x",
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Version": "13",
                    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
                    header: value,
                }
                lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
                sock.sendall(f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{lines}\r\n".encode())
                assert sock.recv(1000).split()[1] == status


def test_shutdown_closes_sessions_and_sends_no_disconnect():
    """After a Socket.IO DISCONNECT the official client stays away; it must come back after a restart."""
    with in_thread(ASGIApp(Core()), ws=Door) as port:
        wire = Wire(port)
        wire.join()
        gone: list[Gone] = []

        def read():
            gone.append(wire.wait_until_closed(20))
            wire.pipe.close()

        reader = threading.Thread(target=read)
        reader.start()
    reader.join(20)
    assert gone[0].code in (1000, 1001)
    assert not wire.waiting


# --- binding ----------------------------------------------------------------------------------------------------------


def test_port_in_use_is_one_clear_sentence():
    taken = bind(HOST, 0)
    port = taken.getsockname()[1]
    with pytest.raises(
        UsageError, match=rf"^port {port} on 127.0.0.1 is in use by another program: .* port={port + 1}"
    ):
        bind(HOST, port)
    env = {**os.environ, "HOST": HOST, "PORT": str(port)}
    ended = subprocess.run(
        [sys.executable, APP], cwd=ROOT, env=env, check=False, capture_output=True, text=True, timeout=60
    )
    taken.close()
    assert ended.returncode == 1
    [line] = [line for line in ended.stderr.splitlines() if line]
    assert line.startswith(f"truesocket: port {port} on 127.0.0.1 is in use by another program")
    assert "code behind run()" not in ended.stdout


def test_address_that_is_not_ours():
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:5000"):
        bind("192.0.2.1", 5000)
    with pytest.raises(UsageError, match=r"cannot listen on no-such-host\.invalid:5000"):
        bind("no-such-host.invalid", 5000)


def test_unknown_option_names_the_nearest():
    with pytest.raises(UnknownOption, match=r"run\(\) has no option 'worker'; did you mean 'workers'"):
        serve(ASGIApp(Core()), worker=2)


# --- ending -----------------------------------------------------------------------------------------------------------


def test_sigterm_ends_within_seconds_while_endless_handlers_run():
    with running(APP, stops_within=10) as server:
        wires = [Wire(server.port) for _ in range(3)]
        for wire in wires:
            wire.join()
            wire.emit("loop")
            assert wire.event("tick") == []
        page = threading.Thread(target=_get_quietly, args=(server.port, "/slow"))
        page.start()
        time.sleep(0.3)
        server.terminate(10)
        assert "code behind run()" in server.output
        for wire in wires:
            assert wire.wait_until_closed().code in (1000, 1001, 1006)
            wire.pipe.close()
        page.join(10)


def _get_quietly(port: int, target: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        get(port, target)


def test_sigint_ends_and_code_behind_run_runs():
    with running(APP) as server:
        server.wait_for_output("listening on")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(15) == 0
        assert "code behind run()" in server.output


def test_second_sigint_ends_now():
    with running(APP, tracebacks=True) as server:
        page = threading.Thread(target=_get_quietly, args=(server.port, "/slow"))
        page.start()
        time.sleep(0.5)
        started = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGINT)
        server.process.wait(15)
        assert time.monotonic() - started < 2.5, "it waited for the slow page all the same"
        page.join(20)


def test_start_up_lines():
    with running(APP) as server:
        server.wait_for_output(f"listening on {server.url}")
        assert "WebSockets are real (door: uvicorn)" in server.output
        assert "transports websocket and polling at /socket.io/" in server.output


def test_serve_off_the_main_thread_leaves_signals_alone():
    app = ASGIApp(Core())
    port = free_port()
    before = signal.getsignal(signal.SIGINT)
    servers: list[door.Server] = []
    made = door.Server.__init__

    def remember(self, *args):
        made(self, *args)
        servers.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.Server, "__init__", remember)
        started = threading.Event()
        thread = threading.Thread(
            target=serve, args=(app,), kwargs={"host": HOST, "port": port, "on_started": lambda _: started.set()}
        )
        thread.start()
        assert started.wait(20)
    assert signal.getsignal(signal.SIGINT) is before
    with Wire(port) as wire:
        assert wire.join()["sid"]
    servers[0].should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    assert not app.entrance.server.running


def test_loop_is_let_go_at_the_end():
    core = Core()
    app = ASGIApp(core)
    for _ in range(2):
        with in_thread(app, ws=Door) as port, Wire(port) as wire:
            assert wire.join()["sid"]
            assert core.running
        assert not core.running
    asyncio.run(asyncio.sleep(0))
