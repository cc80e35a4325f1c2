"""The ASGI door alone: lifespan, back-pressure, static files. No sockets: the host is played by the test."""

import asyncio
import contextlib
from functools import partial

import pytest
from hypercorn.protocol.ws_stream import WSStream
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from tests.support.loopback import on_loop, until
from truesocket import ASGIApp, Server
from truesocket.browser import asset
from truesocket.codec.engineio import PING, EnginePacket
from truesocket.codec.parcel import Parcel
from truesocket.doors.asgi import _HIGH_WATER, AsgiLink, _stepped


class Host:
    """An ASGI server for one scope."""

    def __init__(self, app, scope) -> None:
        self.inbox: asyncio.Queue = asyncio.Queue()
        self.sent: list[dict] = []
        self.writable = asyncio.Event()
        self.writable.set()
        self.fails = False
        self.given_up = 0
        self.task = asyncio.ensure_future(app(scope, self.inbox.get, self.send))

    async def send(self, message) -> None:
        try:
            await self.writable.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if self.fails:
            raise OSError("the connection is gone")
        self.sent.append(message)

    @property
    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


def scope(kind: str = "http", path: str = "/", query: str = "", method: str = "GET", **headers: str) -> dict:
    return {
        "type": kind,
        "path": path,
        "query_string": query.encode(),
        "method": method,
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 5000),
        "scheme": "http" if kind == "http" else "ws",
    }


# --- lifespan ---------------------------------------------------------------------------------------------------------


async def knows_no_lifespan(scope, receive, send):
    assert scope["type"] == "http"


async def returns_at_once(scope, receive, send):
    if scope["type"] != "http":
        return


async def has_its_own(scope, receive, send):
    assert (await receive())["type"] == "lifespan.startup"
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    await send({"type": "lifespan.shutdown.complete"})


async def answers_and_goes(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})


async def reads_and_fails(scope, receive, send):
    await receive()
    raise RuntimeError("not meant for this")


@pytest.mark.parametrize(
    "other", [None, knows_no_lifespan, returns_at_once, has_its_own, answers_and_goes, reads_and_fails]
)
@on_loop
async def test_server_lives_from_startup_to_shutdown(other):
    server = Server()
    host = Host(ASGIApp(server, other), {"type": "lifespan"})
    host.inbox.put_nowait({"type": "lifespan.startup"})
    await until(lambda: host.sent)
    assert host.types == ["lifespan.startup.complete"]
    assert server.running
    host.inbox.put_nowait({"type": "lifespan.shutdown"})
    await asyncio.wait_for(host.task, 10)
    assert host.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not server.running


@on_loop
async def test_startup_that_failed_is_the_hosts_to_know():
    async def fails(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    server = Server()
    host = Host(ASGIApp(server, fails), {"type": "lifespan"})
    host.inbox.put_nowait({"type": "lifespan.startup"})
    await asyncio.wait_for(asyncio.wait([host.task]), 10)
    assert host.types == ["lifespan.startup.failed"]
    assert not server.running


@on_loop
async def test_failure_behind_the_start_is_not_hidden():
    async def fails(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise RuntimeError("cannot close the database")

    server = Server()
    host = Host(ASGIApp(server, fails), {"type": "lifespan"})
    host.inbox.put_nowait({"type": "lifespan.startup"})
    host.inbox.put_nowait({"type": "lifespan.shutdown"})
    with pytest.raises(RuntimeError, match="cannot close"):
        await asyncio.wait_for(host.task, 10)
    assert not server.running


# --- other paths ------------------------------------------------------------------------------------------------------


@on_loop
async def test_without_another_application_other_paths_are_not_there():
    app = ASGIApp(Server())
    page = Host(app, scope())
    await page.task
    assert page.sent[0]["status"] == 404
    websocket = Host(app, scope("websocket"))
    await websocket.task
    assert websocket.types == ["websocket.close"]


@on_loop
async def test_other_application_sees_the_client_behind_the_proxy():
    seen = []

    async def other(scope, receive, send):
        seen.append(scope)

    app = ASGIApp(Server(), other)
    forwarded = {"x_forwarded_for": "1.2.3.4", "x_forwarded_proto": "https", "x_forwarded_host": "shop.example"}
    plain = scope(host="inside")
    await Host(app, plain).task
    await Host(app, scope(host="inside", **forwarded)).task
    await Host(app, scope("websocket", host="inside", **forwarded)).task
    assert seen[0] is plain
    assert [each["scheme"] for each in seen] == ["http", "https", "wss"]
    assert [each["client"][0] for each in seen] == ["127.0.0.1", "1.2.3.4", "1.2.3.4"]
    assert dict(seen[1]["headers"])[b"host"] == b"shop.example"


# --- static -----------------------------------------------------------------------------------------------------------


async def fetch(path: str, method: str = "GET", **headers: str):
    host = Host(ASGIApp(Server()), scope(path=path, method=method, **headers))
    await host.task
    start, body = host.sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, body["body"]


@pytest.mark.parametrize("name", ["truesocket.js", "truesocket.mjs"])
@on_loop
async def test_our_client_is_served_with_an_etag(name):
    found = asset(name)
    assert found is not None
    status, headers, body = await fetch(f"/socket.io/{name}")
    assert (status, body) == (200, found.body)
    assert headers["etag"] == found.etag
    assert headers["cache-control"] == "public, max-age=0"
    assert headers["content-type"].startswith("text/javascript")
    assert headers["content-length"] == str(len(found.body))
    for tag in (found.etag, f'"other", {found.etag}', f"W/{found.etag}", "*"):
        status, headers, body = await fetch(f"/socket.io/{name}", if_none_match=tag)
        assert (status, body, headers["etag"]) == (304, b"", found.etag)
        assert "content-length" not in headers
    assert (await fetch(f"/socket.io/{name}", if_none_match='"other"'))[0] == 200
    status, headers, body = await fetch(f"/socket.io/{name}", "HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", str(len(found.body)))


@pytest.mark.parametrize("path", ["/socket.io/nothing.js", "/socket.io/../pyproject.toml", "/socket.io/__init__.py"])
@on_loop
async def test_nothing_else_is_served(path):
    assert (await fetch(path))[0] == 404


@on_loop
async def test_static_files_are_read_only():
    assert (await fetch("/socket.io/truesocket.js", "POST"))[0] == 404


# --- WebSockets -------------------------------------------------------------------------------------------------------


class Ears:
    """What a link tells its engine."""

    revision = 4
    max_payload = 100

    def __init__(self) -> None:
        self.heard: list[object] = []

    def received_on(self, link, message) -> None:
        self.heard.append(message)

    def writable(self, link) -> None:
        self.heard.append("writable")

    def lost(self, link, reason) -> None:
        self.heard.append(f"lost: {reason}")


class Link(Host):
    """A link on a host whose speed a test sets."""

    def __init__(self) -> None:
        self.ears = Ears()
        super().__init__(self.run, None)

    async def run(self, scope, receive, send) -> None:
        self.link = AsgiLink(self.ears, send)  # type: ignore[arg-type]
        await self.link.run(receive)

    @classmethod
    async def made(cls) -> "Link":
        self = cls()
        await asyncio.sleep(0)
        return self


class SteppedLink(Link):
    """The same on a host whose ``send`` is called with no task around it, as its module says."""

    __module__ = "uvicorn.protocols.websockets.played"


BOTH = pytest.mark.parametrize("kind", [Link, SteppedLink])


@BOTH
@on_loop
async def test_link_writes_in_order(kind):
    host = await kind.made()
    host.link.send(Parcel('2["a"]', (b"x",)))
    host.link.send_packet(EnginePacket(PING))
    await until(lambda: len(host.sent) == 3)
    assert [message.get("text", message.get("bytes")) for message in host.sent] == ['42["a"]', b"x", "2"]
    host.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await host.task
    assert host.ears.heard == ["lost: transport close"]


@BOTH
@on_loop
async def test_link_is_not_writable_while_the_host_is_slow(kind):
    host = await kind.made()
    host.writable.clear()
    parcel = Parcel('2["' + "x" * 10_000 + '"]')
    count = 0
    while host.link.writable:
        host.link.send(parcel)
        count += 1
        assert count < 100, "there is no limit"
    assert count * parcel.size > _HIGH_WATER
    await asyncio.sleep(0.01)
    assert not host.sent
    host.writable.set()
    await until(lambda: "writable" in host.ears.heard)
    await until(lambda: len(host.sent) == count)
    assert host.link.writable
    host.task.cancel()


@BOTH
@on_loop
async def test_link_closes_behind_what_was_sent(kind):
    host = await kind.made()
    host.link.send(Parcel('2["last words"]'))
    host.link.close(1000, "a reason " * 100)
    host.link.close(1001, "twice")
    host.link.send(Parcel('2["too late"]'))
    await until(lambda: len(host.sent) == 2)
    assert host.sent[0]["text"] == '42["last words"]'
    assert (host.sent[1]["type"], host.sent[1]["code"]) == ("websocket.close", 1000)
    assert len(host.sent[1]["reason"].encode()) <= 123
    host.task.cancel()


@BOTH
@on_loop
async def test_link_pauses_reading(kind):
    host = await kind.made()
    host.inbox.put_nowait({"type": "websocket.receive", "text": "one"})
    await until(lambda: host.ears.heard == ["one"])
    host.link.pause()
    for text in ("two", "three"):
        host.inbox.put_nowait({"type": "websocket.receive", "text": text})
    await asyncio.sleep(0.02)
    assert len(host.ears.heard) <= 2, "it went on reading"
    host.link.resume()
    await until(lambda: host.ears.heard == ["one", "two", "three"])
    host.task.cancel()


@BOTH
@on_loop
async def test_link_refuses_what_is_too_large(kind):
    host = await kind.made()
    host.inbox.put_nowait({"type": "websocket.receive", "bytes": b"x" * 101, "text": None})
    host.inbox.put_nowait({"type": "websocket.receive", "bytes": b"x" * 100, "text": None})
    await until(lambda: host.sent)
    assert (host.sent[0]["type"], host.sent[0]["code"]) == ("websocket.close", 1009)
    host.task.cancel()


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "close"), (1001, "close"), (1005, "close"), (1006, "close"), (1002, "error")]
)
@BOTH
@on_loop
async def test_link_tells_why_it_ended(kind, code, reason):
    host = await kind.made()
    host.inbox.put_nowait({"type": "websocket.disconnect", "code": code})
    await host.task
    assert host.ears.heard == [f"lost: transport {reason}"]


@BOTH
@on_loop
async def test_link_is_lost_when_the_host_cancels_it(kind):
    host = await kind.made()
    await asyncio.sleep(0)
    host.task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await host.task
    assert host.ears.heard == ["lost: transport close"]


@BOTH
@on_loop
async def test_link_survives_a_host_that_cannot_send(kind):
    host = await kind.made()
    host.fails = True
    host.link.send(Parcel('2["a"]'))
    await asyncio.sleep(0.01)
    host.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await host.task
    assert host.ears.heard == ["lost: transport close"]


@on_loop
async def test_host_that_need_not_wait_gets_the_message_at_once():
    host = await SteppedLink.made()
    host.link.send(Parcel('2["a"]'))
    assert [message["text"] for message in host.sent] == ['42["a"]']
    other = await Link.made()
    other.link.send(Parcel('2["a"]'))
    assert not other.sent, "an unknown host's send ran in whatever task there was"
    await until(lambda: other.sent)
    host.task.cancel()
    other.task.cancel()


@BOTH
@on_loop
async def test_link_keeps_the_order_where_the_host_waits_and_goes_on(kind):
    host = await kind.made()
    names = [f'42["{number}"]' for number in range(40)]
    for number, name in enumerate(names):
        if number % 10 == 3:
            host.writable.clear()
        if number % 10 == 7:
            host.writable.set()  # those that waited are not out yet
        host.link.send(Parcel(name[1:]))
        if number % 10 == 9:
            await asyncio.sleep(0)
    await until(lambda: len(host.sent) == len(names))
    assert [message["text"] for message in host.sent] == names
    host.task.cancel()


@BOTH
@on_loop
async def test_link_that_ends_gives_up_what_the_host_has_begun(kind):
    host = await kind.made()
    host.writable.clear()
    host.link.send(Parcel('2["a"]'))
    host.link.send(Parcel('2["b"]'))
    await asyncio.sleep(0.01)
    host.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await host.task
    await until(lambda: host.given_up == 1)
    host.writable.set()
    await asyncio.sleep(0.01)
    assert not host.sent


@BOTH
@on_loop
async def test_link_survives_a_host_that_fails_behind_its_wait(kind):
    host = await kind.made()
    host.writable.clear()
    host.fails = True
    host.link.send(Parcel('2["a"]'))
    host.link.send(Parcel('2["b"]'))
    host.writable.set()
    await asyncio.sleep(0.01)
    assert not host.sent
    host.inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})
    await host.task
    assert host.ears.heard == ["lost: transport close"]


def test_known_hosts_are_recognized_and_layers_around_them_are_not():
    known = AutoWebSocketsProtocol.__new__(AutoWebSocketsProtocol).send
    assert _stepped(known) == known
    assert _stepped(WSProtocol.__new__(WSProtocol).send) is not None
    assert _stepped(WSStream.__new__(WSStream).app_send) is not None

    async def layer(message):
        async with asyncio.timeout(1):
            await known(message)

    assert _stepped(layer) is None
    assert _stepped(partial(layer)) is None
