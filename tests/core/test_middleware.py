"""Middlewares: around connects and events, `def` and `async def` mixed, and nothing at all where there are none."""

import asyncio
import contextvars
import itertools
import logging
import re
import threading

import pytest

from tests.support.loopback import Client, on_loop, serving, settle, until
from truesocket import Event, Refused, Server, Socket, UsageError
from truesocket.codec.socketio import PacketType


def skin(server, log, name, is_async, **where):
    """A middleware that writes down when it is passed, and in which thread."""

    def note(what):
        log.append((f"{what} {name}", threading.current_thread().name))

    if is_async:

        @server.middleware(**where)
        async def passing(event, proceed):
            note("into")
            result = await proceed()
            note("out of")
            return [name, result]
    else:

        @server.middleware(**where)
        def passing(event, proceed):
            note("into")
            result = proceed()
            note("out of")
            return [name, result]


@pytest.mark.parametrize("kinds", list(itertools.product([False, True], repeat=4)))
@on_loop
async def test_every_mix_of_def_and_async_def(kinds):
    server = Server(handler_threads=1)  # nobody may wait for a thread that waits for it
    log: list[tuple[str, str]] = []
    for name, is_async in zip("abc", kinds[:3], strict=True):
        skin(server, log, name, is_async)

    def say(text):
        log.append(("handler", threading.current_thread().name))
        return text.upper()

    async def asay(text):
        await asyncio.sleep(0)
        return say(text)

    server.on("say", asay if kinds[3] else say)
    async with serving(server):
        client = Client(server)
        await client.joined()
        for turn in range(3):
            client.emit("say", "hi", id=turn)
        await until(lambda: len(client.acks) == 3)
        assert set(map(str, client.acks.values())) == {"[['a', ['b', ['c', 'HI']]]]"}
    steps = ["into a", "into b", "into c", "handler", "out of c", "out of b", "out of a"]
    assert sorted(name for name, _ in log) == sorted(steps * 3)
    if not any(kinds):
        assert [name for name, _ in log] == steps * 3  # one thread takes them up one after another
    on_the_loop = threading.current_thread().name
    for index, name in enumerate(["into a", "into b", "into c", "handler"]):
        threads = {thread == on_the_loop for said, thread in log if said == name}
        assert threads == {kinds[index]}, name


@on_loop
async def test_stopping_changing_and_looking():
    server = Server()
    seen: list[object] = []

    @server.middleware
    def guard(event: Event, proceed):
        if event.name == "forbidden":
            return "no"
        event.args = tuple(arg * 2 for arg in event.args)
        result = proceed()
        seen.append((event.name, event.namespace, event.args, result))
        return result

    @server.on("double")
    async def double(socket: Socket, number):
        return [number, socket.sid]

    @server.on("forbidden")
    def forbidden():
        seen.append("never")

    @server.on("*")
    def rest(name, *args):
        return [name, *args]

    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        client.emit("double", 4, id=0)
        client.emit("forbidden", id=1)
        client.emit("other", 1, "a", id=2)
        await until(lambda: len(client.acks) == 3)
        assert client.acks == {0: [[8, sid]], 1: ["no"], 2: [["other", 2, "aa"]]}
        assert sorted(seen, key=str) == [
            ("double", "/", (8,), [8, sid]),
            ("other", "/", (2, "aa"), ["other", 2, "aa"]),
        ]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("handled", [False, True])
@on_loop
async def test_who_may_come_in(is_async, handled):
    server = Server(namespaces=["/", "/admin"])
    connected: list[object] = []

    def check(event):
        if event.args != ({"token": "good"},) or event.socket.auth != event.args[0]:
            raise Refused("admins only", {"retry": 5})

    if is_async:

        @server.middleware("connect", namespace="/admin")
        async def only_admins(event, proceed):
            check(event)
            return await proceed()
    else:

        @server.middleware("connect", namespace="/admin")
        def only_admins(event, proceed):
            check(event)
            return proceed()

    if handled:
        server.on("connect", lambda: connected.append(1), namespace="/admin")

    async with serving(server):
        client = Client(server)
        await client.joined()  # no middleware there
        client.join("/admin", {"token": "bad"})
        await until(lambda: client.of(PacketType.CONNECT_ERROR))
        [error] = client.of(PacketType.CONNECT_ERROR)
        assert error.data == {"message": "admins only", "data": {"retry": 5}}
        assert connected == []
        await client.joined("/admin", {"token": "good"})
        assert connected == [1] * handled


@on_loop
async def test_a_broken_one_refuses_and_is_named_in_the_log(caplog):
    server = Server()

    @server.middleware("connect")
    def broken(event, proceed):
        raise ZeroDivisionError

    async with serving(server):
        client = Client(server)
        client.join()
        await until(lambda: client.of(PacketType.CONNECT_ERROR))
    [record] = caplog.records
    assert "broken" in record.getMessage()
    assert record.levelno == logging.ERROR


@on_loop
async def test_around_the_disconnect():
    server = Server()
    seen: list[object] = []

    @server.middleware("disconnect")
    def bye(event, proceed):
        seen.append(event.args)
        return proceed()

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.leave()
        await until(lambda: seen == [("client namespace disconnect",)])
        await until(lambda: not server.by_sid)


@pytest.mark.parametrize(
    ("where", "passed"),
    [
        ({}, ["/"]),
        ({"namespace": "/room-1"}, ["/room-1"]),
        ({"namespace": re.compile(r"/room-\d")}, ["/room-1", "/room-2"]),
        ({"namespace": "*"}, ["/", "/room-1", "/room-2"]),
    ],
)
@on_loop
async def test_in_which_namespaces(where, passed):
    server = Server(namespaces=["*"])
    seen: list[str] = []

    @server.middleware("say", **where)
    def noted(event, proceed):
        seen.append(event.namespace)
        return proceed()

    server.on("say", lambda: "ok", namespace="*")
    server.on("other", lambda: "ok", namespace="*")
    async with serving(server):
        client = Client(server)
        for namespace in ("/", "/room-1", "/room-2"):
            await client.joined(namespace)
            client.emit("say", namespace=namespace, id=1)
            client.emit("other", namespace=namespace, id=2)
        await until(lambda: len(client.of(PacketType.ACK)) == 6)
        assert sorted(seen) == passed


@on_loop
async def test_nobody_to_go_around():
    """What nobody handles is dropped before any middleware sees it."""
    server = Server()
    seen: list[str] = []

    @server.middleware
    def noted(event, proceed):
        seen.append(event.name)

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("nobody", id=1)
        await settle()
        assert (seen, client.acks) == ([], {})


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, SystemExit])
@on_loop
async def test_errors_come_through_from_the_inside(is_async, error, caplog):
    """Through a `def` skin around an `async def` one, and the other way round; none of them ends the loop."""
    server = Server()
    caught: list[str] = []
    skin(server, [], "a", is_async)

    @server.middleware
    def catching(event, proceed):
        try:
            return proceed()
        except BaseException as problem:
            caught.append(type(problem).__name__)
            raise

    skin(server, [], "b", not is_async)

    @server.on("say")
    def say():
        raise error

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("say", id=1)
        await until(lambda: len(caplog.records) == 1)
        through_a_future = error is StopIteration and not is_async  # which cannot carry it
        assert caught == ["RuntimeError" if through_a_future else error.__name__]
        assert client.acks == {}


@on_loop
async def test_context_variables_reach_the_handler():
    server = Server()
    user = contextvars.ContextVar("user", default="nobody")

    @server.middleware
    async def outer(event, proceed):
        user.set("Ada")
        return await proceed()

    @server.middleware
    def inner(event, proceed):
        return proceed()

    @server.on("one")
    def one():
        return user.get()

    @server.on("two")
    async def two():
        return user.get()

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("one", id=1)
        client.emit("two", id=2)
        await until(lambda: len(client.acks) == 2)
        assert client.acks == {1: ["Ada"], 2: ["Ada"]}
        assert user.get() == "nobody"


@on_loop
async def test_without_any_the_handler_itself_is_run():
    """What costs nothing is not there: the job carries the registered handler, untouched."""
    server = Server()
    registered = server.registry.add("say", "/", lambda text: text)
    async with serving(server):
        client = Client(server)
        await client.joined()
        jobs: list[object] = []
        server.runner.witness = jobs.append
        client.emit("say", "hi", id=1)
        await until(lambda: client.acks)
        assert jobs[0].handler is registered


def test_wrong_use():
    server = Server()
    with pytest.raises(UsageError, match="takes two arguments, as in `def "):
        server.middleware(lambda event: None)
    with pytest.raises(UsageError, match="must be a function"):
        server.middleware("connect")("no function")
    with pytest.raises(UsageError, match="names in the parentheses"):
        server.middleware("connect", print)
    with pytest.raises(UsageError, match="begin with a slash"):
        server.middleware(namespace="admin")(lambda event, proceed: None)
    with pytest.raises(UsageError, match="keeps for itself"):
        server.middleware("connect_error")(lambda event, proceed: None)
