"""The opening of a WebSocket on a raw transport: a request in, the 101 head or a refusal out, and the stream behind it.

``doors/uvicorn.py`` and ``doors/wsgi.py`` come here once they have the request's head; a host that frames WebSockets
itself (``doors/asgi.py``) does not.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from truesocket.codec import upgrade
from truesocket.core.admission import Denied, Opening
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors.entrance import Entrance
from truesocket.errors import UpgradeError
from truesocket.session.compression import Compression
from truesocket.session.engine import Engine, Reason
from truesocket.transports.polling import HttpReply, error_reply
from truesocket.transports.stream import Stream

__all__ = ["BookedStream", "Wanted", "admit", "open_stream", "refuse"]


class BookedStream(Stream):
    """A stream that somebody keeps in their books while it lasts, so that they can end it."""

    __slots__ = ("_books", "_engine", "_head", "_server")

    def __init__(
        self,
        transport: asyncio.Transport,
        engine: Engine,
        books: set[Any],
        compression: Compression | None = None,
        server: Server | None = None,
    ) -> None:
        super().__init__(transport, engine, engine.revision, engine.max_payload, compression)
        self._engine = engine
        self._server = server
        self._books = books
        self._head = b""
        books.add(self)

    def begin(self, head: bytes) -> None:
        """Keeps the 101 head for the first packet: one write instead of two is 8 us less (uvloop, of 41)."""
        self._head = head

    def shutdown(self) -> None:
        """The host ends: so does the session, never with a Socket.IO DISCONNECT, after which clients stay away.

        Where a drain has begun, it will have its turn.
        """
        if self._server is not None and self._server.draining is not None:
            return
        if self._engine.link is self:
            self._engine.close(Reason.SHUTTING_DOWN)
        else:
            self.close(1001, Reason.SHUTTING_DOWN)

    def abort(self) -> None:
        """Ends the connection without a word."""
        self._transport.abort()

    @property
    def is_flushed(self) -> bool:
        """Whether all that was written is out of our hands."""
        return not self._transport.get_write_buffer_size()

    def _write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        super()._write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._books.discard(self)
        super().connection_lost(exc)


class Wanted(NamedTuple):
    """A request for a WebSocket that may have it; ``key`` is what the client wants answered."""

    handshake: Handshake
    opening: Opening
    key: str


def admit(entrance: Entrance, handshake: Handshake, method: str) -> Wanted | HttpReply:
    """Whether this request, ``prepared`` by the entrance, gets its WebSocket; if not, the refusal."""
    opening = entrance.read(handshake, method, is_websocket=True)
    if isinstance(opening, Denied):
        return entrance.refusal(opening)
    try:
        return Wanted(handshake, opening, upgrade.check(method, handshake.http_version, handshake.header))
    except UpgradeError as error:
        return HttpReply(error.http_status, str(error).encode(), headers=tuple(error.headers))


def open_stream(
    entrance: Entrance, wanted: Wanted, transport: asyncio.Transport, books: set[Any]
) -> BookedStream | None:
    """Answers, and opens or upgrades the session; the caller sets the stream as the transport's protocol.

    ``None`` where the session has ended since it was let in; the client has been told.
    """
    server, opening = entrance.server, wanted.opening
    found = server.new_peer(wanted.handshake, opening) if opening.sid is None else server.peers.get(opening.sid)
    if found is None:
        refuse(transport, error_reply(1, "the session has just ended"))
        return None
    agreed = entrance.negotiate(wanted.handshake.header("sec-websocket-extensions"))
    headers = entrance.cookies(found.sid) if opening.sid is None else ()
    if agreed is not None:
        headers = (*headers, ("Sec-WebSocket-Extensions", agreed.header))
    answer = upgrade.answer(wanted.key, headers)
    compression = None if agreed is None else Compression(agreed, server.config.compression_threshold)
    stream = BookedStream(transport, found.engine, books, compression, server)
    if opening.sid is None:
        stream.begin(answer)
        found.open(stream)
        return stream
    transport.write(answer)
    if not found.engine.probe(stream):
        stream.close(1000, "this session has its WebSocket already")
    return stream


def refuse(transport: asyncio.Transport, reply: HttpReply) -> None:
    """Sends a whole answer, and closes."""
    transport.write(upgrade.refusal(reply.status, reply.body, reply.headers, reply.content_type))
    transport.close()
