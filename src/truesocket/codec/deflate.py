"""permessage-deflate (RFC 7692): agree on its parameters, compress and decompress whole messages.

A server that never carries its window from one message to the next (``context_takeover=False``) makes one compressed
frame that fits every client which agreed to the same window, so a broadcast is compressed once; and a client's
connection costs no memory between two messages.  With context takeover each side keeps a window per connection
(``session/websocket.py`` holds them), which compresses small, similar messages better and costs about 64 KiB for each.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from truesocket.codec import frames
from truesocket.codec.frames import Opcode
from truesocket.errors import FrameError, TooLarge

__all__ = [
    "Deflate",
    "build_frame",
    "compress",
    "compress_once",
    "decompress",
    "negotiate",
    "new_compressor",
    "new_decompressor",
]

_NAME: Final = "permessage-deflate"
_TAIL: Final = b"\x00\x00\xff\xff"
"""What every message ends with before it is cut off to save four bytes (RFC 7692, 7.2.1)."""

_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_WINDOWS: Final = ("server_max_window_bits", "client_max_window_bits")
_LEVEL: Final = 1
"""Text of a few hundred bytes shrinks hardly less than with level 6, and in half the time."""

_WINDOW: Final = 1 << 15
_MOST_STREAMS: Final = 8
"""How often one message may end its deflate stream and begin another; each costs us a window."""

_Parameters = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Deflate:
    """What both sides agreed to.  Windows are powers of two (8 to 15)."""

    server_takeover: bool
    client_takeover: bool
    server_bits: int
    client_bits: int
    header: str

    """The value of our ``Sec-WebSocket-Extensions`` header."""


def negotiate(offers: str, *, context_takeover: bool, window_bits: int = 15) -> Deflate | None:
    """The first of the client's offers that we can accept, or ``None`` (RFC 7692, 7.1).

    ``offers`` is the request's ``Sec-WebSocket-Extensions`` header.  ``window_bits`` bounds the memory of one window:
    2 to that power, in bytes.  An offer that we do not understand is declined, as the standard asks.
    """
    for name, parameters in _parse(offers):
        if name == _NAME and parameters is not None:
            agreed = _accept(parameters, context_takeover, window_bits)
            if agreed is not None:
                return agreed
    return None


def _accept(offer: _Parameters, takeover: bool, bits: int) -> Deflate | None:
    for name, value in offer.items():
        if name in _FLAGS:
            good = value is None
        elif name in _WINDOWS:
            good = value in _BITS or (value is None and name == "client_max_window_bits")
        else:
            good = False
        if not good:
            return None
    server_bits = min(int(offer.get("server_max_window_bits") or 15), bits)
    if server_bits < 9:
        return None  # zlib cannot write raw deflate with a window of 256 bytes
    client_bits = 15
    if "client_max_window_bits" in offer:
        client_bits = min(int(offer["client_max_window_bits"] or 15), bits)
    server_takeover = takeover and "server_no_context_takeover" not in offer
    answer = [_NAME]
    if not server_takeover:
        answer.append("server_no_context_takeover")
    if not takeover:
        answer.append("client_no_context_takeover")
    if server_bits < 15:
        answer.append(f"server_max_window_bits={server_bits}")
    if client_bits < 15:
        answer.append(f"client_max_window_bits={client_bits}")
    return Deflate(server_takeover, takeover, server_bits, client_bits, "; ".join(answer))


_BITS: Final = frozenset(str(bits) for bits in range(8, 16))


def _parse(header: str) -> Iterator[tuple[str, _Parameters | None]]:
    """The offers of a header, in order: (name, parameters), ``None`` where one is malformed or repeats itself."""
    for offer in header.split(","):
        name, *rest = (part.strip() for part in offer.split(";"))
        parameters: _Parameters | None = {}
        for part in rest:
            key, equals, value = part.partition("=")
            key = key.strip().lower()
            if parameters is None or not key or key in parameters:
                parameters = None
            else:
                parameters[key] = value.strip().strip('"') if equals else None
        yield name.lower(), parameters


# --- messages -----------------------------------------------------------------------------------------------


def new_compressor(bits: int) -> zlib._Compress:
    """A window for the messages that we send."""
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, -bits)


def new_decompressor(bits: int, before: bytes = b"") -> zlib._Decompress:
    """A window for the messages that we receive; ``before`` is what it holds already."""
    return zlib.decompressobj(-max(bits, 9), zdict=before[-_WINDOW:])


def compress(payload: bytes, compressor: zlib._Compress) -> bytes:
    """The payload of a compressed message (RFC 7692, 7.2.1)."""
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data[:-4] if data.endswith(_TAIL) else data


def compress_once(payload: bytes, bits: int) -> bytes:
    """A compressed message that needs no window but its own: the same for every client."""
    return compress(payload, new_compressor(bits))


def build_frame(message: str | bytes, threshold: int, compress: Callable[[bytes], bytes]) -> bytes:
    """A message as one frame of a server; compressed, and marked with RSV1, from ``threshold`` bytes on."""
    opcode, payload = (Opcode.TEXT, message.encode()) if isinstance(message, str) else (Opcode.BINARY, message)
    if len(payload) < threshold:
        return frames.build(opcode, payload)
    return frames.build(opcode, compress(payload), rsv1=True)


def decompress(payload: bytes, decompressor: zlib._Decompress, limit: int) -> bytes:
    """The message in a compressed payload (RFC 7692, 7.2.2).

    A client may end its stream inside a message (a block with BFINAL, 7.2.3.4): then ``decompressor.eof`` is set, and
    the caller takes a new one for the next message.

    Raises :class:`TooLarge` as soon as more than ``limit`` bytes come out, whatever the rest would hold, and
    :class:`FrameError` (close code 1007) for what is no deflate data.
    """
    message, data = b"", payload + _TAIL
    try:
        for _ in range(_MOST_STREAMS):
            message += decompressor.decompress(data, limit + 1 - len(message))
            if len(message) > limit:
                raise TooLarge(f"a compressed message of more than {limit} bytes; raise max_payload if you expect them")
            if not decompressor.eof:
                return message
            data = decompressor.unused_data
            decompressor = new_decompressor(15, message)
    except zlib.error as error:
        raise FrameError(f"a compressed message that cannot be read: {error}", close_code=1007) from None
    raise FrameError(f"a compressed message that ends {_MOST_STREAMS} times", close_code=1007)
