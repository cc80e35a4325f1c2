"""A Socket.IO packet ready to send, in every form the wire may want: the unit of every queue.

What it is: text and attachments of one packet, and each wire variant of them, made when first asked for and then the
same object for everyone, so that ten thousand clients share one ``bytes``.  What it is not: it knows no recipient, no
order and no limit.  The fan-out and the conversations make parcels; outboxes hold them; transports ask for their form.

=============  ===========================================  ==========================================================
asked for by   form                                         differs by revision
=============  ===========================================  ==========================================================
``frames``     WebSocket frames in one ``bytes``            only with attachments (``0x04`` in front in revision 3)
``deflated``   the same, compressed                         by window size, too
``messages``   whole WebSocket messages                     only with attachments
``packets``    Engine.IO packets for a polling payload      if the text is not ASCII (escaped in revision 3)
=============  ===========================================  ==========================================================

A new variant is a slot, a method and a row here.  Variants follow from text and attachments alone, so two threads that
make one at the same time make the same.
"""

from __future__ import annotations

import re
from typing import Final

from truesocket.codec import deflate, frames
from truesocket.codec.engineio import MESSAGE, EnginePacket, build_message, escape_non_ascii

__all__ = ["Parcel"]

_HEAD: Final = re.compile(r"[0-6](?:[0-9]+-)?(?:/[^,]*,)?")
"""What stands before ack id and JSON in a packet; a namespace is no JSON and cannot be escaped."""


class Parcel:
    """One Socket.IO packet and its attachments.

    ``text`` is the packet, such as ``2["news",1]``.  A lone surrogate in it, which UTF-8 cannot hold, is escaped.
    """

    __slots__ = (
        "_deflated",
        "_frames",
        "_frames_3",
        "_messages",
        "_messages_3",
        "_packets",
        "_packets_3",
        "_size",
        "attachments",
        "text",
    )

    def __init__(self, text: str, attachments: tuple[bytes, ...] = ()) -> None:
        self.text: Final = text if text.isascii() else _without_lone_surrogates(text)
        self.attachments: Final = attachments
        self._size: int | None = None
        self._deflated: dict[tuple[bool, int], bytes] | None = None
        self._frames: bytes | None = None
        self._frames_3: bytes | None = None
        self._messages: tuple[str | bytes, ...] | None = None
        self._messages_3: tuple[str | bytes, ...] | None = None
        self._packets: tuple[EnginePacket, ...] | None = None
        self._packets_3: tuple[EnginePacket, ...] | None = None

    @classmethod
    def of_bytes(cls, data: bytes) -> Parcel:
        """A packet that is one binary message, with no text before it (msgpack)."""
        parcel = cls("", (data,))
        parcel._messages = (data,)
        parcel._packets = (EnginePacket(MESSAGE, data),)
        return parcel

    def __repr__(self) -> str:
        return f"Parcel({self.text!r}, {len(self.attachments)} attachments)"

    @property
    def size(self) -> int:
        """Bytes of text (as UTF-8) and attachments; frame heads, base64 and escapes are not counted."""
        if self._size is None:
            text = self.text
            self._size = (len(text) if text.isascii() else len(text.encode())) + sum(map(len, self.attachments))
        return self._size

    def frames(self, revision: int) -> bytes:
        """The packet as WebSocket frames of a server, back to back: one text frame, one binary frame per attachment."""
        if revision == 3 and self.attachments:
            if self._frames_3 is None:
                self._frames_3 = _build_frames(self.messages(3))
            return self._frames_3
        if self._frames is None:
            self._frames = _build_frames(self.messages(4))
        return self._frames

    def deflated(self, revision: int, bits: int, threshold: int) -> bytes:
        """``frames`` with messages of ``threshold`` bytes and more compressed, each by itself (RFC 7692).

        The same for all clients that agreed to a window of ``bits`` without context takeover.
        """
        key = (revision == 3 and bool(self.attachments), bits)
        if self._deflated is None:
            self._deflated = {}
        found = self._deflated.get(key)
        if found is None:
            found = self._deflated[key] = b"".join(
                [
                    deflate.build_frame(message, threshold, lambda data: deflate.compress_once(data, bits))
                    for message in self.messages(revision)
                ]
            )
        return found

    def messages(self, revision: int) -> tuple[str | bytes, ...]:
        """The packet as whole WebSocket messages, for hosts that frame themselves."""
        if revision == 3 and self.attachments:
            if self._messages_3 is None:
                self._messages_3 = tuple(build_message(packet, 3) for packet in self.packets(4))
            return self._messages_3
        if self._messages is None:
            self._messages = (MESSAGE + self.text, *self.attachments)
        return self._messages

    def packets(self, revision: int) -> tuple[EnginePacket, ...]:
        """The packet as Engine.IO packets for a polling payload; in revision 3 its JSON is pure ASCII."""
        if revision == 3 and not self.text.isascii():
            if self._packets_3 is None:
                head = _HEAD.match(self.text)
                cut = head.end() if head else 0
                self._packets_3 = self._wrap(self.text[:cut] + escape_non_ascii(self.text[cut:]))
            return self._packets_3
        if self._packets is None:
            self._packets = self._wrap(self.text)
        return self._packets

    def _wrap(self, text: str) -> tuple[EnginePacket, ...]:
        return (EnginePacket(MESSAGE, text), *(EnginePacket(MESSAGE, data) for data in self.attachments))


def _build_frames(messages: tuple[str | bytes, ...]) -> bytes:
    return b"".join(
        [
            frames.build(frames.Opcode.TEXT, message.encode())
            if isinstance(message, str)
            else frames.build(frames.Opcode.BINARY, message)
            for message in messages
        ]
    )


def _without_lone_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return escape_non_ascii(text)
    return text
