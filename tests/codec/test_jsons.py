"""Every row of the table in ``codec/jsons.py``, and what comes in."""

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid

import flask
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from truesocket.codec import jsons
from truesocket.errors import PacketError

BIG = 1 << 64
LONELY = "\ud800"


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Real(float):
    pass


class Color(enum.Enum):
    RED = "red"
    BIG = BIG


class Level(enum.IntEnum):
    LOW = 1


class Name(enum.StrEnum):
    ADA = "ada"


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class User:
    name: object
    _secret: str = "hidden"


@dataclasses.dataclass(slots=True)
class Slotted:
    name: object
    _secret: str = "hidden"


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")

ROWS = [
    # int keys
    ({1: 2}, '{"1":2}'),
    ({Number(3): 1, Level.LOW: 2}, '{"3":1,"1":2}'),
    # bool, None, float keys
    ({True: 1, None: 2, 1.5: 3, float("nan"): 4}, '{"true":1,"null":2,"1.5":3,"null":4}'),
    # datetime, UUID, Enum keys
    ({dt.date(2020, 1, 2): 1, UUID: 2, Color.RED: 3, Name.ADA: 4},
     f'{{"2020-01-02":1,"{UUID}":2,"red":3,"ada":4}}'),
    # integers up to 64 bits
    ([BIG - 1, -(1 << 63)], "[18446744073709551615,-9223372036854775808]"),
    # NaN, Infinity
    ([float("nan"), float("inf"), float("-inf")], "[null,null,null]"),
    # subclasses
    ([Text("a"), Markup("<b>"), Name.ADA, Number(5), Level.LOW], '["a","<b>","ada",5,1]'),
    ([Real(1.5), Real("nan"), Point(1, 2)], "[1.5,null,[1,2]]"),
    # Enum
    (Color.RED, '"red"'),
    # datetime, date, time
    ([dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.date(2020, 1, 2), dt.time(3, 4)],
     '["2020-01-02T03:04:05+00:00","2020-01-02","03:04:00"]'),
    # dataclass
    ([User("Ada"), Slotted("Bob")], '[{"name":"Ada"},{"name":"Bob"}]'),
    # UUID, Decimal, tuple
    ([UUID], f'["{UUID}"]'),
    ([decimal.Decimal("1.50")], '["1.50"]'),
    ((1, (2,)), "[1,[2]]"),
    # and what JSON has
    ({"data": "x", "€": [1, 1.0, True, None, "😀"]}, '{"data":"x","€":[1,1.0,true,null,"😀"]}'),
]  # fmt: skip

WALKED = [
    # integers over 64 bits
    (BIG, "18446744073709551616"),
    ([-BIG, Number(BIG)], "[-18446744073709551616,18446744073709551616]"),
    ({BIG: 1, Color.BIG: 2}, '{"18446744073709551616":2}'),
    (Color.BIG, "18446744073709551616"),
    # lone surrogates
    (["x" + LONELY, "€"], r'["x\ud800","\u20ac"]'),
    ({LONELY: 1}, r'{"\ud800":1}'),
]


@pytest.mark.parametrize(("value", "text"), ROWS + WALKED)
def test_the_table(value, text):
    assert jsons.dumps(value) == (text, ())


@pytest.mark.parametrize(("value", "text"), ROWS)
def test_the_walk_agrees_with_orjson(value, text):
    """The same rows beside a value that only the walk can write."""
    written, attachments = jsons.dumps([value, BIG])
    assert json.loads(written) == [json.loads(text), BIG]
    assert attachments == ()


@pytest.mark.parametrize("extra", [0, BIG])
def test_bytes_become_attachments_in_order(extra):
    value = ["file", b"one", {"a": bytearray(b"two"), "b": [memoryview(b"three"), ()]}, User(b"four"), extra]
    text, attachments = jsons.dumps(value)
    assert attachments == (b"one", b"two", b"three", b"four")
    assert all(type(attachment) is bytes for attachment in attachments)
    assert json.loads(text) == [
        "file",
        {"_placeholder": True, "num": 0},
        {"a": {"_placeholder": True, "num": 1}, "b": [{"_placeholder": True, "num": 2}, []]},
        {"name": {"_placeholder": True, "num": 3}},
        extra,
    ]


def test_flask_writes_what_json_has_not():
    class Page:
        def __html__(self):
            return "<p>"

    default = flask.Flask(__name__).json.default
    value = [dt.date(2020, 1, 2), UUID, decimal.Decimal("1.5"), User("Ada"), Page(), Point(1, 2), Real(0.5), Color.RED]
    expected = [
        "Thu, 02 Jan 2020 00:00:00 GMT", str(UUID), "1.5", {"name": "Ada", "_secret": "hidden"}, "<p>", [1, 2], 0.5,
        "red",
    ]  # fmt: skip
    assert json.loads(jsons.dumps(value, default)[0]) == expected
    assert json.loads(jsons.dumps([*value, BIG], default)[0]) == [*expected, BIG]


@pytest.mark.parametrize("extra", [0, BIG])
def test_default_may_write_sets_and_give_bytes(extra):
    def default(value):
        return sorted(value) if isinstance(value, set) else b"raw"

    text, attachments = jsons.dumps([{2, 1}, object(), extra], default)
    assert json.loads(text) == [[1, 2], {"_placeholder": True, "num": 0}, extra]
    assert attachments == (b"raw",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1}, r"set is not JSON serializable, it has no order: write sorted\(\.\.\.\); convert it first"),
        ([frozenset()], r"frozenset .* at \[0\]; "),
        (["say", {"user": [object()]}], r"object is not JSON serializable, at \[1\]\['user'\]\[0\]; convert it first"),
        ([User({"x": range(3)})], r"range .* at \[0\]\['name'\]\['x'\]"),
        ({"a": {(1, 2): 3}}, r"key of type tuple is not JSON serializable, at \['a'\]"),
        ({b"a": 1}, r"key of type bytes"),
        (User, r"type is not JSON serializable; "),
        ([dt.time(1, tzinfo=dt.UTC)], r"(tzinfo|timezone).* at \[0\]"),
    ],
)
def test_type_errors_name_the_type_and_the_place(value, message):
    with pytest.raises(TypeError, match=message):
        jsons.dumps(value)


def test_a_default_that_does_not_know_either():
    with pytest.raises(TypeError, match=r"Object of type object .* at \[1\]; .*app\.json\.default") as caught:
        jsons.dumps([1, object()], flask.Flask(__name__).json.default)
    assert isinstance(caught.value.__cause__, TypeError)


def test_other_errors_of_default_come_out_as_they_are():
    def default(value):
        raise LookupError("no such row")

    with pytest.raises(LookupError, match="no such row"):
        jsons.dumps([object()], default)


def nested(levels, innermost=1):
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("innermost", [1, BIG])
def test_depth(innermost):
    assert jsons.dumps(nested(254, innermost))[0] == "[" * 254 + str(innermost) + "]" * 254
    with pytest.raises(ValueError, match="nested more than 254 deep"):
        jsons.dumps(nested(255, innermost))
    with pytest.raises(ValueError, match="nested more than 254 deep"):
        jsons.dumps(nested(100_000, innermost))


@pytest.mark.parametrize(("innermost", "own"), [("1", 0), ('"\\ud800"', 0), ('"[[["', 0), ('{"a":[1,{}]}', 3)])
def test_what_is_read_can_be_written_again(innermost, own):
    depth = 254 - own
    text = "[" * depth + innermost + "]" * depth
    assert jsons.loads(jsons.dumps(jsons.loads(text))[0]) == jsons.loads(text)
    for more in (1, 2, 400, 100_000):
        with pytest.raises(PacketError, match=r"deep|depth"):
            jsons.loads("[" * more + text + "]" * more)


def test_wide_is_not_deep():
    value = [[{}] * 1000, {str(number): [] for number in range(1000)}]
    assert jsons.loads(jsons.dumps(value)[0]) == value


def test_circles():
    circle = {}
    circle["self"] = [circle]
    with pytest.raises(ValueError, match="contains itself"):
        jsons.dumps(circle)
    with pytest.raises(ValueError, match="contains itself"):
        jsons.dumps(object(), lambda value: value)


def test_an_exhausted_stack_is_a_value_error():
    def default(value):
        return default(value)

    with pytest.raises(ValueError, match="contains itself"):
        jsons.dumps(object(), default)


def test_library_names_the_version():
    assert f"orjson {orjson.__version__}" == jsons.LIBRARY


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["say",{"a":1}]', ["say", {"a": 1}]),
        (b'"\xe2\x82\xac"', "€"),
        ("18446744073709551615", BIG - 1),
        ("18446744073709551616", float(BIG)),
        ("-9223372036854775809", float(-(1 << 63))),
        (r'"\ud83d\ude00"', "😀"),
        (r'"\ud800x"', LONELY + "x"),
        (rb'"\uDC00"', "\udc00"),
        (r'["\ud800",18446744073709551615,18446744073709551616,-9223372036854775809,1.5,7]',
         [LONELY, BIG - 1, float(BIG), -(2.0**63), 1.5, 7]),
        (r'["\ud800",' + "1" * 300 + "]", [LONELY, float("1" * 300)]),
    ],
)  # fmt: skip
def test_what_comes_in(text, value):
    loaded = jsons.loads(text)
    assert loaded == value
    assert type(loaded) is type(value)
    if isinstance(value, list):
        assert [type(item) for item in loaded] == [type(item) for item in value]


@pytest.mark.parametrize("start", ["", r'"\ud800",'])
@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "1e400", "1" * 400, "1" * 5000, "'a'", '"a', '"\n"', "01", "1,", "", "{1:2}"],
)
def test_what_is_refused(text, start):
    with pytest.raises(PacketError, match="JSON cannot be read"):
        jsons.loads(f"[{start}{text}]" if text or start else "")


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\ud800\xff"', "[" * 100_000, r'["\ud800",' + "[" * 1_000_000, LONELY])
def test_what_breaks_a_reader(text):
    with pytest.raises(PacketError):
        jsons.loads(text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(plain)
def test_json_comes_back_lone_surrogates_included(value):
    text, attachments = jsons.dumps(value)
    text.encode()
    assert attachments == ()
    assert jsons.loads(text) == json.loads(json.dumps(value))
