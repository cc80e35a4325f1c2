"""Spoilt transcripts against whole listening servers: nobody else notices, and the log stays readable."""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from http.client import HTTPException

import pytest

from tests.support.mutation import FULL, PAYLOADS, chopped, conversation, frame, spoil
from tests.support.servers import TRACEBACK, Host, Server, running_asgi
from tests.support.talk import DOORS, PATH, Polling, Socketed, Talk
from tests.support.wire import Gone, get

APP = "tests.apps.conformance_app:app"
COUNT = 3_000 if FULL else 60
#: Lines that a bad session may write; `quiet` allows so many at once (core/quiet.py).
OURS = f"{os.sep}src{os.sep}truesocket{os.sep}"
CLOSED, MORE, AT_ONCE = " was closed: ", " more like this", 20


@pytest.fixture(scope="module", params=DOORS)
def server(request) -> Iterator[Server]:
    """It writes no traceback; but uvicorn's own WebSocket class writes one for every text that is not UTF-8.

    Where such a text follows its own close frame, it writes a second one. None of them leads through our files.
    """
    door: Host = request.param
    host_writes = door == "uvicorn"
    with running_asgi(APP, door, env={"OPTIONS": '{"max_payload": 100000}'}, tracebacks=host_writes) as server:
        yield server
        if host_writes:
            assert server.output.count(TRACEBACK) == server.output.count("UnicodeDecodeError: ") + server.output.count(
                "websockets.exceptions.InvalidState: connection is closing"
            )
            assert OURS not in server.output


class Bystander:
    """One client with events, acks and pushes all the while."""

    def __init__(self, port: int, way: str) -> None:
        self.talk = Talk(port, 4, way)
        self.talk.join()
        self.count = 0

    def check(self) -> None:
        self.count += 1
        self.talk.send(f'42["say",{self.count}]', f'42{self.count}["echo","x"]')
        expected = {f'42["said",{self.count}]', f'43{self.count}["x"]'}
        assert {self._next(), self._next()} == expected

    def _next(self) -> str:
        """The next packet but heartbeats, which come in a run of more than 25 s."""
        while (found := self.talk.text()) == "2":
            self.talk.send("3")
        return found


@pytest.fixture
def bystanders(server) -> Iterator[list[Bystander]]:
    found = [Bystander(server.port, way) for way in ("websocket", "polling")]
    yield found
    for each in found:
        each.check()
        each.talk.__exit__(None, None, None)


def bad_websocket(rng: random.Random, port: int) -> None:
    """Frames that go wrong somewhere, in pieces, then a cut."""
    revision = rng.choice((3, 4))
    client = Socketed(port, revision)
    with contextlib.closing(client), contextlib.suppress(Gone, ConnectionError):
        stream = b"".join(frame(rng, message) for message in conversation(rng, revision))
        if rng.random() < 0.3:
            stream = spoil(rng, stream)
        for chunk in chopped(rng, stream):
            client.raw.send_frame(chunk)


def bad_polling(rng: random.Random, port: int) -> None:
    """Payloads that go wrong somewhere."""
    revision = rng.choice((3, 4))
    session = Polling(port, revision)
    if revision == 4 and rng.random() < 0.7:
        session.post("40")
    for _ in range(rng.randrange(1, 4)):
        kind = "application/octet-stream" if rng.random() < 0.2 else "text/plain"
        reply = session.post(spoil(rng, rng.choice(PAYLOADS[revision]), PAYLOADS[revision]), kind)
        assert reply.status in (200, 400), reply.status


def bad_request(rng: random.Random, port: int) -> None:
    """A query that went wrong; no answer is better than 500."""
    query = spoil(rng, b"EIO=4&transport=polling&sid=AAAA&j=1&b64=1", [b"transport=websocket&EIO=3"])
    target = PATH + "?" + "".join(f"%{byte:02x}" if byte < 33 or byte > 126 else chr(byte) for byte in query)
    with contextlib.suppress(HTTPException, ConnectionError):
        assert get(port, target.partition("#")[0], method=rng.choice(("GET", "POST", "OPTIONS"))).status < 500


@pytest.mark.parametrize("bad", [bad_websocket, bad_polling, bad_request])
def test_nobody_else_notices(server, bystanders, bad):
    rng = random.Random(bad.__name__)
    before = server.output.count(CLOSED)
    for number in range(COUNT):
        bad(rng, server.port)
        if number % 10 == 0:
            for each in bystanders:
                each.check()
    assert server.output.count(CLOSED) - before <= COUNT, "more lines than bad sessions"
    assert "this is a bug in truesocket" not in server.output


@pytest.mark.parametrize("door", ["uvicorn-fast"])
def test_floods_do_not_flood_the_log(door):
    """A line each for the first ones, then their number."""
    count = 200
    with running_asgi(APP, door) as server:
        start = time.monotonic()
        for _ in range(count):
            client = Socketed(server.port, 4)
            client.send("x" * 5_000)
            client.closed()
        periods = (time.monotonic() - start) // 10 + 1
        server.terminate(10)
        lines = [line for line in server.output.splitlines() if CLOSED in line]
        assert 1 <= len(lines) <= AT_ONCE * periods
        assert max(map(len, lines)) < 500, "what came was quoted at length"
        more = [int(line.split()[1]) for line in server.output.splitlines() if MORE in line]
        assert sum(more) + len(lines) == count
