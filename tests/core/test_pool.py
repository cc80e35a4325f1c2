"""The elastic pool: it grows, reuses, ends what is idle, and no exception ends a thread."""

import logging
import subprocess
import sys
import threading
import time

import pytest

from truesocket.core import pool as pools
from truesocket.core.pool import Pool
from truesocket.errors import Disconnected

GRACE = 60  # seconds; whatever is waited for here comes long before, or never


def wait_until(condition):
    end = time.monotonic() + GRACE
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.002)


@pytest.fixture
def gate():
    """Holds up whoever waits for it; opened at the end, so that no thread stays behind."""
    gate = threading.Event()
    yield gate
    gate.set()


def fill(pool, gate, count):
    """Occupies ``count`` threads."""
    begun = threading.Semaphore(0)

    def hold():
        begun.release()
        gate.wait(GRACE)

    for _ in range(count):
        pool.start(hold)
    for _ in range(min(count, pool.most)):
        assert begun.acquire(timeout=GRACE)


def test_a_pool_grows_as_far_as_it_may(gate):
    pool = Pool("test", 3)
    assert pool.size == 0
    fill(pool, gate, 2)
    assert (pool.size, pool.backlog) == (2, 0)
    fill(pool, gate, 1)
    assert pool.size == 3


def test_a_pool_reuses_idle_threads():
    pool, threads = Pool("test", 100), set()
    for _ in range(50):
        done = threading.Event()
        pool.start(lambda done=done: (threads.add(threading.current_thread().name), done.set()))
        assert done.wait(GRACE)
        wait_until(lambda: pool._idle)
    assert threads == {"test-1"}
    assert pool.size == 1


def test_idle_threads_end_and_others_come():
    pool = Pool("test", 10, idle=0.02)
    assert pool.submit(lambda: threading.current_thread().daemon).result(GRACE)
    wait_until(lambda: pool.size == 0)
    wait_until(lambda: not pool.workers)
    assert pool.submit(lambda: 7).result(GRACE) == 7


def test_jobs_that_come_as_threads_end_are_not_lost():
    pool = Pool("test", 4, idle=0.0005)
    for number in range(300):
        assert pool.submit(lambda number=number: number).result(GRACE) == number
        time.sleep(0.0005 * (number % 3))


def test_a_full_pool_keeps_what_comes_in_order_and_says_so(gate):
    short, log = [], []
    pool = Pool("test", 1, short.append)
    fill(pool, gate, 1)
    assert short == []
    for number in range(5):
        pool.start(log.append, number)
    assert short == [pool] * 5
    assert (pool.size, pool.backlog, log) == (1, 5, [])
    gate.set()
    wait_until(lambda: len(log) == 5)
    assert log == list(range(5))
    wait_until(lambda: pool.backlog == 0)


def test_a_full_pool_without_anybody_to_tell(gate):
    pool = Pool("test", 1)
    fill(pool, gate, 1)
    future = pool.submit(lambda: 7)
    assert not future.done()
    gate.set()
    assert future.result(GRACE) == 7


# --- patience ---------------------------------------------------------------------------------------------------------


class Later:
    """``later`` of a patient pool: the looks that it asks for, to be taken by hand."""

    def __init__(self, can=True):
        self.can, self.looks = can, []

    def __call__(self, delay, function):
        if self.can:
            self.looks.append(function)
        return self.can


@pytest.fixture
def endless_patience(monkeypatch):
    monkeypatch.setattr(pools, "_PATIENCE", 1_000)


def test_a_patient_pool_leaves_jobs_to_the_thread_at_work(gate, endless_patience):
    later, order = Later(), []
    pool = Pool("test", 10, later=later)
    pool.start(gate.wait, GRACE)
    for number in range(5):
        pool.start(order.append, number)
    assert (pool.size, pool.backlog, len(later.looks)) == (1, 5, 1)
    gate.set()
    wait_until(lambda: order == [0, 1, 2, 3, 4])
    assert pool.size == 1
    wait_until(lambda: pool._idle == 1)
    pool.start(order.append, 5)  # nobody is at work: the idle thread has it at once
    wait_until(lambda: order[-1] == 5)
    assert (pool.size, len(later.looks)) == (1, 1)


def test_one_more_thread_a_look_where_jobs_take_long(gate, endless_patience):
    later = Later()
    pool = Pool("test", 10, later=later)
    for _ in range(4):
        pool.start(gate.wait, GRACE)
    for size in (2, 3, 4):
        later.looks.pop()()
        assert pool.size == size
    assert (pool.backlog, later.looks) == (0, [])
    gate.set()


def test_no_more_threads_where_jobs_are_brief(gate, endless_patience):
    later = Later()
    pool = Pool("test", 10, later=later)
    pool.start(gate.wait, GRACE)
    for _ in range(pools._BRISK):
        pool.start(int)
    last = threading.Event()
    pool.start(last.wait, GRACE)
    pool.start(int)
    gate.set()
    wait_until(lambda: pool.backlog == 1)  # some have ended since
    later.looks.pop()()
    assert (pool.size, pool.backlog, len(later.looks)) == (1, 1, 1)
    last.set()


def test_every_job_has_its_thread_where_nobody_comes_back(gate, monkeypatch):
    monkeypatch.setattr(pools, "_PATIENCE", 1_000)
    later = Later()
    pool = Pool("test", 3, later=later)
    fill(pool, gate, 1)
    for _ in range(4):
        pool.start(gate.wait, GRACE)
    pool._brisk_until = 0.0  # as a millisecond later
    monkeypatch.setattr(pools, "_PATIENCE", 0)
    later.looks.pop()()
    assert (pool.size, pool.backlog, later.looks) == (3, 2, [])  # a full pool has nothing to look for
    gate.set()
    wait_until(lambda: pool.backlog == 0)


def test_in_a_hurry_nobody_waits(gate, endless_patience):
    pool = Pool("test", 10, later=Later())
    for _ in range(5):
        pool.start(gate.wait, GRACE)
    pool.look(hurry=True)
    assert (pool.size, pool.backlog) == (5, 0)
    gate.set()


def test_a_pool_that_cannot_look_later_is_not_patient(gate, endless_patience):
    pool = Pool("test", 10, later=Later(can=False))
    for _ in range(5):
        pool.start(gate.wait, GRACE)
    assert (pool.size, pool.backlog) == (5, 0)
    gate.set()


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), Disconnected("gone"), KeyboardInterrupt()])
def test_no_exception_ends_a_thread(error, caplog):
    def fails():
        raise error

    pool = Pool("test", 1)
    with caplog.at_level(logging.CRITICAL, "truesocket"):
        pool.start(fails)
        future = pool.submit(fails)
        with pytest.raises(type(error)):
            future.result(GRACE)
        assert pool.submit(lambda: threading.current_thread().name).result(GRACE) == "test-1"


def test_submit_passes_arguments_and_can_be_cancelled(gate):
    pool = Pool("test", 1)
    assert pool.submit(lambda a, *, b: (a, b), 1, b=2).result(GRACE) == (1, 2)
    fill(pool, gate, 1)
    future = pool.submit(lambda: 7)
    assert future.cancel()
    gate.set()
    assert pool.submit(lambda: 8).result(GRACE) == 8
    assert future.cancelled()


def test_a_system_that_gives_no_more_threads_is_a_shortage(gate):
    """``start`` of a thread fails: the job waits for one of those that there are."""
    short = []
    pool = Pool("test", 10, short.append)
    fill(pool, gate, 1)
    name, pool.name = pool.name, _Unspeakable()
    future = pool.submit(lambda: 7)
    pool.name = name
    assert (pool.size, pool.backlog, short) == (1, 1, [pool])
    gate.set()
    assert future.result(GRACE) == 7


class _Unspeakable:
    """Makes the naming of a thread fail as its start would."""

    def __format__(self, spec):
        raise RuntimeError("can't start new thread")


def test_the_reserve_works_where_no_thread_can_be_started_any_more():
    """In a process that is at its end, whatever its Python allows then; more jobs than there are threads."""
    program = """
import atexit, threading, time
from truesocket.core.pool import Pool, reserve

reserve.stand_by()
reserve.stand_by()
names = {thread.name for thread in threading.enumerate()}
assert names == {"MainThread", *(f"truesocket-reserve-{number}" for number in range(1, 5))}, names
assert not reserve.take(print)  # nothing is at its end yet
pool = Pool("test", 100, lambda pool: print("short"))

def refuse(thread):
    raise RuntimeError("can't create new thread at interpreter shutdown")

def end():
    threading.Thread.start = refuse  # as Python 3.12 does by itself
    for _ in range(2):
        futures = [pool.submit(lambda number=number: (time.sleep(0.005), number)[1]) for number in range(20)]
        assert [future.result(60) for future in futures] == list(range(20))
    late = time.monotonic() + 60
    while pool.size or pool.workers:
        assert time.monotonic() < late
        time.sleep(0.01)
    assert (pool._idle, pool.backlog) == (0, 0)
    print("done")

atexit.register(end)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=90, check=False)
    assert (done.stdout, done.stderr) == ("done\n", "")
