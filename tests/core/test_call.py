"""call(): an event whose answer is awaited."""

import asyncio
import threading
import time

import pytest

from tests.support.loopback import Client, on_loop, serving, settle, until
from truesocket.core import fanout
from truesocket.core.server import Server
from truesocket.errors import AckTimeout, UsageError


@pytest.mark.parametrize(("answer", "value"), [((), None), ((1,), 1), ((1, "b"), (1, "b")), (([1, 2],), [1, 2])])
@on_loop
async def test_answer(answer, value):
    server = Server()
    async with serving(server):
        client = Client(server)
        reply = server.call("question", "why?", to=await client.joined())
        assert client.events == [["question", "why?"]]
        client.answer(client.packets[-1], *answer)
        client.answer(client.packets[-1], "twice")
        assert await reply == value


@on_loop
async def test_from_a_thread():
    server = Server()
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        got = []
        thread = threading.Thread(target=lambda: got.append(server.call("question", to=sid).result(10)))
        thread.start()
        await until(lambda: client.events)
        client.answer(client.packets[-1], 42)
        await until(lambda: got)
        thread.join()
        assert got == [42]


@on_loop
async def test_timeout_names_the_event_and_the_time():
    server = Server()
    async with serving(server):
        client = Client(server)
        reply = server.call("question", to=await client.joined(), timeout=0.05)
        with pytest.raises(AckTimeout, match=r"call\('question'\): no answer within 0.05 seconds"):
            await reply
        client.answer(client.packets[-1], "late")
        await settle()


@pytest.mark.parametrize("how", ["leave", "vanish", "kicked"])
@on_loop
async def test_wakes_at_once_when_the_client_leaves(how):
    server = Server()
    async with serving(server):
        client = Client(server)
        reply = server.call("question", to=await client.joined(), timeout=3600)
        if how == "kicked":
            server.disconnect(client.sid())
        else:
            getattr(client, how)()
        with pytest.raises(AckTimeout, match="the client left before it answered"):
            await asyncio.wait_for(reply, 10)


@pytest.mark.parametrize("to", ["nobody", [], ["a", "b"]])
@on_loop
async def test_nobody_there_fails_at_once(to):
    server = Server()
    async with serving(server):
        with pytest.raises(AckTimeout, match="nobody is there to answer"):
            await asyncio.wait_for(server.call("question", to=to, timeout=3600), 10)


@on_loop
async def test_the_server_ends_before_the_question_is_sent():
    server = Server()
    async with serving(server):
        sid = await Client(server).joined()
        replies = []
        asker = threading.Thread(target=lambda: replies.append(server.call("question", to=sid, timeout=None)))
        asker.start()
        asker.join()  # the question is in the FIFO, and the loop has not turned since
        server.stop()
    with pytest.raises(AckTimeout):
        await replies[0]


def test_before_a_loop_runs_nobody_is_there():
    with pytest.raises(AckTimeout, match="nobody is there"):
        Server().call("question", to="sid", timeout=3600).result(10)


@on_loop
async def test_first_answer_of_a_room_counts_and_the_last_leaver_ends_it():
    server = Server()
    async with serving(server):
        one, two = Client(server), Client(server)
        for client in (one, two):
            server.enter(await client.joined(), "room")
        reply = server.call("question", to="room", timeout=3600)
        one.leave()
        assert not reply.done()
        two.answer(two.packets[-1], "second")
        assert await reply == "second"
        reply = server.call("question", to="room", timeout=3600)
        two.vanish()
        with pytest.raises(AckTimeout):
            await asyncio.wait_for(reply, 10)


@on_loop
async def test_result_on_the_loop_raises_instead_of_waiting_for_ever():
    server = Server()
    async with serving(server):
        client = Client(server)
        reply = server.call("question", to=await client.joined())
        with pytest.raises(UsageError, match="await"):
            reply.result()
        client.vanish()
        with pytest.raises(AckTimeout):
            await reply


@on_loop
async def test_inside_a_connect_handler_it_is_an_error_at_once():
    server = Server()
    caught = []

    @server.on("connect")
    def connect():
        [sid] = server.by_sid
        try:
            server.call("question", to=sid)
        except UsageError as error:
            caught.append(str(error))

    async with serving(server):
        await Client(server).joined()
        assert "inside a connect handler" in caught[0]


@on_loop
async def test_callbacks_get_each_answer():
    server = Server()
    got: list[object] = []
    async with serving(server):
        clients = [Client(server) for _ in range(3)]
        for client in clients:
            await client.joined()
        server.emit("question", callback=lambda *args: got.append(args))
        for number, client in enumerate(clients[:2]):
            client.answer(client.packets[-1], "answer", number)
        clients[2].vanish()
        await until(lambda: len(got) == 2)
        await settle()
        assert sorted(got) == [("answer", 0), ("answer", 1)]


@on_loop
async def test_callback_may_be_async_and_unknown_acks_are_ignored():
    server = Server()
    got: list[object] = []

    async def callback(value):
        got.append(value)

    async with serving(server):
        client = Client(server)
        await client.joined()
        client.say('4399["never asked"]')
        server.emit("question", callback=callback)
        client.answer(client.packets[-1], 1)
        client.answer(client.packets[-1], 2)
        await until(lambda: got)
        await settle()
        assert got == [1]


@on_loop
async def test_ack_ids_count_per_client_and_namespace():
    server = Server(namespaces=["/", "/room"])
    async with serving(server):
        client = Client(server)
        await client.joined()
        await client.joined("/room")
        for _ in range(2):
            server.emit("question", callback=print)
        server.emit("question", callback=print, namespace="/room")
        asked = [(packet.namespace, packet.id) for packet in client.packets if packet.id is not None]
        assert asked == [("/", 0), ("/", 1), ("/room", 0)]


def test_reply_times_out_in_the_thread_that_waits():
    """`.result(timeout)` has a limit of its own."""
    server = Server()
    ready, over = threading.Event(), threading.Event()
    sids: list[str] = []

    async def serve():
        async with serving(server):
            sids.append(await Client(server).joined())
            ready.set()
            await until(over.is_set)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    started = time.monotonic()
    with pytest.raises(AckTimeout, match=r"within 0\.05 seconds"):
        server.call("question", to=sids[0]).result(0.05)
    assert time.monotonic() - started < 10
    over.set()
    thread.join()


# --- of many ----------------------------------------------------------------------------------------------------------


async def asked(server, count):
    clients = [Client(server) for _ in range(count)]
    for client in clients:
        server.enter(await client.joined(), "room")
    return clients


@on_loop
async def test_everybody_answers():
    server = Server()
    async with serving(server):
        clients = await asked(server, 3)
        outsider = Client(server)
        await outsider.joined()
        reply = server.to("room").call("question", 1, timeout=None)
        assert [client.events for client in clients] == [[["question", 1]]] * 3
        clients[0].answer(clients[0].packets[-1])
        clients[1].answer(clients[1].packets[-1], "yes")
        clients[1].answer(clients[1].packets[-1], "twice")
        assert not reply.done()
        clients[2].answer(clients[2].packets[-1], 1, 2)
        answers = await asyncio.wait_for(reply, 10)
        sids = [client.sid() for client in clients]
        assert answers.given == dict(zip(sids, [None, "yes", (1, 2)], strict=True))
        assert (answers.missing, outsider.events) == ((), [])


@on_loop
async def test_who_does_not_answer_in_time_is_named():
    server = Server()
    async with serving(server):
        clients = await asked(server, 3)
        reply = server.to("room").call("question", timeout=0.1)
        clients[1].answer(clients[1].packets[-1], "yes")
        answers = await asyncio.wait_for(reply, 10)
        assert answers.given == {clients[1].sid(): "yes"}
        assert answers.missing == (clients[0].sid(), clients[2].sid())
        clients[0].answer(clients[0].packets[-1], "late")
        await settle()
        assert len(answers.given) == 1
        assert all(not socket._acks for socket in await server.sockets()), "somebody still waits for an answer"


@pytest.mark.parametrize("how", ["leave", "vanish"])
@on_loop
async def test_who_leaves_is_not_waited_for(how):
    server = Server()
    async with serving(server):
        clients = await asked(server, 2)
        sids = [client.sid() for client in clients]
        reply = server.to("room").call("question", timeout=3600)
        clients[0].answer(clients[0].packets[-1], "yes")
        getattr(clients[1], how)()
        answers = await asyncio.wait_for(reply, 10)
        assert (answers.given, answers.missing) == ({sids[0]: "yes"}, (sids[1],))


@pytest.mark.parametrize("step", [1, 500])
@on_loop
async def test_the_time_runs_when_all_have_been_asked(step, monkeypatch):
    """Quick answers to a broadcast that goes on do not end it."""
    monkeypatch.setattr(fanout, "STEP", step)
    server = Server()
    async with serving(server):
        clients = await asked(server, 4)
        reply = server.of("/").call("question", timeout=3600)
        for client in clients:
            await until(lambda client=client: client.events)
            client.answer(client.packets[-1], "yes")
        assert len((await asyncio.wait_for(reply, 10)).given) == 4


@on_loop
async def test_nobody_there_gives_no_answers():
    server = Server()
    async with serving(server):
        answers = await asyncio.wait_for(server.to("empty").call("question", timeout=3600), 10)
        assert (answers.given, answers.missing) == ({}, ())


def test_before_a_loop_runs_nobody_answers():
    assert Server().to("room").call("question").result(10).given == {}


@on_loop
async def test_by_the_handle_of_a_client():
    server = Server()
    async with serving(server):
        client = Client(server)
        socket = server.socket(await client.joined())
        reply = socket.call("question", 1, timeout=3600)
        client.answer(client.packets[-1], "yes")
        assert await reply == "yes"
        reply = socket.call("question", timeout=3600)
        client.vanish()
        with pytest.raises(AckTimeout, match="the client left"):
            await asyncio.wait_for(reply, 10)
