"""JSONP, and text that was encoded twice."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import oldways
from truesocket.errors import PacketError


def test_the_script_calls_back():
    assert oldways.build_jsonp("2", b'118:0{"sid":"x"}') == b'___eio[2]("118:0{\\"sid\\":\\"x\\"}");'


def test_the_index_cannot_smuggle_code_in():
    assert oldways.build_jsonp("1](alert(1));//", b"6") == b'___eio[11]("6");'


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_string_in_the_script_is_ascii_and_means_the_payload(text):
    script = oldways.build_jsonp("0", text.encode())
    assert script.isascii()
    assert json.loads(script[len(b"___eio[0](") : -len(b");")]) == text


def test_a_posted_form():
    assert oldways.parse_jsonp(urlencode({"d": "4:4abc"}).encode()) == b"4:4abc"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("a\\nb", "a\nb"), ("a\\\\nb", "a\\nb"), ("\\\\n\\n", "\\n\n"), ("no\\t", "no\\t"), ("é€😀", "é€😀")],
)
def test_newlines_come_escaped(written, meant):
    assert oldways.parse_jsonp(urlencode({"d": written}).encode()) == meant.encode()


@pytest.mark.parametrize("body", [b"", b"x=1", b"\xff\xfe", b"&".join(b"a=%d" % n for n in range(20))])
def test_a_form_that_is_none(body):
    with pytest.raises(PacketError):
        oldways.parse_jsonp(body)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_encoded_twice_is_undone(text):
    twice = text.encode().decode("latin-1")
    assert oldways.undo_double_utf8(twice) == (None if text.isascii() else text)


@pytest.mark.parametrize("text", ["plain", "", "café", "naïve", "€", "你好", "Ã"])
def test_what_was_encoded_once_stays(text):
    assert oldways.undo_double_utf8(text) is None
