"""One WebSocket after its opening handshake, the server's side: frames in, whole messages out (RFC 6455).

=========  ======================  ==========================================================
state      what arrives            what happens
=========  ======================  ==========================================================
OPEN       text, binary            joined if fragmented, checked as UTF-8, ``received(message)``
OPEN       ping                    answered with a pong of the same payload, but not while the client does not read:
                                   it must not fill our memory (RFC 6455 5.5.3 asks for an answer to the last only)
OPEN       pong                    nothing: heartbeats are Engine.IO's
OPEN       close                   answered with its own code; CLOSED, ``finished``
OPEN       a broken rule           close frame with the rule's code; CLOSED, ``finished``
CLOSING    text, binary, ping      dropped: we have said goodbye
CLOSING    close                   CLOSED, ``finished``
CLOSED     anything                dropped
=========  ======================  ==========================================================

It never raises: every :class:`~truesocket.errors.ProtocolError` of the codec becomes a close with a code and a reason.
Driven by ``transports/stream.py``; hosts that cut frames themselves (ASGI) do not need it.
"""

from __future__ import annotations

import codecs
from enum import Enum
from typing import Final, Protocol

from truesocket.codec import frames
from truesocket.codec.frames import Frame, Opcode
from truesocket.errors import FrameError, ProtocolError, TooLarge
from truesocket.session.compression import Compression

__all__ = ["State", "WebSocket", "WebSocketListener"]

_Utf8Decoder = codecs.getincrementaldecoder("utf-8")

# looked up once, as plain numbers: in Python 3.11 an Enum's look-up takes 70 ns, and every frame asks for some
_CONTINUATION: Final = int(Opcode.CONTINUATION)
_TEXT: Final = int(Opcode.TEXT)
_CONTROL: Final = int(Opcode.CLOSE)  # and what is above it


class State(Enum):
    """See the table above."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


_OPEN: Final = State.OPEN
_CLOSED: Final = State.CLOSED


class WebSocketListener(Protocol):
    """What a WebSocket tells, and to whom it hands bytes."""

    writable: bool  #: whether bytes leave as fast as they come

    def write(self, data: bytes) -> None:
        """These bytes belong onto the wire, now and in this order."""

    def received(self, message: str | bytes) -> None:
        """One whole message arrived."""

    def finished(self, code: int, reason: str) -> None:
        """The closing handshake is over or a rule was broken: nothing more comes, the connection can be closed."""


class _Fragments:
    """A message of which some frames are still to come."""

    __slots__ = ("_decoder", "_parts", "_size", "frame")

    def __init__(self, frame: Frame) -> None:
        self.frame = frame  # the first one: it says of what kind the message is, and whether it is compressed
        self._decoder = _Utf8Decoder() if frame.opcode == Opcode.TEXT and not frame.rsv1 else None
        self._parts: list[str | bytes] = []
        self._size = 0

    def add(self, payload: bytes, fin: bool, limit: int) -> None:
        self._size += len(payload)
        if self._size > limit:
            raise TooLarge(f"a message of more than {limit} bytes in fragments; raise max_payload if you expect them")
        part = payload if self._decoder is None else self._decoder.decode(payload, fin)
        if part:
            self._parts.append(part)

    def join(self) -> str | bytes:
        if self._decoder is None:
            return b"".join(part for part in self._parts if isinstance(part, bytes))
        return "".join(part for part in self._parts if isinstance(part, str))


class WebSocket:
    """The server's end of one WebSocket.

    ``limit`` is the largest message taken, in bytes; ``compression`` what both sides agreed to, if they did.
    """

    __slots__ = ("_buffer", "_compression", "_fragments", "_limit", "_listener", "_need", "state")

    def __init__(self, listener: WebSocketListener, limit: int, compression: Compression | None = None) -> None:
        self.state: State = State.OPEN
        self._compression = compression
        self._listener = listener
        self._limit = limit
        self._buffer: bytearray | None = None  # the beginning of a frame whose rest has not come
        self._need = 0  # bytes that the buffer must hold before another look is worthwhile
        self._fragments: _Fragments | None = None

    def receive(self, chunk: bytes) -> None:
        """Takes the next bytes of the stream, cut anywhere."""
        data: bytes | bytearray = chunk
        if self._buffer is not None:
            self._buffer += chunk
            if len(self._buffer) < self._need:
                return
            data, self._buffer = self._buffer, None
        start = 0
        size = len(data)
        try:
            while start < size and self.state is not _CLOSED:
                frame = frames.parse(data, start, limit=self._limit, allow_rsv1=self._compression is not None)
                if isinstance(frame, int):
                    self._need = frame
                    self._buffer = bytearray(memoryview(data)[start:])
                    return
                start = frame.end
                if frame.opcode < _CONTROL:
                    self._data(frame)
                else:
                    self._control(frame)
        except ProtocolError as error:
            self.close(error.close_code, str(error))
            self._finish(error.close_code, str(error))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Says goodbye: a close frame now, ``finished`` when the other side answers."""
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self._listener.write(frames.build(Opcode.CLOSE, frames.build_close(code, reason)))

    def _data(self, frame: Frame) -> None:
        if self.state is not _OPEN:
            return
        try:
            message = self._join(frame)
        except UnicodeDecodeError:
            raise FrameError("a text message that is not UTF-8 (RFC 6455 8.1)", close_code=1007) from None
        if message is not None:
            self._listener.received(message)

    def _join(self, frame: Frame) -> str | bytes | None:
        """The message that ends with this frame, or ``None``; raises ``UnicodeDecodeError`` for text that is none."""
        if frame.opcode != _CONTINUATION:
            if self._fragments is not None:
                raise FrameError("a new message inside a fragmented one (RFC 6455 5.4)")
            if frame.fin:
                return self._decode(frame, frame.payload)
            self._fragments = _Fragments(frame)
        elif self._fragments is None:
            raise FrameError("a continuation frame without a message to continue (RFC 6455 5.4)")
        elif frame.rsv1:
            raise FrameError("a continuation frame with RSV1 (RFC 7692 6.1)")
        self._fragments.add(frame.payload, frame.fin, self._limit)
        if not frame.fin:
            return None
        fragments, self._fragments = self._fragments, None
        message = fragments.join()
        return message if isinstance(message, str) else self._decode(fragments.frame, message)

    def _decode(self, first: Frame, payload: bytes) -> str | bytes:
        """The message in ``payload``, whose first frame is ``first``."""
        if first.rsv1 and self._compression is not None:
            payload = self._compression.decompress(payload, self._limit)
        return payload.decode() if first.opcode == _TEXT else payload

    def _control(self, frame: Frame) -> None:
        if frame.opcode == Opcode.CLOSE:
            code, reason = frames.parse_close(frame.payload)
            if self.state is State.OPEN:
                self._listener.write(frames.build(Opcode.CLOSE, frames.build_close(code)))
            self._finish(code, reason)
        elif frame.opcode == Opcode.PING and self.state is State.OPEN and self._listener.writable:
            self._listener.write(frames.build(Opcode.PONG, frame.payload))

    def _finish(self, code: int, reason: str) -> None:
        if self.state is not State.CLOSED:
            self.state = State.CLOSED
            self._buffer = self._fragments = None
            self._listener.finished(code, reason)
