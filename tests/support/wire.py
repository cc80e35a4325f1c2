"""A small Socket.IO client for tests: blocking, raw, and honest about every packet that comes.

    with Wire(server.port, revision=4, transport="websocket") as wire:
        sid = wire.join()["sid"]
        assert wire.call("echo", 1) == [1]

Bytes are cut and built by our own codec, sockets are plain ones, polling is `http.client`. Nothing reconnects, nothing
is retried; what was not asked for waits in `wire.waiting`.
"""

import base64
import http.client
import json
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal, Protocol

from truesocket.codec import engineio, frames, jsons, socketio, upgrade
from truesocket.codec.engineio import CLOSE, MESSAGE, NOOP, OPEN, PING, PONG, UPGRADE, EnginePacket
from truesocket.codec.frames import Opcode
from truesocket.codec.socketio import PacketType, SocketPacket

HOST = "127.0.0.1"
Transport = Literal["websocket", "polling", "upgrade"]
Headers = Iterable[tuple[str, str]]

_NO_LIMIT = 1 << 30


class Gone(Exception):
    """The server has ended the connection; `code` is a WebSocket close code or an HTTP status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Pipe(Protocol):
    """How Engine.IO packets travel."""

    def send(self, packets: list[EnginePacket]) -> None:
        """Send these, at once."""

    def receive(self, timeout: float) -> list[EnginePacket]:
        """Wait for the next ones."""

    def close(self) -> None:
        """Cut the connection, without a word."""


def get(
    port: int,
    target: str,
    headers: Headers = (),
    method: str = "GET",
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
) -> "Reply":
    """One HTTP request on a connection of its own."""
    connection = _http(port, 15, tls)
    try:
        connection.request(method, target, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return Reply(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
    finally:
        connection.close()


def _http(port: int, timeout: float, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if tls is None:
        return http.client.HTTPConnection(HOST, port, timeout=timeout)
    return http.client.HTTPSConnection(HOST, port, timeout=timeout, context=tls)


class Reply:
    """What an HTTP server answered."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class RawWebSocket:
    """A WebSocket after its handshake; raises :class:`Gone` where the server refuses."""

    def __init__(
        self, port: int, target: str, headers: Headers = (), timeout: float = 10, tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=HOST)
        self._buffer = b""
        try:
            self._shake_hands(port, target, headers)
        except BaseException:
            self.socket.close()
            raise

    def _shake_hands(self, port: int, target: str, headers: Headers) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        given = dict(headers)
        host = given.pop("Host", f"{HOST}:{port}")
        self.socket.sendall(upgrade.request(target, host, key, given.items()))
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            raise Gone(status, (head + b"\n" + self._buffer).decode("latin-1"))
        accept = f"sec-websocket-accept: {upgrade.accept(key)}".lower().encode()
        assert accept in head.lower(), head

    def send(self, message: str | bytes) -> None:
        """One message in one frame."""
        if isinstance(message, str):
            self.send_frame(frames.build(Opcode.TEXT, message.encode(), key=os.urandom(4)))
        else:
            self.send_frame(frames.build(Opcode.BINARY, message, key=os.urandom(4)))

    def send_frame(self, frame: bytes) -> None:
        """Bytes as they are, right or wrong."""
        try:
            self.socket.sendall(frame)
        except OSError as error:
            raise Gone(1006, str(error)) from None

    def receive(self, timeout: float = 10) -> str | bytes:
        """The next whole message; raises :class:`Gone` where the server closes and TimeoutError where nothing comes."""
        parts: list[bytes] = []
        kind = 0
        while True:
            frame = self._frame(timeout)
            if frame.opcode == Opcode.CLOSE:
                raise Gone(*frames.parse_close(frame.payload))
            if frame.opcode == Opcode.PING:
                self.send_frame(frames.build(Opcode.PONG, frame.payload, key=b"abcd"))
                continue
            kind = kind or frame.opcode
            parts.append(frame.payload)
            if frame.fin:
                whole = b"".join(parts)
                return whole.decode() if kind == Opcode.TEXT else whole

    def close(self) -> None:
        """Cut the connection."""
        self.socket.close()

    def _frame(self, timeout: float) -> frames.Frame:
        self.socket.settimeout(timeout)
        while True:
            frame = frames.parse(self._buffer, limit=_NO_LIMIT, masked=False)
            if not isinstance(frame, int):
                self._buffer = self._buffer[frame.end :]
                return frame
            self._fill()

    def _fill(self) -> None:
        try:
            chunk = self.socket.recv(65536)
        except ConnectionError as error:
            raise Gone(1006, str(error)) from None
        if not chunk:
            raise Gone(1006, "end of stream")
        self._buffer += chunk


class WebSocketPipe:
    """Packets as WebSocket messages."""

    def __init__(self, websocket: RawWebSocket, revision: int) -> None:
        self.websocket = websocket
        self._revision = revision

    def send(self, packets: list[EnginePacket]) -> None:
        for packet in packets:
            self.websocket.send(engineio.build_message(packet, self._revision))

    def receive(self, timeout: float) -> list[EnginePacket]:
        return [engineio.parse_message(self.websocket.receive(timeout), self._revision)]

    def close(self) -> None:
        self.websocket.close()


class PollingPipe:
    """Packets in the bodies of GETs and POSTs."""

    def __init__(
        self, port: int, target: str, headers: Headers, revision: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self.target = target
        self._port = port
        self._headers = dict(headers)
        self._revision = revision
        self._getting = _http(port, 10, tls)
        self._posting = _http(port, 10, tls)

    def send(self, packets: list[EnginePacket]) -> None:
        self.post(engineio.build_payload(packets, self._revision))

    def fresh_post(self) -> None:
        """The next POST takes a new connection: a server may end one that was idle, and nothing is retried here."""
        self._posting.close()

    def post(self, body: bytes, content_type: str = "text/plain;charset=UTF-8") -> None:
        """A payload as it is, right or wrong."""
        headers = {**self._headers, "Content-Type": content_type}
        try:
            self._posting.request("POST", self.target, body=body, headers=headers)
            answer = self._posting.getresponse()
            said = answer.read()
        except (ConnectionError, http.client.HTTPException) as error:
            raise Gone(0, str(error)) from None
        if answer.status != 200:
            raise Gone(answer.status, said.decode())
        assert said == b"ok"

    def receive(self, timeout: float) -> list[EnginePacket]:
        if self._getting.sock is not None:
            self._getting.sock.settimeout(timeout)
        try:
            self._getting.request("GET", self.target, headers=self._headers)
            answer = self._getting.getresponse()
            body = answer.read()
        except (ConnectionError, http.client.HTTPException) as error:
            raise Gone(0, str(error)) from None
        if answer.status != 200:
            raise Gone(answer.status, body.decode())
        binary = answer.getheader("Content-Type", "").startswith("application/octet-stream")
        return engineio.parse_payload(body, self._revision, binary=binary)

    def close(self) -> None:
        self._getting.close()
        self._posting.close()


class Wire:
    """One client. `query` is added to the handshake's, `headers` go with every request."""

    def __init__(
        self,
        port: int,
        *,
        revision: int = 4,
        transport: Transport = "websocket",
        query: str = "",
        headers: Headers = (),
        path: str = "/socket.io/",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.revision = revision
        self.waiting: deque[SocketPacket] = deque()
        self.arrived: list[float] = []
        #: By namespace: what a CONNECT may say to have everything back, where the server offers that.
        self.credentials: dict[str, dict[str, str]] = {}
        self._packets: deque[EnginePacket] = deque()
        self._ids = 0
        self._port, self._headers, self._tls = port, list(headers), tls
        self._base = f"{path}?EIO={revision}" + (f"&{query}" if query else "")
        self._awaited: SocketPacket | None = None
        self._parts: list[bytes] = []
        self.pipe: Pipe
        if transport == "websocket":
            self.pipe = self._websocket()
        else:
            self.pipe = PollingPipe(port, f"{self._base}&transport=polling", headers, revision, tls)
        try:
            opening = self._next(10)
        except BaseException:
            self.pipe.close()
            raise
        assert opening.type == OPEN, opening
        assert isinstance(opening.data, str)
        self.hello: dict[str, Any] = json.loads(opening.data)
        self.engine_sid: str = self.hello["sid"]
        if isinstance(self.pipe, PollingPipe):
            self.pipe.target += f"&sid={self.engine_sid}"
        if transport == "upgrade":
            self.upgrade()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.pipe.close()

    # --- Engine.IO ---------------------------------------------------------------------------------------------------

    def upgrade(self) -> None:
        """From polling to a WebSocket, with a GET parked meanwhile as the official clients have it."""
        polling = self.pipe
        parked: list[EnginePacket] = []
        thread = threading.Thread(target=lambda: parked.extend(polling.receive(10)))
        probing = self._websocket(f"&sid={self.engine_sid}")
        thread.start()
        probing.send([EnginePacket(PING, "probe")])
        answer = probing.receive(10)
        assert answer == [EnginePacket(PONG, "probe")], answer
        thread.join(10)
        assert parked, "the parked GET was not answered while the client changed over"
        self._packets.extend(packet for packet in parked if packet.type != NOOP)
        probing.send([EnginePacket(UPGRADE)])
        polling.close()
        self.pipe = probing

    def _websocket(self, extra: str = "") -> WebSocketPipe:
        target = f"{self._base}&transport=websocket{extra}"
        return WebSocketPipe(RawWebSocket(self._port, target, self._headers, tls=self._tls), self.revision)

    def _next(self, timeout: float) -> EnginePacket:
        """The next packet that is no heartbeat."""
        deadline = time.monotonic() + timeout
        while True:
            if not self._packets:
                self._packets.extend(self.pipe.receive(max(deadline - time.monotonic(), 0.01)))
            packet = self._packets.popleft()
            if packet.type == PING:
                self.pipe.send([EnginePacket(PONG, packet.data)])
            elif packet.type == CLOSE:
                raise Gone(0, "the server closed the session")
            elif packet.type != NOOP:
                return packet

    # --- Socket.IO ---------------------------------------------------------------------------------------------------

    def send(self, text: str, *attachments: bytes) -> None:
        """One packet, as text."""
        self.pipe.send([EnginePacket(MESSAGE, text), *(EnginePacket(MESSAGE, part) for part in attachments)])

    def emit(self, event: str, *args: object, namespace: str = "/", id: int | None = None) -> None:
        """An event."""
        data, attachments = jsons.dumps([event, *args])
        kind = PacketType.BINARY_EVENT if attachments else PacketType.EVENT
        self.send(socketio.build(kind, namespace, id=id, data=data, attachments=len(attachments)), *attachments)

    def answer(self, packet: SocketPacket, *args: object) -> None:
        """The ack of an event that came."""
        data, _ = jsons.dumps(list(args))
        self.send(socketio.build(PacketType.ACK, packet.namespace, id=packet.id, data=data))

    def join(self, namespace: str = "/", auth: object = None, query: str = "") -> Any:
        """Joins a namespace; what the server's CONNECT says, or raises Gone with the refusal's payload as JSON.

        With the `credentials` of a connection before as `auth`, the client comes back as who it was.
        """
        if self.revision == 4 or namespace != "/":
            data = "" if auth is None else jsons.dumps(auth)[0]
            self.send(socketio.build(PacketType.CONNECT, namespace + query, data=data))
        found = self.wait_for(PacketType.CONNECT, PacketType.CONNECT_ERROR, namespace=namespace)
        if found.type == PacketType.CONNECT_ERROR:
            raise Gone(0, json.dumps(found.data))
        if isinstance(found.data, dict) and "pid" in found.data:
            seen = auth.get("offset") if isinstance(auth, dict) and auth.get("pid") == found.data["pid"] else None
            self.credentials[namespace] = {"pid": found.data["pid"], **({"offset": seen} if seen is not None else {})}
        return found.data

    def leave(self, namespace: str = "/") -> None:
        """Leaves a namespace."""
        self.send(socketio.build(PacketType.DISCONNECT, namespace))

    def call(self, event: str, *args: object, namespace: str = "/", timeout: float = 10) -> list[Any]:
        """An event with its ack."""
        self._ids += 1
        self.emit(event, *args, namespace=namespace, id=self._ids)
        found = self.wait_for(PacketType.ACK, PacketType.BINARY_ACK, namespace=namespace, id=self._ids, timeout=timeout)
        assert isinstance(found.data, list)
        return found.data

    def event(self, name: str, namespace: str = "/", timeout: float = 10) -> list[Any]:
        """The arguments of the next event of this name."""
        found = self.wait_for(
            PacketType.EVENT, PacketType.BINARY_EVENT, namespace=namespace, name=name, timeout=timeout
        )
        assert isinstance(found.data, list)
        return found.data[1:]

    def wait_for(
        self,
        *kinds: PacketType,
        namespace: str = "/",
        id: int | None = None,
        name: str | None = None,
        timeout: float = 10,
    ) -> SocketPacket:
        """The next packet of these kinds; others wait in `waiting`."""

        def fits(packet: SocketPacket) -> bool:
            return (
                packet.type in kinds
                and packet.namespace == namespace
                and (id is None or packet.id == id)
                and (name is None or (isinstance(packet.data, list) and packet.data[0] == name))
            )

        for packet in self.waiting:
            if fits(packet):
                self.waiting.remove(packet)
                return packet
        deadline = time.monotonic() + timeout
        while True:
            packet = self.packet(deadline - time.monotonic())
            if fits(packet):
                return packet
            self.waiting.append(packet)

    def packet(self, timeout: float = 10) -> SocketPacket:
        """The next packet, with its attachments in it; the time of its arrival goes into `arrived`.

        The offset of an event is its last argument, and stays there, as in the official clients.
        """
        deadline = time.monotonic() + timeout
        while True:
            engine_packet = self._next(max(deadline - time.monotonic(), 0.01))
            assert engine_packet.type == MESSAGE, engine_packet
            if isinstance(engine_packet.data, bytes):
                self._parts.append(engine_packet.data)
                packet = self._awaited
                assert packet is not None, "an attachment came that belongs to nothing"
            else:
                packet = socketio.parse(engine_packet.data)
            if len(self._parts) < packet.attachments:
                self._awaited = packet
                continue
            if packet.attachments:
                packet = packet._replace(data=socketio.reconstruct(packet.data, self._parts))
                self._awaited, self._parts = None, []
            self.arrived.append(time.monotonic())
            known = self.credentials.get(packet.namespace)
            if known is not None and packet.type in (PacketType.EVENT, PacketType.BINARY_EVENT):
                assert isinstance(packet.data, list)
                known["offset"] = packet.data[-1]
            return packet

    def stays_silent(self, seconds: float) -> bool:
        """Whether no Socket.IO packet comes for so long (on a WebSocket)."""
        try:
            self.waiting.append(self.packet(seconds))
        except TimeoutError:
            return True
        return False

    def wait_until_closed(self, timeout: float = 10) -> Gone:
        """Reads until the server ends the connection."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.waiting.append(self.packet(deadline - time.monotonic()))
            except Gone as gone:
                return gone
