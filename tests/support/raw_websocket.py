"""A WebSocket by hand, for the tests of RFC 6455 and 7692: bytes out, frames in, nothing of ours in between."""

import socket
from collections.abc import Iterable
from types import TracebackType

from tests.support.servers import HOST

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 0x40
_MASK = b"\x9a\x3c\x71\x05"


def header(opcode: int, size: int, *, fin: bool = True, bits: int = 0, key: bytes | None = _MASK) -> bytes:
    """The head of a frame (RFC 6455, 5.2), masking key included."""
    first = (0x80 if fin else 0) | bits | opcode
    masked = 0 if key is None else 0x80
    if size < 126:
        length = bytes([masked | size])
    elif size < 1 << 16:
        length = bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([masked | 127]) + size.to_bytes(8, "big")
    return bytes([first]) + length + (key or b"")


def frame(opcode: int, payload: bytes, *, fin: bool = True, bits: int = 0, key: bytes | None = _MASK) -> bytes:
    """A whole frame, masked unless `key` is None."""
    head = header(opcode, len(payload), fin=fin, bits=bits, key=key)
    if key is None:
        return head + payload
    pattern = (key * (len(payload) // 4 + 1))[: len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
    return head + masked.to_bytes(len(payload), "big")


class Raw:
    """An opened WebSocket. `early` goes right behind the request, `drip` sends that in single bytes."""

    def __init__(
        self, port: int, headers: Iterable[tuple[str, str]] = (), *, early: bytes = b"", drip: bool = False
    ) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.bits = 0  # the reserved bits of the frame read last
        self._data = b""
        lines = ["GET / HTTP/1.1", f"Host: {HOST}:{port}", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
        lines += [f"{name}: {value}" for name, value in headers]
        request = "\r\n".join([*lines, "", ""]).encode() + early
        for piece in [bytes([byte]) for byte in request] if drip else [request]:
            self.socket.sendall(piece)
        while b"\r\n\r\n" not in self._data:
            self._fill()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        self.head = head.decode()
        assert self.head.startswith("HTTP/1.1 101 "), self.head

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    @property
    def extensions(self) -> str:
        """What the server agreed to."""
        for line in self.head.split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-extensions":
                return value.strip()
        return ""

    def send(self, data: bytes) -> None:
        """Bytes as they are; a server that has closed already is no failure of the test yet."""
        try:
            self.socket.sendall(data)
        except ConnectionError:
            pass

    def bytes(self, count: int) -> bytes:
        """The next bytes of the stream."""
        while len(self._data) < count:
            self._fill()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def receive(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which is whole and not masked."""
        first, second = self.bytes(2)
        assert first & 0x80, "the server does not fragment"
        assert second < 0x80, "a server must not mask"
        self.bits = first & 0x70
        size = second
        if size == 126:
            size = int.from_bytes(self.bytes(2), "big")
            assert size > 125, "not the shortest form"
        elif size == 127:
            size = int.from_bytes(self.bytes(8), "big")
            assert size > 65_535, "not the shortest form"
        return first & 0x0F, self.bytes(size)

    def close_code(self) -> int:
        """The code of the close frame, which comes next; its reason is UTF-8."""
        opcode, payload = self.receive()
        assert opcode == CLOSE, (opcode, payload)
        assert len(payload) >= 2, "a close frame without a code"
        payload[2:].decode()
        return int.from_bytes(payload[:2], "big")

    def assert_end(self) -> None:
        """Nothing more comes: the server has closed the connection."""
        try:
            rest = self._data + self.socket.recv(65536)
        except ConnectionResetError:
            rest = self._data
        assert rest == b""

    def _fill(self) -> None:
        chunk = self.socket.recv(65536)
        assert chunk, f"the server closed the connection; before that it sent {self._data!r}"
        self._data += chunk
