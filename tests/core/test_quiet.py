"""Log lines that strangers can cause."""

import logging

import pytest

from truesocket.core.quiet import Quiet


class Time:
    now = 100.0


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def quiet(time):
    return Quiet(logging.getLogger("truesocket"), most=3, period=10, now=lambda: time.now)


def say(quiet, count):
    for number in range(count):
        quiet.say(logging.WARNING, "line %d", number)


def test_the_first_lines_are_written(quiet, caplog):
    say(quiet, 3)
    assert caplog.messages == ["line 0", "line 1", "line 2"]


def test_the_rest_is_counted_and_told_when_the_period_is_over(quiet, caplog, time):
    say(quiet, 50)
    assert len(caplog.messages) == 3
    time.now += 9.9
    quiet.look()
    assert len(caplog.messages) == 3
    time.now += 0.1
    quiet.look()
    assert caplog.messages[3:] == ["47 more like this, in about 10 s"]


def test_the_next_period_begins_with_a_line(quiet, caplog, time):
    say(quiet, 5)
    time.now += 60
    say(quiet, 1)
    assert caplog.messages[3:] == ["2 more like this, in about 10 s", "line 0"]


def test_nothing_is_told_where_nothing_was_swallowed(quiet, caplog, time):
    say(quiet, 2)
    time.now += 60
    quiet.look()
    quiet.finish()
    assert caplog.messages == ["line 0", "line 1"]


def test_what_was_swallowed_is_told_at_the_end(quiet, caplog):
    say(quiet, 4)
    quiet.finish()
    assert caplog.messages[3:] == ["1 more like this, in about 10 s"]
