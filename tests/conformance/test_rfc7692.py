"""RFC 7692, "Compression Extensions for WebSocket", section by section, on raw sockets.

The server is `truesocket.testing.websocket_echo --compression`, without and with context takeover.  The deflate of this
side is zlib, told by hand what the RFC says.
"""

import os
import zlib
from collections.abc import Iterator

import pytest

from tests.support.raw_websocket import BINARY, CLOSE, CONT, PING, PONG, RSV1, TEXT, Raw, frame
from tests.support.servers import Server, running

TAIL = b"\x00\x00\xff\xff"
LIMIT = 1_000_000
TEXT_OF_SOME_LENGTH = b"the quick brown fox jumps over the lazy dog; " * 20


@pytest.fixture(scope="module")
def plain() -> Iterator[Server]:
    """No compression."""
    with running("truesocket.testing.websocket_echo", "{port}") as server:
        yield server


@pytest.fixture(scope="module")
def once() -> Iterator[Server]:
    """Every message by itself."""
    with running("truesocket.testing.websocket_echo", "{port}", "--compression", "--limit", str(LIMIT)) as server:
        yield server


@pytest.fixture(scope="module")
def takeover() -> Iterator[Server]:
    """Windows go on from message to message."""
    options = ("--compression", "--context-takeover", "--limit", str(LIMIT))
    with running("truesocket.testing.websocket_echo", "{port}", *options) as server:
        yield server


def offer(text: str = "permessage-deflate") -> list[tuple[str, str]]:
    return [("Sec-WebSocket-Extensions", text)]


def parameters(ws: Raw) -> set[str]:
    """What was agreed to, without the extension's name."""
    name, *rest = (part.strip() for part in ws.extensions.split(";"))
    assert name == "permessage-deflate"
    return set(rest)


def deflated(payload: bytes, bits: int = 15, level: int = 6) -> bytes:
    """A message of its own (7.2.1)."""
    window = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (window.compress(payload) + window.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def inflated(payload: bytes, bits: int = 15) -> bytes:
    return zlib.decompressobj(-bits).decompress(payload + TAIL)


def echoed(ws: Raw, opcode: int, payload: bytes) -> None:
    """A compressed message comes back, compressed."""
    ws.send(frame(opcode, deflated(payload), bits=RSV1))
    found, data = ws.receive()
    assert (found, ws.bits) == (opcode, RSV1)
    assert inflated(data) == payload


# --- 7.1 negotiation --------------------------------------------------------------------------------------------------


def test_5_nothing_is_agreed_to_that_was_not_offered(once):
    with Raw(once.port) as ws:
        assert ws.extensions == ""
        ws.send(frame(TEXT, b"x"))
        assert ws.receive() == (TEXT, b"x")
        assert ws.bits == 0


def test_5_server_without_compression_declines(plain):
    with Raw(plain.port, offer()) as ws:
        assert ws.extensions == ""
        ws.send(frame(TEXT, deflated(b"x"), bits=RSV1))
        assert ws.close_code() == 1002


def test_7_1_plain_offer(once, takeover):
    with Raw(once.port, offer()) as ws:
        assert parameters(ws) == {"server_no_context_takeover", "client_no_context_takeover"}
    with Raw(takeover.port, offer()) as ws:
        assert parameters(ws) == set()


def test_7_1_1_1_server_no_context_takeover_is_heeded(takeover):
    with Raw(takeover.port, offer("permessage-deflate; server_no_context_takeover")) as ws:
        assert "server_no_context_takeover" in parameters(ws)
        for _ in range(3):
            ws.send(frame(TEXT, TEXT_OF_SOME_LENGTH))
            assert inflated(ws.receive()[1]) == TEXT_OF_SOME_LENGTH  # a fresh window each time


@pytest.mark.parametrize("bits", range(9, 16))
def test_7_1_2_1_server_max_window_bits_is_heeded(once, takeover, bits):
    payload = os.urandom(300) * 40  # repeats itself in 300 bytes
    for server in (once, takeover):
        with Raw(server.port, offer(f"permessage-deflate; server_max_window_bits={bits}")) as ws:
            agreed = parameters(ws)
            assert (f"server_max_window_bits={bits}" in agreed) or bits == 15
            ws.send(frame(BINARY, payload))
            assert inflated(ws.receive()[1], bits) == payload


def test_7_1_2_1_a_window_that_zlib_cannot_write_is_declined(once):
    with Raw(once.port, offer("permessage-deflate; server_max_window_bits=8")) as ws:
        assert ws.extensions == ""


@pytest.mark.parametrize("value", ["", "=8", "=10", "=15"])
def test_7_1_2_2_client_max_window_bits(once, value):
    with Raw(once.port, offer(f"permessage-deflate; client_max_window_bits{value}")) as ws:
        bits = int(value[1:] or 15)
        for agreed in parameters(ws):
            if agreed.startswith("client_max_window_bits="):
                assert int(agreed.partition("=")[2]) <= bits
        ws.send(frame(BINARY, deflated(TEXT_OF_SOME_LENGTH, max(bits, 9)), bits=RSV1))
        assert inflated(ws.receive()[1]) == TEXT_OF_SOME_LENGTH


def test_7_1_2_2_client_max_window_bits_is_never_sent_unasked(once, takeover):
    for server in (once, takeover):
        with Raw(server.port, offer()) as ws:
            assert "client_max_window_bits" not in ws.extensions


@pytest.mark.parametrize(
    "bad",
    [
        "permessage-deflate; x",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
        "permessage-bzip2",
        ";",
        ",",
    ],
)
def test_7_1_bad_offers_are_declined_and_the_next_one_is_taken(once, bad):
    with Raw(once.port, offer(bad)) as ws:
        assert ws.extensions == ""
    with Raw(once.port, offer(f"{bad}, permessage-deflate")) as ws:
        assert ws.extensions.startswith("permessage-deflate")
        echoed(ws, TEXT, b"x")


def test_5_offers_in_several_headers(once):
    with Raw(once.port, [*offer("x-magic"), *offer()]) as ws:
        assert ws.extensions.startswith("permessage-deflate")


def test_7_1_quoted_values(once):
    with Raw(once.port, offer('permessage-deflate; server_max_window_bits="10"')) as ws:
        assert "server_max_window_bits=10" in ws.extensions.replace('"', "")


# --- 7.2 messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("payload", [b"", b"x", TEXT_OF_SOME_LENGTH, b"*" * 100_000])
def test_7_2_1_compressed_message(once, takeover, opcode, payload):
    for server in (once, takeover):
        with Raw(server.port, offer()) as ws:
            ws.send(frame(opcode, deflated(payload), bits=RSV1))
            found, data = ws.receive()
            assert found == opcode
            assert (inflated(data) if ws.bits == RSV1 else data) == payload


def test_7_2_3_1_the_example(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, bytes.fromhex("f248cdc9c90700"), bits=RSV1))
        assert inflated(ws.receive()[1]) == b"Hello"


def test_7_2_3_1_the_example_in_fragments(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, bytes.fromhex("f248cd"), bits=RSV1, fin=False) + frame(CONT, bytes.fromhex("c9c90700")))
        assert inflated(ws.receive()[1]) == b"Hello"


def test_7_2_3_2_sharing_the_window(takeover):
    with Raw(takeover.port, offer()) as ws:
        window = zlib.decompressobj(-15)
        for sent in ("f248cdc9c90700", "f200110000"):
            ws.send(frame(TEXT, bytes.fromhex(sent), bits=RSV1))
            assert window.decompress(ws.receive()[1] + TAIL) == b"Hello"


def test_7_2_3_3_a_block_without_compression(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), bits=RSV1))
        assert inflated(ws.receive()[1]) == b"Hello"


def test_7_2_3_4_a_block_with_bfinal(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, bytes.fromhex("f348cdc9c9070000"), bits=RSV1))
        assert inflated(ws.receive()[1]) == b"Hello"


def test_7_2_3_4_a_block_with_bfinal_and_the_window_behind_it(takeover):
    with Raw(takeover.port, offer()) as ws:
        window = zlib.decompressobj(-15)
        for sent in ("f348cdc9c9070000", "f248cdc9c90700"):
            ws.send(frame(TEXT, bytes.fromhex(sent), bits=RSV1))
            assert window.decompress(ws.receive()[1] + TAIL) == b"Hello"


def test_7_2_3_5_two_blocks(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, bytes.fromhex("f248050000 00ffff cac9c90700".replace(" ", "")), bits=RSV1))
        assert inflated(ws.receive()[1]) == b"Hello"


def test_7_2_3_6_an_empty_message(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, b"\x00", bits=RSV1))
        found, data = ws.receive()
        assert (found, inflated(data) if ws.bits else data) == (TEXT, b"")


def test_6_messages_may_come_as_they_are(once):
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, TEXT_OF_SOME_LENGTH))
        assert inflated(ws.receive()[1]) == TEXT_OF_SOME_LENGTH
        echoed(ws, TEXT, b"and compressed again")


def test_7_2_client_carries_its_window_on(takeover):
    with Raw(takeover.port, offer()) as ws:
        mine, theirs = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)
        noise = os.urandom(500)
        sizes = []
        for _ in range(4):
            sent = mine.compress(noise) + mine.flush(zlib.Z_SYNC_FLUSH)
            ws.send(frame(BINARY, sent.removesuffix(TAIL), bits=RSV1))
            data = ws.receive()[1]
            sizes.append(len(data))
            assert theirs.decompress(data + TAIL) == noise
        assert sizes[0] > 500
        assert max(sizes[1:]) < 50  # the server carries its own on, too


def test_7_1_1_2_client_that_promised_to_carry_nothing_on(takeover):
    with Raw(takeover.port, offer("permessage-deflate; client_no_context_takeover")) as ws:
        theirs = zlib.decompressobj(-15)
        for _ in range(3):
            ws.send(frame(TEXT, deflated(TEXT_OF_SOME_LENGTH), bits=RSV1))
            assert theirs.decompress(ws.receive()[1] + TAIL) == TEXT_OF_SOME_LENGTH


def test_6_1_fragments_with_control_frames_between(once):
    data = deflated(TEXT_OF_SOME_LENGTH)
    with Raw(once.port, offer()) as ws:
        ws.send(frame(TEXT, data[:5], bits=RSV1, fin=False) + frame(PING, b"p"))
        assert ws.receive() == (PONG, b"p")
        for byte in data[5:]:
            ws.send(frame(CONT, bytes([byte]), fin=False))
        ws.send(frame(CONT, b""))
        assert inflated(ws.receive()[1]) == TEXT_OF_SOME_LENGTH


def test_7_2_1_text_cut_in_the_middle_of_a_character(once):
    data = deflated("€😀".encode())
    with Raw(once.port, offer()) as ws:
        for at in range(len(data)):
            ws.send(frame(CONT if at else TEXT, data[at : at + 1], bits=0 if at else RSV1, fin=False))
        ws.send(frame(CONT, b""))
        assert inflated(ws.receive()[1]) == "€😀".encode()


# --- what is wrong ----------------------------------------------------------------------------------------------------


def fails(server: Server, sent: bytes, code: int) -> None:
    with Raw(server.port, offer()) as ws:
        ws.send(sent)
        assert ws.close_code() == code
        ws.assert_end()


def test_6_1_rsv1_on_a_continuation(once):
    fails(once, frame(TEXT, deflated(b"x"), bits=RSV1, fin=False) + frame(CONT, b"", bits=RSV1), 1002)


def test_6_1_rsv1_on_the_continuation_of_a_message_as_it_is(once):
    fails(once, frame(TEXT, b"x", fin=False) + frame(CONT, deflated(b"x"), bits=RSV1), 1002)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_6_1_rsv1_on_a_control_frame(once, opcode):
    fails(once, frame(opcode, b"", bits=RSV1), 1002)


@pytest.mark.parametrize("bits", [RSV1 | 0x20, RSV1 | 0x10, 0x20, 0x10])
def test_6_the_other_reserved_bits_stay_reserved(once, bits):
    fails(once, frame(TEXT, deflated(b"x"), bits=bits), 1002)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xff\xff",
        b"\x07",
        b"\x00\x05\x00\x00\x00hello",
        deflated(b"x" * 99)[:-2] + b"\xff\xff\xff",
    ],
)
def test_7_2_2_what_is_no_deflate(once, takeover, garbage):
    fails(once, frame(BINARY, garbage, bits=RSV1), 1007)
    fails(takeover, frame(BINARY, garbage, bits=RSV1), 1007)


def test_7_2_2_compressed_text_that_is_not_utf8(once):
    fails(once, frame(TEXT, deflated(b"\xff"), bits=RSV1), 1007)


def test_7_2_2_reference_behind_the_window(takeover):
    """A message that leans on what the client never sent."""
    window = zlib.compressobj(6, zlib.DEFLATED, -15)
    window.compress(TEXT_OF_SOME_LENGTH)
    window.flush(zlib.Z_SYNC_FLUSH)
    second = (window.compress(TEXT_OF_SOME_LENGTH) + window.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
    fails(takeover, frame(TEXT, second, bits=RSV1), 1007)


def test_7_2_3_4_message_that_ends_again_and_again(once):
    """Each end costs a window: there is a bound."""
    fails(once, frame(BINARY, b"\x03\x00" * 100_000, bits=RSV1), 1007)


# --- bombs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [LIMIT + 1, 100_000_000])
def test_8_bombs_fail_at_the_limit(once, takeover, size):
    bomb = deflated(bytes(size), level=9)
    assert len(bomb) < LIMIT / 5
    for server in (once, takeover):
        fails(server, frame(BINARY, bomb, bits=RSV1), 1009)


def test_8_bomb_in_fragments(once):
    bomb = deflated(bytes(10 * LIMIT), level=9)
    middle = len(bomb) // 2
    fails(once, frame(BINARY, bomb[:middle], bits=RSV1, fin=False) + frame(CONT, bomb[middle:]), 1009)


def test_8_message_of_exactly_the_limit(once, takeover):
    for server in (once, takeover):
        with Raw(server.port, offer()) as ws:
            ws.send(frame(BINARY, deflated(bytes(LIMIT)), bits=RSV1))
            assert inflated(ws.receive()[1]) == bytes(LIMIT)
