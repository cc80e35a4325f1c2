"""One packet in every form of the wire, each made once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import engineio, frames
from truesocket.codec.engineio import MESSAGE, EnginePacket
from truesocket.codec.frames import Frame, Opcode
from truesocket.codec.parcel import Bundle, Parcel

PLAIN = '2["news",1]'
FOREIGN = '2["news","€😀"]'
BINARY = '51-["file",{"_placeholder":true,"num":0}]'


def cut(data):
    """(opcode, payload) of each frame in ``data``."""
    found, start = [], 0
    while start < len(data):
        frame = frames.parse(data, start, limit=1 << 20, masked=False)
        assert isinstance(frame, Frame)
        assert frame.fin
        found.append((frame.opcode, frame.payload))
        start = frame.end
    return found


@pytest.mark.parametrize("text", [PLAIN, FOREIGN])
def test_without_attachments_both_revisions_share_one_frame(text):
    parcel = Parcel(text)
    assert cut(parcel.frames(4)) == [(Opcode.TEXT, b"4" + text.encode())]
    assert parcel.frames(3) is parcel.frames(4)
    assert parcel.messages(4) == ("4" + text,)
    assert parcel.messages(3) is parcel.messages(4)


def test_with_attachments_revision_3_puts_the_type_in_front():
    parcel = Parcel(BINARY, (b"\x01\x02", b""))
    assert parcel.messages(4) == ("4" + BINARY, b"\x01\x02", b"")
    assert parcel.messages(3) == ("4" + BINARY, b"\x04\x01\x02", b"\x04")
    text = (Opcode.TEXT, b"4" + BINARY.encode())
    assert cut(parcel.frames(4)) == [text, (Opcode.BINARY, b"\x01\x02"), (Opcode.BINARY, b"")]
    assert cut(parcel.frames(3)) == [text, (Opcode.BINARY, b"\x04\x01\x02"), (Opcode.BINARY, b"\x04")]


def test_messages_keep_the_text_unescaped_in_both_revisions():
    parcel = Parcel('51-["€",{"_placeholder":true,"num":0}]', (b"x",))
    assert parcel.messages(3)[0] == parcel.messages(4)[0] == '451-["€",{"_placeholder":true,"num":0}]'


def test_packets_for_polling():
    parcel = Parcel(BINARY, (b"\x01",))
    assert parcel.packets(4) == (EnginePacket(MESSAGE, BINARY), EnginePacket(MESSAGE, b"\x01"))
    assert parcel.packets(3) is parcel.packets(4)
    foreign = Parcel(FOREIGN)
    assert foreign.packets(4) == (EnginePacket(MESSAGE, FOREIGN),)
    assert foreign.packets(3) == (EnginePacket(MESSAGE, r'2["news","\u20ac\ud83d\ude00"]'),)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('2/café,7["é"]', r'2/café,7["\u00e9"]'),
        ('51-/café,["é"]', r'51-/café,["\u00e9"]'),
        ('0{"é":1}', r'0{"\u00e9":1}'),
        ("é", r"\u00e9"),
    ],
)
def test_a_namespace_is_no_json_and_is_not_escaped(text, escaped):
    assert Parcel(text).packets(3) == (EnginePacket(MESSAGE, escaped),)


@pytest.mark.parametrize("revision", [3, 4])
@pytest.mark.parametrize("parcel", [Parcel(PLAIN), Parcel(FOREIGN), Parcel(BINARY, (b"x",)), Parcel(FOREIGN, (b"x",))])
def test_every_variant_is_made_once(parcel, revision):
    assert parcel.frames(revision) is parcel.frames(revision)
    assert parcel.messages(revision) is parcel.messages(revision)
    assert parcel.packets(revision) is parcel.packets(revision)


def test_size_counts_bytes():
    assert Parcel(PLAIN).size == 11
    parcel = Parcel('2["€😀"]', (b"123", b"4567"))
    assert parcel.size == 12 + 7
    assert parcel.size == 19


def test_a_lone_surrogate_is_escaped():
    parcel = Parcel('2["\ud800€"]')
    assert parcel.text == r'2["\ud800\u20ac"]'
    assert cut(parcel.frames(4)) == [(Opcode.TEXT, rb'42["\ud800\u20ac"]')]
    assert parcel.size == len(parcel.text)


def test_no_room_for_other_attributes():
    with pytest.raises(AttributeError):
        Parcel(PLAIN).extra = 1
    assert repr(Parcel(BINARY, (b"x",))) == f"Parcel({BINARY!r}, 1 attachments)"


@given(st.text(), st.lists(st.binary(max_size=200), max_size=3), st.sampled_from([3, 4]))
def test_all_transports_carry_the_same(text, attachments, revision):
    packet = "2" + json.dumps(["say", text], ensure_ascii=False)
    parcel = Parcel(packet, tuple(attachments))
    over_websocket = [
        engineio.parse_message(payload.decode() if opcode == Opcode.TEXT else payload, revision)
        for opcode, payload in cut(parcel.frames(revision))
    ]
    over_polling = engineio.parse_payload(engineio.build_payload(parcel.packets(revision), revision), revision)
    assert [data for _, data in over_websocket[1:]] == [data for _, data in over_polling[1:]] == attachments
    for packets in (over_websocket, over_polling):
        assert json.loads(packets[0].data[1:]) == json.loads(json.dumps(["say", text]))


@pytest.mark.parametrize("revision", [3, 4])
def test_a_bundle_is_its_parcels_one_behind_the_other(revision):
    parcels = [Parcel(PLAIN), Parcel(BINARY, (b"\x00",)), Parcel(FOREIGN), Parcel('2["long","' + "x" * 2000 + '"]')]
    bundle = Bundle(parcels)
    assert bundle.frames(revision) == b"".join(parcel.frames(revision) for parcel in parcels)
    assert bundle.messages(revision) == tuple(text for parcel in parcels for text in parcel.messages(revision))
    for bits in (9, 15):
        together = bundle.deflated(revision, bits, 100)
        assert together == b"".join(parcel.deflated(revision, bits, 100) for parcel in parcels)
        assert bundle.deflated(revision, bits, 100) is together
    assert bundle.frames(revision) is bundle.frames(revision)
    assert bundle.messages(revision) is bundle.messages(revision)
