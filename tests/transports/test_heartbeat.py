"""The timer wheel: who is due is looked at, in its slot; a late tick expires nobody.

The wheel runs on an event loop of its own whose clock the test moves, so that nothing depends on the machine.
"""

import asyncio
import logging

import pytest

from tests.support.recording import RecordingLink, RecordingReceiver
from truesocket.session.engine import Engine, EngineOptions, Reason
from truesocket.transports.heartbeat import SLOT, Heartbeat


class ManualLoop(asyncio.SelectorEventLoop):
    """A real event loop that takes its time from the test."""

    def __init__(self):
        super().__init__()
        self.moment = 5000.0

    def time(self):
        return self.moment

    def turn(self):
        """One pass: what can be read, then whose time has come."""
        self.call_soon(self.stop)
        self.run_forever()

    def pass_time(self, seconds, step=0.05):
        for _ in range(round(seconds / step)):
            self.moment += step
            self.turn()


@pytest.fixture
def loop():
    loop = ManualLoop()
    yield loop
    loop.close()


@pytest.fixture
def heartbeat(loop):
    heartbeat = Heartbeat()
    heartbeat.start(loop)
    yield heartbeat
    heartbeat.stop()


class Due:
    """Stands where an engine stands in the wheel: it notes when it was asked, and says when to ask again."""

    def __init__(self, clock, *again):
        self.clock = clock
        self.again = list(again)
        self.asked = []

    def tick(self):
        self.asked.append(self.clock.now)
        return self.again.pop(0) if self.again else None


def come_in(heartbeat, **options):
    link, listener = RecordingLink(), RecordingReceiver()
    engine = Engine("SID", 4, listener, heartbeat, EngineOptions(**{"ping_interval": 1, "ping_timeout": 1} | options))
    engine.open(link)
    link.take()
    return engine, link, listener


def test_everybody_is_asked_once_and_not_before_the_time(loop, heartbeat):
    entries = [(Due(heartbeat), at / 10) for at in range(20)]
    for due, at in entries:
        heartbeat.wake(due, at)
    loop.pass_time(3)
    for due, at in entries:
        (asked,) = due.asked
        assert at <= asked <= at + 2 * SLOT
    assert heartbeat._wheel == {}


def test_who_wants_to_be_asked_again_is(loop, heartbeat):
    due = Due(heartbeat, 1.0, 2.0)
    heartbeat.wake(due, 0.5)
    heartbeat.wake(due, 0.5)  # twice is once
    loop.pass_time(3)
    assert len(due.asked) == 3
    assert due.asked[1] >= 1.0
    assert due.asked[2] >= 2.0


def test_who_asks_for_the_past_is_asked_in_the_next_slot(loop, heartbeat):
    due = Due(heartbeat, 0.0)
    loop.pass_time(1)
    heartbeat.wake(due, 0.2)
    loop.pass_time(0.5)
    assert len(due.asked) == 2


def test_the_clock_runs_with_the_loop(loop, heartbeat):
    assert heartbeat.now == 0
    loop.pass_time(10)
    assert heartbeat.now == pytest.approx(10, abs=2 * SLOT)
    assert heartbeat.lag == 0


def test_after_a_stop_nobody_is_asked(loop, heartbeat):
    due = Due(heartbeat)
    heartbeat.wake(due, 0.5)
    heartbeat.stop()
    loop.pass_time(2)
    assert due.asked == []
    heartbeat.stop()
    heartbeat._tick()  # a tick that was under way already
    heartbeat._turn()
    assert heartbeat.now == 0


def test_a_broken_engine_does_not_stop_the_others(loop, heartbeat, caplog):
    broken, others = Due(heartbeat), [Due(heartbeat) for _ in range(5)]
    broken.tick = lambda: 1 / 0
    for due in (broken, *others):
        heartbeat.wake(due, 0.5)
    with caplog.at_level(logging.ERROR, "truesocket"):
        loop.pass_time(1)
    assert [len(due.asked) for due in others] == [1] * 5
    assert "heartbeat failed" in caplog.text


def test_an_engine_lives_on_pongs(loop, heartbeat):
    engine, link, listener = come_in(heartbeat)
    for _ in range(3):
        loop.pass_time(1.2)
        assert link.take() == ["2"]
        engine.received_on(link, "3")
    assert listener.heard == []
    loop.pass_time(3)
    assert listener.named("closed") == [Reason.PING_TIMEOUT]


def test_a_late_tick_expires_nobody_before_what_came_has_been_read(loop, heartbeat):
    """The process stood still for a minute.  The pong came meanwhile, and is read when it goes on."""
    engine, link, listener = come_in(heartbeat)
    loop.pass_time(1.2)
    assert link.take() == ["2"]
    loop.moment += 60
    loop.turn()
    assert listener.heard == []
    engine.received_on(link, "3")  # the read pass
    loop.pass_time(0.2, 0.01)
    assert listener.heard == []
    assert link.take() == []


@pytest.mark.parametrize("times", [2, 3, 4, 5, 9, 30])
def test_standing_still_again_and_again_expires_nobody(loop, heartbeat, times):
    """The loop is blocked anew before it comes to look at anybody."""
    engine, link, listener = come_in(heartbeat)
    loop.pass_time(1.2)
    assert link.take() == ["2"]
    for _ in range(times):
        loop.moment += 5
        loop.turn()
    assert listener.heard == []
    assert heartbeat.lag == pytest.approx(5 * times, abs=(times + 2) * SLOT)
    engine.received_on(link, "3")
    loop.pass_time(0.3)
    assert listener.heard == []


def test_a_loop_that_does_nothing_but_halt_still_finds_out_who_is_gone(loop, heartbeat):
    """Of four halts in a row, one slot counts: ten slots without a pong have passed after forty or so."""
    _, link, listener = come_in(heartbeat)
    loop.pass_time(1.2)
    assert link.take() == ["2"]
    halts = 0
    while not listener.heard:
        loop.moment += 5
        loop.turn()
        halts += 1
        assert halts < 60
    assert halts > 30
    assert listener.named("closed") == [Reason.PING_TIMEOUT]


def test_every_deadline_moves_by_the_lag(loop, heartbeat):
    _, link, listener = come_in(heartbeat)
    loop.pass_time(1.2)
    assert link.take() == ["2"]
    loop.moment += 60
    loop.pass_time(0.5)
    assert listener.heard == []
    assert heartbeat.lag == pytest.approx(60, abs=2 * SLOT)
    loop.pass_time(1)
    assert listener.named("closed") == [Reason.PING_TIMEOUT]


def test_pings_go_out_in_time_on_a_loop_that_is_always_late(loop, heartbeat):
    """Each turn takes 0.4 s: our patience grows, but the client, who counts real seconds, gets its pings."""
    engine, link, listener = come_in(heartbeat, ping_interval=4, ping_timeout=4)
    pings = 0
    for _ in range(100):
        loop.moment += 0.4
        loop.turn()
        for _ in link.take():
            pings += 1
            engine.received_on(link, "3")
    assert 7 <= pings <= 10  # 40 s
    assert listener.heard == []


def test_a_wheel_that_starts_again_goes_on(loop):
    heartbeat = Heartbeat()
    heartbeat.start(loop)
    loop.pass_time(1)
    heartbeat.stop()
    before = heartbeat.now
    loop.moment += 100
    heartbeat.start(loop)
    due = Due(heartbeat)
    heartbeat.wake(due, before + 0.5)
    loop.pass_time(1)
    heartbeat.stop()
    assert len(due.asked) == 1
    assert heartbeat.lag == 0
