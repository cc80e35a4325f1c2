import datetime

import pytest

from tests.support.loopback import Client, on_loop, serving, until
from truesocket.core.history import Past
from truesocket.core.server import Server
from truesocket.core.socket import Socket
from truesocket.errors import UsageError


def said(history):
    return [(event, *args) for _, event, args in history]


@on_loop
async def test_what_was_said_in_a_room():
    server = Server(history=60.0)
    async with serving(server):
        server.emit("say", 1, b"\x00", {"a": [2]}, to="lobby")
        server.emit("say", 2, to="elsewhere")
        server.emit("say", 3)
        server.emit("say", 4, to=["elsewhere", "lobby"])
        server.emit("say", 5, to="lobby", volatile=True)
        history = await server.history("lobby")
        assert said(history) == [("say", 1, b"\x00", {"a": [2]}), ("say", 4)]
        assert all(isinstance(past, Past) for past in history)
        assert said(await server.history("lobby", limit=1)) == [("say", 4)]
        assert said(await server.history("lobby", limit=0)) == []
        assert said(await server.history("lobby", since=history[0].offset)) == [("say", 4)]
        assert said(await server.history("lobby", since=history[1].offset)) == []
        assert len(await server.history("lobby", since="of.7")) == 2
        assert await server.history("nowhere") == []
        assert await server.history("lobby", namespace="/other") == []


@on_loop
async def test_who_enters_late_is_told_first():
    server = Server(history=60.0)
    async with serving(server):
        early, late, later = Client(server), Client(server), Client(server)
        server.enter(await early.joined(), "lobby")
        sid, another = await late.joined(), await later.joined()
        server.emit("say", 1, to="lobby")
        offset = (await server.history("lobby"))[0].offset
        server.emit("say", 2, to="lobby")
        server.enter(sid, "lobby", replay=True)
        server.enter(another, "lobby", replay=offset)
        server.emit("say", 3, to="lobby")
        await until(lambda: len(late.events) == 3 and len(later.events) == 2)
        assert late.events == [["say", 1], ["say", 2], ["say", 3]]
        assert later.events == [["say", 2], ["say", 3]]
        assert early.events == [["say", 1], ["say", 2], ["say", 3]]
        assert len(await server.history("lobby")) == 3


@on_loop
async def test_within_the_connect_handler():
    server = Server(history=60.0)

    @server.on("connect")
    def connect(socket: Socket):
        socket.enter("lobby", replay=True)

    async with serving(server):
        server.emit("say", 1, to="lobby")
        client = Client(server)
        await client.joined()
        server.emit("say", 2, to="lobby")
        await until(lambda: client.events == [["say", 1], ["say", 2]])


@on_loop
async def test_what_was_told_again_and_lost_is_made_up_for():
    server = Server(history=60.0, recovery=60.0)
    async with serving(server):
        server.emit("say", 1, to="lobby")
        client = Client(server)
        sid = await client.joined()
        pid = client.packets[0].data["pid"]
        server.enter(sid, "lobby", replay=True)
        await until(lambda: len(client.events) == 1)
        client.vanish()
        again = Client(server)
        assert await again.joined(auth={"pid": pid}) == sid
        await until(lambda: [event[:2] for event in again.events] == [["say", 1]])


@on_loop
async def test_msgpack_and_types_of_the_application():
    server = Server(history=60.0, serializer="msgpack", json_default=str)
    async with serving(server):
        server.emit("say", b"\x00", datetime.date(2020, 1, 2), to="lobby")
        assert said(await server.history("lobby")) == [("say", b"\x00", "2020-01-02")]


@on_loop
async def test_it_is_kept_for_so_long():
    server = Server(history=60.0)
    async with serving(server) as ticker:
        server.emit("say", 1, to="lobby")
        ticker.turn(61.0)
        server.recovery.expire(server.now)
        assert await server.history("lobby") == []


@on_loop
async def test_switched_off():
    for options in ({}, {"recovery": 60.0}):
        server = Server(**options)
        async with serving(server):
            client = Client(server)
            sid = await client.joined()
            with pytest.raises(UsageError, match="history=3600"):
                server.history("lobby")
            with pytest.raises(UsageError, match="history=3600"):
                server.enter(sid, "lobby", replay=True)
