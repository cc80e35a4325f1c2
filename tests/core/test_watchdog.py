"""The watchdog names the handler that blocks the loop, with its line, and nobody else."""

import asyncio
import functools
import inspect
import logging
import sys
import threading
import time

import pytest

from truesocket.core import watchdog as watchdog_module
from truesocket.core.registry import handler
from truesocket.core.runner import Bare
from truesocket.core.watchdog import Watchdog

GRACE = 30  # seconds

LIMIT, INTERVAL = 0.1, 0.05


class Logs(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture
def logs():
    handler, logger = Logs(), logging.getLogger("truesocket")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def block(logs):
    """Blocks until the watchdog has said so (and does not wait for ever where it does not)."""
    end = time.monotonic() + GRACE
    while not logs.texts and time.monotonic() < end:
        time.sleep(0.01)  # the line


async def hangs(logs):
    block(logs)


async def scene(logs, behave):
    dog = Watchdog(LIMIT, INTERVAL)
    dog.start(asyncio.get_running_loop())
    try:
        await behave(logs)
    finally:
        dog.stop()


def test_a_blocked_loop_is_named_with_its_line(logs):
    async def behave(logs):
        await Bare().acall(handler(hangs), None, "say", (logs,), functools.partial(asyncio.sleep, 0))

    asyncio.run(scene(logs, behave))
    (text,) = logs.texts
    first = inspect.getsourcelines(hangs)[1]
    assert "the event loop has been blocked" in text
    assert f"hangs ({__file__}:{first + 1})" in text  # the handler, where it hangs
    source, start = inspect.getsourcelines(block)
    lines = range(start, start + len(source))
    assert any(f"block ({__file__}:{line})" in text for line in lines)  # and the innermost place
    assert "block(logs)" in text  # the stack


def test_a_hang_is_told_once(logs):
    async def behave(logs):
        block(logs)
        time.sleep(0.4)

    asyncio.run(scene(logs, behave))
    assert len(logs.texts) == 1


def test_a_second_hang_is_told_again(logs):
    async def behave(logs):
        block(logs)
        first, logs.texts = logs.texts, []
        await asyncio.sleep(0.05)
        block(logs)
        logs.texts += first

    asyncio.run(scene(logs, behave))
    assert len(logs.texts) >= 2


def test_a_busy_loop_that_turns_is_nobodys_fault(logs):
    """Generous: a noisy machine may hold up the loop, so this one is patient."""

    async def patient():
        dog = Watchdog(GRACE, INTERVAL)
        dog.start(asyncio.get_running_loop())
        end = time.monotonic() + 0.4
        while time.monotonic() < end:
            await asyncio.sleep(0)
        dog.stop()

    asyncio.run(patient())
    assert logs.texts == []


def test_a_loop_that_has_ended_is_not_blocked(logs):
    """Where nobody stops the watchdog, as under a host that is ended by force, it tells no lie."""
    dog = Watchdog(LIMIT, INTERVAL)

    async def main():
        dog.start(asyncio.get_running_loop())

    before = set(threading.enumerate())
    asyncio.run(main())
    [thread] = set(threading.enumerate()) - before
    thread.join(GRACE)
    assert not thread.is_alive()
    assert not logs.texts


def test_a_process_that_slept_is_nobodys_fault(logs):
    """As after SIGSTOP: the watchdog's own thread has not looked for long, either."""
    dog = Watchdog(LIMIT, INTERVAL)

    class Stop:
        """Stands still with everybody else for a while, twice as long as would be told."""

        looks = 0

        def wait(self, interval):
            self.looks += 1
            time.sleep(4 * INTERVAL + LIMIT if self.looks == 1 else 0)
            return self.looks > 1

    dog._turned = time.monotonic()
    dog._watch(threading.get_ident(), Stop())
    assert logs.texts == []


def test_a_thread_that_is_gone_is_not_told_of(logs):
    dog = Watchdog(LIMIT, INTERVAL)
    gone = threading.Thread(target=lambda: None)
    gone.start()
    gone.join()
    assert gone.ident not in sys._current_frames()
    dog._tell(gone.ident, 5.0)
    assert logs.texts == []


def test_where_nobody_called_a_handler_the_place_itself_is_named():
    def here():
        return watchdog_module._place(sys._getframe())

    place = eval("here()", {"here": here, "__name__": "asyncio.events"})
    assert place.startswith("test_where_nobody_called_a_handler_the_place_itself_is_named.<locals>.here (")
    assert ", at " not in place


def test_no_more_looks_after_a_stop(logs):
    async def stopped():
        dog = Watchdog(LIMIT, INTERVAL)
        dog.stop()  # before it has begun
        dog.start(asyncio.get_running_loop())
        dog.stop()
        time.sleep(LIMIT + 4 * INTERVAL)
        return [thread for thread in threading.enumerate() if thread.name == "truesocket-watchdog"]

    asyncio.run(stopped())
    assert logs.texts == []
