"""One turn of long-polling: what an HTTP server would send, for every turn that there can be."""

import asyncio
import json

import pytest

from tests.support.recording import RecordingLink, RecordingReceiver
from truesocket.codec.parcel import Parcel
from truesocket.session.engine import Engine, EngineOptions, Reason, State
from truesocket.testing import FakeClock
from truesocket.transports import polling
from truesocket.transports.polling import HttpReply, HttpRequest, error_reply, turn

GET = HttpRequest("GET")
GRACE = 10  # seconds; nothing here takes any


def come_in(revision=4, *, base64=False):
    listener = RecordingReceiver()
    engine = Engine("SID", revision, listener, FakeClock(), EngineOptions(), base64=base64)
    engine.open(None)
    return engine, listener


def run(scene):
    return asyncio.run(asyncio.wait_for(scene, GRACE))


def post(body, content_type="text/plain;charset=UTF-8"):
    return HttpRequest("POST", content_type, body.encode() if isinstance(body, str) else body)


async def parked(engine):
    """A GET that waits."""
    task = asyncio.ensure_future(turn(engine, GET))
    while engine._answer is None:
        await asyncio.sleep(0)
    return task


def code_of(reply):
    assert reply.content_type == "application/json"
    return json.loads(reply.body)["code"]


@pytest.mark.parametrize("revision", [3, 4])
def test_the_first_get_says_hello(revision):
    async def scene():
        engine, _ = come_in(revision)
        return await turn(engine, GET)

    reply = run(scene())
    assert reply.status == 200
    assert reply.content_type == "text/plain; charset=UTF-8"
    assert dict(reply.headers)["Cache-Control"] == "no-store"
    assert b'"sid":"SID"' in reply.body


def test_a_parked_get_is_answered_by_what_comes():
    async def scene():
        engine, _ = come_in()
        await turn(engine, GET)
        task = await parked(engine)
        engine.send(Parcel('2["ä"]', (b"\x00",)))
        return await task

    assert run(scene()).body == '42["ä"]\x1ebAA=='.encode()


@pytest.mark.parametrize(
    ("base64", "content_type", "body"),
    [
        (False, "application/octet-stream", b'\x00\x07\xff42["a"]\x01\x02\xff\x04\x00'),
        (True, "text/plain; charset=UTF-8", b'7:42["a"]6:b4AA=='),
    ],
)
def test_bytes_for_revision_3(base64, content_type, body):
    async def scene():
        engine, _ = come_in(3, base64=base64)
        await turn(engine, GET)
        engine.send(Parcel('2["a"]', (b"\x00",)))
        return await turn(engine, GET)

    reply = run(scene())
    assert (reply.content_type, reply.body) == (content_type, body)


@pytest.mark.parametrize(
    ("revision", "request_"),
    [
        (4, post("4hi")),
        (3, post("3:4hi")),
        (3, post(b"\x00\x03\xff4hi", "application/octet-stream")),
    ],
)
def test_post(revision, request_):
    async def scene():
        engine, listener = come_in(revision)
        return await turn(engine, request_), listener

    reply, listener = run(scene())
    assert (reply.status, reply.body, reply.content_type) == (200, b"ok", "text/html")
    assert listener.heard == [("received", "hi")]


def test_binary_post_in_revision_4_ends_the_session():
    async def scene():
        engine, listener = come_in(4)
        return await turn(engine, post(b"\x00\x03\xff4hi", "application/octet-stream")), listener

    reply, listener = run(scene())
    assert (reply.status, code_of(reply)) == (400, 3)
    assert "no binary payloads" in json.loads(reply.body)["hint"]
    assert listener.heard == [("closed", Reason.PARSE_ERROR), ("gone",)]


@pytest.mark.parametrize("revision", [3, 4])
def test_garbage_is_refused_and_ends_the_session(revision):
    async def scene():
        engine, listener = come_in(revision)
        await turn(engine, GET)
        waiting = await parked(engine)
        refused = await turn(engine, post("abc"))
        return refused, await waiting, await turn(engine, GET), await turn(engine, post("4x")), listener

    refused, waiting, late, later, listener = run(scene())
    assert (refused.status, code_of(refused)) == (400, 3)
    assert waiting.body == (b"1:6" if revision == 3 else b"6")
    assert (late.status, code_of(late)) == (400, 1)
    assert (later.status, code_of(later)) == (400, 1)
    assert listener.heard == [("closed", Reason.PARSE_ERROR), ("gone",)]


@pytest.mark.parametrize("revision", [3, 4])
def test_two_gets_at_once(revision):
    async def scene():
        engine, listener = come_in(revision)
        await turn(engine, GET)
        first = await parked(engine)
        second = await turn(engine, GET)
        return await first, second, listener

    first, second, listener = run(scene())
    assert first.body == (b"1:1" if revision == 3 else b"1")
    assert (second.status, code_of(second)) == (400, 3)
    assert listener.named("closed") == [Reason.TRANSPORT_ERROR]


def test_a_client_that_leaves_its_parked_get_misses_nothing():
    watches = []

    def watch(left):
        watches.append("begun")
        leave.append(left)
        return lambda: watches.append("ended")

    leave = []

    async def scene():
        engine, _ = come_in()
        await turn(engine, GET, watch)  # the hello is there at once: nobody to watch
        assert watches == []
        waiting = asyncio.ensure_future(turn(engine, GET, watch))
        while not leave:
            await asyncio.sleep(0)
        leave.pop()()
        with pytest.raises(polling.Left):
            await waiting
        assert watches == ["begun", "ended"]
        engine.send(Parcel('2["news",1]'))
        reply = await turn(engine, GET, watch)
        assert watches == ["begun", "ended"]
        again = asyncio.ensure_future(turn(engine, GET, watch))
        while not leave:
            await asyncio.sleep(0)
        engine.send(Parcel('2["news",2]'))
        leave.pop()()  # too late
        return reply, await again

    first, second = run(scene())
    assert (first.body, second.body) == (b'42["news",1]', b'42["news",2]')
    assert watches == ["begun", "ended"] * 2


def test_a_get_behind_the_upgrade_is_refused_and_harms_nobody():
    async def scene():
        engine, listener = come_in()
        link = RecordingLink()
        engine.probe(link)
        engine.received_on(link, "2probe")
        engine.received_on(link, "5")
        return await turn(engine, GET), listener

    reply, listener = run(scene())
    assert (reply.status, code_of(reply)) == (400, 3)
    assert "WebSocket" in reply.body.decode()
    assert listener.heard == []


def test_a_client_that_goes_away_from_its_get_loses_nothing_later():
    async def scene():
        engine, _ = come_in()
        await turn(engine, GET)
        task = await parked(engine)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        engine.send(Parcel('2["a"]'))
        return await turn(engine, GET)

    assert run(scene()).body == b'42["a"]'


def test_an_answer_that_comes_as_its_client_goes_is_no_error():
    async def scene():
        engine, listener = come_in()
        await turn(engine, GET)
        task = await parked(engine)
        answer = engine._answer
        task.cancel()
        await asyncio.sleep(0)
        answer([])
        with pytest.raises(asyncio.CancelledError):
            await task
        return listener

    assert run(scene()).heard == []


def test_close_from_the_client():
    async def scene():
        engine, listener = come_in()
        await turn(engine, GET)
        waiting = await parked(engine)
        closing = await turn(engine, post("1"))
        return closing, await waiting, await turn(engine, GET), listener

    closing, waiting, late, listener = run(scene())
    assert closing.body == b"ok"
    assert waiting.body == b"6"
    assert late.status == 400
    assert listener.named("closed") == [Reason.TRANSPORT_CLOSE]


def test_close_from_the_server():
    async def scene():
        engine, _ = come_in()
        engine.close()
        last = await turn(engine, GET)
        return last, await turn(engine, GET)

    last, late = run(scene())
    assert last.body.endswith(b"\x1e1")
    assert code_of(late) == 1


@pytest.mark.parametrize("end", ["resume", "close"])
def test_a_post_waits_while_the_handlers_do_not_keep_up(end):
    async def scene():
        engine, _ = come_in()
        engine.pause()
        task = asyncio.ensure_future(turn(engine, post("4hi")))
        await asyncio.sleep(0.12)
        assert not task.done()
        getattr(engine, end)()
        return await task, engine

    reply, engine = run(scene())
    assert reply.body == b"ok"
    assert engine.state is (State.OPEN if end == "resume" else State.CLOSING)


@pytest.mark.parametrize("code", range(6))
def test_error_replies(code):
    reply = error_reply(code)
    assert reply.status == (403 if code == 4 else 400)
    assert set(json.loads(reply.body)) == {"code", "message"}
    assert json.loads(error_reply(code, "try that").body)["hint"] == "try that"
    assert error_reply(code, status=405).status == 405


def test_replies_are_values():
    assert HttpReply(200, b"ok") == HttpReply(200, b"ok")
    assert set(polling.__all__) >= {"turn", "HttpReply", "HttpRequest"}
