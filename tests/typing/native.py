"""What type checkers make of the native face; never run, read by mypy and pyright (``test_types.py``).

A line with an ignore comment must be an error: the checkers complain about the comment where it is not.
"""

import re
from collections.abc import Awaitable, Hashable
from typing import Any, assert_type

import truesocket
from truesocket import Answers, ASGIApp, Emitter, Event, Handshake, Proceed, Refused, Reply, Server, Socket

server = Server(ping_interval=10, cors_allowed_origins=["https://example.org"])
app = ASGIApp(server)


# -- decorators keep a function's type


@server.on("say")
async def say(socket: Socket, text: str) -> int:
    assert_type(socket.data, dict[str, Any])
    assert_type(socket.sid, str)
    assert_type(socket.namespace, str)
    assert_type(socket.auth, dict[str, Any] | None)
    assert_type(socket.handshake, Handshake)
    assert_type(socket.handshake.cookies(), dict[str, str])
    assert_type(socket.server, Server)
    assert_type(socket.emit("said", text, volatile=True), Awaitable[None])
    assert_type(socket.enter("lobby"), Awaitable[None])
    assert_type(socket.leave("lobby"), Awaitable[None])
    assert_type(socket.disconnect(), Awaitable[None])
    assert_type(socket.to("lobby", 7), Emitter)
    assert_type(socket.broadcast, Emitter)
    assert_type(socket.call("question"), Reply[Any])
    assert_type(await socket.rooms(), list[Hashable])
    return len(text)


@server.on("paint", namespace=re.compile(r"/board-\d+"))
def paint(x: int, y: int) -> None: ...


@server.event
def plain(a: int) -> str:
    return str(a)


@server.event(namespace="/chat")
async def awaited(a: int) -> str:
    return str(a)


def given(a: int) -> bytes:
    return bytes(a)


async def check_decorators() -> None:
    socket = server.socket("sid")
    assert_type(socket, Socket)
    assert_type(await say(socket, "hi"), int)
    paint(1, 2)
    paint("1", 2)  # type: ignore[arg-type]
    assert_type(plain(1), str)
    assert_type(await awaited(1), str)
    assert_type(server.on("given", given)(1), bytes)


# -- middlewares and listeners


@server.middleware
async def timed(event: Event, proceed: Proceed) -> Any:
    assert_type(event.name, str)
    assert_type(event.args, tuple[Any, ...])
    assert_type(event.socket, Socket)
    event.args = (1, 2)
    return await proceed()


@server.middleware("connect", namespace="/admin")
def only_admins(event: Event, proceed: Proceed) -> Any:
    if not event.socket.auth:
        raise Refused("admins only", {"retry": 5})
    return proceed()


@server.outgoing
def listen(event: str, args: tuple[Any, ...], emitter: Emitter) -> None:
    assert_type(emitter.rooms, tuple[Hashable, ...] | None)


@server.middleware  # type: ignore[type-var]
def no_middleware(event: int) -> None: ...


async def check_middlewares(event: Event, proceed: Proceed) -> None:
    assert_type(only_admins(event, proceed), Any)
    assert_type(listen("say", (), server.of("/")), None)


# -- telling and asking


async def telling() -> None:
    assert_type(server.emit("news", {"a": 1}, to=["a", 7], skip="sid", volatile=True), Awaitable[None])
    assert_type(await server.emit("news", callback=print), None)
    assert_type(server.to("a").except_("b").volatile.of("/chat"), Emitter)
    assert_type(server.except_("a"), Emitter)
    assert_type(server.volatile, Emitter)
    assert_type(server.of("/chat").emit("news", 1), Awaitable[None])
    assert_type(server.to("a").enter("b", "c"), Awaitable[None])
    assert_type(server.to("a").leave("b"), Awaitable[None])
    assert_type(server.to("a").disconnect(), Awaitable[None])
    assert_type(server.enter("sid", "room"), Awaitable[None])
    assert_type(server.close_room("room", namespace="/chat"), Awaitable[None])
    server.emit(5)  # type: ignore[arg-type]
    server.to(["a", "b"])  # type: ignore[arg-type]
    server.enter("sid", [])  # type: ignore[arg-type]


async def asking() -> None:
    assert_type(server.call("question", 1, to="sid", timeout=5), Reply[Any])
    assert_type(await server.to("room").call("question"), Answers)
    assert_type(server.to("room").call("question").result(5).given, dict[str, Any])
    assert_type((await server.of("/").call("question")).missing, tuple[str, ...])
    assert_type(await server.rooms("sid"), list[Hashable])
    assert_type(await server.sockets("room"), list[Socket])
    assert_type(server.sockets(["a", "b"], namespace="/chat").result(), list[Socket])
    assert_type(await server.count(), int)
    assert_type(await server.to("room").count(), int)
    assert_type(await server.members("room"), list[str])
    assert_type(server.transport("sid"), str)
    assert_type(truesocket.__version__, str)
