"""The end in order: who is waited for, what still goes out, and who is told when."""

import asyncio
import logging
import threading
import time

import pytest

from tests.support.loopback import Client, on_loop, serving, settle, until
from truesocket.codec.socketio import PacketType
from truesocket.core.server import Server
from truesocket.core.socket import Socket
from truesocket.errors import UsageError


def ended(server: Server) -> asyncio.Task[None]:
    drain = server.drain()
    assert drain is not None
    return drain.task


def closed(client: Client) -> bool:
    return client.link.closed is not None


@on_loop
async def test_clients_are_closed_without_a_disconnect_and_their_handlers_hear_why():
    server = Server()
    reasons = []
    server.on("disconnect", lambda reason: reasons.append(reason))
    async with serving(server):
        clients = [Client(server) for _ in range(3)]
        for client in clients:
            await client.joined()
        await asyncio.wait_for(ended(server), 10)
        assert all(closed(client) for client in clients)
        assert not any(client.of(PacketType.DISCONNECT) for client in clients)
        assert reasons == ["server shutting down"] * 3
        assert not server.by_sid


@on_loop
async def test_running_handlers_end_and_their_acks_arrive():
    server = Server()
    go = threading.Event()

    @server.on("slow")
    def slow():
        go.wait(10)
        return "done"

    @server.on("slow_async")
    async def slow_async():
        await asyncio.to_thread(go.wait, 10)
        return "done"

    async with serving(server):
        client, idle = Client(server), Client(server)
        await client.joined()
        await idle.joined()
        client.emit("slow", id=1)
        client.emit("slow_async", id=2)
        await settle()
        task = ended(server)
        await until(lambda: closed(idle))
        client.emit("slow", id=3)
        await settle()
        assert not closed(client)
        go.set()
        await asyncio.wait_for(task, 10)
        assert client.acks == {1: ["done"], 2: ["done"]}, "what came behind the end is not begun"
        assert closed(client)


@on_loop
async def test_a_handler_that_asks_its_client_meanwhile_is_answered():
    server = Server()
    answers = []

    @server.on("ask")
    def ask(socket: Socket):
        answers.append(socket.call("question").result(10))

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("ask")
        await until(lambda: client.events)
        task = ended(server)
        await settle()
        client.answer(client.of(PacketType.EVENT)[0], 42)
        await asyncio.wait_for(task, 10)
        assert answers == [42]


@on_loop
async def test_disconnect_handlers_are_waited_for():
    server = Server()
    left = []

    @server.on("disconnect")
    def disconnect(reason):
        time.sleep(0.3)
        left.append(reason)

    async with serving(server):
        clients = [Client(server) for _ in range(4)]
        for client in clients:
            await client.joined()
        await asyncio.wait_for(ended(server), 10)
        assert len(left) == 4


@on_loop
async def test_a_slow_reader_gets_what_waits_for_it():
    server = Server()
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        client.link.writable = False
        server.emit("late", 1, to=sid)
        task = ended(server)
        await settle()
        assert not task.done()
        assert not closed(client)
        client.link.writable = True
        client.engine.writable(client.link)
        await asyncio.wait_for(task, 10)
        assert client.events == [["late", 1]]
        assert closed(client)


@on_loop
async def test_handlers_without_an_end_are_left_to_themselves_and_named(caplog):
    server = Server(shutdown_timeout=0.3)
    go = threading.Event()

    @server.on("forever")
    def forever():
        go.wait(20)

    caplog.set_level(logging.INFO, "truesocket")
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("forever")
        await settle()
        await asyncio.wait_for(ended(server), 10)
        assert closed(client)
        go.set()
    assert "without waiting longer for" in caplog.text
    assert "forever" in caplog.text


@on_loop
async def test_a_handler_that_has_run_for_longer_than_the_time_out_is_not_waited_for():
    server = Server(shutdown_timeout=60)
    go = threading.Event()
    server.on("forever", lambda: go.wait(20))
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("forever")
        await until(lambda: server.runner.busy())
        worker = next(worker for worker in server.runner.events.workers if worker.busy_with)
        worker.since -= 61
        await asyncio.wait_for(ended(server), 20)
        assert closed(client)
        go.set()


@on_loop
async def test_clients_are_told_one_after_another():
    server = Server(drain_seconds=1.0)
    async with serving(server):
        clients = [Client(server) for _ in range(10)]
        for client in clients:
            await client.joined()
        task = ended(server)
        seen = []
        while not task.done():
            seen.append(sum(closed(client) for client in clients))
            await asyncio.sleep(0.01)
        assert seen == sorted(seen)
        assert len(set(seen) & set(range(1, 10))) >= 3, seen
        assert all(closed(client) for client in clients)


@on_loop
async def test_clients_who_wait_for_their_turn_are_served():
    server = Server(drain_seconds=1.0)
    server.on("echo", lambda value: value)
    async with serving(server):
        clients = [Client(server) for _ in range(2)]
        for client in clients:
            await client.joined()
        task = ended(server)
        await until(lambda: closed(clients[0]))
        clients[1].emit("echo", 5, id=1)
        await until(lambda: clients[1].acks == {1: [5]})
        await asyncio.wait_for(task, 10)
        assert closed(clients[1])


@on_loop
async def test_a_client_whose_connect_handler_runs_is_let_in_and_told():
    server = Server()
    go = threading.Event()
    calls = []

    @server.on("connect")
    def connect():
        go.wait(10)
        calls.append("connect")

    server.on("disconnect", lambda reason: calls.append(reason))
    async with serving(server):
        client = Client(server)
        client.join()
        await settle()
        task = ended(server)
        await settle()
        go.set()
        await asyncio.wait_for(task, 10)
        assert calls == ["connect", "server shutting down"]


@on_loop
async def test_an_end_that_is_cut_short():
    server = Server()
    go = threading.Event()
    server.on("forever", lambda: go.wait(20))
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("forever")
        await until(lambda: server.runner.busy())
        task = ended(server)
        await settle()
        server.stop()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()
        assert closed(client)
        assert server.draining is None
        go.set()


@on_loop
async def test_it_begins_once_and_only_where_a_loop_serves():
    server = Server()
    assert server.drain() is None
    async with serving(server):
        assert server.drain() is server.drain()


def test_options_are_checked():
    for wrong in (-1, "soon", True):
        with pytest.raises(UsageError, match="drain_seconds"):
            Server(drain_seconds=wrong)
