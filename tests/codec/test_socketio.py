"""Socket.IO packets: golden texts, the rules of the payloads, attachments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import socketio
from truesocket.codec.socketio import RESERVED_EVENTS, PacketType, SocketPacket
from truesocket.errors import PacketError

PLACEHOLDER = {"_placeholder": True, "num": 0}

GOLDEN = [
    ("0", (0, "/", "", None, None, 0)),
    ('0{"token":"x"}', (0, "/", "", None, {"token": "x"}, 0)),
    ('0/admin,{"sid":"abc"}', (0, "/admin", "", None, {"sid": "abc"}, 0)),
    ("0/admin,", (0, "/admin", "", None, None, 0)),
    ("1", (1, "/", "", None, None, 0)),
    ("1/admin,", (1, "/admin", "", None, None, 0)),
    ('2["say","hello"]', (2, "/", "", None, ["say", "hello"], 0)),
    ('2[1,"by number"]', (2, "/", "", None, [1, "by number"], 0)),
    ('213["say",{"a":1}]', (2, "/", "", 13, ["say", {"a": 1}], 0)),
    ('20["say"]', (2, "/", "", 0, ["say"], 0)),
    ('2/admin,456["say","€"]', (2, "/admin", "", 456, ["say", "€"], 0)),
    ("3456[]", (3, "/", "", 456, [], 0)),
    ('3/admin,7["ok"]', (3, "/admin", "", 7, ["ok"], 0)),
    ('4"no"', (4, "/", "", None, "no", 0)),
    ('4/nope,{"message":"Invalid namespace"}', (4, "/nope", "", None, {"message": "Invalid namespace"}, 0)),
    ('51-["file",{"_placeholder":true,"num":0}]', (5, "/", "", None, ["file", PLACEHOLDER], 1)),
    ('51-/admin,9["file",{"_placeholder":true,"num":0}]', (5, "/admin", "", 9, ["file", PLACEHOLDER], 1)),
    ('50-["file"]', (5, "/", "", None, ["file"], 0)),
    ('461-17["ok"]'[1:], (6, "/", "", 17, ["ok"], 1)),
]


@pytest.mark.parametrize(("text", "packet"), GOLDEN)
def test_golden_packets(text, packet):
    parsed = socketio.parse(text)
    assert parsed == SocketPacket(*packet)
    assert isinstance(parsed, SocketPacket)
    kind, namespace, _, ack_id, data, attachments = packet
    written = "" if data is None else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    assert socketio.build(kind, namespace, id=ack_id, data=written, attachments=attachments) == text


@pytest.mark.parametrize(
    ("text", "namespace", "query"),
    [
        ("0/admin", "/admin", ""),
        ("0/admin?token=x&b=1,", "/admin", "token=x&b=1"),
        ("0/admin?token=x", "/admin", "token=x"),
        ("0/admin?a?b,{}", "/admin", "a?b"),
        ("0/?token=x,", "/", "token=x"),
        ("0/admin?,", "/admin", ""),
        ("0/a\nb,", "/a\nb", ""),
    ],
)
def test_namespaces_and_their_queries(text, namespace, query):
    packet = socketio.parse(text)
    assert (packet.type, packet.namespace, packet.query) == (PacketType.CONNECT, namespace, query)


@pytest.mark.parametrize("digits", ["7", "007", "1" * 17, "1" * 18, "1" * 19, "9" * 100])
@pytest.mark.parametrize("namespace", ["", "/admin,"])
def test_ack_ids_up_to_a_hundred_digits(digits, namespace):
    assert socketio.parse(f'2{namespace}{digits}["x"]').id == int(digits)
    assert socketio.parse(f"3{namespace}{digits}[]").id == int(digits)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "x",
        "[]",
        "é",
        '٢["say"]',
        '0["a"]',
        '0"auth"',
        '1{"why":1}',
        '1/admin,"x"',
        "2",
        "2[",
        "2[]",
        "2{}",
        '2"say"',
        "2null",
        "2[null]",
        "2[true]",
        "2[1.5]",
        "2[[]]",
        '2["say"]x',
        '2["say",NaN]',
        '2/admin["say"]',
        '2/admin,x["say"]',
        '2-["say"]',
        '2-1["say"]',
        '21-["say"]',
        '2²["say"]',
        '2٣["say"]',
        '2 1["say"]',
        "2" + "1" * 101 + '["say"]',
        "2" + "1" * 5000,
        "3",
        "3{}",
        "31",
        "4",
        "4[]",
        "41.5",
        '5["say"]',
        '51["say"]',
        '5-["say"]',
        '511-["say"]',
        '51111111111-["say"]',
        "51-[]",
        "61-{}",
        "6[]",
        *(f'2["{name}"]' for name in sorted(RESERVED_EVENTS)),
        *(f'51-/a,["{name}",{{"_placeholder":true,"num":0}}]' for name in sorted(RESERVED_EVENTS)),
    ],
)
def test_packets_nobody_may_send(text):
    with pytest.raises(PacketError):
        socketio.parse(text)


def test_an_ack_id_that_nobody_will_answer_is_tolerated():
    assert socketio.parse("01") == SocketPacket(PacketType.CONNECT, "/", "", 1, None, 0)


def test_the_number_of_attachments_is_limited():
    assert socketio.parse('510-["say"]').attachments == 10
    assert socketio.parse('512-["say"]', max_attachments=12).attachments == 12
    with pytest.raises(PacketError, match="at most 2"):
        socketio.parse('53-["say"]', max_attachments=2)


def test_an_event_with_attachments_is_built_as_a_binary_one():
    assert socketio.build(PacketType.EVENT, data='["a"]', attachments=2) == '52-["a"]'
    assert socketio.build(PacketType.ACK, "/b", id=3, data="[]", attachments=1) == "61-/b,3[]"
    assert socketio.build(PacketType.EVENT, data='["a"]') == '2["a"]'


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)
namespaces = st.just("/") | st.text("abc/-€", min_size=1).map("/{}".format)


@given(namespaces, st.none() | st.integers(0, 10**30), st.lists(values, max_size=3))
def test_events_come_back(namespace, ack_id, arguments):
    data = ["say", *arguments]
    text = socketio.build(PacketType.EVENT, namespace, id=ack_id, data=json.dumps(data))
    assert socketio.parse(text) == SocketPacket(PacketType.EVENT, namespace, "", ack_id, data, 0)


@given(st.text(max_size=30) | st.text('0123456789-/,?["a]{}:', max_size=30))
def test_garbage_gives_a_packet_or_a_packet_error(text):
    try:
        packet = socketio.parse(text)
    except PacketError:
        return
    assert packet.type == int(text[0])
    assert packet.namespace.startswith("/")


def test_attachments_go_where_their_placeholders_are():
    data = ["file", {"a": [{"_placeholder": True, "num": 1}], "b": {"_placeholder": True, "num": 0}}, 5]
    assert socketio.reconstruct(data, [b"zero", b"one"]) == ["file", {"a": [b"one"], "b": b"zero"}, 5]


def test_one_attachment_may_be_asked_for_twice():
    assert socketio.reconstruct([PLACEHOLDER, PLACEHOLDER], [b"x"]) == [b"x", b"x"]


def test_what_only_looks_like_a_placeholder_stays():
    data = ["say", {"_placeholder": 1, "num": 0}, {"_placeholder": False}, {"num": 0}]
    assert socketio.reconstruct(data, []) == data


@pytest.mark.parametrize("number", [1, -1, "0", None, 0.0, True, False, [], 10**30])
def test_bad_placeholders(number):
    with pytest.raises(PacketError, match="no attachment numbered"):
        socketio.reconstruct([{"_placeholder": True, "num": number}], [b"x"])


def test_a_placeholder_without_a_number():
    with pytest.raises(PacketError, match="None"):
        socketio.reconstruct([{"_placeholder": True}], [b"x"])


def test_an_attachment_nobody_asks_for():
    with pytest.raises(PacketError, match="2 attachments, but placeholders for 1"):
        socketio.reconstruct([PLACEHOLDER], [b"x", b"y"])


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
def test_nesting_has_a_bound(wrap):
    def nested(levels):
        value = dict(PLACEHOLDER)
        for _ in range(levels):
            value = wrap(value)
        return value

    whole = socketio.reconstruct(nested(255), [b"x"])
    assert json.dumps(whole, default=str) == json.dumps(nested(255)).replace(json.dumps(PLACEHOLDER), "\"b'x'\"")
    with pytest.raises(PacketError, match="255 deep"):
        socketio.reconstruct(nested(256), [b"x"])
