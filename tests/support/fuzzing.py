"""What is fuzzed: every codec and the session machines, each as a function of bytes, with a few golden inputs.

Whatever the bytes are, nothing but a :class:`~truesocket.errors.ProtocolError` may come out.  tests/fuzz feeds them
golden inputs that a seeded random generator has spoilt; ``make fuzz`` gives them to atheris, which follows coverage.
"""

import random
import zlib
from collections.abc import Callable
from typing import NamedTuple

from tests.support.machines import drive_peer, drive_websocket
from tests.support.mutation import MESSAGES, PAYLOADS, frame
from truesocket.codec import deflate, engineio, frames, jsons, msgpacks, oldways, socketio, upgrade
from truesocket.codec.serializers import JSON

ALL_MESSAGES = MESSAGES[3] + MESSAGES[4]
LIMIT = 10_000  # bytes that a target takes at most out of its input
HEADS = [
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST http://a/x%20y?z HTTP/1.0\r\nA:\r\nB: \xff\r\n\r\nbody",
]
OFFERS = [
    b"permessage-deflate; client_max_window_bits, x-magic; a=1",
    b'permessage-deflate; server_max_window_bits="10"; server_no_context_takeover; client_no_context_takeover',
]
VALUES = [b'["a",1,{"b":[null,true,1.5e3]}]', b'"\\ud83d"', b"[" * 260 + b"]" * 260, b"12345678901234567890123"]


class Target(NamedTuple):
    """One function and its golden inputs; `may_refuse` says that it knows what it cannot read."""

    golden: Callable[[], list[bytes]]
    function: Callable[[bytes], object]
    may_refuse: bool = True


def text(data: bytes) -> str:
    """As it could come out of a WebSocket."""
    return data.decode("utf-8", "ignore")


def parse_frames(data: bytes) -> None:
    """All frames of a stream."""
    start = 0
    while start < len(data):
        found = frames.parse(data, start, limit=LIMIT, allow_rsv1=True)
        if isinstance(found, int):
            assert found > len(data) - start, "it asks for what it has"
            return
        if found.opcode == frames.Opcode.CLOSE:
            frames.parse_close(found.payload)
        assert start < found.end <= len(data)
        start = found.end


def parse_socketio(data: bytes) -> None:
    """A packet, its attachments, and what it would be if we wrote it."""
    packet = socketio.parse(text(data))
    content = packet.data
    if packet.attachments:
        content = socketio.reconstruct(packet.data, [b"x"] * packet.attachments)
    written, attachments = jsons.dumps(content)
    again = socketio.build(
        packet.type, packet.namespace, id=packet.id, data=written, attachments=packet.attachments and len(attachments)
    )
    assert again[0] == str(packet.type)


def parse_payload(revision: int, *, binary: bool = False) -> Callable[[bytes], object]:
    """A payload; what was read is read again from what we write of it."""

    def parse(data: bytes) -> None:
        packets = engineio.parse_payload(data, revision, binary=binary)
        written = engineio.build_payload(packets, revision, binary=binary)
        assert engineio.parse_payload(written, revision, binary=binary) == packets

    return parse


def parse_json(data: bytes) -> None:
    """A value; what can be read can be written."""
    jsons.dumps(jsons.loads(data))


def parse_head(data: bytes) -> None:
    """A request, and the answer to it."""
    head = upgrade.parse_head(data)
    if head is not None:
        upgrade.answer(upgrade.check(head.method, head.version, head.get))


def negotiate(data: bytes) -> None:
    """An offer of compression, and what we agree to."""
    agreed = deflate.negotiate(data.decode("latin-1"), context_takeover=True)
    if agreed is not None:
        deflate.compress_once(b"x", agreed.server_bits)
        deflate.new_decompressor(agreed.client_bits)


def decompress(data: bytes) -> None:
    """A compressed message is never larger than we allow."""
    assert len(deflate.decompress(data, zlib.decompressobj(-15), LIMIT)) <= LIMIT


def parse_jsonp(data: bytes) -> None:
    """A posted form, and a script that carries what was in it."""
    payload = oldways.parse_jsonp(data)
    assert oldways.build_jsonp("0", payload).isascii()


def parse_msgpack(data: bytes) -> None:
    """A packet; what can be read can be written."""
    serializer = msgpacks.Msgpack()
    packet = serializer.parse(data, max_attachments=10)
    assert packet is not None
    serializer.packet(packet.type, packet.namespace, serializer.write(packet.data), packet.id)


def packed() -> list[bytes]:
    """Packets in msgpack."""
    import msgpack as library

    packets: list[dict[str, object]] = [
        {"type": 0, "nsp": "/", "data": {"token": "x"}},
        {"type": 2, "nsp": "/admin", "id": 7, "data": ["say", 1, b"\x00", None, 1.5]},
        {"type": 3, "nsp": "/", "id": 7, "data": [[{}]]},
        {"type": 1, "nsp": "/"},
    ]
    return [bytes(library.packb(packet)) for packet in packets]


def framed() -> list[bytes]:
    """Frames of a client."""
    rng = random.Random(0)
    return [frame(rng, message) + frame(rng, b"x" * 200) for message in ALL_MESSAGES]


def talks() -> list[bytes]:
    """Whole conversations of a client, as frames behind the byte that chooses revision and compression."""
    rng = random.Random(1)
    found = []
    for revision in (3, 4):
        for message in MESSAGES[revision]:
            frames_of_it = frame(rng, b"40", strange=False) + frame(rng, message, strange=False)
            found.append(bytes([revision]) + frames_of_it)
    return found


def lives() -> list[bytes]:
    """Steps of a session, as tests/support/machines.py reads them."""
    rng = random.Random(2)
    return [bytes([choice]) + rng.randbytes(60) for choice in range(8)]


#: By name.
TARGETS: dict[str, Target] = {
    "messages 4": Target(lambda: MESSAGES[4], lambda data: engineio.parse_message(text(data), 4)),
    "messages 3": Target(lambda: MESSAGES[3], lambda data: engineio.parse_message(text(data), 3)),
    "bytes 3": Target(lambda: MESSAGES[3], lambda data: engineio.parse_message(data, 3)),
    "payloads 4": Target(lambda: PAYLOADS[4], parse_payload(4)),
    "payloads 3": Target(lambda: PAYLOADS[3], parse_payload(3)),
    "binary payloads 3": Target(lambda: PAYLOADS[3], parse_payload(3, binary=True)),
    "packets": Target(lambda: [each[1:] for each in ALL_MESSAGES], parse_socketio),
    "packets, JSON serializer": Target(
        lambda: [each[1:] for each in ALL_MESSAGES], lambda data: JSON.parse(text(data), max_attachments=10)
    ),
    "packets, msgpack": Target(packed, parse_msgpack),
    "JSON": Target(lambda: VALUES, parse_json),
    "frames": Target(framed, parse_frames),
    "close frames": Target(lambda: [b"\x03\xe8bye", b"\x0f\xa0"], frames.parse_close),
    "heads": Target(lambda: HEADS, parse_head),
    "JSONP": Target(lambda: [PAYLOADS[3][-1], b"d=a%5Cnb&x=1"], parse_jsonp),
    "double UTF-8": Target(
        lambda: ALL_MESSAGES, lambda data: oldways.undo_double_utf8(data.decode("latin-1")), may_refuse=False
    ),
    "deflate": Target(lambda: [deflate.compress_once(each * 20, 15) for each in ALL_MESSAGES], decompress),
    "deflate offers": Target(lambda: OFFERS, negotiate, may_refuse=False),
    "session, bytes of a WebSocket": Target(talks, drive_websocket, may_refuse=False),
    "session, steps": Target(lives, drive_peer, may_refuse=False),
}
