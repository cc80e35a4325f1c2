"""``json=``: another JSON library in the usual packets."""

import datetime
import json

import pytest

from truesocket.codec.json_module import JsonModule
from truesocket.codec.serializers import JSON
from truesocket.codec.socketio import PacketType
from truesocket.errors import PacketError, UsageError


class Dated:
    """Told to write without spaces, it does; dates are its own business."""

    @staticmethod
    def dumps(value, **options):
        return json.dumps(value, default=lambda date: date.isoformat(), **options)

    loads = staticmethod(json.loads)


class Bytes:
    """Like orjson: bytes come out, and there are no separators to be set."""

    @staticmethod
    def dumps(value):
        return json.dumps(value).encode()

    loads = staticmethod(json.loads)


def test_written_like_the_usual_form():
    value = ["say", {"a": [1, None, "é"]}, b"one", (2, [b"two"])]
    assert JsonModule(json).write(["say", 1, b"x"]) == JSON.write(["say", 1, b"x"])
    written = JsonModule(json).write(value)
    assert written.attachments == (b"one", b"two")
    assert json.loads(written.data) == json.loads(JSON.write(value).data)
    assert JsonModule(Bytes).write(["a", 1]).data == '["a", 1]'
    assert JsonModule(json, is_ready=False).write(["a", 1]).data == '["a", 1]'
    assert JsonModule(Dated).write([datetime.date(2026, 1, 2)]).data == '["2026-01-02"]'


def test_default_is_not_asked():
    with pytest.raises(TypeError, match="not JSON serializable"):
        JsonModule(json).write([datetime.date(2026, 1, 2)], lambda value: "asked")


def test_what_is_not_copied():
    class Odd(dict):
        pass

    seen = []

    class Watching:
        @staticmethod
        def dumps(value):
            seen.append(value)
            return "[]"

        loads = staticmethod(json.loads)

    value = [Odd(a=1), (1, 2)]
    JsonModule(Watching).write(value)
    assert seen[-1] is value


def test_packets_there_and_back():
    serializer = JsonModule(json)
    packet = serializer.parse('2["say",{"a":1}]', max_attachments=1)
    assert packet is not None
    assert (packet.type, packet.data) == (PacketType.EVENT, ["say", {"a": 1}])
    assert serializer.parse('51-/chat,3["file",{"_placeholder":true,"num":0}]', max_attachments=1) is not None
    assert serializer.parse(b"an attachment", max_attachments=1) is None


@pytest.mark.parametrize("text", ["2[", '2["a",', "2" + "[" * 300 + "]" * 300, "2" + '["a",' * 300 + "1" + "]" * 300])
def test_what_cannot_be_read(text):
    with pytest.raises(PacketError):
        JsonModule(json).parse(text, max_attachments=1)


def test_whatever_the_module_raises_the_text_was_wrong():
    class Broken:
        dumps = staticmethod(json.dumps)

        @staticmethod
        def loads(text):
            raise KeyError(text)

    with pytest.raises(PacketError, match="JSON cannot be read"):
        JsonModule(Broken).parse('2["a"]', max_attachments=1)


def test_without_an_end():
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deep, or contains itself"):
        JsonModule(json).write(value)


def test_what_is_no_module():
    with pytest.raises(UsageError, match=r"with the functions dumps\(\) and loads\(\)"):
        JsonModule(object())
