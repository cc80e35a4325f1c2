"""The server as a whole: its loop, newcomers, orphans, rooms, threads."""

import asyncio
import functools
import logging
import re
import threading

import pytest

from tests.support.loopback import Client, FakeTicker, handshake, on_loop, serving, settle, until
from truesocket.codec.socketio import PacketType
from truesocket.core.admission import Opening
from truesocket.core.server import Server
from truesocket.core.socket import Socket
from truesocket.errors import Disconnected, UnknownOption, UnknownSid, UsageError


def test_unknown_option():
    with pytest.raises(UnknownOption, match=r"Server\(\) has no option 'pingInterval'; did you mean 'ping_interval'"):
        Server(pingInterval=5)


# --- handlers ---------------------------------------------------------------------------------------------------------


@on_loop
async def test_three_ways_to_register():
    server = Server()
    got: list[str] = []

    @server.on("one")
    def first():
        got.append("one")

    @server.event
    def two():
        got.append("two")

    def third():
        got.append("three")

    @server.event(namespace="/")
    def four():
        got.append("four")

    assert server.on("three", third) is third
    assert first() is None
    assert two() is None
    assert four() is None
    got.clear()
    async with serving(server):
        client = Client(server)
        await client.joined()
        for name in ("one", "two", "three", "four"):
            client.emit(name)
            await until(lambda name=name: got[-1:] == [name])


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda server: server.on(print), "event's name is missing"),
        (lambda server: server.on(""), "event's name is missing"),
        (lambda server: server.on(5), "event's name is missing"),
        (lambda server: server.on("say", "no function"), "must be a function"),
        (lambda server: server.on("say", namespace="chat"), "begin with a slash"),
        (lambda server: server.on("connect_error"), "keeps for itself"),
        (lambda server: server.event(functools.partial(print)), "has no name"),
        (lambda server: server.event("say"), "has no name"),
    ],
)
def test_wrong_ways_to_register(use, says):
    def register():
        use(Server())(print)

    with pytest.raises(UsageError, match=says):
        register()


@on_loop
async def test_the_client_as_first_argument():
    server = Server()
    got: list[object] = []

    @server.event
    def connect(socket: Socket):
        socket.data["name"] = socket.auth["name"]

    @server.event
    async def say(socket: Socket, text):
        got.append((socket.data["name"], text))
        await socket.to("lobby").emit("said", text)
        await socket.broadcast.emit("heard")
        return await socket.rooms()

    @server.on("*")
    def rest(socket: Socket, event, *args):
        got.append((socket.sid, event, args))

    @server.event
    def disconnect(socket: Socket, reason):
        got.append((socket.sid, reason))

    async with serving(server):
        client, other = Client(server), Client(server)
        sid = await client.joined(auth={"name": "Ada"})
        server.enter(sid, "lobby")
        server.enter(await other.joined(auth={"name": "Bob"}), "lobby")
        client.emit("say", "hi", id=0)
        client.emit("other", 1, 2)
        await until(lambda: len(got) == 2)
        assert got == [("Ada", "hi"), (sid, "other", (1, 2))]
        assert client.acks == {0: [[sid, "lobby"]]}
        assert (client.events, other.events) == ([], [["said", "hi"], ["heard"]])
        server.emit("ask", to=sid, callback=lambda socket, answer: got.append(answer))

        def answered(socket: Socket, answer):
            got.append((socket.sid, answer))

        server.emit("ask", to=sid, callback=answered)
        client.answer(client.packets[-1], 42)
        await until(lambda: got[-1] == (sid, 42))
        client.leave()
        await until(lambda: got[-1] == (sid, "client namespace disconnect"))


@on_loop
async def test_namespaces_by_pattern():
    server = Server()
    rooms = re.compile(r"/room-\d+")

    @server.on("say", namespace=rooms)
    async def say(socket: Socket, text):
        await server.of(socket.namespace).emit("said", text)

    async with serving(server):
        one, two = Client(server), Client(server)
        await one.joined("/room-1")
        await two.joined("/room-2")
        one.join("/room-x")
        await until(lambda: one.of(PacketType.CONNECT_ERROR))
        one.emit("say", "hi", namespace="/room-1")
        await until(lambda: one.events == [["said", "hi"]])
        assert two.events == []
        assert set(server.spaces) == {"/room-1", "/room-2"}
        one.leave("/room-1")
        two.vanish()
        await until(lambda: not server.by_sid)
        assert server.spaces == {}, "namespaces that a pattern made stay behind"


@pytest.mark.parametrize("namespaces", [[], ["/", "/known"], ["*"]])
@on_loop
async def test_which_namespaces_exist(namespaces):
    server = Server(**({"namespaces": namespaces} if namespaces else {}))
    server.on("say", print, namespace="/by-handler")
    async with serving(server):
        client = Client(server)
        await client.joined("/by-handler")
        client.join("/known")
        client.join("/unknown")
        refused = [packet.namespace for packet in client.of(PacketType.CONNECT_ERROR)]
        assert refused == {0: ["/known", "/unknown"], 2: ["/unknown"], 1: []}[len(namespaces)]
        assert all(packet.data == {"message": "Invalid namespace"} for packet in client.of(PacketType.CONNECT_ERROR))


@on_loop
async def test_sids_of_both_revisions():
    server = Server(namespaces=["/", "/room"])
    async with serving(server):
        old, new = Client(server, 3), Client(server)
        old.join("/room")
        await new.joined()
        assert [(packet.type, packet.namespace, packet.data) for packet in old.packets] == [
            (PacketType.CONNECT, "/", None),
            (PacketType.CONNECT, "/room", None),
        ]
        assert server.members().result() == [old.peer.sid, new.sid()]
        assert server.members(namespace="/room").result() == [f"/room#{old.peer.sid}"]
        assert new.sid() != new.peer.sid
        assert new.peer.sid.endswith(server.tag)


# --- rooms ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_rooms():
    server = Server()
    async with serving(server):
        one, two = Client(server), Client(server)
        a, b = await one.joined(), await two.joined()
        for room in ("red", 7, ("a", "tuple")):
            server.enter(a, room)
        server.enter(a, "red")
        server.enter(b, "red")
        server.enter(a, a)
        assert server.rooms(a).result() == [a, "red", 7, ("a", "tuple")]
        assert server.members("red").result() == [a, b]
        assert server.members(a).result() == [a]
        server.leave(a, "red")
        server.leave(a, "red")
        server.leave(a, "never there")
        assert server.members("red").result() == [b]
        server.close_room("red")
        server.close_room("nowhere")
        server.close_room("nowhere", namespace="/nowhere")
        assert server.rooms(b).result() == [b]
        assert server.members("red", namespace="/nowhere").result() == []
        with pytest.raises(UsageError, match="its name is a sid"):
            server.enter(a, b)
        with pytest.raises(UnknownSid):
            server.enter(a, "red", namespace="/other")


@on_loop
async def test_a_thread_sees_its_own_joins():
    server = Server()
    found: list[object] = []
    done = threading.Event()
    async with serving(server):
        sid = await Client(server).joined()

        def work():
            for number in range(100):
                server.enter(sid, number)
            found.extend(server.rooms(sid).result(10))
            done.set()

        threading.Thread(target=work, daemon=True).start()
        await until(done.is_set)
        assert found == [sid, *range(100)]


@on_loop
async def test_the_handle_of_a_client():
    server = Server()
    async with serving(server):
        client = Client(server)
        client.join(auth={"name": "Ada"})
        socket = server.socket(client.sid())
        socket.data["color"] = "red"
        await socket.enter("lobby")
        await socket.emit("hello", 1)
        socket.leave("lobby")
        assert client.events == [["hello", 1]]
        assert (socket.auth, socket.data, socket.transport) == ({"name": "Ada"}, {"color": "red"}, "websocket")
        assert socket.handshake.host == "localhost:5000"
        assert repr(socket) == f"<Socket {socket.sid} in /, connected, websocket>"
        await socket.disconnect()
        assert client.packets[-1].type == PacketType.DISCONNECT


# --- the loop ---------------------------------------------------------------------------------------------------------


def test_before_a_loop_runs():
    server = Server()
    assert server.emit("news", 1, to="lobby") is not None
    assert server.close_room("lobby") is not None
    assert server.members().result() == []
    assert not server.running
    with pytest.raises(UnknownSid):
        server.enter("sid", "lobby")
    with pytest.raises(UsageError, match="must call start"):
        server.new_peer(handshake(), Opening("websocket", None, 4, False))


def test_a_second_loop_at_the_same_time_is_an_error():
    server = Server()
    inside, over = threading.Event(), threading.Event()

    async def first():
        async with serving(server):
            inside.set()
            await until(over.is_set)

    thread = threading.Thread(target=lambda: asyncio.run(first()))
    thread.start()
    try:
        assert inside.wait(10)

        async def second():
            with pytest.raises(UsageError, match="already runs on another event loop"):
                server.start(FakeTicker)

        asyncio.run(second())
    finally:
        over.set()
        thread.join()
    assert not server.running


def test_one_loop_after_another():
    server = Server()
    server.on("say", lambda text: text)

    async def round_trip() -> str:
        async with serving(server):
            server.start(FakeTicker)  # twice does no harm
            client = Client(server)
            sid = await client.joined()
            server.enter(sid, "lobby")
            client.emit("say", "hi", id=1)
            await until(lambda: client.acks)
            assert server.members("lobby").result() == [sid]
            return sid

    first, second = asyncio.run(round_trip()), asyncio.run(round_trip())
    assert first != second
    assert server.by_sid == {}
    assert server.peers == {}
    assert server.members("lobby").result() == []


def test_disconnect_handlers_run_when_the_server_stops():
    server = Server()
    got: list[str] = []
    ended = threading.Event()

    @server.on("disconnect")
    def bye(reason):
        got.append(reason)
        ended.set()

    async def serve():
        async with serving(server):
            client = Client(server)
            await client.joined()
        assert client.link.closed is not None
        await until(ended.is_set)
        await until(lambda: not server.by_sid)

    asyncio.run(serve())
    assert got == ["server shutting down"]


def test_emit_from_threads_while_the_server_stops():
    server = Server()
    stop = threading.Event()

    def push():
        while not stop.is_set():
            server.emit("news", 1)

    threads = [threading.Thread(target=push) for _ in range(4)]

    async def serve():
        async with serving(server):
            client = Client(server)
            await client.joined()
            for thread in threads:
                thread.start()
            await until(lambda: len(client.events) > 100)

    asyncio.run(serve())
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


# --- newcomers --------------------------------------------------------------------------------------------------------


@on_loop
async def test_who_joins_nothing_is_closed_after_the_connect_timeout():
    server = Server(connect_timeout=30, namespaces=["/", "/room"])
    async with serving(server) as ticker:
        silent, joined, left = Client(server), Client(server), Client(server)
        await joined.joined("/room")
        await left.joined()
        left.leave()
        ticker.now += 29
        await asyncio.sleep(1.1)
        assert silent.link.closed is None
        ticker.now += 2
        await until(lambda: silent.link.closed)
        await until(lambda: left.link.closed)
        assert joined.link.closed is None
        assert silent.peer.sid not in server.peers


@pytest.mark.parametrize(
    ("options", "note", "cause"),
    [
        ({}, "", "it never asked for a WebSocket"),
        ({}, "a proxy on the way drops the Upgrade header", "a proxy on the way drops the Upgrade header"),
        ({"transports": ["polling"]}, "", None),
        ({"allow_upgrades": False}, "", None),
    ],
)
@on_loop
async def test_who_stays_on_polling_is_told_with_the_cause(options, note, cause, caplog):
    server = Server(**options)
    with caplog.at_level(logging.INFO, "truesocket"):
        async with serving(server) as ticker:
            poller, _socket = Client(server, polling=True), Client(server)
            poller.peer.handshake.note = note
            ticker.now += 16
            await asyncio.sleep(1.1)
    told = [record.getMessage() for record in caplog.records]
    if cause is None:
        assert told == []
    else:
        assert len(told) == 1
        assert f"client {poller.peer.sid} at 127.0.0.1 stays on long-polling: {cause}" in told[0]


@on_loop
async def test_what_the_client_did_wrong_is_in_the_log(caplog):
    server = Server()
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.say('42["connect"]')
    [record] = caplog.records
    assert client.peer.sid in record.getMessage()
    assert "'connect'" in record.getMessage()
    assert record.exc_info is None


# --- orphans ----------------------------------------------------------------------------------------------------------


@on_loop
async def test_orphan_is_warned_of_once_and_ended_later(caplog):
    server = Server(orphan_timeout=3600)
    block, going = threading.Event(), threading.Event()

    @server.on("loop")
    def endless():
        going.set()
        block.wait(10)

    async with serving(server) as ticker:
        client = Client(server)
        socket = server.socket(await client.joined())
        client.emit("loop")
        await until(going.is_set)
        server.check_orphan(socket)
        client.vanish()
        ticker.now += 50
        server.check_orphan(socket)
        assert not caplog.records
        ticker.now += 20
        for _ in range(3):
            server.check_orphan(socket)
        [record] = caplog.records
        assert socket.sid in record.getMessage()
        assert "endless" in record.getMessage(), "the warning does not name the handler"
        assert "transport close" in record.getMessage()
        ticker.now += 3600
        with pytest.raises(Disconnected) as caught:
            server.check_orphan(socket)
        assert caught.value.reason == "transport close"
        assert not isinstance(caught.value, Exception)
        block.set()


@on_loop
async def test_emit_of_the_handle_checks_for_orphans():
    server = Server(orphan_timeout=100)
    async with serving(server) as ticker:
        client = Client(server)
        socket = server.socket(await client.joined())
        client.vanish()
        await socket.emit("news")
        ticker.now += 101
        with pytest.raises(Disconnected):
            socket.emit("news")
        await settle()
        assert client.events == []
