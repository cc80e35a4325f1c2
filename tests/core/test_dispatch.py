"""The life of a namespace connection, from CONNECT to gone; events, acks and errors."""

import asyncio
import logging
import threading

import pytest

from tests.support.loopback import Client, on_loop, serving, settle, until
from truesocket.codec.socketio import PacketType
from truesocket.core.server import Server
from truesocket.core.socket import SocketState
from truesocket.errors import Disconnected, Refused, UnknownSid


class Diary:
    """What handlers did, in order."""

    def __init__(self, server: Server, namespace: str = "/") -> None:
        self.lines: list[object] = []
        self.gate = threading.Event()  # the connect handler waits for it
        self.started = threading.Event()
        self.during_connect = lambda: None
        self.answer: object = None
        self.server = server
        server.on("connect", self.connect, namespace=namespace)
        server.on("disconnect", self.disconnect, namespace=namespace)
        server.on("say", self.say, namespace=namespace)

    def connect(self, auth):
        self.lines.append("connect")
        self.during_connect()
        self.started.set()
        assert self.gate.wait(10)
        self.lines.append("connect ends")
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def disconnect(self, reason):
        self.lines.append(f"disconnect: {reason}")

    def say(self, *args):
        self.lines.append(["say", *args])
        return args


def only_socket(server: Server):
    [socket] = server.by_sid.values()
    return socket


# --- connecting -------------------------------------------------------------------------------------------------------


@on_loop
async def test_without_handler_everybody_is_accepted_at_once():
    server = Server()
    async with serving(server):
        client = Client(server)
        client.join()
        assert [packet.type for packet in client.packets] == [PacketType.CONNECT]
        assert server.transport(client.sid()) == "websocket"


@pytest.mark.parametrize("revision", [3, 4])
@on_loop
async def test_held_while_connecting_and_applied_behind_the_reply(revision):
    server = Server()
    diary = Diary(server)
    async with serving(server):
        other = Client(server)
        diary.gate.set()
        await other.joined()
        diary.gate.clear()
        diary.started.clear()
        diary.lines.clear()
        client = Client(server, revision)
        if revision == 4:
            client.join()
        await until(diary.started.is_set)
        socket = next(each for each in server.by_sid.values() if each.peer is client.peer)
        assert socket.state is SocketState.CONNECTING
        client.emit("say", 1, id=7)
        server.enter(socket.sid, "lobby")
        server.emit("to you", 2, to=socket.sid)
        server.emit("to all", 3)
        assert server.rooms(socket.sid).result() == [socket.sid, "lobby"]
        assert server.members("lobby").result() == []
        await settle()
        assert client.packets == []
        assert ["say", 1] not in diary.lines
        diary.gate.set()
        await until(lambda: 7 in client.acks)
        assert client.packets[0].type == PacketType.CONNECT
        assert client.events == [["to you", 2]]
        assert other.events == [["to all", 3]]
        assert server.members("lobby").result() == [socket.sid]
        assert diary.lines == ["connect", "connect ends", ["say", 1]]


@on_loop
async def test_what_the_connect_handler_tells_reaches_its_own_client():
    server = Server()
    diary = Diary(server)

    def tell():
        sid = only_socket(server).sid
        server.enter(sid, "lobby")
        server.emit("to the lobby", 1, to="lobby")
        server.emit("to all", 2)
        server.emit("to you", 3, to=sid)
        server.leave(sid, "lobby")
        server.emit("to the lobby", 4, to="lobby")

    diary.during_connect = tell
    diary.gate.set()
    async with serving(server):
        client = Client(server)
        client.join()
        await until(lambda: len(client.events) == 3)
        await settle()
        assert client.packets[0].type == PacketType.CONNECT
        assert client.events == [["to the lobby", 1], ["to all", 2], ["to you", 3]]


@on_loop
async def test_nobody_hears_what_a_refusing_connect_handler_told():
    server = Server()
    diary = Diary(server)
    diary.gate.set()
    async with serving(server):
        other = Client(server)
        await other.joined()
        diary.during_connect = lambda: server.emit("news", 1)
        diary.answer = False
        client = Client(server)
        client.join()
        await until(lambda: client.packets)
        assert client.packets[0].type == PacketType.CONNECT_ERROR
        await settle()
        assert client.events == other.events == []


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (False, {"message": "Connection rejected by server"}),
        (Refused(), {"message": "Connection rejected by server"}),
        (Refused("full"), {"message": "full"}),
        (Refused("full", {"retry": 60}), {"message": "full", "data": {"retry": 60}}),
        (Refused("full", 1, 2), {"message": "full", "data": [1, 2]}),
        (Refused("full", object()), {"message": "Connection rejected by server"}),
        (Refused("full", b"bytes"), {"message": "Connection rejected by server"}),
        (ValueError("a bug"), {"message": "The server failed while it looked at the connection"}),
    ],
)
@on_loop
async def test_refusal(answer, payload):
    server = Server()
    diary = Diary(server)
    diary.answer = answer
    async with serving(server):
        client = Client(server)
        client.join()
        await until(diary.started.is_set)
        sid = only_socket(server).sid
        server.enter(sid, "lobby")
        server.emit("to you", 1, to=sid)
        client.emit("say", 1)
        asked = server.call("question", to=sid)
        diary.gate.set()
        await until(lambda: client.packets)
        assert [(packet.type, packet.data) for packet in client.packets] == [(PacketType.CONNECT_ERROR, payload)]
        with pytest.raises(TimeoutError, match="left before it answered"):
            await asyncio.wait_for(asked, 5)
        assert server.by_sid == {}
        assert server.members("lobby").result() == []
        client.vanish()
        await settle()
        assert diary.lines == ["connect", "connect ends"], "disconnect ran for a client that never was in"


@pytest.mark.parametrize("answer", [None, True, 0, "", []])
@on_loop
async def test_other_answers_accept(answer):
    server = Server()
    diary = Diary(server)
    diary.answer = answer
    diary.gate.set()
    async with serving(server):
        client = Client(server)
        assert await client.joined()


@on_loop
async def test_refused_client_may_try_again():
    server = Server()
    diary = Diary(server)
    diary.answer = False
    diary.gate.set()
    async with serving(server):
        client = Client(server)
        client.join()
        await until(lambda: client.of(PacketType.CONNECT_ERROR))
        diary.answer = None
        assert await client.joined()


@pytest.mark.parametrize("how", ["vanish", "leave"])
@on_loop
async def test_leaving_while_connect_runs(how):
    server = Server()
    diary = Diary(server)
    async with serving(server):
        client = Client(server)
        client.join()
        await until(diary.started.is_set)
        socket = only_socket(server)
        getattr(client, how)()
        await settle()
        assert diary.lines == ["connect"]
        assert socket.state is SocketState.CONNECTING
        diary.gate.set()
        await until(lambda: socket.state is SocketState.GONE)
        reason = "transport close" if how == "vanish" else "client namespace disconnect"
        assert diary.lines == ["connect", "connect ends", f"disconnect: {reason}"]
        assert client.packets == [], "a CONNECT reply for a client that has left"
        assert server.members().result() == []
        with pytest.raises(UnknownSid):
            server.socket(socket.sid)


@on_loop
async def test_leaving_while_connect_runs_and_coming_again():
    server = Server()
    diary = Diary(server)
    async with serving(server):
        client = Client(server)
        client.join()
        await until(diary.started.is_set)
        first = only_socket(server)
        client.leave()
        client.join()
        diary.gate.set()
        await until(lambda: first.state is SocketState.GONE)
        await until(lambda: client.of(PacketType.CONNECT))
        await settle()
        [reply] = client.of(PacketType.CONNECT)
        assert reply.data["sid"] != first.sid
        assert client.peer.conversation.members["/"] is server.socket(reply.data["sid"])


@on_loop
async def test_leaving_while_connect_runs_and_is_refused():
    server = Server()
    diary = Diary(server)
    diary.answer = False
    async with serving(server):
        client = Client(server)
        client.join()
        await until(diary.started.is_set)
        client.vanish()
        diary.gate.set()
        await until(lambda: not server.by_sid)
        await settle()
        assert diary.lines == ["connect", "connect ends"]


@on_loop
async def test_disconnect_inside_the_connect_handler():
    server = Server()
    diary = Diary(server)
    diary.during_connect = lambda: server.disconnect(only_socket(server).sid)
    async with serving(server):
        client = Client(server)
        client.join()
        await until(diary.started.is_set)
        await until(lambda: only_socket(server).held)
        client.emit("say", 1)
        diary.gate.set()
        await until(lambda: len(diary.lines) == 3)
        await settle()
        assert [packet.type for packet in client.packets] == [PacketType.CONNECT, PacketType.DISCONNECT]
        assert diary.lines == ["connect", "connect ends", "disconnect: server namespace disconnect"]


@on_loop
async def test_events_that_pile_up_while_connecting_stop_the_reading():
    server = Server(max_pending_events=5)
    diary = Diary(server)
    async with serving(server):
        client = Client(server)
        client.join()
        await until(diary.started.is_set)
        for number in range(7):
            client.emit("say", number)
        assert client.link.is_paused
        diary.gate.set()
        await until(lambda: len(diary.lines) == 9)
        assert diary.lines[2:] == [["say", number] for number in range(7)]
        await until(lambda: not client.link.is_paused)


@on_loop
async def test_always_connect_accepts_first_and_asks_then():
    server = Server(always_connect=True)
    diary = Diary(server)
    diary.answer = False
    async with serving(server):
        client = Client(server)
        client.join()
        assert client.sid()
        await until(diary.started.is_set)
        diary.gate.set()
        await until(lambda: client.of(PacketType.DISCONNECT))


@pytest.mark.parametrize("kind", ["def", "async def"])
@on_loop
async def test_connect_gets_auth_and_disconnect_the_reason_if_they_want_them(kind):
    server = Server(namespaces=["/", "/without", "/with"])
    got: list[object] = []
    if kind == "def":
        server.on("connect", lambda: got.append("nothing"), namespace="/without")
        server.on("connect", lambda auth: got.append(auth), namespace="/with")
        server.on("disconnect", lambda: got.append("nothing"), namespace="/without")
        server.on("disconnect", lambda reason: got.append(reason), namespace="/with")
    else:

        @server.on("connect", namespace="/with")
        @server.on("disconnect", namespace="/with")
        async def wants(given):
            got.append(given)

        @server.on("connect", namespace="/without")
        @server.on("disconnect", namespace="/without")
        async def wants_not():
            got.append("nothing")

    async with serving(server):
        client = Client(server)
        await client.joined("/without", {"token": 1})
        await client.joined("/with", {"token": 2})
        client.leave("/without")
        await until(lambda: len(got) == 3)
        client.leave("/with")
        await until(lambda: len(got) == 4)
        assert got == ["nothing", {"token": 2}, "nothing", "client namespace disconnect"]


# --- leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda server, client: client.leave(), "client namespace disconnect"),
        (lambda server, client: server.disconnect(client.sid()), "server namespace disconnect"),
        (lambda server, client: client.vanish(), "transport close"),
        (lambda server, client: client.vanish("transport error"), "transport error"),
        (lambda server, client: client.peer.close(), "forced close"),
        (lambda server, client: client.say("9"), "parse error"),
        (lambda server, client: client.say("4nonsense"), "parse error"),
        (lambda server, client: client.say("1"), "transport close"),
    ],
)
@on_loop
async def test_reasons_and_disconnect_exactly_once(end, reason):
    server = Server()
    diary = Diary(server)
    diary.gate.set()
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        diary.lines.clear()
        end(server, client)
        client.vanish()
        client.peer.close()
        await until(lambda: sid not in server.by_sid)
        await settle()
        assert diary.lines == [f"disconnect: {reason}"]


@on_loop
async def test_reasons_in_other_words():
    server = Server()
    server.reason_words = {"client namespace disconnect": "client disconnect"}
    diary = Diary(server)
    diary.gate.set()
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.leave()
        await until(lambda: "disconnect: client disconnect" in diary.lines)


@on_loop
async def test_ping_timeout():
    server = Server(ping_interval=25, ping_timeout=20)
    diary = Diary(server)
    diary.gate.set()
    async with serving(server) as ticker:
        client = Client(server)
        await client.joined()
        ticker.turn(25.5)
        ticker.turn(20.5)
        await until(lambda: "disconnect: ping timeout" in diary.lines)


@on_loop
async def test_rooms_answer_as_before_in_leaving_and_raise_when_gone():
    server = Server()
    inside, leave = threading.Event(), threading.Event()
    found: list[object] = []

    @server.on("disconnect")
    def bye(reason):
        found.append(server.rooms(sid).result())
        server.emit("left", sid, to="lobby")
        server.emit("to you", 1, to=sid)
        server.enter(sid, "other")
        found.append(server.rooms(sid).result())
        inside.set()
        assert leave.wait(10)

    async with serving(server):
        client, other = Client(server), Client(server)
        sid = await client.joined()
        server.enter(sid, "lobby")
        server.enter(await other.joined(), "lobby")
        client.vanish()
        await until(inside.is_set)
        assert server.socket(sid).state is SocketState.LEAVING
        assert [sorted(rooms) for rooms in found] == [sorted([sid, "lobby"])] * 2
        assert server.members("lobby").result() == [other.sid()]
        with pytest.raises(TimeoutError, match="nobody is there"):
            await asyncio.wait_for(server.call("question", to=sid), 5)
        leave.set()
        await until(lambda: sid not in server.by_sid)
        for ask in (
            lambda: server.rooms(sid),
            lambda: server.enter(sid, "x"),
            lambda: server.leave(sid, "x"),
            lambda: server.disconnect(sid),
            lambda: server.transport(sid),
        ):
            with pytest.raises(UnknownSid, match=sid):
                ask()
        assert other.events == [["left", sid]]
        assert client.events == []


@on_loop
async def test_disconnect_runs_behind_the_events_before_it():
    server = Server(async_handlers=False)
    diary = Diary(server)
    diary.gate.set()
    async with serving(server):
        client = Client(server)
        await client.joined()
        diary.lines.clear()
        for number in range(50):
            client.emit("say", number)
        client.leave()
        await until(lambda: len(diary.lines) == 51)
        assert diary.lines == [*(["say", number] for number in range(50)), "disconnect: client namespace disconnect"]


@on_loop
async def test_one_namespace_ends_and_the_other_lives():
    server = Server()
    Diary(server).gate.set()
    second = Diary(server, "/second")
    second.gate.set()
    async with serving(server):
        client = Client(server)
        await client.joined()
        await client.joined("/second")
        client.leave("/second")
        await until(lambda: "disconnect: client namespace disconnect" in second.lines)
        client.emit("say", 1, id=1)
        await until(lambda: client.acks == {1: [1]})


# --- events and acks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "ack"),
    [
        (None, []),
        (5, [5]),
        ((), []),
        ((1, 2), [1, 2]),
        ([1, 2], [[1, 2]]),
        ({"a": 1}, [{"a": 1}]),
        (False, [False]),
        ("", [""]),
        ((None,), [None]),
        ((b"x", 1), [b"x", 1]),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
@on_loop
async def test_ack_conventions(kind, returned, ack):
    server = Server()
    if kind == "def":
        server.on("ask", lambda: returned)
    else:

        @server.on("ask")
        async def ask():
            return returned

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("ask", id=3)
        await until(lambda: client.acks)
        assert client.acks == {3: ack}


@on_loop
async def test_no_ack_where_none_was_asked_for_and_none_without_handler():
    server = Server()
    done = []
    server.on("ask", lambda: done.append(1) or 5)
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("ask")
        client.emit("unknown", id=1)
        await until(lambda: done)
        await settle()
        assert client.acks == {}


@on_loop
async def test_ack_comes_behind_what_the_handler_emitted():
    server = Server()

    @server.on("ask")
    def ask():
        for number in range(10):
            server.emit("news", number)
        return "done"

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("ask", id=1)
        await until(lambda: client.acks)
        assert client.packets[-1].type == PacketType.ACK
        assert client.events == [["news", number] for number in range(10)]


@on_loop
async def test_catch_all_gets_the_name_first_and_never_connect_and_disconnect():
    server = Server()
    got: list[object] = []
    server.on("*", lambda *args: got.append(args))
    server.on("known", lambda *args: got.append(("known", "own", *args)))
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("anything", 1, 2)
        client.emit("known", 3)
        client.emit("more")
        await until(lambda: len(got) == 3)
        client.leave()
        await settle()
        assert got == [("anything", 1, 2), ("known", "own", 3), ("more",)]


@pytest.mark.parametrize("event", ["say", "connect", "disconnect", "ack"])
@pytest.mark.parametrize("kind", ["def", "async def"])
@on_loop
async def test_failing_handler_is_logged_once_and_the_connection_lives(event, kind, caplog):
    server = Server(namespaces=["/", "/room"])

    def fails(*args):
        raise ZeroDivisionError("a bug in the application")

    async def fails_async(*args):
        fails()

    broken = fails if kind == "def" else fails_async
    if event != "ack":
        server.on(event, broken, namespace="/room")
    server.on("ping", lambda: "pong")
    with caplog.at_level(logging.INFO, "truesocket"):
        async with serving(server):
            client = Client(server)
            await client.joined()
            client.join("/room")
            if event != "connect":
                await until(lambda: len(client.of(PacketType.CONNECT)) == 2)
            [sid] = [socket.sid for socket in server.by_sid.values() if socket.namespace == "/room"]
            if event == "ack":
                server.emit("question", to=sid, namespace="/room", callback=broken)
                client.answer(client.packets[-1], 1)
            elif event == "disconnect":
                client.leave("/room")
            elif event == "say":
                client.emit("say", 1, id=9, namespace="/room")
            await until(lambda: caplog.records)
            await settle()
            client.emit("ping", id=1)
            await until(lambda: 1 in client.acks)
            assert 9 not in client.acks
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    message = record.getMessage()
    assert f"event '{event}', namespace /room, sid {sid}" in message
    assert "test_dispatch.py:" in message
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


@on_loop
async def test_wrong_number_of_arguments_is_one_error_and_one_call(caplog):
    server = Server()
    server.on("say", lambda one: None)
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("say", 1, 2)
        await until(lambda: caplog.records)
        await settle()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@on_loop
async def test_answer_that_json_cannot_hold_is_logged(caplog):
    server = Server()
    server.on("say", lambda: object())
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("say", id=1)
        await until(lambda: "returned what JSON cannot hold" in caplog.text)  # written behind the record is kept
        await settle()
        assert client.acks == {}


@on_loop
async def test_handler_may_even_exit(caplog):
    server = Server()

    @server.on("exit")
    def leave():
        raise SystemExit(1)

    server.on("ping", lambda: "pong")
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("exit")
        await until(lambda: "SystemExit" in caplog.text)
        client.emit("ping", id=1)
        await until(lambda: client.acks == {1: ["pong"]})


@on_loop
async def test_disconnected_is_no_error(caplog):
    server = Server()

    @server.on("loop")
    def loop():
        raise Disconnected("transport close")

    with caplog.at_level(logging.INFO, "truesocket"):
        async with serving(server):
            client = Client(server)
            await client.joined()
            client.emit("loop")
            await until(lambda: "its client left (transport close)" in caplog.text)
    assert {record.levelname for record in caplog.records} == {"INFO"}
