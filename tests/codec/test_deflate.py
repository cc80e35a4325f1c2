"""permessage-deflate: the examples of RFC 7692, and every offer that a client may make."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import deflate
from truesocket.errors import FrameError, TooLarge

HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692, 7.2.3.1
AGAIN = bytes.fromhex("f200110000")  # 7.2.3.2: the same message through the window of the first
STORED = bytes.fromhex("000500faff48656c6c6f00")  # 7.2.3.3: a block without compression
FINAL = bytes.fromhex("f348cdc9c9070000")  # 7.2.3.4: a block with BFINAL
TWO_BLOCKS = bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))  # 7.2.3.5


@pytest.mark.parametrize("payload", [HELLO, STORED, FINAL, TWO_BLOCKS], ids=["plain", "stored", "final", "two blocks"])
def test_rfc_7692_7_2_3(payload):
    assert deflate.decompress(payload, deflate.new_decompressor(15), 100) == b"Hello"


def test_rfc_7692_7_2_3_2_sharing_the_window():
    window = deflate.new_decompressor(15)
    assert deflate.decompress(HELLO, window, 100) == b"Hello"
    assert deflate.decompress(AGAIN, window, 100) == b"Hello"


@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(9, 15))
def test_round_trip_with_a_window(messages, bits):
    ours, theirs = deflate.new_compressor(bits), deflate.new_decompressor(bits)
    for message in messages:
        assert deflate.decompress(deflate.compress(message, ours), theirs, 2000) == message


@given(st.binary(max_size=2000), st.integers(9, 15))
def test_round_trip_without_a_window(message, bits):
    payload = deflate.compress_once(message, bits)
    assert payload == deflate.compress_once(message, bits)
    assert deflate.decompress(payload, deflate.new_decompressor(bits), 2000) == message


def test_a_bomb_is_stopped_at_the_limit():
    bomb = deflate.compress_once(bytes(50_000_000), 15)
    assert len(bomb) < 300_000
    with pytest.raises(TooLarge, match="more than 1000 bytes"):
        deflate.decompress(bomb, deflate.new_decompressor(15), 1000)


def test_exactly_the_limit_passes():
    payload = deflate.compress_once(bytes(1000), 15)
    assert len(deflate.decompress(payload, deflate.new_decompressor(15), 1000)) == 1000
    with pytest.raises(TooLarge):
        deflate.decompress(payload, deflate.new_decompressor(15), 999)


@pytest.mark.parametrize("payload", [b"\xff\xff\xff", b"\x07", b"\x01\x05\x00\x00\x00hello"])
def test_what_is_no_deflate_data(payload):
    with pytest.raises(FrameError) as caught:
        deflate.decompress(payload, deflate.new_decompressor(15), 1000)
    assert caught.value.close_code == 1007


@pytest.mark.parametrize(
    ("offers", "takeover", "bits", "header"),
    [
        ("permessage-deflate", True, 15, "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits",
            False,
            15,
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        ),
        (
            "permessage-deflate; client_max_window_bits",
            True,
            12,
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            'permessage-deflate; server_max_window_bits="10"; server_no_context_takeover',
            True,
            15,
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
        ),
        ("permessage-deflate; client_max_window_bits=8", True, 15, "permessage-deflate; client_max_window_bits=8"),
        ("permessage-deflate; client_no_context_takeover", True, 15, "permessage-deflate"),
        ("x-webkit-deflate-frame, permessage-deflate", True, 15, "permessage-deflate"),
        ("permessage-deflate; wrong, permessage-deflate", True, 15, "permessage-deflate"),
        ("PerMessage-Deflate", True, 15, "permessage-deflate"),
    ],
)
def test_offers_that_are_accepted(offers, takeover, bits, header):
    agreed = deflate.negotiate(offers, context_takeover=takeover, window_bits=bits)
    assert agreed is not None
    assert agreed.header == header
    assert agreed.server_takeover is ("server_no_context_takeover" not in header)
    assert agreed.client_takeover is ("client_no_context_takeover" not in header)


@pytest.mark.parametrize(
    "offers",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; =1",
    ],
)
def test_offers_that_are_declined(offers):
    assert deflate.negotiate(offers, context_takeover=True) is None


def test_a_window_bounds_what_a_connection_holds():
    agreed = deflate.negotiate("permessage-deflate; client_max_window_bits", context_takeover=True, window_bits=9)
    assert agreed is not None
    assert (agreed.server_bits, agreed.client_bits) == (9, 9)
    far = b"needle" + bytes(range(256)) * 4 + b"needle"
    assert deflate.decompress(deflate.compress_once(far, 9), zlib.decompressobj(-9), 5000) == far
