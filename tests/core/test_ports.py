"""The handshake: what a client's first request said."""

from urllib.parse import parse_qsl

import pytest

from tests.support.loopback import handshake


@pytest.mark.parametrize(
    ("headers", "cookies"),
    [
        ([], {}),
        ([("cookie", "a=1")], {"a": "1"}),
        ([("cookie", " a=1 ;b = two words;c=x=y, z; d=")], {"a": "1", "b": "two words", "c": "x=y, z", "d": ""}),
        ([("cookie", "a=first; a=second")], {"a": "first"}),
        ([("cookie", "a=1"), ("cookie", "b=2")], {"a": "1", "b": "2"}),  # HTTP/2 may send them one by one
        ([("cookie", "no pair; ; a=1"), ("x-cookie", "b=2")], {"a": "1"}),
    ],
)
def test_cookies(headers, cookies):
    assert handshake(headers=headers).cookies() == cookies


def test_repeated_headers_and_keys():
    found = handshake("a=1&b=&a=2", headers=[("accept", "x"), ("host", "here"), ("accept", "y")])
    assert found.header("accept") == "x, y"
    assert found.header("nothing", "default") == "default"
    assert found.args() == {"a": "2", "b": ""}
    assert found.host == "here"


@pytest.mark.parametrize(
    "query", ["", "a", "=", "&", "a=b=c&&d", "a=%41+b&c", "a=+", "a;b=1", "EIO=4&transport=websocket"]
)
def test_the_query_is_read_as_everywhere(query):
    assert handshake(query).args() == dict(parse_qsl(query, keep_blank_values=True))
