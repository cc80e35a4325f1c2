"""permessage-deflate on one WebSocket: the windows that it keeps from message to message (RFC 7692).

Without context takeover it keeps none: a message to send is then compressed once for everybody (``Parcel.deflated``),
and a window for a message that arrives lives as long as that message.
"""

from __future__ import annotations

from truesocket.codec import deflate
from truesocket.codec.deflate import Deflate
from truesocket.codec.parcel import Parcels

__all__ = ["Compression"]


class Compression:
    """What ``agreed`` means for one connection.  Messages of fewer than ``threshold`` bytes are sent as they are."""

    __slots__ = ("_agreed", "_receiving", "_sending", "_threshold")

    def __init__(self, agreed: Deflate, threshold: int) -> None:
        self._agreed = agreed
        self._threshold = threshold
        self._sending = deflate.new_compressor(agreed.server_bits) if agreed.server_takeover else None
        self._receiving = deflate.new_decompressor(agreed.client_bits) if agreed.client_takeover else None

    def decompress(self, payload: bytes, limit: int) -> bytes:
        """A message that came compressed.  Raises :class:`~truesocket.errors.ProtocolError`."""
        window = self._receiving or deflate.new_decompressor(self._agreed.client_bits)
        message = deflate.decompress(payload, window, limit)
        if self._receiving is not None and window.eof:  # the client has ended its stream
            self._receiving = deflate.new_decompressor(self._agreed.client_bits, message)
        return message

    def frames(self, parcel: Parcels, revision: int) -> bytes:
        """The frames of a parcel, compressed where that is worthwhile."""
        if self._sending is None:
            return parcel.deflated(revision, self._agreed.server_bits, self._threshold)
        return b"".join([self.frame(message) for message in parcel.messages(revision)])

    def frame(self, message: str | bytes) -> bytes:
        """One message as a frame, compressed where that is worthwhile."""
        return deflate.build_frame(message, self._threshold, self._compress)

    def _compress(self, payload: bytes) -> bytes:
        if self._sending is None:
            return deflate.compress_once(payload, self._agreed.server_bits)
        return deflate.compress(payload, self._sending)
