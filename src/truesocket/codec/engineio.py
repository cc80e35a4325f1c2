"""Engine.IO packets and polling payloads, protocol revisions 3 and 4.

What it is: the letters of the transport layer.  A packet is a type digit and data; a *message* is one packet as one
WebSocket message; a *payload* is many packets in the body of one HTTP request or answer.  What it is not: who may send
which packet when is known by :mod:`truesocket.session.engine`, which calls this, as do the polling transport and
:class:`truesocket.codec.parcel.Parcel`.

==================  ===========================  ==============================================================
form                revision 4                   revision 3
==================  ===========================  ==============================================================
text message        ``4hello``                   ``4hello``
binary message      the raw bytes                ``0x04`` and the raw bytes
binary in text      ``b`` and base64             ``b4`` and base64
payload             packets joined by ``0x1E``   ``<length>:<packet>`` repeated; length in UTF-16 code units
binary payload      does not exist               ``0x00`` (text) or ``0x01`` (binary), the length in bytes as one
                                                 byte (0-9) per decimal digit, ``0xFF``, the packet; repeated
==================  ===========================  ==============================================================
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import orjson

from truesocket.errors import PacketError

__all__ = [
    "CLOSE",
    "MESSAGE",
    "NOOP",
    "OPEN",
    "PING",
    "PONG",
    "UPGRADE",
    "EnginePacket",
    "build_message",
    "build_open",
    "build_payload",
    "escape_non_ascii",
    "needs_binary_payload",
    "parse_message",
    "parse_payload",
]

OPEN: Final = "0"
CLOSE: Final = "1"
PING: Final = "2"
PONG: Final = "3"
MESSAGE: Final = "4"
UPGRADE: Final = "5"
NOOP: Final = "6"

_new: Final = tuple.__new__
"""Makes a NamedTuple without the Python function that is its own constructor: 0.2 us less."""
_TYPES: Final = frozenset((OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP))
_SEPARATOR: Final = "\x1e"
_MESSAGE_BYTE: Final = b"\x04"
_TEXT_MARK: Final = b"\x00"
_BINARY_MARK: Final = b"\x01"
_LENGTH_END: Final = b"\xff"
_MAX_LENGTH_DIGITS: Final = 10
"""Ten digits count beyond 9 GB; whatever writes more is not a client."""
_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_ASTRAL: Final = re.compile(r"[\U00010000-\U0010ffff]")


class EnginePacket(NamedTuple):
    """One packet: a type digit and its data.  ``bytes`` come with ``MESSAGE`` only."""

    type: str
    data: str | bytes = ""


def build_open(sid: str, upgrades: Sequence[str], ping_interval: float, ping_timeout: float, max_payload: int) -> str:
    """The data of the ``OPEN`` packet: JSON with the session's parameters ("Handshake", both revisions).

    The two times are in seconds and are written in whole milliseconds; ``max_payload`` is in bytes.
    """
    parameters = {
        "sid": sid,
        "upgrades": list(upgrades),
        "pingInterval": round(ping_interval * 1000),
        "pingTimeout": round(ping_timeout * 1000),
        "maxPayload": max_payload,
    }
    return orjson.dumps(parameters).decode()


def parse_message(data: str | bytes, revision: int) -> EnginePacket:
    """The packet in one WebSocket message, or in one slot of a polling payload.

    Raises ``PacketError`` for an empty message, an unknown type, base64 that is none, and in revision 3 for bytes
    that do not begin with the type ``MESSAGE``.
    """
    if isinstance(data, str):
        kind = data[:1]
        if kind in _TYPES:
            return _new(EnginePacket, (kind, data[1:]))
        if kind == "b":
            return EnginePacket(MESSAGE, _parse_base64(data, revision))
        raise PacketError(f"Engine.IO packet type {kind!r} is unknown" if kind else "Engine.IO packet is empty")
    if revision == 4:
        return EnginePacket(MESSAGE, data)
    if data[:1] != _MESSAGE_BYTE:
        raise PacketError("Engine.IO 3 sends bytes as messages only: they begin with 0x04")
    return EnginePacket(MESSAGE, data[1:])


def _parse_base64(text: str, revision: int) -> bytes:
    """The bytes of ``b<base64>`` (revision 4) or ``b4<base64>`` (revision 3)."""
    prefix = "b" if revision == 4 else "b4"
    if not text.startswith(prefix):
        raise PacketError("Engine.IO 3 writes bytes in text as b4 and base64")
    try:
        return a2b_base64(text[len(prefix) :], strict_mode=True)
    except ValueError as error:
        raise PacketError(f"Engine.IO packet holds broken base64: {error}") from None


def build_message(packet: EnginePacket, revision: int) -> str | bytes:
    """The packet as one WebSocket message."""
    kind, data = packet
    if isinstance(data, str):
        return kind + data
    return data if revision == 4 else _MESSAGE_BYTE + data


def _build_text(packet: EnginePacket, revision: int) -> str:
    """The packet as text, its bytes as base64."""
    kind, data = packet
    if isinstance(data, str):
        return kind + data
    return ("b" if revision == 4 else "b4") + b2a_base64(data, newline=False).decode("ascii")


def parse_payload(
    body: bytes, revision: int, *, binary: bool = False, limit_packets: int | None = None
) -> list[EnginePacket]:
    """The packets in the body of a polling request; at least one.

    ``binary`` says that the body came as ``application/octet-stream``, which revision 3 alone knows.

    Raises ``PacketError`` if anything in it cannot be read, or if it holds more than ``limit_packets``.
    """
    messages: Iterator[str | bytes]
    if binary:
        if revision == 4:
            raise PacketError("Engine.IO 4 has no binary payloads: send text/plain with base64")
        messages = _split_binary(body)
    else:
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise PacketError("Engine.IO payload is not UTF-8") from None
        messages = _split_by_separator(text) if revision == 4 else _split_by_length(text)
    packets: list[EnginePacket] = []
    for message in messages:
        if len(packets) == limit_packets:
            raise PacketError(f"Engine.IO payload holds more than {limit_packets} packets")
        packets.append(parse_message(message, revision))
    if not packets:
        raise PacketError("Engine.IO payload is empty")
    return packets


def _split_by_separator(text: str) -> Iterator[str]:
    """Revision 4: packets joined by 0x1E."""
    yield from text.split(_SEPARATOR)


def _split_by_length(text: str) -> Iterator[str]:
    """Revision 3: ``<length>:<packet>``, with the length in UTF-16 code units, as JavaScript counts.

    Only characters beyond U+FFFF count two; a text that has some is stretched to one character per code unit first.
    """
    astral = not text.isascii() and _ASTRAL.search(text) is not None
    units = _ASTRAL.sub(_split_surrogates, text) if astral else text
    position, size = 0, len(units)
    while position < size:
        colon = units.find(":", position, position + _MAX_LENGTH_DIGITS + 1)
        digits = units[position:colon]
        if colon < 0 or not (digits.isascii() and digits.isdigit()):
            raise PacketError("Engine.IO payload: a length and a colon are missing")
        position = colon + 1 + int(digits)
        if position > size:
            raise PacketError("Engine.IO payload is shorter than it says")
        packet = units[colon + 1 : position]
        yield _join_surrogates(packet) if astral else packet


def _split_surrogates(match: re.Match[str]) -> str:
    code = ord(match[0]) - 0x10000
    return chr(0xD800 | code >> 10) + chr(0xDC00 | code & 0x3FF)


def _join_surrogates(text: str) -> str:
    try:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise PacketError("Engine.IO payload: a length ends in the middle of a character") from None


def _split_binary(body: bytes) -> Iterator[str | bytes]:
    """Revision 3, ``application/octet-stream``: mark, length digits as bytes 0-9, 0xFF, packet."""
    position, size = 0, len(body)
    while position < size:
        mark = body[position : position + 1]
        end = body.find(_LENGTH_END, position + 1, position + _MAX_LENGTH_DIGITS + 2)
        digits = body[position + 1 : end]
        if mark > _BINARY_MARK or end < 0 or not digits or max(digits) > 9:
            raise PacketError("Engine.IO binary payload: a mark and a length are missing")
        position = end + 1 + int("".join(map(str, digits)))
        if position > size:
            raise PacketError("Engine.IO binary payload is shorter than it says")
        packet = body[end + 1 : position]
        if mark == _BINARY_MARK:
            yield packet
            continue
        try:
            yield packet.decode()
        except UnicodeDecodeError:
            raise PacketError("Engine.IO binary payload: a text packet is not UTF-8") from None


def build_payload(packets: Sequence[EnginePacket], revision: int, *, binary: bool = False) -> bytes:
    """The packets as the body of one HTTP answer.

    ``binary`` asks for the ``application/octet-stream`` form of revision 3; without it, bytes are written as base64.

    Raises ``ValueError`` for a binary payload in revision 4, which has none.
    """
    if binary:
        if revision == 4:
            raise ValueError("Engine.IO 4 has no binary payloads; build the text form")
        return b"".join(map(_build_binary_slot, packets))
    texts = [_build_text(packet, revision) for packet in packets]
    if revision == 4:
        return _SEPARATOR.join(texts).encode()
    return "".join([f"{_count_units(text)}:{text}" for text in texts]).encode()


def _count_units(text: str) -> int:
    """The length of ``text`` in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _build_binary_slot(packet: EnginePacket) -> bytes:
    message = build_message(packet, 3)
    mark, data = (_TEXT_MARK, message.encode()) if isinstance(message, str) else (_BINARY_MARK, message)
    return mark + bytes(map(int, str(len(data)))) + _LENGTH_END + data


def needs_binary_payload(packets: Sequence[EnginePacket]) -> bool:
    """Whether any of the packets carries bytes: then revision 3 answers with a binary payload, unless ``b64=1``."""
    return any(isinstance(packet.data, bytes) for packet in packets)


def escape_non_ascii(text: str) -> str:
    r"""JSON text with every character beyond ASCII written as ``\uXXXX``, as two of them beyond U+FFFF.

    Clients of Socket.IO 1.x decode UTF-8 twice in polling, those of 2.x once; ASCII is read right by both.
    """
    return text if text.isascii() else _NON_ASCII.sub(_escape_run, text)


def _escape_run(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]
