"""A WebSocket on a raw socket: chunks in, frames out, as an ``asyncio.Protocol``.

The fast way: the frames of a broadcast are one bytes object that goes to ``transport.write`` of every client, with no
task, queue or future in between.  ``doors/uvicorn.py`` and ``doors/wsgi.py`` make one per connection; whoever receives
its messages implements :class:`Receiver` (``session/engine.py`` does).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from truesocket.codec import engineio, frames
from truesocket.codec.engineio import EnginePacket
from truesocket.codec.frames import Opcode
from truesocket.codec.parcel import Parcels
from truesocket.session.compression import Compression
from truesocket.session.engine import Link, Reason
from truesocket.session.ports import Raw
from truesocket.session.websocket import State, WebSocket
from truesocket.transports.departure import has_left

__all__ = ["Receiver", "Stream"]

#: Seconds that the other side has to answer our close frame before the connection is cut.
_CLOSE_TIMEOUT = 5.0
#: Seconds between two looks whether a client that we do not read has gone.
_LOOK_INTERVAL = 1.0
#: Bytes that came at once behind which the other clients have their turn before this one is read again.
_MUCH = 65536


class Receiver(Protocol):
    """Who hears what a WebSocket says."""

    def received_on(self, link: Link, message: str | bytes) -> None:
        """One whole message."""

    def writable(self, link: Link) -> None:
        """The socket takes bytes again."""

    def lost(self, link: Link, reason: str) -> None:
        """The connection is gone; reported once, whatever ended it."""


class Stream(asyncio.Protocol):
    """One WebSocket connection; a :class:`~truesocket.session.engine.Link` for an engine of ``revision``.

    ``limit`` is the largest message taken, in bytes; ``compression`` what was agreed on, if it was.  asyncio and uvloop
    set ``TCP_NODELAY`` on every socket (without it, an event and its attachment in two frames would be 40 ms apart).
    """

    __slots__ = (
        "_compression",
        "_look_timer",
        "_reason",
        "_receiver",
        "_revision",
        "_transport",
        "_websocket",
        "raw",
        "writable",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        receiver: Receiver | None,
        revision: int,
        limit: int,
        compression: Compression | None = None,
    ) -> None:
        self._transport = transport
        self._compression = compression
        self._receiver = receiver
        self._revision = revision
        self._reason = Reason.TRANSPORT_CLOSE
        self._look_timer: asyncio.TimerHandle | None = None  # runs while we do not read
        self._websocket = WebSocket(self, limit, compression)
        self.writable: bool = True
        self.raw: Raw | None = transport if compression is None else None

    # --- asyncio.Protocol --------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._websocket.receive(data)
        if len(data) >= _MUCH:
            self._let_others()

    def _let_others(self) -> None:
        """uvloop reads one connection up to 32 times in a row, as long as more comes: a flood of tiny frames takes it
        seconds, in which nobody else is heard."""
        if self._look_timer is None and not self._transport.is_closing():
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._look_timer is None and not self._transport.is_closing():  # else the engine has paused us meanwhile
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        if self._websocket.state is State.OPEN:
            self.writable = True
            if self._receiver is not None:
                self._receiver.writable(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.writable = False
        self._stop_looking()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(self, Reason.TRANSPORT_ERROR if exc is not None else self._reason)

    # --- session.engine.Link -----------------------------------------------------------------------------------

    def send(self, parcel: Parcels) -> None:
        if self._compression is None:
            self._transport.write(parcel.frames(self._revision))
        else:
            self._transport.write(self._compression.frames(parcel, self._revision))

    def send_packet(self, packet: EnginePacket) -> None:
        self.send_message(engineio.build_message(packet, self._revision))

    def send_message(self, message: str | bytes) -> None:
        """Writes one WebSocket message, writable or not."""
        if self._compression is not None:
            self._write(self._compression.frame(message))
        elif isinstance(message, str):
            self._write(frames.build(Opcode.TEXT, message.encode()))
        else:
            self._write(frames.build(Opcode.BINARY, message))

    def close(self, code: int, reason: str) -> None:
        self.writable = False
        if self._websocket.state is State.OPEN and not self._transport.is_closing():
            self._websocket.close(code, reason)
            self.resume()  # the other side's close frame stands behind what we have not read
            self._cut_later()

    def pause(self) -> None:
        if self._transport.is_closing() or self._has_left():
            return  # what it sent before it went is bounded by the system's buffer: read it, to the end
        self._transport.pause_reading()
        if self._look_timer is None:
            self._look_timer = asyncio.get_running_loop().call_later(_LOOK_INTERVAL, self._look)

    def resume(self) -> None:
        self._stop_looking()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _look(self) -> None:
        """While we do not read, the loop does not tell us that the client has gone."""
        self._look_timer = None
        if self._has_left():
            self.resume()
        else:
            self._look_timer = asyncio.get_running_loop().call_later(_LOOK_INTERVAL, self._look)

    def _has_left(self) -> bool:
        return has_left(self._transport.get_extra_info("socket"))

    def _stop_looking(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
            self._look_timer = None

    # --- session.websocket.WebSocketListener -------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self._write(data)

    def received(self, message: str | bytes) -> None:
        if self._receiver is not None:
            self._receiver.received_on(self, message)

    def finished(self, code: int, reason: str) -> None:
        self.writable = False
        if code not in (1000, 1001, 1005):
            self._reason = Reason.TRANSPORT_ERROR
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._cut_later()

    def _cut_later(self) -> None:
        """Whoever does not read what we have said has a few seconds, no more."""
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT, self._transport.abort)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
