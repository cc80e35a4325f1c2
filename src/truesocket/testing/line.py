"""The client's half of the protocol, in this process: a connection to a server that needs no socket.

A :class:`Line` goes through the same admission as any client, gets a real peer, and speaks to it in the messages that
a browser would send over its WebSocket; only the bytes on the wire are left out.  It lives on the loop that serves the
server, reports what comes to a :class:`LineListener`, and answers pings.  ``testing/client.py`` is what tests use.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol
from urllib.parse import urlencode

from truesocket.codec import engineio, socketio
from truesocket.codec.engineio import CLOSE, MESSAGE, PING, PONG, EnginePacket
from truesocket.codec.parcel import Parcels
from truesocket.codec.serializers import Written
from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.core.admission import Denied, Opening
from truesocket.core.ports import Handshake
from truesocket.doors.entrance import Entrance
from truesocket.errors import Refused, UsageError
from truesocket.session.engine import Reason
from truesocket.session.peer import Peer

__all__ = ["Headers", "Line", "LineListener", "Query", "make_handshake"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]] | None
Query = str | Mapping[str, object] | None

#: What a client takes from a server is not limited.
_ANY_NUMBER = 1 << 30


class LineListener(Protocol):
    """To whom a line reports; every method is called on the loop.

    ``lingers`` says that its test may never close it, so that it stands in nobody's way.
    """

    lingers: bool

    def packet_came(self, packet: SocketPacket) -> None:
        """A Socket.IO packet, its attachments in their places."""

    def handler_failed(self, error: BaseException) -> None:
        """A handler that ran for this client has raised this; called where it ran."""

    def line_ended(self, code: int, reason: str) -> None:
        """The server has closed the connection."""


def make_handshake(entrance: Entrance, revision: int, headers: Headers = None, query: Query = None) -> Handshake:
    """The first request of a client on this machine, with some headers and query arguments more."""
    transports = entrance.server.config.transports
    transport = "websocket" if "websocket" in transports else "polling"
    more = query.lstrip("?") if isinstance(query, str) else urlencode(query or {}, doseq=True)
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers or ())
    given = [(str(name).lower(), str(value)) for name, value in pairs]
    if not any(name == "host" for name, _ in given):
        given.insert(0, ("host", "localhost"))
    return Handshake(
        path=entrance.server.config.prefix,
        query="&".join(part for part in (f"EIO={revision}&transport={transport}", more) if part),
        headers=given,
        client=("127.0.0.1", 50_000),
        server=("localhost", 80),
        scheme="http",
        door="memory",
        transport=transport,
        peer_address="127.0.0.1",
    )


class Line:
    """One connection.  Also the :class:`~truesocket.session.engine.Link` that the server writes to."""

    raw = None

    def __init__(self, entrance: Entrance, listener: LineListener, revision: int = 4) -> None:
        if revision not in (3, 4):
            raise UsageError(f"revision={revision!r}: Engine.IO has 3 (clients 1.x, 2.x) and 4 (clients 3.x, 4.x)")
        self.revision = revision
        self.writable: bool = True
        self._entrance = entrance
        self._server = entrance.server
        self.listener = listener
        self._loop = asyncio.get_running_loop()
        self._peer: Peer[Handshake] | None = None
        self._is_paused = False
        self._unread: deque[str | bytes] = deque()  # what the server does not read at the moment
        self._awaited: SocketPacket | None = None  # a binary packet whose attachments have not all come
        self._parts: list[bytes] = []
        self._answering = 0  # what we are going to say in a moment

    async def open(self, handshake: Handshake, prepared: Callable[[Handshake], None] | None = None) -> None:
        """Connects; ``prepared`` sees the handshake behind the proxies and the application's wrappers.

        Raises :class:`~truesocket.errors.Refused` where the server does not let this client in.
        """
        seen = self._entrance.prepared(handshake)
        if not isinstance(seen, Handshake):
            seen = await seen
        if prepared is not None:
            prepared(seen)
        opening = self._entrance.read(seen, "GET", is_websocket=seen.transport == "websocket")
        if isinstance(opening, Denied):
            raise Refused(opening.hint, {"code": opening.code})
        assert isinstance(opening, Opening)
        self._peer = self._server.new_peer(seen, opening)
        self._peer.open(self)

    @property
    def peer(self) -> Peer[Handshake]:
        """The server's side of it."""
        if self._peer is None:
            raise UsageError("this client is not connected; call connect() first")
        return self._peer

    def belongs_to(self, peer: Peer[Handshake]) -> bool:
        """Whether this is the client's side of ``peer``."""
        return self._peer is peer

    @property
    def is_open(self) -> bool:
        """Whether both sides are there."""
        return self._peer is not None and self.writable

    @property
    def is_busy(self) -> bool:
        """Whether something that this client says has not reached the server."""
        return bool(self._unread) or self._answering > 0

    # --- what the client does ----------------------------------------------------------------------------------------

    def write(self, value: object) -> Written:
        """A value in wire form, in the thread that calls.  Raises ``TypeError`` for what cannot be written."""
        return self._server.serializer.write(value, self._server.json_default)

    def say(self, kind: PacketType, namespace: str, written: Written | None = None, id: int | None = None) -> None:
        """Sends one packet."""
        parcel = self._server.serializer.packet(kind, namespace, written, id)
        for message in parcel.messages(self.revision):
            self._say(message)

    def say_soon(self, function: Callable[[], None]) -> None:
        """Answers the server when it has finished what it is doing."""
        self._answering += 1

        def answer() -> None:
            self._answering -= 1
            if self.is_open:
                function()

        self._loop.call_soon(answer)

    def cut(self, reason: str = Reason.TRANSPORT_CLOSE) -> None:
        """The connection breaks, without a word."""
        self.writable = False
        self._unread.clear()
        if self._peer is not None:
            self._peer.engine.lost(self, reason)

    def _say(self, message: str | bytes) -> None:
        engine = self.peer.engine
        if self._is_paused or self._unread:
            self._unread.append(message)
        elif len(message) > engine.max_payload:
            self.close(1009, f"a message of more than {engine.max_payload} bytes")
            self.cut(Reason.TRANSPORT_ERROR)
        elif self.is_open:
            engine.received_on(self, message)

    # --- what the server does: session.engine.Link -------------------------------------------------------------------

    def send(self, parcel: Parcels) -> None:
        for message in parcel.messages(self.revision):
            self._hear(message)

    def send_packet(self, packet: EnginePacket) -> None:
        self._hear(engineio.build_message(packet, self.revision))

    def close(self, code: int, reason: str) -> None:
        if self.writable:
            self.writable = False
            self.listener.line_ended(code, reason)

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        if self._unread:
            self.say_soon(self._catch_up)

    def _catch_up(self) -> None:
        while self._unread and not self._is_paused and self.is_open:
            waiting, self._unread = self._unread, deque()
            while waiting and not self._is_paused:
                self._say(waiting.popleft())
            self._unread.extendleft(reversed(waiting))

    # --- what comes --------------------------------------------------------------------------------------------------

    def _hear(self, message: str | bytes) -> None:
        kind, data = engineio.parse_message(message, self.revision)
        if kind == PING:
            self.say_soon(lambda: self._say(PONG))
        elif kind == CLOSE:
            self.close(1000, "")
        elif kind == MESSAGE and self._awaited is None:
            packet = self._server.serializer.parse(data, max_attachments=_ANY_NUMBER)
            assert packet is not None, "the server sent an attachment that belongs to no packet"
            if packet.attachments:
                self._awaited = packet
            else:
                self.listener.packet_came(packet)
        elif kind == MESSAGE:
            self._attachment(self._awaited, data)

    def _attachment(self, packet: SocketPacket | None, data: str | bytes) -> None:
        assert packet is not None
        assert isinstance(data, bytes), "the server sent text where an attachment was due"
        self._parts.append(data)
        if len(self._parts) == packet.attachments:
            parts, self._parts, self._awaited = self._parts, [], None
            self.listener.packet_came(packet._replace(data=socketio.reconstruct(packet.data, parts)))
