"""Lanes and tasks: everything starts in order, nothing waits for what is slow, nothing dies of an exception."""

import asyncio
import contextvars
import gc
import inspect
import logging
import threading
import time

import pytest

from tests.support.recording import RecordingLink, RecordingReceiver
from truesocket.bridge import Bridge
from truesocket.core.config import Config
from truesocket.core.registry import handler
from truesocket.core.runner import OVERTAKE, Bare, Job, Lane, Runner
from truesocket.errors import Disconnected
from truesocket.session.engine import Engine, EngineOptions
from truesocket.testing import FakeClock

GRACE = 60  # seconds; whatever is waited for here comes long before, or never
NEVER = 1000.0  # an overtaking time that no handler reaches, so that a slow machine changes nothing


async def until(condition):
    end = time.monotonic() + GRACE
    while not condition():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.002)


@pytest.fixture
def gate():
    """Holds up whoever waits for it; opened at the end, so that no thread stays behind."""
    gate = threading.Event()
    yield gate
    gate.set()


# --- Lanes ------------------------------------------------------------------------------------------------------------


class House:
    """A runner on the running loop, with clients that have a lane each."""

    def __init__(self, *, overtake=NEVER, surroundings=None, **options):
        self.loop = asyncio.get_running_loop()
        self.bridge = Bridge()
        self.bridge.bind(self.loop)
        self.config = Config.make(options)
        self.runner = Runner(self.config, self.bridge, surroundings or Bare(), overtake=overtake)
        self.done = []  # (result, error) in the order of the ends

    def client(self):
        return Client(self)

    def end(self):
        self.runner.stop()
        self.bridge.release()


class Client:
    def __init__(self, house):
        self.house = house
        self.link = RecordingLink()
        self.engine = Engine("SID", 4, RecordingReceiver(), FakeClock(), EngineOptions())
        self.engine.open(self.link)
        self.lane = Lane(house.runner, self.engine)

    def push(self, function, *args, size=0):
        self.lane.push(Job(handler(function, "say"), self, "say", args, self._done, size))

    def _done(self, job, result, error):
        self.house.done.append((result, error))


def run(scene, **options):
    """Runs ``scene(house)`` and leaves no thread of it behind."""

    async def main():
        house = House(**options)
        try:
            return await asyncio.wait_for(scene(house), GRACE)
        finally:
            house.end()

    return asyncio.run(main())


async def count_up(house, count):
    await until(lambda: len(house.done) == count)


class Overlaps:
    """Notes the order of the starts, and how many ran at the same time."""

    def __init__(self, length=0.0):
        self.length = length
        self.started = []
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __call__(self, number):
        with self.lock:
            self.started.append(number)
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.length)
        with self.lock:
            self.running -= 1

    async def on_loop(self, number):
        self.started.append(number)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.length)
        self.running -= 1


def test_short_handlers_start_in_order_and_never_overlap():
    overlaps = Overlaps()

    async def scene(house):
        client = house.client()
        for number in range(1000):
            client.push(overlaps, number)
            if number % 100 == 0:
                await asyncio.sleep(0)
        await count_up(house, 1000)

    run(scene)
    assert overlaps.started == list(range(1000))
    assert overlaps.most == 1


def test_with_the_usual_overtaking_every_event_is_handled_once():
    overlaps = Overlaps()

    async def scene(house):
        clients = [house.client() for _ in range(3)]
        for number in range(300):
            for name, client in enumerate(clients):
                client.push(overlaps, (name, number))
        await count_up(house, 900)

    run(scene, overtake=OVERTAKE)
    for name in range(3):
        assert sorted(number for who, number in overlaps.started if who == name) == list(range(300))


def test_a_handler_that_blocks_is_overtaken_and_its_client_goes_on(gate):
    log = []

    async def scene(house):
        client = house.client()
        client.push(lambda: gate.wait(GRACE))
        for number in range(20):
            client.push(log.append, number)
        await until(lambda: len(log) == 20)
        assert len(house.done) == 20
        gate.set()
        await count_up(house, 21)

    run(scene, overtake=OVERTAKE)
    assert log == list(range(20))


def test_what_has_not_begun_is_not_overtaken(gate):
    """The only thread is busy with another client: a lane keeps its order however long it waits."""
    log = []

    async def scene(house):
        other, client = house.client(), house.client()
        other.push(lambda: gate.wait(GRACE))
        for number in range(5):
            client.push(log.append, number)
        await asyncio.sleep(0.1)  # ten times the overtaking time
        assert house.runner.events.backlog == 1
        gate.set()
        await count_up(house, 6)

    run(scene, overtake=OVERTAKE, handler_threads=1)
    assert log == list(range(5))


def test_no_more_handlers_of_one_client_than_allowed(gate):
    begun = []

    async def scene(house):
        client, other = house.client(), house.client()
        for number in range(10):
            client.push(lambda number=number: (begun.append(number), gate.wait(GRACE)))
        await until(lambda: len(begun) == 3)
        await asyncio.sleep(0.1)
        assert set(begun) == {0, 1, 2}
        other.push(lambda: None)
        await count_up(house, 1)
        gate.set()
        await count_up(house, 11)

    run(scene, overtake=OVERTAKE, handlers_per_client=3)
    assert sorted(begun) == list(range(10))


def test_no_more_tasks_of_one_client_than_allowed():
    begun = []

    async def scene(house):
        open_ = asyncio.Event()

        async def waits(number):
            begun.append(number)
            await open_.wait()

        client = house.client()
        for number in range(10):
            client.push(waits, number)
        await asyncio.sleep(0.05)
        before = list(begun)
        open_.set()
        await count_up(house, 10)
        return before

    assert run(scene, handlers_per_client=4) == [0, 1, 2, 3]
    assert begun == list(range(10))


def test_async_handlers_run_at_the_same_time_and_start_in_order():
    overlaps = Overlaps(0.02)

    async def scene(house):
        client = house.client()
        for number in range(50):
            client.push(overlaps.on_loop, number)
        await count_up(house, 50)

    run(scene)
    assert overlaps.started == list(range(50))
    assert overlaps.most == 50


@pytest.mark.parametrize("first", ["def", "async"])
def test_def_and_async_def_mixed_start_in_order(first):
    overlaps = Overlaps()
    wanted = overlaps.on_loop if first == "async" else overlaps

    async def scene(house):
        client = house.client()
        for number in range(300):
            client.push(wanted if number % 3 == 0 else overlaps if number % 3 == 1 else overlaps.on_loop, number)
        await count_up(house, 300)

    run(scene)
    assert overlaps.started == list(range(300))


@pytest.mark.parametrize("kinds", ["dd", "aa", "da", "aad", "dda"])
def test_one_after_another_where_async_handlers_is_off(kinds):
    overlaps = Overlaps(0.001)

    async def scene(house):
        client = house.client()
        for number in range(60):
            client.push(overlaps if kinds[number % len(kinds)] == "d" else overlaps.on_loop, number)
        await count_up(house, 60)

    run(scene, async_handlers=False, overtake=0.0)
    assert overlaps.started == list(range(60))
    assert overlaps.most == 1


def test_a_blocking_handler_is_waited_for_where_async_handlers_is_off(gate):
    log = []

    async def scene(house):
        client, other = house.client(), house.client()
        client.push(lambda: gate.wait(GRACE))
        client.push(log.append, "behind")
        other.push(log.append, "other")
        await until(lambda: log)
        await asyncio.sleep(0.05)
        before = list(log)
        gate.set()
        await count_up(house, 3)
        return before

    assert run(scene, async_handlers=False, overtake=0.0) == ["other"]
    assert log == ["other", "behind"]


def test_clients_are_served_in_turns_where_threads_are_few(gate):
    log = []

    async def scene(house):
        blocker, greedy, modest = (house.client() for _ in range(3))
        blocker.push(lambda: gate.wait(GRACE))
        for number in range(100):
            greedy.push(log.append, ("greedy", number))
        modest.push(log.append, ("modest", 0))
        gate.set()
        await count_up(house, 102)

    run(scene, handler_threads=1)
    assert log.index(("modest", 0)) < 40  # not behind all hundred
    assert [number for who, number in log if who == "greedy"] == list(range(100))


@pytest.mark.parametrize(("options", "size"), [({"max_pending_events": 4}, 0), ({"max_pending_bytes": 400}, 100)])
def test_a_client_that_sends_too_much_is_not_read_until_half_is_done(gate, options, size):
    async def scene(house):
        client = house.client()
        client.push(lambda: gate.wait(GRACE), size=size)
        for number in range(6):
            assert client.link.reading is (number < 5)
            client.push(lambda: None, size=size)
        gate.set()
        await until(lambda: client.link.reading)
        await count_up(house, 7)
        assert client.lane._bytes == 0

    run(scene, **options)


def test_a_client_whose_burst_is_taken_up_beside_an_endless_handler_is_read_again(gate):
    """All that waited has begun, though nothing has ended: there is room again."""

    async def scene(house):
        client = house.client()
        begun = []
        for number in range(4):
            client.push(lambda number=number: (begun.append(number), gate.wait(GRACE)))
        assert not client.link.reading
        await until(lambda: len(begun) == 4)
        await until(lambda: client.link.reading)
        assert house.done == []
        gate.set()
        await count_up(house, 4)

    run(scene, max_pending_events=2, overtake=OVERTAKE)


# --- surroundings that take their time --------------------------------------------------------------------------------


class Slow:
    """Surroundings that are set up in a thread: slowly, or not at all, for the events whose argument is given."""

    begins_at_once = False

    def __init__(self, slow=(), failing=(), gate=None):
        self.slow, self.failing, self.gate = slow, failing, gate
        self.runner = None

    def set_up(self, number):
        if number in self.slow:
            time.sleep(0.1)
        if number in self.failing:
            raise ZeroDivisionError
        if self.gate is not None and number == 0:
            self.gate.wait(GRACE)

    def call(self, handler, socket, event, args, begin):
        self.set_up(*args)
        begin()
        return handler.invoke(socket, args)

    async def acall(self, handler, socket, event, args, begin):
        await self.runner.in_thread(self.set_up, *args)
        await begin()
        return await asyncio.get_running_loop().create_task(handler.invoke(socket, args))


def started_in(surroundings, kinds, count, **options):
    """Pushes ``count`` events to handlers of these kinds in turn; returns the order in which they began."""
    overlaps = Overlaps()

    async def scene(house):
        surroundings.runner = house.runner
        client = house.client()
        for number in range(count):
            client.push(overlaps if kinds[number % len(kinds)] == "d" else overlaps.on_loop, number)
        await count_up(house, count)
        assert not client.lane.turns
        await until(lambda: client.lane._starting == 0)  # the lane hears of a beginning two turns of the loop later

    run(scene, surroundings=surroundings, **options)
    return overlaps.started


@pytest.mark.parametrize("kinds", ["d", "a", "ad", "da", "aad", "dda"])
@pytest.mark.parametrize("overtake", [OVERTAKE, NEVER])
def test_handlers_begin_in_order_however_long_their_surroundings_take(kinds, overtake):
    slow = {0, 4, 5, 13}
    assert started_in(Slow(slow), kinds, 30, overtake=overtake) == list(range(30))


@pytest.mark.parametrize("kinds", ["d", "a", "ad", "da", "aad", "dda"])
@pytest.mark.parametrize("slow", [(), (0, 4, 5, 13)])
def test_surroundings_that_fail_hold_up_nobody(kinds, slow):
    failing = {0, 3, 4, 9, 29}
    order = started_in(Slow(slow, failing), kinds, 30, overtake=OVERTAKE)
    assert order == [number for number in range(30) if number not in failing]


def test_a_task_that_is_cancelled_before_its_turn_holds_up_nobody(gate):
    surroundings = Slow(gate=gate)
    log = []

    async def begins(number):
        log.append(number)

    async def scene(house):
        surroundings.runner = house.runner
        client = house.client()
        for number in range(4):
            client.push(begins, number)
        client.push(log.append, 4)
        tasks = dict(house.runner._tasks)
        await until(lambda: sum(turn._came is not None for turn in client.lane.turns) == 3)
        for job, task in tasks.items():
            if job.args in ((1,), (2,)):
                task.cancel()
        await count_up(house, 2)
        gate.set()
        await count_up(house, 5)

    run(scene, surroundings=surroundings)
    assert log == [0, 3, 4]


# --- departure --------------------------------------------------------------------------------------------------------


def test_who_has_nothing_waiting_departs_at_once():
    async def scene(house):
        departed = []
        lane = house.client().lane
        lane.depart(lambda: departed.append(True))
        lane._departed()  # as the second that it may take at most is over
        return departed

    assert run(scene) == [True]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_departure_waits_until_what_was_sent_has_begun(kind):
    async def scene(house):
        client, log = house.client(), []

        async def on_loop(number):
            log.append(number)

        for number in range(10):
            client.push(on_loop if kind == "async def" else log.append, number)
        client.lane.depart(lambda: log.append("departed"))
        await until(lambda: "departed" in log)
        await count_up(house, 10)
        return log

    log = run(scene, handlers_per_client=2)
    assert log.index("departed") >= 9  # the last handler has begun, though its first line may come at the same moment
    assert [entry for entry in log if entry != "departed"] == list(range(10))


def test_departure_does_not_wait_for_the_end_of_a_handler(gate):
    async def scene(house):
        client, departed = house.client(), []
        client.push(lambda: gate.wait(GRACE))
        client.lane.depart(lambda: departed.append(list(house.done)))
        await until(lambda: departed)
        gate.set()
        await count_up(house, 1)
        return departed

    assert run(scene) == [[]]


def test_departure_waits_a_second_at_most(gate):
    async def scene(house):
        client, departed = house.client(), []
        client.push(lambda: gate.wait(GRACE))
        client.push(lambda: None)  # never begins: nobody overtakes here
        client.lane.depart(lambda: departed.append(True))
        assert departed == []
        await until(lambda: departed)
        gate.set()
        await count_up(house, 2)
        return departed

    assert run(scene) == [True]


# --- what handlers do -------------------------------------------------------------------------------------------------

ERRORS = [ValueError("x"), SystemExit(1), Disconnected("gone"), BaseException("any")]


@pytest.mark.parametrize("error", [*ERRORS, KeyboardInterrupt()])
def test_an_exception_of_a_def_handler_is_told_and_the_lane_goes_on(error):
    def fails():
        raise error

    async def scene(house):
        client = house.client()
        for _ in range(3):
            client.push(fails)
        client.push(lambda: "fine")
        await count_up(house, 4)
        return house.done

    assert run(scene, async_handlers=False) == [(None, error)] * 3 + [("fine", None)]


@pytest.mark.parametrize("error", ERRORS)
def test_an_exception_of_an_async_handler_is_told_and_the_loop_goes_on(error):
    async def fails():
        await asyncio.sleep(0)
        raise error

    async def fine():
        return "fine"

    async def scene(house):
        client = house.client()
        client.push(fails)
        client.push(fine)
        await count_up(house, 2)
        return house.done

    assert run(scene, async_handlers=False) == [(None, error), ("fine", None)]


def test_a_cancelled_handler_is_told():
    async def scene(house):
        client = house.client()
        tasks = []

        async def waits():
            tasks.append(asyncio.current_task())
            await asyncio.sleep(GRACE)

        client.push(waits)
        await until(lambda: tasks)
        tasks[0].cancel()
        await count_up(house, 1)
        client.push(lambda: "next")
        await count_up(house, 2)
        return house.done

    (result, error), following = run(scene, async_handlers=False)
    assert result is None
    assert isinstance(error, asyncio.CancelledError)
    assert following == ("next", None)


def test_a_task_whose_loop_has_ended_goes_in_silence():
    """Nobody waits for it any more: it is closed, not told."""
    done = []

    async def waits():
        await asyncio.Event().wait()

    async def main():
        house = House()
        client = house.client()
        job = Job(handler(waits, "say"), client, "say", (), lambda *what: done.append(what))
        coroutine = house.runner.run_task(job)
        coroutine.send(None)
        coroutine.close()
        house.end()

    asyncio.run(main())
    gc.collect()
    assert done == []


def test_a_done_that_fails_does_not_stop_the_lane(caplog):
    async def scene(house):
        client = house.client()

        def broken(job, result, error):
            raise RuntimeError("broken done")

        client.lane.push(Job(handler(lambda: None), client, "say", (), broken))
        client.push(lambda: "next")
        await count_up(house, 1)
        return house.done

    with caplog.at_level(logging.CRITICAL, "truesocket"):
        assert run(scene, async_handlers=False) == [("next", None)]


def test_every_handler_has_a_context_of_its_own():
    variable = contextvars.ContextVar("variable", default="clean")

    def look():
        before = variable.get()
        variable.set("dirty")
        return before

    async def scene(house):
        client = house.client()
        for _ in range(3):
            client.push(look)
        await count_up(house, 3)
        return house.done

    assert run(scene) == [("clean", None)] * 3


def test_a_handler_runs_in_any_thread():
    async def scene(house):
        client = house.client()
        house.runner.run_here(Job(handler(threading.get_ident), client, "say", (), client._done))
        return house.done

    assert run(scene) == [(threading.get_ident(), None)]


# --- Runner -----------------------------------------------------------------------------------------------------------


def test_control_jobs_have_threads_of_their_own(gate):
    async def scene(house):
        client = house.client()
        client.push(lambda: gate.wait(GRACE))

        async def coroutine():
            return "async"

        for function in (lambda: "def", coroutine):
            house.runner.run_control(Job(handler(function), client, "connect", (), client._done))
        await count_up(house, 2)
        gate.set()
        await count_up(house, 3)
        return house.done

    assert set(run(scene, handler_threads=1)[:2]) == {("def", None), ("async", None)}


def test_in_thread():
    variable = contextvars.ContextVar("variable", default="")

    async def scene(house):
        variable.set("mine")
        here = threading.get_ident()
        there, value = await house.runner.in_thread(lambda: (threading.get_ident(), variable.get()))
        with pytest.raises(ZeroDivisionError):
            await house.runner.in_thread(lambda: 1 / 0)
        return here != there, value

    assert run(scene) == (True, "mine")


def test_handlers_of_a_client(gate):
    def endless():
        gate.wait(GRACE)

    async def scene(house):
        client, other = house.client(), house.client()
        assert house.runner.handlers_of(client) == []
        client.push(endless)
        house.runner.run_control(Job(handler(endless), other, "connect", (), other._done))
        await until(lambda: house.runner.handlers_of(client) and house.runner.handlers_of(other))
        names = house.runner.handlers_of(client), house.runner.handlers_of(other)
        gate.set()
        await count_up(house, 2)
        await until(lambda: not house.runner.handlers_of(client))
        return names

    where = f"test_handlers_of_a_client.<locals>.endless ({__file__}:{inspect.getsourcelines(endless)[1]})"
    assert run(scene) == ([where], [where])


def test_the_warning_of_a_shortage_names_who_holds_the_threads(gate, caplog):
    begun = []

    def endless():
        begun.append(True)
        gate.wait(GRACE)

    async def scene(house):
        for _ in range(2):
            house.client().push(endless)
        await until(lambda: len(begun) == 2)
        for _ in range(5):
            house.client().push(lambda: None)
        await until(lambda: caplog.records)
        gate.set()
        await count_up(house, 7)

    with caplog.at_level(logging.WARNING, "truesocket"):
        run(scene, handler_threads=2)
    (record,) = caplog.records  # one, however many wait
    text = record.getMessage()
    assert "handler threads run short: all 2 are busy" in text
    assert f"2 x {endless.__qualname__} ({__file__}:{inspect.getsourcelines(endless)[1]})" in text


def test_a_shortage_of_control_threads_is_told_as_such(caplog):
    async def scene(house):
        house.runner._warn_short(house.runner.control)

    with caplog.at_level(logging.WARNING, "truesocket"):
        run(scene)
    assert "connect, disconnect and acks" in caplog.text


def test_without_a_loop_nothing_starts_and_nothing_leaks():
    async def main():
        house = House()
        house.end()
        done, later = [], []

        async def never():
            done.append(True)

        house.client().push(never)
        house.runner.later(0, lambda: later.append(True))
        house.runner.watch(house.client().lane)
        await asyncio.sleep(0.02)
        return done, later, house.runner._timer

    assert asyncio.run(main()) == ([], [], None)


def test_after_a_stop_nobody_is_watched(gate):
    async def scene(house):
        client, log = house.client(), []
        client.push(lambda: gate.wait(GRACE))
        client.push(log.append, 1)
        assert house.runner._timer is not None
        house.runner.stop()
        await asyncio.sleep(0.1)
        before = list(log)
        gate.set()
        await count_up(house, 2)
        return before

    assert run(scene, overtake=OVERTAKE) == []


def test_reset_as_in_a_forked_child(gate):
    async def scene(house):
        house.client().push(lambda: gate.wait(GRACE))
        events = house.runner.events
        house.runner.reset()
        assert house.runner.events is not events
        assert house.runner.events.size == 0
        house.client().push(lambda: "child")
        await until(lambda: ("child", None) in house.done)
        gate.set()

    run(scene)
    assert gate.is_set()
