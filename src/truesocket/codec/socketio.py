"""Socket.IO packets, protocol revisions 4 and 5 (the text on top of Engine.IO 3 and 4).

::

    <type>[<attachments>-][<namespace>[?<query>],][<ack id>][<JSON>]

    0/admin,{"token":"x"}                                CONNECT to /admin
    2["say","hello"]                                     EVENT in the main namespace
    213["say","hello"]                                   the same, and packet 13 wants an ack
    51-/admin,["file",{"_placeholder":true,"num":0}]     BINARY_EVENT, one attachment follows

What it is: one text to one packet and back, and the place of attachments in its data.  What it is not: waiting for the
attachments, and knowing who is connected, is the work of :mod:`truesocket.session.conversation`, which calls this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from truesocket.codec import jsons
from truesocket.errors import PacketError

__all__ = ["RESERVED_EVENTS", "PacketType", "SocketPacket", "build", "parse", "reconstruct"]


class PacketType(IntEnum):
    """Socket.IO protocol 5, "Packet types".  ``CONNECT_ERROR`` is called ERROR in revision 4."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class SocketPacket(NamedTuple):
    """One packet.

    ``query`` is the text behind ``?`` in the namespace; ``id`` the ack id; ``data`` the JSON value, ``None`` if there
    is none; ``attachments`` how many binary messages follow before ``data`` is whole.
    """

    type: int
    namespace: str
    query: str
    id: int | None
    data: object
    attachments: int


RESERVED_EVENTS: Final = frozenset(
    ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
)
"""Names that mean something to the client library itself; nobody may send them as events."""

_new: Final = tuple.__new__
"""Makes a NamedTuple without the Python function that is its own constructor: 0.2 us less."""
_MAX_DEPTH: Final = 255
_DIGITS: Final = "0123456"
_HEAD: Final = re.compile(
    r"""([0-6])                                  # type
        (?:([0-9]{1,9})-)?                       # attachments
        (?:(/[^,?]*)(?:\?([^,]*))?(?:,|\Z))?     # namespace, its query
        ([0-9]{1,100})?                          # ack id: Python clients may write long ones
    """,
    re.VERBOSE,
)
_SHORT: Final = 20
"""Where the fast way of ``parse`` looks for the bracket behind the type and the ack id."""


def parse(text: str, *, max_attachments: int = 10, loads: Callable[[str], object] = jsons.loads) -> SocketPacket:
    """The packet in one Engine.IO message; ``loads`` reads its JSON, and raises ``PacketError`` where it cannot.

    Raises ``PacketError`` for anything that Socket.IO protocol 5, "Packet encoding" and "Packet types" do not allow,
    and for more than ``max_attachments``.
    """
    if text.startswith("2"):
        bracket = text.find("[", 1, _SHORT)
        digits = text[1:bracket]
        if bracket == 1 or (bracket > 0 and digits.isascii() and digits.isdigit()):
            data = loads(text[bracket:])
            _check_event(data)
            return _new(SocketPacket, (2, "/", "", int(digits) if digits else None, data, 0))
    match = _HEAD.match(text)
    if match is None:
        raise PacketError("Socket.IO packet begins with no type that is known" if text else "Socket.IO packet is empty")
    kind = int(match[1])
    attachments = _parse_attachments(kind, match[2], max_attachments)
    rest = text[match.end() :]
    data = loads(rest) if rest else None
    _CHECKS[kind](data)
    ack_id = int(match[5]) if match[5] else None
    return SocketPacket(kind, match[3] or "/", match[4] or "", ack_id, data, attachments)


def _parse_attachments(kind: int, digits: str | None, limit: int) -> int:
    if kind < PacketType.BINARY_EVENT:
        if digits is not None:
            raise PacketError("Socket.IO packet counts attachments, but its type has none")
        return 0
    if digits is None:
        raise PacketError("Socket.IO binary packet does not count its attachments")
    count = int(digits)
    if count > limit:
        raise PacketError(f"Socket.IO packet has {count} attachments; at most {limit} are allowed")
    return count


def _check_event(data: object) -> None:
    if not isinstance(data, list) or not data:
        raise PacketError("Socket.IO EVENT must carry a list that begins with the event's name")
    name = data[0]
    if isinstance(name, str):
        if name in RESERVED_EVENTS:
            raise PacketError(f"Socket.IO EVENT must not be named {name!r}: the name is reserved")
    elif not isinstance(name, int) or isinstance(name, bool):
        raise PacketError("Socket.IO EVENT must be named by a string or an integer")


def _check_ack(data: object) -> None:
    if not isinstance(data, list):
        raise PacketError("Socket.IO ACK must carry a list")


def _check_connect(data: object) -> None:
    if data is not None and not isinstance(data, dict):
        raise PacketError("Socket.IO CONNECT carries an object or nothing")


def _check_connect_error(data: object) -> None:
    if not isinstance(data, (str, dict)):
        raise PacketError("Socket.IO CONNECT_ERROR must carry a string or an object")


def _check_nothing(data: object) -> None:
    if data is not None:
        raise PacketError("Socket.IO DISCONNECT carries no data")


_CHECKS: Final[tuple[Callable[[object], None], ...]] = (
    _check_connect,
    _check_nothing,
    _check_event,
    _check_ack,
    _check_connect_error,
    _check_event,
    _check_ack,
)
"""By packet type: what the data must look like."""

_BINARY_FORM: Final[dict[int, int]] = {
    PacketType.EVENT: PacketType.BINARY_EVENT,
    PacketType.ACK: PacketType.BINARY_ACK,
}


def build(type: int, namespace: str = "/", *, id: int | None = None, data: str = "", attachments: int = 0) -> str:
    """The text of a packet; ``data`` is JSON text already.

    An EVENT or ACK with attachments becomes a BINARY_EVENT or BINARY_ACK.
    """
    if attachments and type in _BINARY_FORM:
        type = _BINARY_FORM[type]
    head = _DIGITS[type]
    if type >= 5:
        head += f"{attachments}-"
    if namespace != "/":
        head += f"{namespace},"
    return f"{head}{data}" if id is None else f"{head}{id}{data}"


def reconstruct(data: object, attachments: Sequence[bytes]) -> object:
    """``data`` with its attachments in the place of their placeholders; lists and objects are made anew.

    Raises ``PacketError`` for a placeholder whose number belongs to no attachment, for an attachment that no
    placeholder asks for, and for nesting over 255 deep (Socket.IO protocol 5, "Sending and receiving binary data").
    """
    used: set[int] = set()
    whole = _fill(data, attachments, used, 0)
    if len(used) != len(attachments):
        raise PacketError(f"Socket.IO packet has {len(attachments)} attachments, but placeholders for {len(used)}")
    return whole


def _fill(value: object, attachments: Sequence[bytes], used: set[int], depth: int) -> object:
    if not isinstance(value, (dict, list)):
        return value
    if depth > _MAX_DEPTH:
        raise PacketError(f"Socket.IO packet is nested more than {_MAX_DEPTH} deep")
    if isinstance(value, list):
        return [_fill(item, attachments, used, depth + 1) for item in value]
    if value.get("_placeholder") is not True:
        return {key: _fill(item, attachments, used, depth + 1) for key, item in value.items()}
    number = value.get("num")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(attachments):
        raise PacketError(f"Socket.IO placeholder has no attachment numbered {number!r}")
    used.add(number)
    return attachments[number]
