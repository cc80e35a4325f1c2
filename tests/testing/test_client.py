"""The in-memory clients: the real protocol, no sockets, blocking and async."""

import asyncio
import gc
import threading
import time
import weakref

import flask
import pytest

from tests.support.loopback import on_loop
from tests.support.wire import Wire
from truesocket import AckTimeout, ASGIApp, Refused, Server, UsageError
from truesocket.flask import SocketIO
from truesocket.testing import AsyncClient, Client, Event, LiveServer


def make_server(**options) -> Server:
    server = Server(**options)

    @server.on("connect")
    def connect(auth):
        if auth == {"how": "refuse"}:
            raise Refused("not today", {"retry": 60})
        if auth == {"how": "false"}:
            return False
        if auth == {"how": "fail"}:
            raise ZeroDivisionError("connect is broken")
        return True

    @server.on("echo")
    def echo(*args):
        return args

    @server.on("aecho")
    async def aecho(*args):
        return args

    @server.on("none")
    def none():
        return None

    @server.on("fail")
    def fail():
        raise ZeroDivisionError("fail is broken")

    @server.on("afail")
    async def afail():
        raise ZeroDivisionError("afail is broken")

    @server.on("shout")
    def shout(text):
        server.emit("shouted", text)

    @server.on("chat", namespace="/chat")
    async def chat(text):
        return text.upper()

    return server


# --- blocking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", [3, 4])
@pytest.mark.parametrize("serializer", ["default", "msgpack"])
def test_talk(revision, serializer):
    server = make_server(serializer=serializer)
    with Client(server, revision=revision) as ada:
        assert ada.connected
        assert server.socket(ada.sid).namespace == "/"
        assert ada.call("echo", 1, "ö", None) == (1, "ö", None)
        assert ada.call("aecho", b"\x00\xff", {"deep": [b"x"]}) == (b"\x00\xff", {"deep": [b"x"]})
        assert ada.call("echo", (1, 2)) == [1, 2]
        assert ada.call("none") is None
        assert ada.ask("none") == []
        ada.emit("shout", b"hi")
        assert ada.receive("shouted") == Event("shouted", [b"hi"])
        assert ada.connect("/chat") == ada.sids["/chat"]
        assert ada.call("chat", "hi", namespace="/chat") == "HI"
        ada.disconnect("/chat")
        assert list(ada.sids) == ["/"]
    assert not ada.connected
    assert not server.running


def test_several_clients_hear_each_other():
    server = make_server()
    with Client(server) as ada, Client(server) as bob, Client(server) as eve:
        assert len({ada.sid, bob.sid, eve.sid}) == 3
        ada.emit("shout", 1)
        for each in (ada, bob, eve):
            assert each.receive("shouted").args == [1]
        bob.close()
        server.emit("news", 2)
        ada.idle()
        assert [event.name for event in bob.events] == ["shouted"]
        assert [event.name for event in eve.received()] == ["news"]
        assert eve.received() == []
        assert [event.name for event in eve.events] == ["shouted", "news"]


def test_refused():
    server = make_server()
    for how, args in (("refuse", ("not today", {"retry": 60})), ("false", ("Connection rejected by server",))):
        client = Client(server, auth={"how": how})
        with pytest.raises(Refused) as refused:
            client.connect()
        assert refused.value.args == args
        assert not client.connected
    assert not server.running
    with pytest.raises(Refused, match="Invalid namespace"):
        Client(server, namespace="/nowhere").connect()


def test_revision_3_hears_the_reason_of_a_refusal():
    server = make_server()

    @server.on("connect")
    def connect():
        raise Refused("go away")

    with pytest.raises(Refused, match="go away"):
        Client(server, revision=3).connect()


def test_admission_is_the_same_as_for_any_client():
    server = make_server(cors_allowed_origins=["https://good.example"])
    with pytest.raises(Refused, match="origin"):
        Client(server, headers={"Origin": "https://evil.example"}).connect()
    with Client(server, headers={"Origin": "https://good.example"}, query={"a": [1, 2]}) as client:
        handshake = server.socket(client.sid).handshake
        assert handshake.header("origin") == "https://good.example"
        assert "a=1&a=2" in handshake.query
    with pytest.raises(Refused, match="allow_request said no"):
        Client(make_server(allow_request=lambda handshake: False)).connect()


def test_what_a_handler_raises(caplog):
    server = make_server()
    with Client(server) as ada, Client(server) as bob:
        for event in ("fail", "afail"):
            with pytest.raises(ZeroDivisionError, match=f"^{event} is broken"):
                ada.call(event)
        ada.emit("fail")
        ada.idle()
        assert [str(error) for error in ada.errors] == ["fail is broken", "afail is broken", "fail is broken"]
        assert bob.errors == []
    with pytest.raises(ZeroDivisionError, match="connect is broken"):
        Client(server, auth={"how": "fail"}).connect()
    assert len(caplog.records) == 4


def test_no_answer():
    with Client(make_server(), timeout=0.05) as client:
        with pytest.raises(AckTimeout, match="no answer to 'nobody'"):
            client.call("nobody")
        client.emit("shout", 1)
        client.idle(5)
        with pytest.raises(TimeoutError, match=r"no event 'news' came in /; what came: shouted in /$"):
            client.receive("news")
        assert client.receive().name == "shouted"
        with pytest.raises(TimeoutError, match="what came: nothing"):
            client.receive()


def test_the_server_asks():
    server = make_server()
    with Client(server) as client:
        client.on("add", lambda a, b: a + b)
        client.on("pair", lambda: (1, b"2"))
        client.on("nothing", lambda: None)
        assert server.call("add", 1, 2, to=client.sid).result(5) == 3
        assert server.call("pair", to=client.sid).result(5) == (1, b"2")
        assert server.call("nothing", to=client.sid).result(5) is None
        reply = server.call("by hand", "?", to=client.sid)
        asked = client.receive("by hand")
        client.answer(asked, "yes")
        assert reply.result(5) == "yes"
        server.emit("told", 1, to=client.sid)
        with pytest.raises(UsageError, match="wants no answer to 'told'"):
            client.answer(client.receive("told"))


def test_the_server_disconnects():
    server = make_server()
    with Client(server) as client:
        sid = client.sid
        server.disconnect(sid)
        client.idle()
        assert not client.connected
        with pytest.raises(UsageError, match="not connected to '/'; call connect"):
            client.emit("echo")
        assert client.connect() != sid
        assert client.call("echo", 1) == 1


def test_too_large_a_message_ends_the_connection():
    with Client(make_server(max_payload=1000)) as client:
        with pytest.raises(AckTimeout, match="closed the connection"):
            client.call("echo", "x" * 2000)
        assert client.closed is not None
        assert client.closed[0] == 1009
        client.connect()
        assert client.call("echo", 1) == 1


def test_disconnect_and_close_wait_for_the_handler():
    server = make_server()
    gone = []
    server.on("disconnect", lambda reason: gone.append(reason))
    server.on("connect", lambda: None, namespace="/chat")
    server.on("disconnect", lambda reason: gone.append("chat: " + reason), namespace="/chat")
    client = Client(server)
    client.connect()
    client.connect("/chat")
    client.disconnect("/chat")
    assert gone == ["chat: client namespace disconnect"]
    client.close()
    client.close()
    assert gone[1:] == ["transport close"]


def test_idle_waits_for_all_that_was_caused():
    server = make_server(handler_threads=2)
    done = []

    @server.on("slow")
    def slow(number):
        threading.Event().wait(0.01)
        done.append(number)
        server.emit("was slow", number)

    with Client(server) as ada, Client(server) as bob:
        for number in range(20):
            (ada if number % 2 else bob).emit("slow", number)
        ada.idle()
        assert sorted(done) == list(range(20))
        assert len(bob.events) == 20


def test_idle_names_what_does_not_end():
    server = make_server()
    end = threading.Event()

    @server.on("endless")
    def endless():
        end.wait(20)

    with Client(server) as client:
        client.emit("endless")
        with pytest.raises(TimeoutError, match=r"not done within 0.05 seconds: .*endless \("):
            client.idle(0.05)
        assert client.call("echo", 1) == 1  # it stands in nobody's way
        end.set()
        client.idle()


def test_a_client_that_floods_is_read_again():
    server = make_server(max_pending_events=10, handlers_per_client=1)
    gate = threading.Event()
    done = []

    @server.on("slow")
    def slow(number):
        gate.wait(20)
        done.append(number)

    with Client(server) as client:
        for number in range(100):
            client.emit("slow", number)
        assert server.socket(client.sid).engine.paused
        gate.set()
        client.idle()
        assert done == list(range(100))
        assert client.call("echo", "still here") == "still here"


def test_pings_are_answered():
    server = make_server(ping_interval=0.1, ping_timeout=0.2)
    with Client(server) as client:
        threading.Event().wait(1)
        assert client.call("echo", 1) == 1
        assert client.closed is None


def test_what_a_client_takes():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    socketio.on_event("name", lambda: flask.current_app.name)
    for each in (socketio, app):
        with Client(each) as client:
            assert client.call("name") == "app"
    with Client(ASGIApp(make_server())) as client:
        assert client.call("echo", 1) == 1
    with pytest.raises(UsageError, match=r"a test client needs a truesocket.Server, .* not Flask"):
        Client(flask.Flask("bare"))
    with pytest.raises(UsageError, match="revision=5"):
        Client(make_server(), revision=5).connect()
    with Client(make_server()) as client, pytest.raises(UsageError, match="is connected to '/'; make one more"):
        client.connect()
    with pytest.raises(UsageError, match="call connect"):
        Client(make_server()).emit("x")
    with Client(make_server()) as client, pytest.raises(TypeError):
        client.emit("echo", object())


def test_nothing_of_a_server_is_kept():
    server = Server(block_warning=0)

    @server.on("say")
    async def say(text):  # on the loop: pool threads live on for some seconds, and know their server
        return text

    with Client(server) as client:
        assert client.call("say", 1) == 1
        assert server.runner.witness is not None
    assert server.runner.witness is None
    kept = weakref.ref(server)
    del server, client
    deadline = time.monotonic() + 10
    while kept() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        gc.collect()


# --- async ------------------------------------------------------------------------------------------------------------


@on_loop
async def test_the_same_on_the_tests_own_loop():
    server = make_server()
    async with AsyncClient(server) as ada, AsyncClient(server, revision=3) as bob:
        assert server.bridge.loop is asyncio.get_running_loop()
        assert await ada.call("aecho", 1, b"2") == (1, b"2")
        assert await bob.call("echo", 1) == 1
        await bob.emit("shout", "hi")
        assert (await ada.receive("shouted")).args == ["hi"]
        assert await ada.connect("/chat") in server.by_sid
        assert await ada.call("chat", "x", namespace="/chat") == "X"
        with pytest.raises(ZeroDivisionError):
            await ada.call("afail")
        ada.on("add", lambda a, b: a + b)
        assert await server.call("add", 1, 2, to=ada.sid) == 3
        await ada.disconnect("/chat")
        await ada.idle()
    assert not server.running


def test_one_server_on_many_loops_and_threads():
    server = make_server()

    async def talk():
        async with AsyncClient(server) as client:
            assert await client.call("aecho", 1) == 1

    for _ in range(2):
        asyncio.run(talk())
        with Client(server) as client:
            assert client.call("echo", 1) == 1


def test_a_test_that_forgot_to_close_is_no_harm_to_the_next():
    server = make_server()

    async def talk():
        client = AsyncClient(server)
        await client.connect()
        assert await client.call("aecho", 1) == 1

    asyncio.run(talk())
    asyncio.run(talk())
    with Client(server) as client:
        assert client.call("echo", 1) == 1


def test_two_loops_at_once_is_told():
    server = make_server()
    with Client(server), pytest.raises(UsageError, match="another event loop serves this server"):
        asyncio.run(AsyncClient(server).connect())


@on_loop
async def test_a_blocking_client_on_the_loop_is_told():
    server = make_server()
    async with AsyncClient(server):
        with pytest.raises(UsageError, match="use AsyncClient with `await`"):
            Client(server).connect()


@pytest.mark.asyncio
async def test_with_pytest_asyncio():
    async with AsyncClient(make_server()) as client:
        assert await client.call("aecho", 1) == 1


@pytest.mark.anyio
async def test_with_anyio():
    async with AsyncClient(make_server()) as client:
        assert await client.call("aecho", 1) == 1


@pytest.fixture
def anyio_backend():
    return "asyncio"


# --- a server that listens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["server", "asgi", "flask"])
def test_live_server(kind):
    app = flask.Flask("app")
    socketio = SocketIO(app)
    socketio.on_event("echo", lambda *args: args)
    server = {"server": make_server(), "asgi": ASGIApp(make_server()), "flask": app}[kind]
    for _ in range(2):
        with LiveServer(server) as live:
            assert live.url == f"http://127.0.0.1:{live.port}"
            with Wire(live.port) as wire, Client(server) as client:  # both sorts of clients at once
                wire.join()
                assert wire.call("echo", 1) == [1]
                assert client.call("echo", 2) == 2
    live.stop()


def test_a_server_listens_beside_clients_in_memory():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    socketio.on_event("echo", lambda *args: args)
    before = socketio.test_client(app)
    with LiveServer(app) as live, Client(app) as client, Wire(live.port) as wire:
        wire.join()
        assert wire.call("echo", 1) == [1]
        assert client.call("echo", 2) == 2
        assert before.emit("echo", 3, callback=True) == 3
        client.close()
        assert wire.call("echo", 4) == [4]
        with pytest.raises(UsageError, match="another event loop serves this server"):
            asyncio.run(AsyncClient(socketio).connect())
    assert not socketio.entrance.server.running
    assert not before.is_connected()


@on_loop
async def test_a_server_that_lives_on_the_tests_loop_cannot_listen():
    server = make_server()
    async with AsyncClient(server):
        with pytest.raises(UsageError, match="close it before the server listens"):
            LiveServer(server).start()


def test_clients_of_flask_socketio_are_forgotten_by_the_next_test():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    socketio.on_event("echo", lambda *args: args)
    before = socketio.test_client(app)

    async def talk():
        async with AsyncClient(socketio) as client:
            assert await client.call("echo", 1) == 1

    asyncio.run(talk())
    assert not before.is_connected()
    before.connect()
    assert before.emit("echo", 3, callback=True) == 3
