"""permessage-deflate on one connection: both ways, with and without context takeover."""

import pytest

from truesocket.codec import deflate, frames
from truesocket.codec.frames import Opcode
from truesocket.codec.parcel import Parcel
from truesocket.errors import TooLarge
from truesocket.session.compression import Compression
from truesocket.session.websocket import WebSocket

KEY = b"\x01\x02\x03\x04"
TEXT = "the same words again and again, " * 50


class Listener:
    """Writes down what a WebSocket reports."""

    writable = True

    def __init__(self):
        self.messages, self.written, self.end = [], b"", None

    def write(self, data):
        self.written += data

    def received(self, message):
        self.messages.append(message)

    def finished(self, code, reason):
        self.end = code


def agree(takeover):
    agreed = deflate.negotiate("permessage-deflate; client_max_window_bits", context_takeover=takeover)
    assert agreed is not None
    return agreed


def unframe(data):
    """The frames of a server."""
    found, start = [], 0
    while start < len(data):
        frame = frames.parse(data, start, limit=10**7, masked=False, allow_rsv1=True)
        assert isinstance(frame, frames.Frame)
        found.append(frame)
        start = frame.end
    return found


def opened(takeover=False, limit=10_000):
    listener = Listener()
    return listener, WebSocket(listener, limit, Compression(agree(takeover), threshold=100))


def masked(opcode, payload, *, fin=True, rsv1=False):
    return frames.build(opcode, payload, fin=fin, rsv1=rsv1, key=KEY)


def test_small_messages_go_as_they_are_and_large_ones_compressed():
    compression = Compression(agree(False), threshold=100)
    small, large = Parcel('2["a"]'), Parcel(f'2["a","{TEXT}"]')
    assert compression.frames(small, 4) == small.frames(4)
    (frame,) = unframe(compression.frames(large, 4))
    assert (frame.opcode, frame.rsv1) == (Opcode.TEXT, True)
    assert len(frame.payload) < len(TEXT) / 5
    assert deflate.decompress(frame.payload, deflate.new_decompressor(15), 10_000) == f'42["a","{TEXT}"]'.encode()


def test_without_takeover_a_broadcast_is_compressed_once():
    parcel = Parcel(f'2["a","{TEXT}"]', (b"x" * 500,))
    one, two = (Compression(agree(False), threshold=100) for _ in range(2))
    assert one.frames(parcel, 4) is two.frames(parcel, 4)
    assert one.frames(parcel, 3) is two.frames(parcel, 3)
    assert one.frames(parcel, 3) != one.frames(parcel, 4)


def test_with_takeover_the_second_message_is_shorter():
    compression = Compression(agree(True), threshold=0)
    window = deflate.new_decompressor(15)
    sizes = []
    for _ in range(2):
        (frame,) = unframe(compression.frame(TEXT))
        assert deflate.decompress(frame.payload, window, 10_000) == TEXT.encode()
        sizes.append(len(frame.payload))
    assert sizes[1] < sizes[0]


def test_one_message_without_takeover():
    (frame,) = unframe(Compression(agree(False), threshold=10).frame(b"x" * 99))
    assert (frame.opcode, frame.rsv1) == (Opcode.BINARY, True)


@pytest.mark.parametrize("takeover", [False, True])
def test_what_comes_compressed_is_read(takeover):
    listener, websocket = opened(takeover)
    window = deflate.new_compressor(15)
    for number in range(3):
        message = f"{TEXT}{number}".encode()
        payload = deflate.compress(message, window if takeover else deflate.new_compressor(15))
        websocket.receive(masked(Opcode.TEXT, payload, rsv1=True))
    assert listener.messages == [f"{TEXT}{number}" for number in range(3)]


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_a_compressed_message_in_fragments(opcode):
    listener, websocket = opened()
    payload = deflate.compress_once(TEXT.encode(), 15)
    websocket.receive(masked(opcode, payload[:5], fin=False, rsv1=True))
    websocket.receive(masked(Opcode.PING, b"between"))
    websocket.receive(masked(Opcode.CONTINUATION, payload[5:]))
    assert listener.messages == [TEXT if opcode is Opcode.TEXT else TEXT.encode()]
    assert unframe(listener.written)[0].opcode == Opcode.PONG


def test_what_comes_uncompressed_is_read_too():
    listener, websocket = opened()
    websocket.receive(masked(Opcode.TEXT, b"plain"))
    assert listener.messages == ["plain"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([masked(Opcode.TEXT, b"\xff\xff\xff", rsv1=True)], 1007),
        ([masked(Opcode.TEXT, deflate.compress_once(b"\xff\xfe", 15), rsv1=True)], 1007),
        ([masked(Opcode.TEXT, deflate.compress_once(bytes(20_000), 15), rsv1=True)], 1009),
        ([masked(Opcode.TEXT, b"a", fin=False, rsv1=True), masked(Opcode.CONTINUATION, b"b", rsv1=True)], 1002),
        ([masked(Opcode.TEXT, b"a", fin=False), masked(Opcode.CONTINUATION, b"b", rsv1=True)], 1002),
    ],
    ids=["no deflate data", "no UTF-8", "a bomb", "RSV1 on a continuation", "RSV1 on a continuation only"],
)
def test_what_breaks_a_rule_closes(sent, code):
    listener, websocket = opened()
    for data in sent:
        websocket.receive(data)
    assert listener.end == code
    assert listener.messages == []


def test_rsv1_without_an_agreement_closes():
    listener = Listener()
    WebSocket(listener, 1000).receive(masked(Opcode.TEXT, b"x", rsv1=True))
    assert listener.end == 1002


def test_a_bomb_is_stopped_while_it_unfolds():
    compression = Compression(agree(True), threshold=0)
    with pytest.raises(TooLarge):
        compression.decompress(deflate.compress_once(bytes(10_000_000), 15), 1000)
