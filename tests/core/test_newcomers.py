"""A second look at every new connection, without a timer for each, and without holding it."""

import asyncio
import gc

import pytest

from tests.support.loopback import Client
from truesocket.core.newcomers import Newcomers
from truesocket.core.server import Server
from truesocket.session.engine import Engine
from truesocket.session.peer import Peer
from truesocket.transports.heartbeat import Heartbeat

NAMES = {name: name for name in ("ann", "bob", "eve")}


def test_everybody_is_looked_at_once_per_question_and_in_time():
    early, late = [], []
    newcomers = Newcomers(NAMES, (5.0, early.append), (45.0, late.append))
    newcomers.add("ann", 100.0)
    newcomers.add("bob", 103.0)
    newcomers.look(104.9)
    assert (early, late) == ([], [])
    newcomers.look(105.0)
    assert early == ["ann"]
    newcomers.look(150.0)
    assert early == ["ann", "bob"]
    assert late == ["ann", "bob"]
    newcomers.look(1000.0)
    assert (early, late) == (["ann", "bob"], ["ann", "bob"])


def test_nobody_asks_about_who_has_left():
    seen, here = [], dict(NAMES)
    newcomers = Newcomers(here, (5.0, seen.append))
    newcomers.add("ann", 0.0)
    newcomers.add("bob", 0.0)
    del here["ann"]
    newcomers.look(5.0)
    assert seen == ["bob"]


def test_clear():
    seen = []
    newcomers = Newcomers(NAMES, (5.0, seen.append))
    newcomers.add("ann", 0.0)
    newcomers.clear()
    newcomers.look(100.0)
    assert seen == []
    newcomers.add("bob", 100.0)
    newcomers.look(105.0)
    assert seen == ["bob"]


def test_a_check_may_add_somebody():
    newcomers = Newcomers(NAMES, (0.0, lambda name: newcomers.add("eve", 1.0) if name == "ann" else seen.append(name)))
    seen = []
    newcomers.add("ann", 0.0)
    newcomers.look(1.0)
    assert seen == ["eve"]


@pytest.mark.parametrize("polling", [False, True], ids=["websocket", "polling"])
def test_who_has_left_is_held_by_nobody(polling):
    """Neither by the second look (45 s) nor by the clock (25 s)."""

    def alive(kind):
        gc.collect()
        return sum(isinstance(each, kind) for each in gc.get_objects())

    async def main():
        server = Server()
        server.start(Heartbeat)
        try:
            before = alive(Peer), alive(Engine)
            for _ in range(500):
                client = Client(server, polling=polling)
                if polling:
                    client.engine.post(b"40", binary=False)
                    await asyncio.sleep(0)
                    client.engine.post(b"1", binary=False)
                else:
                    await client.joined()
                    client.vanish()
            del client
            await asyncio.sleep(0.2)
            assert not server.peers
            assert alive(Peer) - before[0] < 20
            assert alive(Engine) - before[1] <= 500  # the clock looks at each once more
        finally:
            server.stop()

    asyncio.run(main())
