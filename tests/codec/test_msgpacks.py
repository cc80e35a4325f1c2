"""msgpack packets; golden bytes as the official parser (socket.io-msgpack-parser 3.0) writes them."""

import datetime

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec.msgpacks import Msgpack
from truesocket.codec.serializers import Written
from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.errors import PacketError

MSGPACK = Msgpack()
GOLDEN = bytes.fromhex("84a47479706502a36e7370a12fa46461746192a3736179a26869a2696405")  # 2, "/", ["say", "hi"], 5

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def parse(message):
    return MSGPACK.parse(message, max_attachments=10)


def test_golden_event():
    parcel = MSGPACK.packet(PacketType.EVENT, "/", MSGPACK.write(["say", "hi"]), 5)
    assert parcel.messages(4) == (GOLDEN,)
    assert parcel.messages(3) == (b"\x04" + GOLDEN,)
    assert parse(GOLDEN) == SocketPacket(2, "/", "", 5, ["say", "hi"], 0)


def test_frames_and_payload_packets_are_binary():
    parcel = MSGPACK.packet(PacketType.DISCONNECT, "/")
    assert parcel.frames(4) == b"\x82\x0d" + parcel.messages(4)[0]
    assert parcel.frames(3) == b"\x82\x0e\x04" + parcel.messages(4)[0]
    assert parcel.packets(3) == parcel.packets(4) == (("4", parcel.messages(4)[0]),)


@given(st.lists(values, max_size=4), st.none() | st.integers(0, 2**40))
def test_round_trip(args, id):
    (message,) = MSGPACK.packet(PacketType.EVENT, "/x", MSGPACK.write(["e", *args]), id).messages(4)
    assert parse(message) == SocketPacket(2, "/x", "", id, ["e", *args], 0)


def test_types_of_the_application():
    day = datetime.date(2026, 1, 2)
    assert MSGPACK.write(day, str) == Written(msgpack.packb("2026-01-02"))
    with pytest.raises(TypeError):
        MSGPACK.write(day)


def test_integers_over_64_bits_cannot_be_written():
    with pytest.raises(ValueError, match="64 bits"):
        MSGPACK.write(2**64)


def test_what_another_serializer_wrote():
    with pytest.raises(TypeError, match="another serializer"):
        MSGPACK.packet(PacketType.EVENT, "/", Written("[]"))


def pack(**keys):
    return msgpack.packb(keys)


@pytest.mark.parametrize(
    ("message", "packet"),
    [
        (pack(type=0, nsp="/"), SocketPacket(0, "/", "", None, None, 0)),
        (pack(type=0, nsp="/a?b=c", data={"t": 1}), SocketPacket(0, "/a", "b=c", None, {"t": 1}, 0)),
        (pack(type=1, nsp="/"), SocketPacket(1, "/", "", None, None, 0)),
        (pack(type=3, nsp="/", data=[], id=0), SocketPacket(3, "/", "", 0, [], 0)),
        (pack(type=2, nsp="/", data=[1], options={"compress": True}), SocketPacket(2, "/", "", None, [1], 0)),
        (pack(type=4, nsp="/", data="no"), SocketPacket(4, "/", "", None, "no", 0)),
        (pack(type=1, nsp="/", data=msgpack.ExtType(0, b"\0")), SocketPacket(1, "/", "", None, None, 0)),
        # clients 2.x, with version 2 of the parser
        ('{"type":0,"query":"a=b","nsp":"/x?a=b"}', SocketPacket(0, "/x", "a=b", None, None, 0)),
        ('{"type":1,"nsp":"/x"}', SocketPacket(1, "/x", "", None, None, 0)),
        (pack(type=5, nsp="/", data=["a", b"b"], id=1), SocketPacket(2, "/", "", 1, ["a", b"b"], 0)),
        (pack(type=6, nsp="/", data=[b"b"], id=1), SocketPacket(3, "/", "", 1, [b"b"], 0)),
    ],
)
def test_packets_that_are_good(message, packet):
    assert parse(message) == packet


@pytest.mark.parametrize(
    "message",
    [
        '2["say"]',
        "{",
        '{"type":2,"nsp":"/","data":["say"]}',
        '{"type":0,"nsp":"/","data":[]}',
        '{"type":[],"nsp":"/"}',
        b"",
        b"\xc1",
        b"\x81",
        GOLDEN + b"\0",
        msgpack.packb([1]),
        b"\x81\x90\x01",
        b"\x91" * 5000,
        pack(nsp="/"),
        pack(type=7, nsp="/", data=["a"]),
        pack(type=True, nsp="/"),
        pack(type=0),
        pack(type=0, nsp="x"),
        pack(type=0, nsp="/", data=[]),
        pack(type=1, nsp="/", data={}),
        pack(type=2, nsp="/", data=[]),
        pack(type=2, nsp="/", data=["connect"]),
        pack(type=2, nsp="/", data=[None]),
        pack(type=2, nsp="/", data=[True]),
        pack(type=3, nsp="/", data={}, id=1),
        pack(type=3, nsp="/", data=[], id=-1),
        pack(type=3, nsp="/", data=[], id="1"),
        pack(type=4, nsp="/", data=5),
    ],
)
def test_packets_that_are_bad(message):
    with pytest.raises(PacketError):
        parse(message)


@pytest.mark.parametrize("length", [1, 14, 15, 16, 65_534, 65_535, 65_536])
def test_one_more_item_at_the_end_of_a_list(length):
    serializer = Msgpack()
    items = ["event", *range(length - 1)]
    longer = serializer.append(serializer.write(items), "e.1")
    assert longer == serializer.write([*items, "e.1"])


@pytest.mark.parametrize("value", [{}, "text", 7, None])
def test_only_a_list_can_be_appended_to(value):
    serializer = Msgpack()
    with pytest.raises(TypeError, match="only a list"):
        serializer.append(serializer.write(value), "e.1")
