"""Who shall hear: emitters are immutable, and bad arguments fail where they are given."""

import pytest

from tests.support.loopback import Client, on_loop, serving
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
