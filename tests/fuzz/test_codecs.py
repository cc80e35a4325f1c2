"""Spoilt transcripts against every codec: whatever comes, the only exception is a ProtocolError."""

import contextlib
import random
import zlib
from collections.abc import Callable

import pytest

from tests.support.mutation import FULL, MESSAGES, PAYLOADS, frame, spoil
from truesocket.codec import deflate, engineio, frames, msgpacks, oldways, socketio, upgrade
from truesocket.codec.serializers import JSON
from truesocket.errors import ProtocolError

COUNT = 200_000 if FULL else 10_000

ALL_MESSAGES = MESSAGES[3] + MESSAGES[4]
HEADS = [
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    b"POST http://a/x%20y?z HTTP/1.0\r\nA:\r\nB: \xff\r\n\r\nbody",
]
OFFERS = [
    b"permessage-deflate; client_max_window_bits, x-magic; a=1",
    b'permessage-deflate; server_max_window_bits="10"; server_no_context_takeover; client_no_context_takeover',
]


def text(data: bytes) -> str:
    """As it could come out of a WebSocket."""
    return data.decode("utf-8", "ignore")


def parse_frames(data: bytes) -> None:
    start = 0
    while start < len(data):
        found = frames.parse(data, start, limit=10_000, allow_rsv1=True)
        if isinstance(found, int):
            return
        if found.opcode == frames.Opcode.CLOSE:
            frames.parse_close(found.payload)
        assert start < found.end <= len(data)
        start = found.end


def parse_socketio(data: bytes) -> None:
    packet = socketio.parse(text(data))
    if packet.attachments:
        socketio.reconstruct(packet.data, [b"x"] * packet.attachments)
    again = socketio.build(packet.type, packet.namespace, id=packet.id, attachments=packet.attachments)
    assert again[0] == str(packet.type)


def parse_head(data: bytes) -> None:
    head = upgrade.parse_head(data)
    if head is not None:
        upgrade.accept(upgrade.check(head.method, head.version, head.get))


def negotiate(data: bytes) -> None:
    agreed = deflate.negotiate(data.decode("latin-1"), context_takeover=True)
    if agreed is not None:
        deflate.compress_once(b"x", agreed.server_bits)
        deflate.new_decompressor(agreed.client_bits)


def msgpack(data: bytes) -> None:
    msgpacks.Msgpack().parse(data, max_attachments=10)


def packed() -> list[bytes]:
    import msgpack as library

    packets = [
        {"type": 0, "nsp": "/", "data": {"token": "x"}},
        {"type": 2, "nsp": "/admin", "id": 7, "data": ["say", 1, b"\x00", None, 1.5]},
        {"type": 3, "nsp": "/", "id": 7, "data": [[{}]]},
        {"type": 1, "nsp": "/"},
    ]
    return [library.packb(packet) for packet in packets]


def framed() -> list[bytes]:
    rng = random.Random(0)
    return [frame(rng, message) + frame(rng, b"x" * 200) for message in ALL_MESSAGES]


TARGETS: dict[str, tuple[Callable[[], list[bytes]], Callable[[bytes], object]]] = {
    "messages 4": (lambda: MESSAGES[4], lambda data: engineio.parse_message(text(data), 4)),
    "messages 3": (lambda: MESSAGES[3], lambda data: engineio.parse_message(text(data), 3)),
    "bytes 3": (lambda: MESSAGES[3], lambda data: engineio.parse_message(data, 3)),
    "payloads 4": (lambda: PAYLOADS[4], lambda data: engineio.parse_payload(data, 4)),
    "payloads 3": (lambda: PAYLOADS[3], lambda data: engineio.parse_payload(data, 3)),
    "binary payloads 3": (lambda: PAYLOADS[3], lambda data: engineio.parse_payload(data, 3, binary=True)),
    "packets": (lambda: [each[1:] for each in ALL_MESSAGES], parse_socketio),
    "packets, JSON serializer": (
        lambda: [each[1:] for each in ALL_MESSAGES],
        lambda data: JSON.parse(text(data), max_attachments=10),
    ),
    "packets, msgpack": (packed, msgpack),
    "frames": (framed, parse_frames),
    "close frames": (lambda: [b"\x03\xe8bye", b"\x0f\xa0"], frames.parse_close),
    "heads": (lambda: HEADS, parse_head),
    "JSONP": (lambda: [PAYLOADS[3][-1], b"d=a%5Cnb&x=1"], oldways.parse_jsonp),
    "double UTF-8": (lambda: ALL_MESSAGES, lambda data: oldways.undo_double_utf8(data.decode("latin-1"))),
    "deflate": (
        lambda: [deflate.compress_once(each * 20, 15) for each in ALL_MESSAGES],
        lambda data: deflate.decompress(data, zlib.decompressobj(-15), 5_000),
    ),
    "deflate offers": (lambda: OFFERS, negotiate),
}


@pytest.mark.parametrize("name", TARGETS)
def test_only_a_protocol_error_comes_out(name):
    golden, target = TARGETS[name]
    samples = golden()
    rng = random.Random(name)
    refused = 0
    for _ in range(COUNT):
        data = spoil(rng, rng.choice(samples), samples)
        try:
            target(data)
        except ProtocolError as error:
            refused += bool(str(error))
        except Exception as error:
            error.add_note(f"{name}: {data!r}")
            raise
    assert name in ("double UTF-8", "deflate offers") or COUNT / 100 < refused < COUNT


@pytest.mark.parametrize("name", TARGETS)
def test_pure_noise(name):
    target = TARGETS[name][1]
    rng = random.Random(name)
    for _ in range(COUNT // 10):
        with contextlib.suppress(ProtocolError):
            target(rng.randbytes(rng.randrange(40)))
