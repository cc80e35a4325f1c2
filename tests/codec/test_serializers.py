"""The JSON serializer is ``jsons`` and ``socketio`` put together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec.serializers import Json, Written
from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.errors import PacketError

JSON = Json()


def test_an_event_with_attachments():
    written = JSON.write(["file", b"123", {"x": 1}])
    assert written == Written('["file",{"_placeholder":true,"num":0},{"x":1}]', (b"123",))
    assert written.size == len(written.data) + 3
    parcel = JSON.packet(PacketType.EVENT, "/a", written, 7)
    assert parcel.text == '51-/a,7["file",{"_placeholder":true,"num":0},{"x":1}]'
    assert parcel.attachments == (b"123",)


def test_a_packet_without_data():
    assert JSON.packet(PacketType.DISCONNECT, "/a").text == "1/a,"


def test_reading():
    assert JSON.parse('2["a"]', max_attachments=1) == SocketPacket(2, "/", "", None, ["a"], 0)
    assert JSON.parse(b"bytes", max_attachments=1) is None
    with pytest.raises(PacketError):
        JSON.parse("9", max_attachments=1)


def test_types_of_the_application():
    assert JSON.write([{1}], sorted).data == "[[1]]"
    with pytest.raises(TypeError):
        JSON.write([{1}])


def test_what_another_serializer_wrote():
    with pytest.raises(TypeError, match="another serializer"):
        JSON.packet(PacketType.EVENT, "/", Written(b"\x90"))


@given(st.lists(st.one_of(st.text(), st.integers(-(2**53), 2**53), st.binary()), max_size=5), st.text())
def test_one_more_item_at_the_end_of_a_list(items, text):
    assert JSON.append(JSON.write(items), text) == JSON.write([*items, text])


@pytest.mark.parametrize("value", [{}, "text", 7, None])
def test_only_a_list_can_be_appended_to(value):
    with pytest.raises(TypeError, match="only a list"):
        JSON.append(JSON.write(value), "e.1")
