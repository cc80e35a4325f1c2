"""The msgpack form of Socket.IO packets, as the official ``socket.io-msgpack-parser`` speaks it.

Each packet is one binary message: a map with ``type``, ``nsp``, ``data`` and ``id``.  Bytes need no BINARY types here,
and we write none; clients 2.x do (with version 2 of that parser), and send CONNECT and DISCONNECT as JSON text.  Needs
the package ``msgpack`` (``pip install 'truesocket[msgpack]'``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgpack

from truesocket.codec import jsons
from truesocket.codec.parcel import Parcel
from truesocket.codec.serializers import Written
from truesocket.codec.socketio import RESERVED_EVENTS, PacketType, SocketPacket
from truesocket.errors import PacketError

__all__ = ["Msgpack"]

_PLAIN: Final[dict[int, int]] = {PacketType.BINARY_EVENT: PacketType.EVENT, PacketType.BINARY_ACK: PacketType.ACK}
_MAX_DIGITS: Final = 2**53
"""Ack ids are integers that JavaScript counts exactly."""


class Msgpack:
    """Implements :class:`~truesocket.codec.serializers.Serializer`."""

    def write(self, value: object, default: Callable[[object], object] | None = None) -> Written:
        """A value as msgpack.  Raises ``TypeError`` or ``ValueError`` for what it has no form for."""
        try:
            return Written(_pack(value, default))
        except OverflowError:
            raise ValueError("msgpack holds integers of 64 bits at most; send a larger one as text") from None

    def packet(self, type: int, namespace: str, written: Written | None = None, id: int | None = None) -> Parcel:
        """One map; ``data`` is already packed and is put into its place."""
        keys = 2 + (written is not None) + (id is not None)
        parts = [bytes([0x80 | keys]), _pack("type"), _pack(type), _pack("nsp"), _pack(namespace)]
        if written is not None:
            if isinstance(written.data, str):
                raise TypeError("this value was written by another serializer")
            parts += [_pack("data"), written.data]
        if id is not None:
            parts += [_pack("id"), _pack(id)]
        return Parcel.of_bytes(b"".join(parts))

    def append(self, written: Written, text: str) -> Written:
        """Counts one more item in the array's head, and puts it at the end."""
        data = written.data
        if isinstance(data, str) or not data:
            raise TypeError("only a list of this serializer can be appended to")
        count, head = _array_head(data)
        return Written(msgpack.Packer().pack_array_header(count + 1) + data[head:] + _pack(text))

    def parse(self, message: str | bytes, *, max_attachments: int) -> SocketPacket | None:
        """One map back; keys that we do not know are passed over."""
        if isinstance(message, str):
            return _check_text(message)
        try:
            found = msgpack.unpackb(message, strict_map_key=False, ext_hook=_undefined)
        except (ValueError, TypeError, msgpack.UnpackException, RecursionError) as error:
            raise PacketError(f"a packet that is no msgpack: {error}") from None
        if not isinstance(found, dict):
            raise PacketError("a msgpack packet is a map")
        if len(message) > jsons.MAX_DEPTH:  # else it cannot be nested that deep
            jsons.check_depth(found.get("data"))
        return _check(found)


def _array_head(data: bytes) -> tuple[int, int]:
    """How many items an array has, and how long its head is (msgpack's "array format family")."""
    first = data[0]
    if first & 0xF0 == 0x90:
        return first & 0x0F, 1
    length = {0xDC: 3, 0xDD: 5}.get(first)
    if length is None:
        raise TypeError("only a list of this serializer can be appended to")
    return int.from_bytes(data[1:length]), length


def _pack(value: object, default: Callable[[object], object] | None = None) -> bytes:
    packed = msgpack.packb(value, default=default)
    assert isinstance(packed, bytes)
    return packed


def _undefined(code: int, data: bytes) -> object:
    """JavaScript's ``undefined`` comes as an extension type; we have none that means anything."""
    return None


def _check_text(message: str) -> SocketPacket:
    """What version 2 of the official parser writes for CONNECT and DISCONNECT: the same map, as JSON."""
    found = jsons.loads(message) if message.startswith("{") else None
    if not isinstance(found, dict) or found.get("type") not in (PacketType.CONNECT, PacketType.DISCONNECT):
        raise PacketError("a text packet, where this server speaks msgpack; give the client the msgpack parser, too")
    return _check(found)


def _check(found: dict[object, object]) -> SocketPacket:
    kind, path, data, id = (found.get(key) for key in ("type", "nsp", "data", "id"))
    if not isinstance(kind, int) or isinstance(kind, bool) or not 0 <= kind <= PacketType.BINARY_ACK:
        raise PacketError(f"a msgpack packet of the unknown type {kind!r}")
    kind = _PLAIN.get(kind, kind)
    if not isinstance(path, str) or not path.startswith("/"):
        raise PacketError("a msgpack packet without a namespace")
    if id is not None and (not isinstance(id, int) or isinstance(id, bool) or not 0 <= id < _MAX_DIGITS):
        raise PacketError("a msgpack packet whose ack id is no number")
    if not _is_valid(kind, data):
        raise PacketError(f"a msgpack packet of type {kind} with data that this type does not have")
    namespace, _, query = path.partition("?")
    return SocketPacket(kind, namespace, query, id, data, 0)


def _is_valid(kind: int, data: object) -> bool:
    match kind:
        case PacketType.CONNECT:
            return data is None or isinstance(data, dict)
        case PacketType.DISCONNECT:
            return data is None
        case PacketType.EVENT:
            return isinstance(data, list) and bool(data) and _is_event_name(data[0])
        case PacketType.ACK:
            return isinstance(data, list)
        case _:
            return isinstance(data, str | dict)


def _is_event_name(name: object) -> bool:
    if isinstance(name, str):
        return name not in RESERVED_EVENTS
    return isinstance(name, int) and not isinstance(name, bool)
