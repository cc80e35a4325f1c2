"""The heartbeat of one session, on a fake clock: interval 25 s, time-out 20 s.  What is sent: tests of the engine."""

import pytest

from truesocket.session.ports import EngineOptions
from truesocket.session.pulse import Pulse
from truesocket.testing import FakeClock

OPTIONS = EngineOptions(ping_interval=25, ping_timeout=20)


@pytest.fixture
def clock():
    return FakeClock()


def test_4_is_pinged_and_given_up_without_a_pong(clock):
    pulse = Pulse(4, clock, OPTIONS)
    assert pulse._next_beat() == 25
    clock.advance(24)
    assert not pulse._is_ping_due()
    assert not pulse._ponged(), "nobody asked"
    clock.advance(1)
    assert pulse._is_ping_due()
    pulse._pinged()
    assert not pulse._is_ping_due()
    assert pulse._next_beat() == 45
    assert not pulse._is_silent(44)
    assert pulse._is_silent(45)


def test_4_lives_on_with_its_pong(clock):
    pulse = Pulse(4, clock, OPTIONS)
    clock.advance(25)
    pulse._pinged()
    clock.advance(3)
    assert pulse._ponged()
    assert pulse._next_beat() == 53
    assert not pulse._is_silent(1000)


def test_4_is_pinged_in_time_however_busy_we_were(clock):
    """The client counts by its own time; what it has to answer is counted by ours."""
    pulse = Pulse(4, clock, OPTIONS)
    clock.stall(20)
    assert pulse._next_beat() == 5
    clock.advance(5)
    assert pulse._is_ping_due()
    pulse._pinged()
    clock.stall(100)
    assert not pulse._is_silent(clock.now)


def test_4_that_is_not_read_is_pinged_and_not_held_to_its_pong(clock):
    pulse = Pulse(4, clock, OPTIONS)
    clock.advance(25)
    pulse._pinged()
    clock.advance(5)
    pulse._pauses()
    assert pulse.paused
    assert not pulse._is_silent(1000)
    assert pulse._next_beat() == 50
    clock.advance(20)
    assert pulse._is_ping_due()
    pulse._pinged()
    assert pulse._next_beat() == 75
    assert not pulse._is_pause_over(1000)
    pulse._resumes()
    assert not pulse.paused


def test_3_is_given_up_after_both_times_in_silence(clock):
    pulse = Pulse(3, clock, OPTIONS)
    clock.advance(30)
    assert not pulse._is_ping_due(), "it pings itself"
    assert pulse._next_beat() == 45
    assert not pulse._is_silent(44)
    assert pulse._is_silent(45)


def test_3_that_is_not_read_is_told_before_it_gives_up(clock):
    pulse = Pulse(3, clock, OPTIONS)
    clock.advance(30)
    pulse._pauses()
    assert pulse._next_beat() == 40
    assert not pulse._is_silent(1000)
    assert not pulse._is_pause_over(39)
    assert pulse._is_pause_over(40)
    pulse._resumes()
    assert not pulse._is_pause_over(1000)
    assert pulse._next_beat() == 75
