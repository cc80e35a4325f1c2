"""Engine.IO packets and payloads, revisions 3 and 4; golden bytes of the official suites and servers."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import engineio
from truesocket.codec.engineio import CLOSE, MESSAGE, NOOP, OPEN, PING, PONG, UPGRADE, EnginePacket
from truesocket.errors import PacketError

HELLO = EnginePacket(MESSAGE, "hello")
BYTES = EnginePacket(MESSAGE, b"\x01\x02\x03\x04")

texts = st.builds(EnginePacket, st.sampled_from("0123456"), st.text(st.characters(exclude_categories=["Cs"])))
packets = st.lists(texts | st.builds(EnginePacket, st.just(MESSAGE), st.binary(max_size=300)), min_size=1, max_size=8)


def test_open_packet_writes_whole_milliseconds():
    assert engineio.build_open("abc", ["websocket"], 0.5, 20, 1_000_000) == (
        '{"sid":"abc","upgrades":["websocket"],"pingInterval":500,"pingTimeout":20000,"maxPayload":1000000}'
    )
    assert json.loads(engineio.build_open("abc", (), 0.0015, 1.001, 5)) == {
        "sid": "abc",
        "upgrades": [],
        "pingInterval": 2,
        "pingTimeout": 1001,
        "maxPayload": 5,
    }


@pytest.mark.parametrize(
    ("packet", "revision", "message"),
    [
        (EnginePacket(OPEN, "{}"), 4, "0{}"),
        (EnginePacket(CLOSE), 3, "1"),
        (EnginePacket(PING, "probe"), 4, "2probe"),
        (EnginePacket(PONG, "probe"), 3, "3probe"),
        (HELLO, 4, "4hello"),
        (EnginePacket(MESSAGE), 4, "4"),
        (EnginePacket(UPGRADE), 4, "5"),
        (EnginePacket(NOOP), 4, "6"),
        (BYTES, 4, b"\x01\x02\x03\x04"),
        (BYTES, 3, b"\x04\x01\x02\x03\x04"),
        (EnginePacket(MESSAGE, b""), 4, b""),
        (EnginePacket(MESSAGE, b""), 3, b"\x04"),
    ],
)
def test_messages(packet, revision, message):
    assert engineio.build_message(packet, revision) == message
    parsed = engineio.parse_message(message, revision)
    assert parsed == packet
    assert isinstance(parsed, EnginePacket)


@pytest.mark.parametrize(("text", "revision"), [("bAQIDBA==", 4), ("b4AQIDBA==", 3)])
def test_base64_is_read_on_any_transport(text, revision):
    assert engineio.parse_message(text, revision) == BYTES


@pytest.mark.parametrize(
    ("message", "revision"),
    [
        ("", 4),
        ("7", 4),
        ("abc", 4),
        ("é", 4),
        ("\u0664hello", 4),  # an Arabic four
        ("b?", 4),
        ("bAQIDBA", 4),
        ("bAQ=IDBA==", 4),
        ("bé", 4),
        ("bAQIDBA==", 3),
        ("b", 3),
        ("b5AQIDBA==", 3),
        ("", 3),
        (b"", 3),
        (b"\x00open", 3),
        (b"\x02", 3),
        (b"\x07", 3),
        (b"4hello", 3),
    ],
)
def test_messages_nobody_can_read(message, revision):
    with pytest.raises(PacketError):
        engineio.parse_message(message, revision)


@pytest.mark.parametrize(
    ("body", "revision", "binary", "expected"),
    [
        (b"4hello", 4, False, [HELLO]),
        (b"4hello\x1e2\x1e4\xe2\x82\xac", 4, False, [HELLO, EnginePacket(PING), EnginePacket(MESSAGE, "€")]),
        (b"4hello\x1ebAQIDBA==", 4, False, [HELLO, BYTES]),
        (b"6:4hello2:4\xe2\x82\xac", 3, False, [HELLO, EnginePacket(MESSAGE, "€")]),
        ("3:4😀4:4😀€1:2".encode(), 3, False, [(MESSAGE, "😀"), (MESSAGE, "😀€"), (PING, "")]),
        (b'12:42["back",1]41:461-0["ok",{"_placeholder":true,"num":0}]6:b4CQ==', 3, False,
         [(MESSAGE, '2["back",1]'), (MESSAGE, '61-0["ok",{"_placeholder":true,"num":0}]'), (MESSAGE, b"\t")]),
        (bytes([0, 6, 255]) + b"4hello" + bytes([1, 5, 255, 4, 1, 2, 3, 4]), 3, True, [HELLO, BYTES]),
        (b"\x00\x02\x00\xff" + '42["back","€😀"]'.encode() + b"\x01\x02\xff\x04\t", 3, True,
         [(MESSAGE, '2["back","€😀"]'), (MESSAGE, b"\t")]),
    ],
)  # fmt: skip
def test_golden_payloads(body, revision, binary, expected):
    assert engineio.parse_payload(body, revision, binary=binary) == expected
    assert engineio.build_payload([EnginePacket(*one) for one in expected], revision, binary=binary) == body


@pytest.mark.parametrize(
    ("body", "revision", "binary"),
    [
        (b"", 4, False),
        (b"\xff", 4, False),
        (b"4a\x1e", 4, False),
        (b"\x1e4a", 4, False),
        (b"4a\x1e\x1e4b", 4, False),
        (b"abc", 4, False),
        (b"\x00\x01\xff2", 4, True),
        (b"", 3, False),
        (b"\xff", 3, False),
        (b"4hello", 3, False),
        (b":4hello", 3, False),
        (b"0:", 3, False),
        (b"-1:4", 3, False),
        (b"+6:4hello", 3, False),
        (b" 6:4hello", 3, False),
        (b"1_0:4hello", 3, False),
        ("٦:4hello".encode(), 3, False),
        (b"7:4hello", 3, False),
        (b"5:4hello", 3, False),
        (b"6:4hello1", 3, False),
        (b"11111111111:4", 3, False),
        (b"9999999999:4", 3, False),
        ("2:4😀".encode(), 3, False),
        (b"", 3, True),
        (b"\x02\x01\xff2", 3, True),
        (b"\x00\xff2", 3, True),
        (b"\x00\x0a\xff2", 3, True),
        (b"\x00\x01", 3, True),
        (b"\x00", 3, True),
        (b"\x00\x02\xff2", 3, True),
        (b"\x00\x02\xff4\xff", 3, True),
        (b"\x00\x00\xff", 3, True),
        (b"\x01\x00\xff", 3, True),
        (b"\x01\x01\xff\x02", 3, True),
        (b"\x00" + b"\x01" * 11 + b"\xff2", 3, True),
    ],
)
def test_payloads_nobody_can_read(body, revision, binary):
    with pytest.raises(PacketError):
        engineio.parse_payload(body, revision, binary=binary)


@pytest.mark.parametrize(("body", "revision"), [(b"2\x1e2\x1e2", 4), (b"1:21:21:2", 3)])
def test_number_of_packets_is_limited(body, revision):
    assert engineio.parse_payload(body, revision, limit_packets=3) == [EnginePacket(PING)] * 3
    with pytest.raises(PacketError, match="more than 2"):
        engineio.parse_payload(body, revision, limit_packets=2)


@pytest.mark.parametrize("revision", [3, 4])
@given(packets)
def test_text_payloads_come_back(revision, sent):
    if revision == 4:
        sent = [EnginePacket(kind, data.replace("\x1e", "")) if isinstance(data, str) else EnginePacket(kind, data)
                for kind, data in sent]  # fmt: skip
    assert engineio.parse_payload(engineio.build_payload(sent, revision), revision) == sent


@given(packets)
def test_binary_payloads_come_back(sent):
    body = engineio.build_payload(sent, 3, binary=True)
    assert engineio.parse_payload(body, 3, binary=True) == sent


@given(st.binary(max_size=60), st.sampled_from([(3, False), (3, True), (4, False)]))
def test_garbage_gives_packets_or_a_packet_error(body, form):
    revision, binary = form
    try:
        parsed = engineio.parse_payload(body, revision, binary=binary)
    except PacketError:
        return
    assert parsed
    assert all(packet.type in "0123456" for packet in parsed)


@pytest.mark.parametrize("filler", ["4", "4é", "4😀"])
def test_a_large_payload_takes_linear_time(filler):
    body = engineio.build_payload([EnginePacket(MESSAGE, filler)] * 50_000, 3)
    begin = time.perf_counter()
    assert len(engineio.parse_payload(body, 3)) == 50_000
    assert time.perf_counter() - begin < 5


def test_revision_4_has_no_binary_payload():
    with pytest.raises(ValueError, match="no binary payloads"):
        engineio.build_payload([HELLO], 4, binary=True)


def test_bytes_need_a_binary_payload():
    assert engineio.needs_binary_payload([HELLO, BYTES])
    assert not engineio.needs_binary_payload([HELLO, EnginePacket(PING)])
    assert not engineio.needs_binary_payload([])


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('["plain"]', '["plain"]'),
        ('["é€"]', r'["\u00e9\u20ac"]'),
        ('["😀","\x7f"]', '["\\ud83d\\ude00","\x7f"]'),
        ('["\ud800"]', r'["\ud800"]'),
        ("\u2028", r"\u2028"),
    ],
)
def test_escapes(text, escaped):
    assert engineio.escape_non_ascii(text) == escaped


@given(st.text())
def test_escaped_json_means_the_same(text):
    written = engineio.escape_non_ascii(json.dumps([text], ensure_ascii=False))
    assert written.isascii()
    assert json.loads(written) == json.loads(json.dumps([text]))
