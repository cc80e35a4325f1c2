"""The opening handshake, RFC 6455, section 4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import upgrade
from truesocket.codec.upgrade import MAX_HEAD, Head
from truesocket.errors import UpgradeError

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

HEAD = (
    b"GET /chat%20room/?EIO=4&transport=websocket HTTP/1.1\r\n"
    b"Host: server.example.com\r\n"
    b"Upgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"X-Empty:\r\n"
    b"X-Twice: \t one \r\n"
    b"x-twice:tw\xf6\r\n"
    b"\r\n"
)

GOOD = {
    "upgrade": "WebSocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": KEY,
}


def test_a_head_is_read():
    head = upgrade.parse_head(HEAD + b"\x81\x80")
    assert isinstance(head, Head)
    assert (head.method, head.version, head.end) == ("GET", "1.1", len(HEAD))
    assert head.target == "/chat%20room/?EIO=4&transport=websocket"
    assert (head.path, head.query) == ("/chat room/", "EIO=4&transport=websocket")
    assert head.headers[0] == ("host", "server.example.com")
    assert head.get("x-empty", "unused") == ""
    assert head.get("x-twice") == "one, twö"
    assert head.get("x-none") == ""
    assert head.get("x-none", "other") == "other"
    assert upgrade.check(head.method, head.version, head.get) == KEY
    assert upgrade.parse_head(bytearray(HEAD)) == head


def test_every_split_waits_for_the_blank_line():
    assert [upgrade.parse_head(HEAD[:split]) for split in range(len(HEAD))] == [None] * len(HEAD)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a?", "/a", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/%E2%82%AC?q=%E2%82%AC", "/€", "q=%E2%82%AC"),
        ("http://example.com/a/b?c=1", "/a/b", "c=1"),
        ("http://example.com?c=1", "/", "c=1"),
        ("/a?next=http://example.com/b", "/a", "next=http://example.com/b"),
        ("*", "*", ""),
    ],
)
def test_targets(target, path, query):
    head = upgrade.parse_head(f"GET {target} HTTP/1.0\r\n\r\n".encode())
    assert head == Head("GET", target, path, query, "1.0", [], len(target) + 17)


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/11\r\n\r\n",
        b"GET / http/1.1\r\n\r\n",
        b"G\xe9T / HTTP/1.1\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n: no name\r\n\r\n",
        b"GET / HTTP/1.1\r\nSpace : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n",
    ],
)
def test_garbage_is_a_bad_request(head):
    with pytest.raises(UpgradeError) as caught:
        upgrade.parse_head(head)
    assert caught.value.http_status == 400


def test_a_head_has_a_limit():
    start = b"GET / HTTP/1.1\r\nA: "
    fitting = start + b"x" * (MAX_HEAD - len(start) - 4) + b"\r\n\r\n"
    head = upgrade.parse_head(fitting)
    assert head is not None
    assert head.end == MAX_HEAD
    assert upgrade.parse_head(fitting[:-1]) is None
    for data in (fitting[:-4] + b"x\r\n\r\n", b"x" * MAX_HEAD):
        with pytest.raises(UpgradeError) as caught:
            upgrade.parse_head(data)
        assert caught.value.http_status == 431


@pytest.mark.parametrize("version", ["1.1", "HTTP/1.1"])
def test_a_request_for_a_websocket(version):
    assert upgrade.check("GET", version, lambda name: GOOD.get(name, "")) == KEY


@pytest.mark.parametrize(
    ("change", "status", "headers"),
    [
        ({"upgrade": ""}, 426, (("Upgrade", "websocket"),)),
        ({"upgrade": "h2c"}, 426, (("Upgrade", "websocket"),)),
        ({"connection": ""}, 400, ()),
        ({"connection": "keep-alive"}, 400, ()),
        ({"connection": "upgraded"}, 400, ()),
        ({"sec-websocket-version": ""}, 426, (("Sec-WebSocket-Version", "13"),)),
        ({"sec-websocket-version": "8"}, 426, (("Sec-WebSocket-Version", "13"),)),
        ({"sec-websocket-version": "13, 8"}, 426, (("Sec-WebSocket-Version", "13"),)),
        ({"sec-websocket-key": ""}, 400, ()),
        ({"sec-websocket-key": "short"}, 400, ()),
        ({"sec-websocket-key": "AAAA"}, 400, ()),
        ({"sec-websocket-key": "é" * 24}, 400, ()),
        ({"sec-websocket-key": KEY[:-1]}, 400, ()),
        ({"sec-websocket-key": f"{KEY}, {KEY}"}, 400, ()),
    ],
)
def test_requests_that_are_refused(change, status, headers):
    request = GOOD | change
    with pytest.raises(UpgradeError) as caught:
        upgrade.check("GET", "1.1", lambda name: request.get(name, ""))
    assert (caught.value.http_status, caught.value.headers) == (status, headers)


@pytest.mark.parametrize(
    ("method", "version", "status", "headers"),
    [("POST", "1.1", 405, (("Allow", "GET"),)), ("GET", "1.0", 400, ()), ("GET", "HTTP/1.0", 400, ())],
)
def test_methods_and_versions_that_are_refused(method, version, status, headers):
    with pytest.raises(UpgradeError) as caught:
        upgrade.check(method, version, lambda name: GOOD.get(name, ""))
    assert (caught.value.http_status, caught.value.headers) == (status, headers)


def test_the_example_of_the_rfc():
    assert upgrade.accept(KEY) == ACCEPT
    assert upgrade.answer(KEY) == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )
    assert upgrade.answer(KEY, [("Set-Cookie", "io=1"), ("X", "ö")]).endswith(
        b"\r\nSet-Cookie: io=1\r\nX: \xf6\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("A", "b\r\nC: d"), ("A", "b\n"), ("A", "b\r"), ("A", "\x00"), ("A\r\n", "b"), ("", "b"), ("A:", "b"), ("A", "€")],
)
def test_headers_that_cannot_be_sent(name, value):
    for build in (
        lambda: upgrade.answer(KEY, [(name, value)]),
        lambda: upgrade.refusal(400, "", [(name, value)]),
        lambda: upgrade.request("/", "localhost", KEY, [(name, value)]),
    ):
        with pytest.raises(ValueError, match=r"cannot be sent|latin-1"):
            build()


def test_refusals():
    assert upgrade.refusal(426, "wörds", [("Upgrade", "websocket")]) == (
        b"HTTP/1.1 426 Upgrade Required\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: 6\r\n"
        b"Connection: close\r\n"
        b"Upgrade: websocket\r\n"
        b"\r\n"
        b"w\xc3\xb6rds"
    )
    assert upgrade.refusal(400, b"{}", content_type="application/json") == (
        b"HTTP/1.1 400 Bad Request\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    with pytest.raises(ValueError, match="999"):
        upgrade.refusal(999, "")


def test_what_a_client_asks_a_server_reads():
    data = upgrade.request("/socket.io/?EIO=4", "localhost:5000", KEY, [("Origin", "http://localhost")])
    head = upgrade.parse_head(data)
    assert head is not None
    assert (head.path, head.query) == ("/socket.io/", "EIO=4")
    assert (head.get("host"), head.get("origin")) == ("localhost:5000", "http://localhost")
    assert upgrade.check(head.method, head.version, head.get) == KEY


@pytest.mark.parametrize("target", ["", "/a b", "/\r\nX: y", "/\x00"])
def test_targets_a_client_cannot_ask_for(target):
    with pytest.raises(ValueError, match="percent-encoded"):
        upgrade.request(target, "localhost", KEY)


@given(st.binary(max_size=200))
def test_garbage_gives_a_head_none_or_an_upgrade_error(data):
    try:
        head = upgrade.parse_head(data + b"\r\n\r\n")
    except UpgradeError:
        return
    assert isinstance(head, Head)
    assert head.end <= len(data) + 4
