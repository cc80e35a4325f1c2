"""Options that show in the first answers: cookie, compression, allow_request, serve_client. Through the fast door."""

import asyncio
import gzip
import json

import flask
import msgpack
import pytest
from websockets.asyncio.client import connect

from tests.support.flasking import served
from tests.support.servers import HOST
from tests.support.wire import Wire, get
from truesocket.errors import UsageError
from truesocket.flask import SocketIO, emit

HELLO = "/socket.io/?EIO=4&transport=polling"
LONG = "the same words again and again, " * 100


def application(**options):
    app = flask.Flask(__name__)
    socketio = SocketIO(app, **options)

    @socketio.on("echo")
    def echo(*args):
        emit("echoed", args)

    return socketio


async def talk(port, *messages, **settings):
    """What a client of the library `websockets` gets behind its CONNECT, and what was agreed with it."""
    target = f"ws://{HOST}:{port}/socket.io/?EIO=4&transport=websocket"
    async with connect(target, max_size=None, **settings) as client:
        await client.recv()
        await client.send("40")
        await client.recv()
        answers = []
        for message in messages:
            await client.send(message)
            answers.append(await client.recv())
        return answers, client.response.headers.get("Sec-WebSocket-Extensions")


async def cookie_of(port):
    async with connect(f"ws://{HOST}:{port}/socket.io/?EIO=4&transport=websocket") as client:
        return client.response.headers.get("Set-Cookie", "")


def test_no_cookie_by_default():
    with served(application()) as port:
        assert "set-cookie" not in get(port, HELLO).headers
        assert asyncio.run(cookie_of(port)) == ""


def test_the_cookie_carries_the_sid_in_the_first_answer_only():
    with served(application(cookie={"name": "io", "path": "/", "httponly": True})) as port:
        reply = get(port, HELLO)
        sid = json.loads(reply.body[1:])["sid"]
        assert reply.headers["set-cookie"] == f"io={sid}; Path=/; HttpOnly"
        assert asyncio.run(cookie_of(port)).startswith("io=")
        second = get(port, f"{HELLO}&sid={sid}", method="POST", body=b"40")
        assert "set-cookie" not in second.headers


def test_long_answers_are_compressed_for_who_reads_that():
    with served(application(compression_threshold=50)) as port:
        plain = get(port, HELLO)
        assert "content-encoding" not in plain.headers
        small = get(port, HELLO, (("Accept-Encoding", "br;q=1.0, gzip;q=0"),))
        assert "content-encoding" not in small.headers
        reply = get(port, HELLO, (("Accept-Encoding", "deflate, gzip"),))
        assert reply.headers["content-encoding"] == "gzip"
        assert reply.headers["vary"] == "Accept-Encoding"
        assert gzip.decompress(reply.body).startswith(b'0{"sid"')


def test_http_compression_can_be_switched_off():
    with served(application(compression_threshold=50, http_compression=False)) as port:
        assert "content-encoding" not in get(port, HELLO, (("Accept-Encoding", "gzip"),)).headers


def test_websockets_are_not_compressed_by_default():
    with served(application()) as port:
        answers, agreed = asyncio.run(talk(port, f'42["echo","{LONG}"]'))
        assert agreed is None
        assert answers == [f'42["echoed","{LONG}"]']


@pytest.mark.parametrize("takeover", [False, True])
def test_websockets_are_compressed_where_both_want_it(takeover):
    options = {"websocket_compression": True, "websocket_context_takeover": takeover, "websocket_window_bits": 12}
    with served(application(**options)) as port:
        sent = [f'42["echo","{LONG}"]', '42["echo","short"]', f'42["echo","{LONG}{LONG}"]']
        answers, agreed = asyncio.run(talk(port, *sent))
        assert answers == [message.replace("echo", "echoed") for message in sent]
        assert ("server_no_context_takeover" in agreed) is not takeover
        assert "server_max_window_bits=12" in agreed
        assert asyncio.run(talk(port, sent[0], compression=None)) == ([answers[0]], None)


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_allow_request_is_asked_once_per_session(transport, is_async):
    asked = []

    def allow(handshake):
        asked.append(handshake.header("x-key"))
        return handshake.header("x-key") == "good"

    async def allow_async(handshake):
        return allow(handshake)

    with served(application(allow_request=allow_async if is_async else allow)) as port:
        target = HELLO.replace("polling", transport)
        upgrade = (("Connection", "Upgrade"), ("Upgrade", "websocket")) if transport == "websocket" else ()
        key = (("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")) if upgrade else ()
        reply = get(port, target, (*upgrade, *key, ("X-Key", "bad")))
        assert reply.status == 403
        assert reply.json["code"] == 4
        assert "allow_request" in reply.json["hint"]
        with Wire(port, transport=transport, revision=4, headers=(("X-Key", "good"),)) as wire:
            wire.join()
            wire.emit("echo", 1)
            assert wire.event("echoed") == [1]
    assert asked == ["bad", "good"]


def test_allow_request_that_fails_refuses():
    def allow(handshake):
        raise ValueError("broken")

    with served(application(allow_request=allow)) as port:
        assert get(port, HELLO).status == 403


def test_another_client_is_served(tmp_path):
    (tmp_path / "socket.io.js").write_text("io = 1")
    with served(application(serve_client=str(tmp_path))) as port:
        assert get(port, "/socket.io/socket.io.js").body == b"io = 1"
        assert get(port, "/socket.io/truesocket.js").status == 200


def test_msgpack_both_ways():
    with served(application(serializer="msgpack")) as port:

        async def exchange():
            target = f"ws://{HOST}:{port}/socket.io/?EIO=4&transport=websocket"
            async with connect(target) as client:
                await client.recv()
                await client.send(msgpack.packb({"type": 0, "nsp": "/"}))
                connected = msgpack.unpackb(await client.recv())
                await client.send(msgpack.packb({"type": 2, "nsp": "/", "data": ["echo", b"\x00\xff", {"a": "é"}]}))
                return connected, msgpack.unpackb(await client.recv())

        connected, echoed = asyncio.run(exchange())
        assert connected["type"] == 0
        assert connected["data"].keys() == {"sid"}
        assert echoed == {"type": 2, "nsp": "/", "data": ["echoed", b"\x00\xff", {"a": "é"}]}


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"serializer": "pickle"}, "choose 'default' or 'msgpack'"),
        ({"cookie": 5}, "cookie"),
        ({"websocket_window_bits": 8}, "from 9 to 15"),
        ({"serve_client": "no/such/folder"}, "npm install"),
    ],
)
def test_values_that_cannot_be(options, hint):
    with pytest.raises(UsageError, match=hint):
        application(**options)
