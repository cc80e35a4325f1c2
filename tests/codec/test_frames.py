"""RFC 6455, section 5: golden bytes, every split, and a table of what is refused."""

import importlib.util
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import frames
from truesocket.codec.frames import Frame, Opcode
from truesocket.errors import FrameError, TooLarge

KEY = bytes.fromhex("37fa213d")
MAX = 1 << 24

GOLDEN = [
    # RFC 6455, 5.7
    ("810548656c6c6f", None, Opcode.TEXT, True, b"Hello"),
    ("818537fa213d7f9f4d5158", KEY, Opcode.TEXT, True, b"Hello"),
    ("010348656c", None, Opcode.TEXT, False, b"Hel"),
    ("80026c6f", None, Opcode.CONTINUATION, True, b"lo"),
    ("890548656c6c6f", None, Opcode.PING, True, b"Hello"),
    ("8a8537fa213d7f9f4d5158", KEY, Opcode.PONG, True, b"Hello"),
    ("827e0100" + "2a" * 256, None, Opcode.BINARY, True, b"*" * 256),
    ("827f0000000000010000" + "2a" * 65536, None, Opcode.BINARY, True, b"*" * 65536),
]


@pytest.mark.parametrize(("wire", "key", "opcode", "fin", "payload"), GOLDEN)
def test_golden_bytes_of_the_rfc(wire, key, opcode, fin, payload):
    data = bytes.fromhex(wire)
    assert frames.build(opcode, payload, fin=fin, key=key) == data
    frame = frames.parse(data, limit=MAX, masked=key is not None)
    assert frame == Frame(opcode, payload, fin, False, len(data))
    assert isinstance(frame, Frame)
    assert type(frame.payload) is bytes


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536])
def test_every_length_form_comes_back(length, key, kind):
    payload = bytes(range(256)) * (length // 256 + 1)
    payload = payload[:length]
    data = kind(b"??" + frames.build(Opcode.BINARY, payload, key=key) + b"next")
    frame = frames.parse(data, 2, limit=MAX, masked=key is not None)
    assert frame == Frame(Opcode.BINARY, payload, True, False, len(data) - 4)
    assert type(frame.payload) is bytes


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("length", [0, 5, 125, 126, 300, 65_536])
def test_every_split_says_how_much_is_needed(length, masked):
    """What ``parse`` asks for is more than there is, and is never more than the frame."""
    data = frames.build(Opcode.TEXT, b"x" * length, key=KEY if masked else None)
    splits = range(len(data)) if length <= 300 else [*range(20), len(data) // 2, len(data) - 1]
    for split in splits:
        needed = frames.parse(b"--" + data[:split], 2, limit=MAX, masked=masked)
        assert isinstance(needed, int)
        assert split < needed <= len(data)
    assert isinstance(frames.parse(data, limit=MAX, masked=masked), Frame)


@pytest.mark.parametrize(
    ("wire", "needed"),
    [
        ("", 2),
        ("81", 2),
        ("8185", 11),
        ("81fe", 4),
        ("81fe01", 4),
        ("81fe0100", 8 + 256),
        ("81ff", 10),
        ("81ff00000000000100", 10),
        ("81ff0000000000010000", 14 + 65536),
    ],
)
def test_steps_of_an_incomplete_frame(wire, needed):
    assert frames.parse(bytes.fromhex(wire), limit=MAX) == needed


@pytest.mark.parametrize(
    ("wire", "masked", "text"),
    [
        ("a180", True, "RSV2"),
        ("9180", True, "RSV2 or RSV3"),
        ("c180", True, "no extension"),
        ("8380", True, "opcode 3 is reserved"),
        ("8b80", True, "opcode 11 is reserved"),
        ("0980", True, "fragmented"),
        ("c980", True, "RSV1 is set on a control frame"),
        ("89fe", True, "more than 125 bytes"),
        ("88ff", True, "more than 125 bytes"),
        ("8100", True, "must be masked"),
        ("8180", False, "must not be masked"),
        ("81fe007d", True, "shortest form"),
        ("81ff000000000000ffff", True, "shortest form"),
        ("81ff8000000000010000", True, "highest bit"),
    ],
)
def test_what_the_rfc_forbids_is_refused_by_the_header_alone(wire, masked, text):
    with pytest.raises(FrameError, match=text) as caught:
        frames.parse(bytes.fromhex(wire), limit=MAX, masked=masked)
    assert caught.value.close_code == 1002


@pytest.mark.parametrize(("wire", "limit"), [("8185", 4), ("81fe0100", 255), ("81ff0000000000010000", 65_535)])
def test_too_large_is_known_before_the_payload(wire, limit):
    header = bytes.fromhex(wire)
    with pytest.raises(TooLarge, match="max_payload") as caught:
        frames.parse(header, limit=limit)
    assert caught.value.close_code == 1009
    assert isinstance(frames.parse(header, limit=limit + 1), int)


def test_rsv1_is_for_an_agreed_extension():
    data = frames.build(Opcode.TEXT, b"squeezed", rsv1=True)
    assert data[0] == 0xC1
    frame = frames.parse(data, limit=MAX, masked=False, allow_rsv1=True)
    assert frame == Frame(Opcode.TEXT, b"squeezed", True, True, len(data))
    with pytest.raises(FrameError):
        frames.parse(frames.build(Opcode.PING, b"", rsv1=True), limit=MAX, masked=False, allow_rsv1=True)


@pytest.mark.parametrize(("payload", "fin"), [(b"x" * 126, True), (b"", False)])
def test_control_frames_that_cannot_be_built(payload, fin):
    with pytest.raises(ValueError, match=r"RFC 6455, 5\.5"):
        frames.build(Opcode.PING, payload, fin=fin)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_is_its_own_inverse_and_both_ways_agree(payload, key):
    masked = frames.mask(payload, key)
    assert masked == bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    assert frames.mask_in_python(payload, key) == masked
    assert frames.mask_in_python(bytearray(payload), bytearray(key)) == masked
    assert frames.mask(masked, key) == payload


def test_without_the_compiled_speedups_python_masks(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    spec = importlib.util.spec_from_file_location("frames_without_speedups", frames.__file__)
    second = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(second)
    assert second.mask is second.mask_in_python
    assert second.build(Opcode.TEXT, b"Hello", key=KEY).hex() == "818537fa213d7f9f4d5158"


@given(
    st.sampled_from([Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY]),
    st.binary(max_size=400),
    st.booleans(),
    st.booleans(),
    st.none() | st.binary(min_size=4, max_size=4),
)
def test_build_and_parse_agree(opcode, payload, fin, rsv1, key):
    data = frames.build(opcode, payload, fin=fin, rsv1=rsv1, key=key)
    frame = frames.parse(data, limit=400, masked=key is not None, allow_rsv1=True)
    assert frame == Frame(opcode, payload, fin, rsv1, len(data))


@given(st.binary(max_size=40), st.booleans())
def test_garbage_gives_a_frame_a_number_or_a_protocol_error(data, masked):
    try:
        result = frames.parse(data, limit=1000, masked=masked)
    except (FrameError, TooLarge):
        return
    if isinstance(result, Frame):
        assert result.end <= len(data)
    else:
        assert len(data) < result


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        (1000, "", b"\x03\xe8"),
        (1001, "going away", b"\x03\xe9going away"),
        (4999, "€", b"\x13\x87\xe2\x82\xac"),
        (1005, "unheard", b""),
        (1006, "unheard", b""),
    ],
)
def test_close_payloads(code, reason, payload):
    assert frames.build_close(code, reason) == payload
    assert frames.parse_close(payload) == ((code, reason) if payload else (1005, ""))


def test_long_close_reason_is_cut_between_characters():
    assert frames.build_close(1000, "€" * 100) == b"\x03\xe8" + ("€" * 41).encode()
    assert frames.build_close(1000, "x" + "€" * 100) == b"\x03\xe8x" + ("€" * 40).encode()
    assert frames.build_close(1000, "\ud800") == b"\x03\xe8?"


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
def test_close_codes_that_may_be_sent(code):
    assert frames.parse_close(code.to_bytes(2, "big") + b"ok") == (code, "ok")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535])
def test_close_codes_that_must_not_be_sent(code):
    with pytest.raises(FrameError, match=str(code)) as caught:
        frames.parse_close(code.to_bytes(2, "big"))
    assert caught.value.close_code == 1002


@pytest.mark.parametrize(
    ("payload", "close_code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xe2\x82", 1007)]
)
def test_broken_close_payloads(payload, close_code):
    with pytest.raises(FrameError) as caught:
        frames.parse_close(payload)
    assert caught.value.close_code == close_code
