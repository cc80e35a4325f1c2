"""Heads of requests that take too long or are too large, and what must not be taken for that."""

import contextlib
import http.client
import inspect
import socket
import time
from typing import ClassVar

import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tests.support.flasking import served
from tests.support.servers import HOST
from tests.support.wire import Wire, get
from truesocket import ASGIApp, Server
from truesocket.doors.http import Http
from truesocket.doors.uvicorn import Door, serve

PATIENCE = 10


async def pages(scope, receive, send):
    """Answers `/early` before the body is there, any other path behind it."""
    assert scope["type"] == "http"
    body = b""
    while scope["path"] != "/early":
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    length = str(len(body)).encode()
    answer = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(length)).encode())]}
    await send(answer)
    await send({"type": "http.response.body", "body": length})


async def lifespan_of_pages(scope, receive, send):
    if scope["type"] != "lifespan":
        await pages(scope, receive, send)


@pytest.fixture
def port():
    server = Server(header_timeout=1, cors_allowed_origins="*")
    with served(ASGIApp(server, lifespan_of_pages), http=Http) as found:
        yield found


def connected(port) -> socket.socket:
    return socket.create_connection((HOST, port), PATIENCE)


def until_closed(sock) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            found += data
    return found


def dripped(sock, data: bytes) -> bytes:
    """A byte now and then, until the server has enough of it; what it says then."""
    sock.settimeout(0.2)
    deadline = time.monotonic() + PATIENCE
    for byte in data:
        assert time.monotonic() < deadline, "the server goes on listening"
        try:
            sock.sendall(bytes([byte]))
            return sock.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
    raise AssertionError("the server goes on listening")


def test_what_it_expects_of_uvicorn():
    names = inspect.signature(HttpToolsProtocol.__init__).parameters
    assert {"config", "server_state", "app_state"} <= names.keys()
    for name in ("connection_made", "data_received", "on_headers_complete", "on_message_complete", "connection_lost"):
        assert callable(getattr(HttpToolsProtocol, name))
    assert '"truesocket.doors.http:Http"' in inspect.getsource(serve)


@pytest.mark.parametrize(
    "head", ["GET /page HTTP/1.1\r\nX-Slow: " + "x" * 200, "\r\n" * 200], ids=["a header", "nothing but line ends"]
)
def test_a_head_that_never_ends(port, head):
    with connected(port) as sock:
        answer = dripped(sock, head.encode())
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_nothing_at_all(port):
    with connected(port) as sock:
        assert until_closed(sock) == b""


def test_a_second_head_that_never_ends(port):
    with connected(port) as sock:
        sock.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        answer = dripped(sock, b"GET /page HTTP/1.1\r\nX-Slow: " + b"x" * 200)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_the_time_of_the_first_head_is_not_that_of_the_second(port):
    with connected(port) as sock:
        sock.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        time.sleep(1.2)
        sock.sendall(b"GET /page HTTP/1.1\r\n")
        time.sleep(0.2)
        sock.sendall(b"Host: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_begins_late_has_the_rest_of_the_time(port):
    with connected(port) as sock:
        began = time.monotonic()
        time.sleep(0.5)
        sock.sendall(b"GET /page HTTP/1.1\r\nHost: ")
        assert until_closed(sock).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began >= 0.9  # header_timeout=1, to the loop's tick


def test_a_head_without_an_end_is_not_kept(port):
    with connected(port) as sock:
        sock.sendall(b"GET /page HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                sock.sendall(b"X-Much: " + b"x" * 8000 + b"\r\n")
                time.sleep(0.001)
        answer = until_closed(sock)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")


def test_a_slow_body_is_no_slow_head(port):
    connection = http.client.HTTPConnection(HOST, port, timeout=PATIENCE)

    def body():
        for _ in range(8):
            time.sleep(0.25)
            yield b"x" * 10_000

    connection.request("POST", "/page", body=body(), headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert connection.getresponse().read() == b"80000"
    connection.close()


def test_a_body_behind_an_early_answer_is_no_head(port):
    with connected(port) as sock:
        sock.sendall(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        for _ in range(20):
            sock.sendall(b"x" * 10_000)
            time.sleep(0.01)
        sock.sendall(b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_parked_poll_and_an_idle_websocket_are_left_alone(port):
    with Wire(port, transport="polling") as poller, Wire(port) as wire:
        poller.join()
        wire.join()
        assert poller.stays_silent(2.5)
        assert wire.stays_silent(0.1)
    assert get(port, "/page").status == 200


def test_it_can_be_switched_off():
    with served(ASGIApp(Server(header_timeout=0), lifespan_of_pages), http=Http) as port, connected(port) as sock:
        sock.settimeout(1.5)
        with pytest.raises(TimeoutError):
            sock.recv(1)


# --- the shortest way in ----------------------------------------------------------------------------------------------

KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
UPGRADE = f"Host: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n{KEY}"
TARGET = "/socket.io/?EIO=4&transport=websocket"
JOIN = b"\x81\x82\0\0\0\x0040"  # a CONNECT in a frame whose mask changes nothing


class Seen(Door):
    """Writes down which requests come by uvicorn's way, and which at once."""

    ways: ClassVar[list[str]] = []

    def enter(self, *args):
        self.ways.append("at once")
        super().enter(*args)

    def data_received(self, data):
        self.ways.append("uvicorn")
        super().data_received(data)


@pytest.fixture
def ways():
    Seen.ways.clear()
    return Seen.ways


def conversation(port, *pieces: bytes) -> bytes:
    """What the server says to a request in these pieces, until it has let the client into its namespace."""
    found = b""
    with connected(port) as sock:
        for piece in pieces:
            sock.sendall(piece)
            time.sleep(0.1)
        while b'40{"sid":' not in found:
            data = sock.recv(65536)
            if not data:
                break
            found += data
    return found


def test_a_whole_request_of_ours_is_parsed_once(ways):
    with served(ASGIApp(Server(), lifespan_of_pages), http=Http, ws=Seen) as port:
        request = f"GET {TARGET} HTTP/1.1\r\n{UPGRADE}\r\n".encode()
        assert conversation(port, request, JOIN).startswith(b"HTTP/1.1 101 ")
        assert ways == ["at once"]
        assert conversation(port, request + JOIN).count(b'40{"sid":') == 1, "what came behind the head is lost"
    with served(ASGIApp(Server(), lifespan_of_pages), http=Http, ws=Seen, root_path="/shop") as port:
        ways.clear()
        assert conversation(port, request.replace(b"/socket.io/", b"/shop/socket.io/", 1), JOIN).startswith(
            b"HTTP/1.1 101 "
        )
        assert ways == ["at once"]


@pytest.mark.parametrize(
    ("request_", "answer", "way"),
    [
        (f"GET {TARGET} HTTP/1.1\r\n{UPGRADE}Content-Length: 0\r\n\r\n", b"HTTP/1.1 101 ", "uvicorn"),
        (f"GET /elsewhere{TARGET} HTTP/1.1\r\n{UPGRADE}\r\n", b"HTTP/1.1 ", "uvicorn"),
        (f"GET {TARGET} HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 ", ""),
        (f"GET {TARGET} HTTP/1.1\r\n{UPGRADE}no header\r\n\r\n", b"HTTP/1.1 400 ", ""),
        (f"GET {TARGET} HTTP/1.1\r\n{UPGRADE.replace('13', '8')}\r\n", b"HTTP/1.1 426 ", "at once"),
    ],
    ids=["a body", "elsewhere", "no upgrade", "broken", "another version"],
)
def test_all_else_goes_uvicorns_way(ways, request_, answer, way):
    with served(ASGIApp(Server(), lifespan_of_pages), http=Http, ws=Seen) as port:
        assert conversation(port, request_.encode(), JOIN).startswith(answer)
        assert set(ways) <= {way}


def test_a_request_in_pieces_goes_uvicorns_way(ways):
    with served(ASGIApp(Server(), lifespan_of_pages), http=Http, ws=Seen) as port:
        first, second = f"GET {TARGET} HTTP/1.1\r\n".encode(), f"{UPGRADE}\r\n".encode()
        assert conversation(port, first, second, JOIN).startswith(b"HTTP/1.1 101 ")
        assert set(ways) == {"uvicorn"}


def test_another_websocket_class_is_left_in_its_place():
    with served(ASGIApp(Server(), lifespan_of_pages), http=Http, ws="auto") as port:
        assert conversation(port, f"GET {TARGET} HTTP/1.1\r\n{UPGRADE}\r\n".encode(), JOIN).startswith(b"HTTP/1.1 101 ")
