"""Who hears an envelope: all, rooms, exceptions, volatile, and very many in steps."""

import asyncio

import pytest

from tests.support.loopback import Client, on_loop, serving, until
from truesocket.codec.socketio import PacketType
from truesocket.core import fanout
from truesocket.core.server import Server
from truesocket.core.socket import SocketState


async def three(server: Server) -> list[Client]:
    """a is in red, b in red and blue, c in none."""
    clients = [Client(server) for _ in range(3)]
    for client in clients:
        await client.joined()
    server.enter(clients[0].sid(), "red")
    server.enter(clients[1].sid(), "red")
    server.enter(clients[1].sid(), "blue")
    return clients


A, B, C = 0, 1, 2


@pytest.mark.parametrize(
    ("to", "skip", "heard"),
    [
        (None, None, [A, B, C]),
        ("red", None, [A, B]),
        (["red", "blue"], None, [A, B]),
        (["blue", "blue"], None, [B]),
        ("nowhere", None, []),
        ([], None, []),
        (0, None, []),
        (None, "red", [C]),
        (None, ["red", "blue"], [C]),
        ("red", "blue", [A]),
        (None, "nowhere", [A, B, C]),
        (["sid-c"], None, [C]),
        (["red", "sid-c"], None, [A, B, C]),
        ("red", ["sid-a"], [B]),
        (None, ["sid-a", "sid-b"], [C]),
        (["sid-a", "red"], ["sid-a"], [B]),
    ],
)
@on_loop
async def test_who_hears(to, skip, heard):
    server = Server()
    async with serving(server):
        clients = await three(server)
        sids = {f"sid-{name}": client.sid() for name, client in zip("abc", clients, strict=True)}

        def real(rooms):
            return [sids.get(room, room) for room in rooms] if isinstance(rooms, list) else rooms

        server.emit("news", 1, to=real(to), skip=real(skip))
        assert [number for number, client in enumerate(clients) if client.events] == heard
        assert all(client.events in ([], [["news", 1]]) for client in clients), "somebody heard it twice"


@on_loop
async def test_one_parcel_for_all():
    server = Server()
    async with serving(server):
        clients = await three(server)
        server.emit("news", {"big": "x" * 1000})
        first = clients[0].link.parcels[-1]
        assert all(client.link.parcels[-1] is first for client in clients)
        assert first.frames(4) is first.frames(4)


@on_loop
async def test_namespaces_do_not_hear_each_other():
    server = Server(namespaces=["/", "/chat"])
    async with serving(server):
        plain, chatting = Client(server), Client(server)
        await plain.joined()
        sid = await chatting.joined("/chat")
        server.enter(sid, "red", namespace="/chat")
        server.emit("news", 1)
        server.emit("talk", 2, namespace="/chat")
        server.emit("talk", 3, to="red")
        server.emit("talk", 4, to=sid)
        server.emit("news", 5, to=plain.sid(), namespace="/chat")
        assert plain.events == [["news", 1]]
        assert chatting.events == [["talk", 2]]


@on_loop
async def test_volatile_is_missed_by_who_cannot_take_it():
    server = Server()
    async with serving(server):
        clients = await three(server)
        clients[A].link.writable = False
        server.of("/").volatile.emit("price", 1)
        server.emit("news", 2)
        server.of("/").volatile.emit("price", 3)
        clients[A].link.writable = True
        clients[A].engine.writable(clients[A].link)
        assert clients[A].events == [["news", 2]]
        assert clients[B].events == [["price", 1], ["news", 2], ["price", 3]]


@on_loop
async def test_who_left_hears_nothing():
    server = Server()
    async with serving(server):
        clients = await three(server)
        clients[A].leave()
        clients[B].vanish()
        server.emit("news", 1)
        server.emit("news", 1, to=["red", clients[A].sid(), clients[B].sid()])
        assert [client.events for client in clients] == [[], [], [["news", 1]]]


@on_loop
async def test_very_many_in_steps_and_nothing_overtakes():
    server = Server()
    count = fanout.STEP * 2 + 7
    async with serving(server):
        clients = [Client(server) for _ in range(count)]
        for client in clients:
            client.join()
        assert len(server.members().result()) == count
        turns = 0

        def count_turns() -> None:
            nonlocal turns
            turns += 1
            asyncio.get_running_loop().call_soon(count_turns)

        asyncio.get_running_loop().call_soon(count_turns)
        last = clients[-1]
        server.emit("large", 1)
        assert not last.events, "all of it in one turn of the loop"
        server.emit("small", 2, to=last.sid())
        server.enter(last.sid(), "red")
        server.emit("large", 3, to="red")
        last.say("41")  # leaves while the broadcast runs
        clients[-2].vanish()
        server.emit("large", 4)
        await until(lambda: len(clients[0].events) == 2)
        await until(lambda: len(clients[-3].events) == 2)
        assert turns >= 2, "the loop did not get its turns"
        assert all(client.events == [["large", 1], ["large", 4]] for client in clients[:-2])
        # a DISCONNECT does not wait behind commands: who left is not talked to any more
        assert last.events == []
        assert clients[-2].events == []


@on_loop
async def test_order_is_kept_behind_a_large_broadcast():
    server = Server()
    async with serving(server):
        clients = [Client(server) for _ in range(fanout.STEP * 2 + 1)]
        for client in clients:
            client.join()
        last = clients[-1]
        server.emit("large", 1)
        server.emit("small", 2, to=last.sid())
        server.enter(last.sid(), "red")
        server.emit("room", 3, to="red")
        server.disconnect(last.sid())
        server.emit("late", 4)
        await until(lambda: len(clients[-2].events) == 2)
        assert last.events == [["large", 1], ["small", 2], ["room", 3]]
        assert [packet.type for packet in last.packets][-1] == 1


@on_loop
async def test_snapshot_is_taken_when_the_command_starts():
    server = Server()
    async with serving(server):
        clients = [Client(server) for _ in range(fanout.STEP + 1)]
        for client in clients:
            client.join()
        server.emit("large", 1)
        newcomer = Client(server)
        newcomer.join()
        await until(lambda: clients[-1].events)
        await until(lambda: newcomer.packets)
        assert newcomer.events == []
        assert server.by_sid[newcomer.sid()].state is SocketState.CONNECTED


# --- written together -------------------------------------------------------------------------------------------------


def told(server: Server, tell) -> None:
    """What ``tell()`` gives comes behind another command, and so waits in the FIFO."""
    server.tell(lambda: tell())


@on_loop
async def test_a_burst_to_the_same_clients_is_written_together():
    server = Server()
    async with serving(server):
        clients = await three(server)
        writes = [len(client.link.writes) for client in clients]

        def burst():
            for number in range(5):
                server.emit("news", number, to="red", skip="blue")

        told(server, burst)
        await until(lambda: len(clients[A].events) == 5)
        assert [event[1] for event in clients[A].events] == [0, 1, 2, 3, 4]
        assert len(clients[A].link.writes) == writes[A] + 1
        assert clients[B].events == clients[C].events == []


@on_loop
async def test_whatever_differs_is_not_written_together():
    server = Server(namespaces=["/", "/chat"])
    async with serving(server):
        clients = await three(server)
        sid = clients[B].sid()
        await clients[B].joined("/chat")
        answers = []

        def burst():
            server.emit("all", 1)
            server.emit("all", 2)
            server.emit("red", 3, to="red")
            server.emit("all", 4)
            server.leave(sid, "red")
            server.emit("red", 5, to="red")
            server.emit("chat", 6, namespace="/chat")
            server.emit("asked", 7, callback=lambda *args: answers.append(args))
            server.emit("position", 8, volatile=True)
            server.emit("position", 9, volatile=True)
            server.emit("all", 10)
            server.emit("last", 11, skip=sid)

        told(server, burst)
        await until(lambda: clients[A].events and clients[A].events[-1] == ["last", 11])
        assert [event[1] for event in clients[A].events] == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
        assert [event[1] for event in clients[B].events] == [1, 2, 3, 4, 6, 7, 8, 9, 10]
        assert [len(write) for write in clients[A].link.writes if len(write) > 1] == [2]


@on_loop
async def test_together_means_64_kib_at_most():
    server = Server()
    async with serving(server):
        client = Client(server)
        await client.joined()

        def burst():
            for number in range(6):
                server.emit("news", number, "x" * 25_000)

        told(server, burst)
        await until(lambda: len(client.events) == 6)
        assert [len(write) for write in client.link.writes if write[0].text.startswith("2")] == [2, 2, 2]


@on_loop
async def test_each_waits_by_itself_where_the_client_does_not_read():
    server = Server(outbox_bytes=100, overflow="drop_oldest")
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.link.writable = False

        def burst():
            for number in range(5):
                server.emit("news", number, "x" * 20)

        told(server, burst)
        await asyncio.sleep(0.01)
        client.link.writable = True
        client.engine.writable(client.link)
        kept = [event[1] for event in client.events]
        assert kept == [0, 1, 2, 3, 4][-len(kept) :]
        assert 0 < len(kept) < 5


class Raw:
    """A socket that remembers."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


@on_loop
async def test_each_raw_link_gets_the_frames_of_its_revision_and_the_others_are_sent_to():
    server = Server()
    async with serving(server):
        clients = [Client(server, revision=revision) for revision in (4, 3, 3, 4, 4, 4)]
        for client in clients:
            client.join()
        await until(lambda: all(client.of(PacketType.CONNECT) for client in clients))
        raws = {}
        for number in (0, 1, 2, 3, 4):
            raws[number] = clients[number].link.raw = Raw()
        clients[4].link.writable = False
        for event in ("text", b"\x01\x02"):
            server.emit("news", event)
        text = b'\x81\x1142["news","text"]'
        attached = b'451-["news",{"_placeholder":true,"num":0}]'
        for number, begin in ((0, b"\x82\x02"), (1, b"\x82\x03\x04"), (2, b"\x82\x03\x04"), (3, b"\x82\x02")):
            assert raws[number].data == text + bytes((0x81, len(attached))) + attached + begin + b"\x01\x02"
            assert not clients[number].events
        assert not raws[4].data, "not writable: it waits"
        assert not clients[4].events
        assert clients[5].events == [["news", "text"], ["news", b"\x01\x02"]], "it has no raw socket"
        clients[4].link.writable = True
        clients[4].link.raw = None
        clients[4].engine.writable(clients[4].link)
        assert clients[4].events == [["news", "text"], ["news", b"\x01\x02"]]
