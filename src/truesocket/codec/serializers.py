"""How Socket.IO packets look inside Engine.IO messages: JSON text with attachments, msgpack, or a form of your own.

All clients of a server must speak the same form, so it is chosen once, with ``serializer=``.  A serializer works in two
steps: :meth:`Serializer.write` runs in the thread that emits, so that a value that cannot be written is an error right
there; :meth:`Serializer.packet` puts the result into packets, with an ack id of its own for each recipient if need be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from truesocket.codec import jsons, socketio
from truesocket.codec.parcel import Parcel
from truesocket.codec.socketio import SocketPacket

__all__ = ["JSON", "Json", "Serializer", "Written"]

Default = Callable[[object], object]

_new: Final = tuple.__new__
"""Makes a NamedTuple without the Python function that is its own constructor: 0.2 us less."""


class Written(NamedTuple):
    """A value in wire form.  ``data`` is text or bytes, empty for no value; ``attachments`` follow the packet."""

    data: str | bytes
    attachments: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, roughly."""
        return len(self.data) + sum(map(len, self.attachments))


class Serializer(Protocol):
    """One way to write packets.  Has no state: any thread may call it."""

    def write(self, value: object, default: Default | None = None) -> Written:
        """A value in wire form.

        ``default`` writes types that the form has not.  Raises ``TypeError`` or ``ValueError`` for what cannot be
        written.
        """

    def packet(self, type: int, namespace: str, written: Written | None = None, id: int | None = None) -> Parcel:
        """A packet of ``type`` (:class:`~truesocket.codec.socketio.PacketType`, without the BINARY ones)."""

    def append(self, written: Written, text: str) -> Written:
        """A list in wire form with ``text`` as one more item at its end; it is not written anew."""

    def parse(self, message: str | bytes, *, max_attachments: int) -> SocketPacket | None:
        """The packet in a message, or ``None`` where the message is an attachment of the packet before it.

        Raises :class:`~truesocket.errors.PacketError` for what is neither.
        """


class Json:
    """The usual form: text, and bytes as attachments in messages of their own (``codec/socketio.py``)."""

    def write(self, value: object, default: Default | None = None) -> Written:
        """See :func:`truesocket.codec.jsons.dumps`."""
        return _new(Written, jsons.dumps(value, default))

    def packet(self, type: int, namespace: str, written: Written | None = None, id: int | None = None) -> Parcel:
        """See :func:`truesocket.codec.socketio.build`."""
        if written is None:
            return Parcel(socketio.build(type, namespace, id=id))
        data, attachments = written
        if isinstance(data, bytes):
            raise TypeError("this value was written by another serializer")
        text = socketio.build(type, namespace, id=id, data=data, attachments=len(attachments))
        return Parcel(text, attachments)

    def append(self, written: Written, text: str) -> Written:
        """Puts it before the closing bracket."""
        data, attachments = written
        if isinstance(data, bytes) or not data.endswith("]"):
            raise TypeError("only a list of this serializer can be appended to")
        comma = "" if data == "[]" else ","
        return Written(f"{data[:-1]}{comma}{jsons.dumps(text)[0]}]", attachments)

    def parse(self, message: str | bytes, *, max_attachments: int) -> SocketPacket | None:
        """See :func:`truesocket.codec.socketio.parse`."""
        if isinstance(message, bytes):
            return None
        return socketio.parse(message, max_attachments=max_attachments)


JSON = Json()
"""The serializer of a server that names no other."""
