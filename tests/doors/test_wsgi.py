"""WSGI hosts, real ones: connections that are taken over, hosts that keep theirs, and what remains in the host.

What every door must do is in test_contract.py, which runs through gunicorn and Werkzeug as well.
"""

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import ssl
import sys
import time
from types import SimpleNamespace
from typing import ClassVar

import pytest

from tests.conftest import FULL
from tests.support.certificates import make_pair
from tests.support.servers import HOST, Server, running_wsgi
from tests.support.wire import Gone, PollingPipe, RawWebSocket, WebSocketPipe, Wire, get
from truesocket.codec import engineio, frames, upgrade
from truesocket.codec.engineio import NOOP
from truesocket.codec.frames import Opcode
from truesocket.core.server import Server as AppServer
from truesocket.doors import takeover
from truesocket.doors.parking import Parking
from truesocket.doors.wsgi import WSGIApp

pytestmark = pytest.mark.skipif(os.name == "nt", reason="gunicorn needs a POSIX system")

APP = "tests.apps.wsgi_app:app"
TAKING = ("gunicorn-gthread", "gunicorn-sync", "werkzeug")
WARNING = "stay on long-polling"


@pytest.fixture(scope="module", params=TAKING)
def taking(request):
    """A host whose connections can be taken over."""
    with running_wsgi(APP, request.param, threads=4) as server:
        yield server


@pytest.fixture(autouse=True)
def closed():
    yield
    while ParkedGet.sockets:
        ParkedGet.sockets.pop().close()


def until(condition, within: float = 20):
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)
    return found


def inside(server: Server) -> dict:
    return get(server.port, "/inside").json


class ParkedGet:
    """A GET that has been sent and waits for its answer."""

    sockets: ClassVar[list[socket.socket]] = []

    def __init__(self, wire: Wire, headers: str = "") -> None:
        assert isinstance(wire.pipe, PollingPipe)
        self.socket = socket.create_connection((HOST, wire._port), timeout=30)
        self.sockets.append(self.socket)
        head = f"GET {wire.pipe.target} HTTP/1.1\r\nHost: {HOST}:{wire._port}\r\n{headers}\r\n"
        self.socket.sendall(head.encode())

    def answer(self) -> tuple[http.client.HTTPResponse, bytes]:
        """The answer, read to its end, which must be that of the connection."""
        response = http.client.HTTPResponse(self.socket)
        response.begin()
        body = response.read()
        assert self.socket.recv(1) == b""
        self.socket.close()
        return response, body


def park(server: Server, wire: Wire, headers: str = "") -> ParkedGet:
    """A GET whose connection has been taken over."""
    before = inside(server)["taken"]
    parked = ParkedGet(wire, headers)
    until(lambda: inside(server)["taken"] > before)
    return parked


def ended(wire: Wire) -> Gone:
    """How the server ended a connection; what it says before is not of interest."""
    try:
        while True:
            wire.pipe.receive(20)
    except Gone as gone:
        return gone


def poller(server: Server, revision: int = 4, **options) -> Wire:
    """A client with nothing left to fetch."""
    wire = Wire(server.port, revision=revision, transport="polling", **options)
    wire.join()
    wire.event("welcome")
    return wire


# --- connections that are taken over ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "threads", "count"), [("gunicorn-gthread", 4, 50), ("gunicorn-sync", 1, 5), ("werkzeug", 0, 20)]
)
def test_pollers_hold_no_thread(host, threads, count):
    """Pages go on answering, and everybody hears the push."""
    with running_wsgi(APP, host, threads=threads) as server, contextlib.ExitStack() as stack:
        wires = [stack.enter_context(poller(server)) for _ in range(count)]
        parked = [ParkedGet(wire) for wire in wires]
        until(lambda: inside(server)["taken"] == count)
        for _ in range(10):
            assert get(server.port, "/page").body == b"a page"

        def busy() -> int:
            return sum("process_request" in name for name in inside(server)["threads"])

        until(
            lambda: busy() <= 1
        )  # ours; those of the pages end a moment behind their answers, a parked GET's would not
        with Wire(server.port) as wire:
            wire.join()
            wire.emit("push_all", "to everybody")
            for one in parked:
                response, body = one.answer()
                assert response.status == 200
                assert response.getheader("Connection") == "close"
                assert b"to everybody" in body


def test_many_websockets_through_two_threads():
    count = 2_000 if FULL else 500
    with running_wsgi(APP, "gunicorn-gthread", "--worker-connections", "50", threads=2) as server:
        with Wire(server.port) as wire:
            wire.join()
            assert wire.call("echo", 1) == [1]
        before = inside(server)
        with contextlib.ExitStack() as stack:
            pipes = []
            for _ in range(count):
                pipe = WebSocketPipe(RawWebSocket(server.port, "/socket.io/?EIO=4&transport=websocket"), 4)
                stack.callback(pipe.close)
                pipe.receive(10)
                pipe.websocket.send("40")
                pipes.append(pipe)
            for pipe in pipes:
                assert pipe.websocket.receive(30).startswith('40{"sid":')
                assert pipe.websocket.receive(30).startswith('42["welcome"')
            hosts = [name for name in inside(server)["threads"] if not name.startswith("truesocket")]
            assert len(hosts) <= 3, "the host's threads have grown with its WebSockets"
            pipes[0].websocket.send('42["push_all","for all"]')
            for pipe in pipes:
                assert "for all" in pipe.websocket.receive(30)
        until(lambda: inside(server)["descriptors"] <= before["descriptors"] + 5)


def test_frame_right_behind_the_request(taking):
    """No client should send any before it has its answer; the host has read it, and it is not lost."""
    key = base64.b64encode(b"k" * 16).decode()
    target = "/socket.io/?EIO=4&transport=websocket"
    early = frames.build(Opcode.TEXT, b"40", key=b"abcd")
    with socket.create_connection((HOST, taking.port), timeout=10) as sock:
        sock.sendall(upgrade.request(target, HOST, key) + early)
        said = b""
        while b"welcome" not in said:
            more = sock.recv(4096)
            assert more, said
            said += more
        assert said.startswith(b"HTTP/1.1 101 ")
        assert b'40{"sid":' in said
    assert get(taking.port, "/page").body == b"a page"


def test_request_behind_a_parked_one_is_not_run(taking):
    """Its answer could not be sent; the client hears `Connection: close`, and sends it again."""
    with poller(taking) as wire, Wire(taking.port) as other:
        other.join()
        parked = park(taking, wire, f"\r\nGET /ring HTTP/1.1\r\nHost: {HOST}\r\n")
        other.emit("push_all", "x")
        response, body = parked.answer()
        assert response.getheader("Connection") == "close"
        assert b"pushed" in body
    assert inside(taking)["rings"] == 0


def test_client_leaves_while_its_get_is_parked(taking):
    with poller(taking) as wire, Wire(taking.port) as other:
        other.join()
        before = inside(taking)["descriptors"]
        for _ in range(10):
            park(taking, wire).socket.close()
            until(lambda: inside(taking)["descriptors"] <= before + 1)
        other.emit("push_all", "kept")
        assert other.event("pushed")[0]["tag"] == "kept"
        assert wire.event("pushed")[0]["tag"] == "kept"


def test_parked_answer_is_a_whole_one(taking):
    origin = f"http://{HOST}:{taking.port}"
    headers = f"Origin: {origin}\r\nAccept-Encoding: gzip\r\n"
    with poller(taking) as wire, Wire(taking.port) as other:
        other.join()
        parked = park(taking, wire, headers)
        other.emit("push_all", "y" * 5_000)
        response, body = parked.answer()
    assert response.getheader("Access-Control-Allow-Origin") == origin
    assert response.getheader("Content-Encoding") == "gzip"
    assert response.getheader("Content-Type") == "text/plain; charset=UTF-8"
    assert response.getheader("Date")
    assert len(body) == int(response.getheader("Content-Length")) < 5_000


def test_http_1_0_clients_poll(taking):
    """nginx speaks it, unless told otherwise."""
    with poller(taking) as wire, Wire(taking.port) as other:
        other.join()
        with socket.create_connection((HOST, taking.port), timeout=10) as sock:
            sock.sendall(f"GET {wire.pipe.target} HTTP/1.0\r\n\r\n".encode())
            until(lambda: inside(taking)["taken"] == 2)
            other.emit("push_all", "old")
            assert b'"old"' in b"".join(iter(lambda: sock.recv(4096), b""))


def test_nothing_remains_in_the_host(taking):
    before = until(lambda: inside(taking))["descriptors"]
    for _ in range(10):
        with Wire(taking.port, transport="upgrade") as wire:
            wire.join()
            assert wire.call("echo", 1) == [1]
    until(lambda: inside(taking)["descriptors"] <= before + 2)
    for noise in ("Traceback", "Exception", "Invalid request", "reset"):
        assert noise not in taking.output


def test_debug_mode_and_its_middleware():
    """Flask's debugger catches every exception that passes: none must."""
    with running_wsgi(APP, "werkzeug", "--debug", "--no-reload") as server:
        with Wire(server.port, transport="upgrade") as wire:
            wire.join()
            assert wire.call("echo", "through") == ["through"]
        assert "101" in server.output


# --- without a host: the callable alone -------------------------------------------------------------------------------


class Bare:
    """A WSGI application asked by hand, with what an application must have (PEP 3333) and no more."""

    def __init__(self, app) -> None:
        self.app = app

    def ask(self, path: str, query: str = "", body: bytes = b"", **more) -> tuple[str, dict[str, str], bytes]:
        started = []
        environ = {
            "REQUEST_METHOD": "POST" if body else "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "inside",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            **more,
        }
        found = self.app(environ, lambda status, headers, exc_info=None: started.append((status, dict(headers))))
        (status, headers), said = started[0], b"".join(found)
        return status, headers, said


@pytest.fixture
def bare():
    app = WSGIApp(AppServer(max_payload=1_000))
    yield Bare(app)
    app.entrance.stop_in_thread()


def opened(bare: Bare, **more) -> str:
    status, _, said = bare.ask("/socket.io/", "EIO=4&transport=polling", **more)
    assert status == "200 OK"
    return f"EIO=4&transport=polling&sid={json.loads(said[1:])['sid']}"


def test_application_beside_it_and_none():
    server = AppServer()
    alone = Bare(WSGIApp(server))
    assert alone.ask("/else")[0] == "404 Not Found"
    beside = Bare(WSGIApp(server, lambda environ, start: [start("200 OK", []) or b"beside"]))
    assert beside.ask("/else")[2] == b"beside"
    assert beside.ask("/socket.io/truesocket.js")[1]["Content-Type"].startswith("text/javascript")
    assert not server.running, "nothing has asked for it yet"


def test_get_on_a_host_of_one_thread_is_sent_home(bare, caplog):
    query = opened(bare)
    assert bare.ask("/socket.io/", query)[2] == b"6"
    assert bare.ask("/socket.io/", query, b"40")[2] == b"ok"
    assert bare.ask("/socket.io/", query)[2].startswith(b'40{"sid"')
    assert caplog.text.count(WARNING) == 1


def test_bodies(bare):
    query = opened(bare)
    status, _, said = bare.ask("/socket.io/", query, b"4" * 1_001)
    assert status.startswith("413 ")
    assert b"max_payload" in said
    assert bare.ask("/socket.io/", query)[2] == b"1", "the session has been closed"
    query = opened(bare)
    with pytest.raises(ConnectionError):
        bare.ask("/socket.io/", query, b"40", CONTENT_LENGTH="100")
    assert bare.ask("/socket.io/", query, b"40", CONTENT_LENGTH="two")[2] != b"", "no number is no length"
    query = opened(bare)
    chunked = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True}
    assert bare.ask("/socket.io/", query, b"40", **chunked)[2] == b"ok"
    assert bare.ask("/socket.io/", query, b"4" * 2_000, **chunked)[0].startswith("413")


def test_handshake_says_what_the_environ_said(bare):
    more = {
        "SCRIPT_NAME": "/über".encode().decode("latin-1"),
        "HTTP_X_CUSTOM": "yes",
        "REMOTE_ADDR": "198.51.100.1",
        "REMOTE_PORT": "4711",
        "gunicorn.socket": "a host's own",
        "a.middleware": "its own",
    }
    opened(bare, **more)
    [peer] = bare.app.entrance.server.peers.values()
    handshake = peer.handshake
    assert (handshake.root_path, handshake.path, handshake.door) == ("/über", "/socket.io/", "wsgi")
    assert handshake.client == ("198.51.100.1", 4711)
    assert handshake.server == ("inside", 80)
    assert handshake.header("x-custom") == "yes"
    assert handshake.extra["a.middleware"] == "its own"
    assert "gunicorn.socket" not in handshake.extra
    assert handshake.extra["wsgi.input"].read() == b""


@pytest.mark.parametrize("address", ["127.0.0.1", ""], ids=["loopback", "unix socket"])
def test_proxy_on_this_machine_is_believed_by_pages_and_sockets(bare, address):
    more = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": "203.0.113.7", "HTTP_X_FORWARDED_PROTO": "https"}
    page = {}
    bare.app._other = lambda environ, start: [start("200 OK", []) or page.update(environ) or b""]
    bare.ask("/page", **more)
    assert (page["REMOTE_ADDR"], page["wsgi.url_scheme"]) == ("203.0.113.7", "https")
    opened(bare, **more)
    [peer] = bare.app.entrance.server.peers.values()
    assert peer.handshake.client[0] == "203.0.113.7"
    assert peer.handshake.extra["REMOTE_ADDR"] == "203.0.113.7"
    assert peer.handshake.scheme == "https"


def test_forking_host_keeps_its_socket():
    ours, theirs = socket.socketpair()
    environ = {"SERVER_PROTOCOL": "HTTP/1.1", "werkzeug.socket": ours, "wsgi.multiprocess": True}
    assert not takeover.can_take(environ)
    assert not takeover.can_take({**environ, "wsgi.multiprocess": False, "SERVER_PROTOCOL": "HTTP/2.0"})
    assert takeover.can_take({**environ, "wsgi.multiprocess": False})
    ours.close()
    theirs.close()


def test_no_descriptor_left_keeps_the_connection_with_its_host(monkeypatch, caplog):
    ours, theirs = socket.socketpair()

    def none_left():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(takeover.socket, "socketpair", none_left)
    assert takeover.take({"SERVER_PROTOCOL": "HTTP/1.1", "werkzeug.socket": ours, "wsgi.input": None}) is None
    assert "Too many open files" in caplog.text
    theirs.sendall(b"still there")
    assert ours.recv(20) == b"still there"
    ours.close()
    theirs.close()


def test_share_of_a_host_s_threads():
    parking = Parking()
    single = {"wsgi.multithread": False}
    with parking.space(single, 1) as one, parking.space(single, 50) as many:
        assert one == 0.25
        assert many == 0.005
    pool = {"wsgi.multithread": True, "waitress.client_disconnected": FakeWaitress(6).client_disconnected}
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(parking.space(pool, 10)) for _ in range(5)]
    assert held == [5.0, 5.0, 5.0, 0.025, 0.025]
    with parking.space(pool, 10) as again:
        assert again == 5.0
    unknown = {"wsgi.multithread": True}
    assert parking.threads(unknown) == 1
    assert parking.threads({**unknown, "werkzeug.socket": None}) > 100


class FakeWaitress:
    """What is read of waitress, through what it puts into the environ."""

    def __init__(self, threads: int) -> None:
        self.server = SimpleNamespace(adj=SimpleNamespace(threads=threads))

    def client_disconnected(self) -> bool:
        return False


# --- the end of a host ------------------------------------------------------------------------------------------------


def assert_clients_hear_of_the_end(server: Server, signal_to: int) -> None:
    with Wire(server.port) as wire, poller(server) as other:
        wire.join()
        parked = park(server, other)
        os.kill(signal_to, signal.SIGTERM)
        assert ended(wire).code != 1006, "cut without a close frame"
        _, body = parked.answer()
        assert body == b"1"


@pytest.mark.parametrize("host", ["gunicorn-gthread", "gunicorn-sync"])
@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_clients_hear_of_the_end_of_a_worker(host, preload):
    with running_wsgi(APP, host, *preload) as server:
        first = inside(server)["pid"]
        assert_clients_hear_of_the_end(server, first)
        until(lambda: inside(server)["pid"] != first)  # gunicorn has started another one
        assert_clients_hear_of_the_end(server, server.process.pid)


def test_worker_that_has_served_its_requests():
    with running_wsgi(APP, "gunicorn-gthread", "--max-requests", "5") as server:
        with Wire(server.port) as wire:
            wire.join()
            for _ in range(5):
                with contextlib.suppress(OSError, http.client.HTTPException):
                    get(server.port, "/page")
            assert ended(wire).code != 1006, "cut without a close frame"
        with Wire(server.port) as wire:
            wire.join()


@pytest.mark.parametrize(
    ("arguments", "env"),
    [(["-w", "2"], {}), ([], {"WEB_CONCURRENCY": "2"}), ([], {"GUNICORN_CMD_ARGS": "--workers=2"})],
)
def test_several_workers_are_an_error_at_the_start(arguments, env):
    with running_wsgi(APP, "gunicorn-gthread", *arguments, env=env) as server:
        server.wait_for_output("2 worker processes and no broker")


def test_several_workers_that_only_the_host_knows_of(tmp_path):
    settings = tmp_path / "settings.py"
    settings.write_text("workers = 2\n")
    with running_wsgi(APP, "gunicorn-gthread", "--config", str(settings)) as server:
        assert get(server.port, "/socket.io/?EIO=4&transport=polling").status == 200
        server.wait_for_output("several worker processes and no broker")


# --- hosts that keep their connections --------------------------------------------------------------------------------


@pytest.mark.parametrize(("threads", "count"), [(1, 5), (2, 10), (4, 10), (8, 20)])
def test_waitress_polls_and_says_so_once(threads, count):
    with running_wsgi(APP, "waitress", threads=threads) as server, contextlib.ExitStack() as stack:
        with pytest.raises(Gone) as gone:
            RawWebSocket(server.port, "/socket.io/?EIO=4&transport=websocket")
        assert gone.value.code == 400
        wires = [stack.enter_context(poller(server)) for _ in range(count)]
        parked = [ParkedGet(wire, "Connection: close\r\n") for wire in wires]
        for _ in range(5):
            assert get(server.port, "/page").body == b"a page"
        bodies = []
        with poller(server) as wire:
            wire.emit("push_all", "slowly")
            for one, each in zip(parked, wires, strict=True):
                _, body = one.answer()
                bodies.append(body)
                if b"slowly" not in body:
                    assert engineio.parse_payload(body, 4, binary=False)[0].type == NOOP
                    assert each.event("pushed")[0]["tag"] == "slowly"
        if threads < 4:
            assert b"6" in bodies, "no GET was sent home, and each holds a thread"
        assert server.output.count(WARNING) == 1


def test_waitress_answers_whoever_it_can_hold_at_once():
    with running_wsgi(APP, "waitress", threads=8) as server, poller(server) as wire, poller(server) as other:
        parked = ParkedGet(wire, "Connection: close\r\n")
        get(server.port, "/page")
        other.emit("push_all", "held")
        assert b"held" in parked.answer()[1]


@pytest.mark.parametrize("host", ["gunicorn-gthread", "werkzeug"])
def test_tls_of_the_host_stays_on_polling(host, tmp_path):
    pair = make_pair(tmp_path)
    names = ["--certfile", "--keyfile"] if host == "gunicorn-gthread" else ["--cert", "--key"]
    with running_wsgi(APP, host, names[0], str(pair.cert), names[1], str(pair.key), threads=4) as server:
        connection = http.client.HTTPSConnection(HOST, server.port, timeout=15, context=pair.trusting)

        def ask(target: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
            connection.request("GET" if body is None else "POST", target, body=body, headers=headers or {})
            answer = connection.getresponse()
            said = answer.status, answer.read()
            connection.close()
            return said

        status, hello = ask("/socket.io/?EIO=4&transport=polling")
        assert status == 200
        target = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(hello[1:])['sid']}"
        assert ask(target, b"40") == (200, b"ok")
        heard = b""
        while b"welcome" not in heard:
            heard += ask(target)[1]
        wish = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode(),
        }
        assert ask("/socket.io/?EIO=4&transport=websocket", headers=wish)[0] == 400
        assert server.output.count(WARNING) == 1
        assert "end TLS" in server.output
        with pytest.raises(ssl.SSLError):
            http.client.HTTPSConnection(HOST, server.port, timeout=15).request("GET", "/")
