"""Engine.IO spoken by hand, for the conformance suites: what is sent and expected stands in the tests, as on the wire.

Nothing of our codec is used here but the frames of a WebSocket: payloads are cut as the protocol's text says, so that
an error of ours cannot hide behind the same error on the other side.

    with Talk(port, 4, "polling") as talk:
        talk.send("40")
        assert talk.receive().startswith('40{"sid":')
"""

import base64
import contextlib
import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Literal, get_args

from tests.support.servers import Host
from tests.support.wire import HOST, Gone, Headers, RawWebSocket, Reply, get

Way = Literal["websocket", "polling", "upgrade"]
Message = str | bytes
PATH = "/socket.io/"
#: Every way in, in the full run; else the fast one. `tests/doors` runs its contract through all of them, always.
DOORS: tuple[Host, ...] = get_args(Host) if os.environ.get("TRUESOCKET_TEST_FULL") == "1" else ("uvicorn-fast",)
#: For what is decided behind the doors, in large tables.
#: `@pytest.mark.parametrize("door", ANY_DOOR, indirect=True, scope="session")`
ANY_DOOR: tuple[Host, ...] = DOORS


def build_payload(messages: Sequence[Message], revision: int) -> bytes:
    """Packets as a text payload; bytes as base64."""
    if revision == 4:
        return "\x1e".join(each if isinstance(each, str) else "b" + _base64(each) for each in messages).encode()
    texts = [each if isinstance(each, str) else "b4" + _base64(each) for each in messages]
    return "".join(f"{utf16_length(text)}:{text}" for text in texts).encode()


def parse_payload(body: bytes, revision: int, content_type: str = "text/plain") -> list[Message]:
    """The packets of a payload; bytes without the type in front."""
    if content_type.startswith("application/octet-stream"):
        assert revision == 3, "Engine.IO 4 has no binary payloads"
        return list(_parse_binary(body))
    if revision == 4:
        return [_unpack(text, "b") for text in body.decode().split("\x1e")]
    found: list[Message] = []
    units = body.decode().encode("utf-16-le")
    while units:
        digits, _, rest = units.partition(":".encode("utf-16-le"))
        size = 2 * int(digits.decode("utf-16-le"))
        assert len(rest) >= size, f"a payload that is shorter than it says: {body!r}"
        found.append(_unpack(rest[:size].decode("utf-16-le"), "b4"))
        units = rest[size:]
    return found


def utf16_length(text: str) -> int:
    """The length as JavaScript counts."""
    return len(text.encode("utf-16-le")) // 2


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unpack(text: str, mark: str) -> Message:
    return base64.b64decode(text[len(mark) :]) if text.startswith(mark) else text


def _parse_binary(body: bytes) -> Iterator[Message]:
    while body:
        kind, end = body[0], body.index(0xFF)
        size = int("".join(str(digit) for digit in body[1:end]))
        packet, body = body[end + 1 : end + 1 + size], body[end + 1 + size :]
        assert len(packet) == size
        if kind == 0:
            yield packet.decode()
        else:
            assert packet[0] == 4, "bytes are messages"
            yield packet[1:]


class Answer:
    """What came back on a raw connection: an HTTP head and whatever followed."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def raw_request(port: int, method: str, target: str, headers: Headers = (), websocket: bool = False) -> Answer:
    """One request on a connection of its own, with headers that no HTTP library would send; read to its end."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}:{port}"]
    if websocket:
        lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    else:
        lines += ["Connection: close", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in headers]
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
            if data.startswith(b"HTTP/1.1 101"):
                break
    return Answer(data)


class Parked:
    """A GET under way; `reply()` waits for its answer."""

    def __init__(self, port: int, target: str, headers: Headers) -> None:
        self._replies: list[Reply] = []
        self._thread = threading.Thread(target=lambda: self._replies.append(get(port, target, headers)))
        self._thread.start()

    @property
    def waits(self) -> bool:
        """Whether there is no answer yet."""
        return self._thread.is_alive()

    def reply(self) -> Reply:
        """The answer."""
        self._thread.join(15)
        assert self._replies, "the GET was never answered"
        return self._replies[0]


class Polling:
    """A polling session, one HTTP connection per request."""

    def __init__(self, port: int, revision: int, query: str = "", headers: Headers = ()) -> None:
        self.port, self.revision, self.headers = port, revision, list(headers)
        self.opening = get(port, f"{PATH}?EIO={revision}&transport=polling{query}", self.headers)
        assert self.opening.status == 200, (self.opening.status, self.opening.body)
        first, *self._rest = self.packets(self.opening)
        assert isinstance(first, str)
        assert first[0] == "0", first
        self.hello: dict[str, Any] = json.loads(first[1:])
        self.sid: str = self.hello["sid"]
        self.target = f"{PATH}?EIO={revision}&transport=polling&sid={self.sid}{query}"

    def packets(self, reply: Reply) -> list[Message]:
        """What a reply carries."""
        assert reply.status == 200, (reply.status, reply.body)
        return parse_payload(reply.body, self.revision, reply.headers["content-type"])

    def get(self) -> Reply:
        """One GET."""
        return get(self.port, self.target, self.headers)

    def park(self, seconds: float = 0.15) -> Parked:
        """One GET in the background, on its way for long enough to be parked."""
        parked = Parked(self.port, self.target, self.headers)
        time.sleep(seconds)
        return parked

    def post(self, body: str | bytes, content_type: str = "text/plain;charset=UTF-8") -> Reply:
        """One POST, its body as it is."""
        data = body.encode() if isinstance(body, str) else body
        headers = [*self.headers, ("Content-Type", content_type)]
        return get(self.port, self.target, headers, method="POST", body=data)

    def send(self, *messages: Message) -> None:
        """One POST that is taken."""
        reply = self.post(build_payload(messages, self.revision))
        assert (reply.status, reply.body) == (200, b"ok")

    def receive(self) -> list[Message]:
        """The packets of one GET, or of the opening beside the OPEN packet."""
        return self.pending() or self.packets(self.get())

    def pending(self) -> list[Message]:
        """What the opening brought beside the OPEN packet, or the GET that was parked during an upgrade."""
        rest, self._rest = self._rest, []
        return rest

    def keep(self, packets: list[Message]) -> None:
        """Packets for `pending` and `receive`."""
        self._rest += packets


class Socketed:
    """A WebSocket of a session, or one that probes."""

    def __init__(self, port: int, revision: int, query: str = "", headers: Headers = ()) -> None:
        self.revision = revision
        self.raw = RawWebSocket(port, f"{PATH}?EIO={revision}&transport=websocket{query}", headers)

    def send(self, *messages: Message) -> None:
        """Each packet in a message of its own."""
        for message in messages:
            self.raw.send(b"\x04" + message if self.revision == 3 and isinstance(message, bytes) else message)

    def receive(self, timeout: float = 10) -> Message:
        """The next packet; raises :class:`Gone` where the server closes."""
        message = self.raw.receive(timeout)
        if isinstance(message, bytes) and self.revision == 3:
            assert message[0] == 4
            return message[1:]
        return message

    def closed(self) -> Gone:
        """Reads until the server closes."""
        try:
            while True:
                self.receive()
        except Gone as gone:
            return gone
        finally:
            self.close()

    def close(self) -> None:
        """Cut."""
        self.raw.close()


def upgrade(polling: Polling, query: str = "") -> Socketed:
    """The whole dance, with a GET parked as the official clients have it; what that GET brought is given back first."""
    parked = polling.park(0)
    socketed = Socketed(polling.port, polling.revision, f"&sid={polling.sid}{query}", polling.headers)
    socketed.send("2probe")
    assert socketed.receive() == "3probe"
    polling.keep([packet for packet in polling.packets(parked.reply()) if packet != "6"])
    socketed.send("5")
    return socketed


class Talk:
    """Packets of one client, whatever way they travel; heartbeats and noops are left out."""

    def __init__(
        self, port: int, revision: int, way: Way = "websocket", query: str = "", headers: Headers = ()
    ) -> None:
        self.revision, self.way = revision, way
        self._arrived: deque[Message] = deque()
        self.polling: Polling | None = None
        self.socketed: Socketed | None = None
        if way == "websocket":
            self.socketed = Socketed(port, revision, query, headers)
            first = self.socketed.receive()
            assert isinstance(first, str)
            assert first[0] == "0", first
            self.hello: dict[str, Any] = json.loads(first[1:])
        else:
            self.polling = Polling(port, revision, query, headers)
            self.hello = self.polling.hello
        self.sid: str = self.hello["sid"]
        if way == "upgrade":
            assert self.polling is not None
            if revision == 3:
                self._arrived.extend(self.polling.receive())  # 40 comes by itself
            self.socketed = upgrade(self.polling, query)
        if self.polling is not None:
            self._arrived.extend(self.polling.pending())

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.socketed is not None:
            self.socketed.close()

    def send(self, *messages: Message) -> None:
        """Packets, at once."""
        if self.socketed is not None:
            self.socketed.send(*messages)
        else:
            assert self.polling is not None
            self.polling.send(*messages)

    def receive(self) -> Message:
        """The next packet."""
        while True:
            while self._arrived:
                message = self._arrived.popleft()
                if message == "1":
                    raise Gone(0, "the server closed the session")
                if message != "6":
                    return message
            if self.socketed is not None:
                self._arrived.append(self.socketed.receive())
            else:
                assert self.polling is not None
                reply = self.polling.get()
                if reply.status != 200:
                    raise Gone(reply.status, reply.body.decode())
                self._arrived.extend(self.polling.packets(reply))

    def text(self) -> str:
        """The next packet, which is text."""
        message = self.receive()
        assert isinstance(message, str), message
        return message

    def join(self) -> str:
        """Into the default namespace; returns the client's sid there.  Events that a handler emitted come behind."""
        if self.revision == 3:
            assert self.text() == "40"
            return self.sid
        self.send("40")
        reply = self.text()
        assert reply.startswith("40{"), reply
        sid: str = json.loads(reply[2:])["sid"]
        return sid

    def provoke(self, *messages: Message) -> None:
        """Sends what the server may refuse."""
        with contextlib.suppress(Gone, AssertionError, ConnectionError):
            self.send(*messages)

    def closed(self) -> Gone:
        """Reads until the session is over; on polling until a GET is refused."""
        try:
            while True:
                self.receive()
        except Gone as gone:
            if self.polling is None or self.socketed is not None or gone.code:
                return gone
        reply = self.polling.get()
        assert reply.status == 400, (reply.status, reply.body)
        return Gone(reply.status, reply.body.decode())


def happened(port: int, token: str, count: int) -> list[str]:
    """What the handlers of tests/apps/conformance_app.py noted of the client with this token, once that is so much."""
    found: list[str] = get(port, f"/history/{token}?count={count}").json
    return found
