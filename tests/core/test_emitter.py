"""Who shall hear: emitters are immutable, and bad arguments fail where they are given."""

import re

import pytest

from tests.support.loopback import Client, on_loop, serving, until
from truesocket.codec.socketio import PacketType
from truesocket.core import commands, fanout
from truesocket.core.emitter import Emitter, room_names
from truesocket.core.server import Server
from truesocket.errors import UsageError


@pytest.mark.parametrize(
    ("given", "rooms"),
    [
        ("lobby", ("lobby",)),
        (0, (0,)),
        (["a", "b"], ("a", "b")),
        (("a", 1), ("a", 1)),
        ([], ()),
        (frozenset({"a"}), ("a",)),
    ],
)
def test_room_names(given, rooms):
    assert room_names(given) == rooms


def test_every_step_is_a_new_emitter():
    first = Emitter(Server())
    lobby = first.to("lobby")
    both = lobby.to("garden", 3).except_("sid").volatile.of("/chat")
    assert (first.rooms, first.excepted, first.is_volatile, first.namespace) == (None, frozenset(), False, "/")
    assert lobby.rooms == ("lobby",)
    assert (both.rooms, both.excepted) == (("lobby", "garden", 3), frozenset({"sid"}))
    assert (both.is_volatile, both.namespace) == (True, "/chat")


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting", "newListener"])
def test_reserved_names(name):
    with pytest.raises(UsageError, match=f"'{name}'.*keeps this name for itself"):
        Server().emit(name)


def test_name_must_be_a_string():
    with pytest.raises(UsageError, match=r"emit\(5\): the first argument is the event's name"):
        Server().emit(5)  # type: ignore[arg-type]


def test_what_json_cannot_hold_fails_in_the_caller_even_if_nobody_is_there():
    with pytest.raises(TypeError):
        Server().emit("news", object())


def test_types_that_json_has_not_go_through_the_servers_default():
    class Point:
        pass

    server = Server(json_default=lambda value: "a point" if isinstance(value, Point) else None)
    assert server.emit("news", Point()) is not None


def test_before_a_loop_runs_emits_are_dropped_at_once():
    server = Server()
    for _ in range(50_000):
        server.emit("news", 1)
    assert not server.running


@on_loop
async def test_emit_may_be_awaited():
    server = Server()
    async with serving(server):
        client = Client(server)
        await client.joined()
        assert await server.emit("news", 1) is None
        assert client.events == [["news", 1]]


# --- wrong use --------------------------------------------------------------------------------------------------------

NOT_HASHABLE = "cannot be a room: a room is a string"
NO_ROOM = "None is no room"
NO_NAMESPACE = "give the name of one namespace"


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda server: server.to(["a", "b"]), NOT_HASHABLE),
        (lambda server: server.to("a").to({"b": 1}), NOT_HASHABLE),
        (lambda server: server.except_({"a"}), NOT_HASHABLE),
        (lambda server: server.to(None), NO_ROOM),
        (lambda server: server.except_(None), NO_ROOM),
        (lambda server: server.to("a").enter(["b"]), NOT_HASHABLE),
        (lambda server: server.to("a").leave(None), NO_ROOM),
        (lambda server: server.emit("news", to={"a": 1}), NOT_HASHABLE),
        (lambda server: server.emit("news", to=[["a"]]), NOT_HASHABLE),
        (lambda server: server.emit("news", skip=[{}]), NOT_HASHABLE),
        (lambda server: server.call("ask", to={}), NOT_HASHABLE),
        (lambda server: server.enter("sid", []), NOT_HASHABLE),
        (lambda server: server.enter("sid", None), NO_ROOM),
        (lambda server: server.leave("sid", None), NO_ROOM),
        (lambda server: server.close_room(None), NO_ROOM),
        (lambda server: server.close_room({}), NOT_HASHABLE),
        (lambda server: server.sockets({}), NOT_HASHABLE),
        (lambda server: server.of("chat"), NO_NAMESPACE),
        (lambda server: server.of(re.compile("/chat")), NO_NAMESPACE),
        (lambda server: server.emit("news", namespace="chat"), NO_NAMESPACE),
        (lambda server: server.emit("news", namespace="*"), NO_NAMESPACE),
        (lambda server: server.count(namespace="chat"), NO_NAMESPACE),
        (lambda server: server.members(namespace="chat"), NO_NAMESPACE),
        (lambda server: server.enter("sid", "room", namespace="chat"), NO_NAMESPACE),
        (lambda server: server.emit("news", callback="name"), "a callback is a function"),
        (lambda server: server.to("a").emit("news", callback=5), "a callback is a function"),
        (lambda server: server.call("ask"), r"who is asked\? Give to=sid"),
        (lambda server: server.to("a").emit({"data": 1}), "the event's name, a string"),
    ],
)
def test_wrong_use_says_what_to_do_instead(use, says):
    with pytest.raises(UsageError, match=says):
        use(Server())


# --- many at once -----------------------------------------------------------------------------------------------------


async def three(server):
    clients = [Client(server) for _ in range(3)]
    sids = [await client.joined() for client in clients]
    for sid in sids[:2]:
        server.enter(sid, "red")
    return clients, sids


@pytest.mark.parametrize("step", [1, 500])
@on_loop
async def test_enter_leave_and_disconnect_for_many(step, monkeypatch):
    monkeypatch.setattr(commands, "STEP", step)
    server = Server(namespaces=["/", "/other"])
    async with serving(server):
        clients, [a, b, c] = await three(server)
        await server.to("red").enter("blue", 7)
        assert await server.members("blue") == [a, b]
        assert await server.members(7) == [a, b]
        await server.except_("blue").enter("green")
        assert await server.members("green") == [c]
        await server.to(a, "green").leave("blue", "green", "never there")
        assert (await server.members("blue"), await server.members("green")) == ([b], [])
        await server.of("/other").enter("red")
        await server.to("red").except_(a).disconnect()
        assert [client.packets[-1].type == PacketType.DISCONNECT for client in clients] == [False, True, False]
        await until(lambda: b not in server.by_sid)
        await server.of("/").disconnect()
        await until(lambda: not server.by_sid)


@on_loop
async def test_lists_and_counts():
    server = Server(namespaces=["/", "/other"])
    async with serving(server):
        clients, [a, b, c] = await three(server)
        other = await clients[0].joined("/other")
        assert [socket.sid for socket in await server.sockets()] == [a, b, c]
        assert [socket.sid for socket in await server.sockets("red")] == [a, b]
        assert [socket.sid for socket in await server.sockets(["red", c])] == [a, b, c]
        assert [socket.sid for socket in await server.sockets(namespace="/other")] == [other]
        assert [socket.sid for socket in await server.to("red").except_(a).sockets()] == [b]
        assert (await server.count(), await server.count("red"), await server.count(["red", a])) == (3, 2, 2)
        assert (await server.count("nobody"), await server.count([]), await server.except_("red").count()) == (0, 0, 1)
        assert (await server.of("/other").count(), await server.of("/empty").count()) == (1, 0)
        assert await server.of("/empty").sockets() == []


@on_loop
async def test_steps_leave_turns_to_others_and_nothing_overtakes(monkeypatch):
    monkeypatch.setattr(commands, "STEP", 1)
    monkeypatch.setattr(fanout, "STEP", 1)
    server = Server()
    async with serving(server):
        clients, _ = await three(server)
        server.of("/").enter("all")
        server.to("all").emit("news", 1)
        assert clients[2].events == []
        await until(lambda: all(client.events == [["news", 1]] for client in clients))


# --- outgoing listeners -----------------------------------------------------------------------------------------------


@on_loop
async def test_a_listener_sees_every_emission_once(caplog):
    server = Server()
    seen = []

    @server.outgoing
    def listen(event, args, emitter):
        seen.append((event, args, emitter.namespace, emitter.rooms, emitter.excepted))
        raise ZeroDivisionError

    async with serving(server):
        clients, [a, b, _] = await three(server)
        server.emit("one", 1, {"x": 2})
        server.to("red").except_(a).emit("two")
        server.socket(b).emit("three")
        reply = server.to(a).call("four", timeout=0)
        await reply
        server.emit("five", callback=print, namespace="/nowhere")
        assert seen == [
            ("one", (1, {"x": 2}), "/", None, frozenset()),
            ("two", (), "/", ("red",), frozenset({a})),
            ("three", (), "/", (b,), frozenset()),
            ("four", (), "/", (a,), frozenset()),
            ("five", (), "/nowhere", None, frozenset()),
        ]
        assert [name for name, *_ in clients[1].events] == ["one", "two", "three"]
        assert "listener failed on the event 'one'" in caplog.records[0].getMessage()


@pytest.mark.parametrize("listener", ["no function", None])
def test_a_listener_is_a_function(listener):
    with pytest.raises(UsageError, match="must be a `def` function"):
        Server().outgoing(listener)


def test_nobody_waits_for_a_listener():
    async def listen(event, args, emitter): ...

    with pytest.raises(UsageError, match="must be a `def` function"):
        Server().outgoing(listen)
