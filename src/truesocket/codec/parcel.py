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

A new variant is a method and a row here.  Variants follow from text and attachments alone, so two threads that make one
at the same time make the same.  The frames have a slot of their own, because most parcels have one recipient and no
other form; the rest share a dict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from truesocket.codec import deflate, frames
from truesocket.codec.engineio import MESSAGE, EnginePacket, build_message, escape_non_ascii

__all__ = ["Bundle", "Parcel", "Parcels"]

F = TypeVar("F")

_TEXT: Final = int(frames.Opcode.TEXT)
_HEAD: Final = re.compile(r"[0-6](?:[0-9]+-)?(?:/[^,]*,)?")
"""What stands before ack id and JSON in a packet; a namespace is no JSON and cannot be escaped."""


class Parcel:
    """One Socket.IO packet and its attachments.

    ``text`` is the packet, such as ``2["news",1]``.  A lone surrogate in it, which UTF-8 cannot hold, is escaped.
    """

    __slots__ = ("_forms", "_frames", "_size", "attachments", "text")

    def __init__(self, text: str, attachments: tuple[bytes, ...] = ()) -> None:
        self.text: Final = text if text.isascii() else _without_lone_surrogates(text)
        self.attachments: Final = attachments
        self._size: int | None = None
        self._frames: bytes | None = None
        self._forms: dict[object, Any] | None = None

    @classmethod
    def of_bytes(cls, data: bytes) -> Parcel:
        """A packet that is one binary message, with no text before it (msgpack)."""
        parcel = cls("", (data,))
        parcel._forms = {"messages": (data,), "packets": (EnginePacket(MESSAGE, data),)}
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
        if self.attachments:
            return self._form(("frames", revision), lambda: _build_frames(self.messages(revision)))
        if self._frames is None:
            self._frames = frames.build(_TEXT, (MESSAGE + self.text).encode())
        return self._frames

    def deflated(self, revision: int, bits: int, threshold: int) -> bytes:
        """``frames`` with messages of ``threshold`` bytes and more compressed, each by itself (RFC 7692).

        The same for all clients that agreed to a window of ``bits`` without context takeover.
        """

        def build() -> bytes:
            return b"".join(
                [
                    deflate.build_frame(message, threshold, lambda data: deflate.compress_once(data, bits))
                    for message in self.messages(revision)
                ]
            )

        return self._form(("deflated", revision if self.attachments else 4, bits), build)

    def messages(self, revision: int) -> tuple[str | bytes, ...]:
        """The packet as whole WebSocket messages, for hosts that frame themselves."""
        if revision == 3 and self.attachments:
            return self._form(("messages", 3), lambda: tuple(build_message(packet, 3) for packet in self.packets(4)))
        return self._form("messages", lambda: (MESSAGE + self.text, *self.attachments))

    def packets(self, revision: int) -> tuple[EnginePacket, ...]:
        """The packet as Engine.IO packets for a polling payload; in revision 3 its JSON is pure ASCII."""
        if revision == 3 and not self.text.isascii():
            return self._form(("packets", 3), lambda: self._wrap(self._escaped()))
        return self._form("packets", lambda: self._wrap(self.text))

    def _form(self, key: object, build: Callable[[], F]) -> F:
        """A form, made when it is asked for the first time."""
        forms = self._forms
        if forms is None:
            forms = self._forms = {}
        found: F | None = forms.get(key)
        if found is None:
            found = forms[key] = build()
        return found

    def _escaped(self) -> str:
        head = _HEAD.match(self.text)
        cut = head.end() if head else 0
        return self.text[:cut] + escape_non_ascii(self.text[cut:])

    def _wrap(self, text: str) -> tuple[EnginePacket, ...]:
        return (EnginePacket(MESSAGE, text), *(EnginePacket(MESSAGE, data) for data in self.attachments))


class Bundle:
    """Some parcels for the same clients, one behind the other: what a transport asks for is that of all of them.

    Their frames leave in one write, which costs about what one of them would.
    """

    __slots__ = ("_forms", "parcels")

    def __init__(self, parcels: Sequence[Parcel]) -> None:
        self.parcels: Final = parcels
        self._forms: dict[object, Any] = {}

    def frames(self, revision: int) -> bytes:
        """See :meth:`Parcel.frames`."""
        return self._form(("frames", revision), lambda: b"".join([parcel.frames(revision) for parcel in self.parcels]))

    def deflated(self, revision: int, bits: int, threshold: int) -> bytes:
        """See :meth:`Parcel.deflated`."""
        return self._form(
            ("deflated", revision, bits),
            lambda: b"".join([parcel.deflated(revision, bits, threshold) for parcel in self.parcels]),
        )

    def messages(self, revision: int) -> tuple[str | bytes, ...]:
        """See :meth:`Parcel.messages`."""
        return self._form(
            ("messages", revision),
            lambda: tuple(message for parcel in self.parcels for message in parcel.messages(revision)),
        )

    def _form(self, key: object, build: Callable[[], F]) -> F:
        found: F | None = self._forms.get(key)
        if found is None:
            found = self._forms[key] = build()
        return found


Parcels = Parcel | Bundle
"""What can be sent at once."""


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
