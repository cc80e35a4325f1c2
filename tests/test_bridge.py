"""The one way in for other threads: one FIFO, nothing overtakes, nobody waits for ever."""

import asyncio
import concurrent.futures
import itertools
import logging
import os
import subprocess
import sys
import threading

import pytest

from truesocket import bridge as bridge_module
from truesocket.bridge import DONE, Bridge, LoopThread, Reply
from truesocket.errors import AckTimeout, UsageError

GRACE = 30  # seconds; nothing here takes any


def run(scene):
    return asyncio.run(asyncio.wait_for(scene, GRACE))


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


def in_thread(function, *args):
    """Runs a function in a thread of its own; gives a future that the loop can await."""
    future = concurrent.futures.Future()

    def work():
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return asyncio.wrap_future(future)


@pytest.fixture
def bridge():
    return Bridge()


def bound(limit_commands=bridge_module.LIMIT_COMMANDS, limit_bytes=bridge_module.LIMIT_BYTES):
    bridge = Bridge(limit_commands, limit_bytes)
    bridge.bind(asyncio.get_running_loop())
    return bridge


def steps(log, name, count):
    """A command that takes ``count`` turns."""
    for number in range(count):
        log.append(f"{name}{number}")
        yield


# --- on the loop ------------------------------------------------------------------------------------------------------


def test_a_command_takes_the_next_one_along_where_that_fits():
    async def scene():
        bridge, log = bound(), []

        def small(number):
            return number < 10

        def numbers(number):
            log.append((number, bridge.take_next(numbers, small)))

        def whole():
            """Has a part that is the next command, too; what comes behind the whole must not come into it."""
            numbers(5)
            log.append("whole")

        def burst():
            for command in (1, 2, 30, 3, whole, 4):
                bridge.post(*((command,) if callable(command) else (numbers, command)), weight=7)

        bridge.post(burst)
        assert bridge._waiting == 42
        await until(lambda: not bridge._fifo)
        assert bridge._waiting == 0
        return log

    assert run(scene()) == [(1, (2,)), (30, (3,)), (5, None), "whole", (4, None)]


def test_on_the_loop_a_command_runs_at_once():
    async def scene():
        bridge, log = bound(), []
        assert bridge.on_loop()
        assert bridge.post(log.append, 1) is DONE
        now = list(log)
        await DONE
        return now

    assert run(scene()) == [1]


def test_a_command_given_by_a_command_runs_behind_it():
    async def scene():
        bridge, log = bound(), []

        def outer():
            bridge.post(inner)
            log.append("outer ends")

        def inner():
            log.append("inner")
            bridge.post(log.append, "innermost")

        bridge.post(outer)
        bridge.post(log.append, "next")
        await until(lambda: len(log) == 4)
        return log

    assert run(scene()) == ["outer ends", "inner", "next", "innermost"]


def test_nothing_overtakes_a_long_command():
    async def scene():
        bridge, log = bound(), []
        bridge.post(steps, log, "a", 3)
        bridge.post(log.append, "b")
        await in_thread(bridge.post, steps, log, "c", 2)
        bridge.post(log.append, "d")
        first = list(log)
        await until(lambda: "d" in log)
        return first, log

    first, log = run(scene())
    assert first[0] == "a0"
    assert "b" not in first
    assert log == ["a0", "a1", "a2", "b", "c0", "c1", "d"]


def test_each_step_of_a_long_command_is_a_turn_of_the_loop():
    async def scene():
        bridge, log = bound(), []
        loop = asyncio.get_running_loop()

        def turn(number):
            log.append(number)
            if number < 8:
                loop.call_soon(turn, number + 1)

        bridge.post(log.append, "first")
        loop.call_soon(turn, 0)
        await in_thread(bridge.post, steps, log, "a", 3)  # begins in a drain
        bridge.post(steps, log, "b", 3)
        await until(lambda: 8 in log and "b2" in log)
        return log

    log = run(scene())
    own = [entry for entry in log if isinstance(entry, str)]
    assert own == ["first", "a0", "a1", "a2", "b0", "b1", "b2"]
    positions = [log.index(entry) for entry in own[1:]]
    assert positions == sorted(positions)
    for before, behind in itertools.pairwise(positions):
        turns = [entry for entry in log[before:behind] if isinstance(entry, int)]
        assert turns or 8 in log[:behind]  # while there were turns to take, one was taken in between


def test_a_short_iterator_is_done_at_once():
    async def scene():
        bridge, log = bound(), []
        bridge.post(steps, log, "a", 0)
        bridge.post(log.append, "b")
        return log

    assert run(scene()) == ["b"]


@pytest.mark.parametrize("where", ["at once", "in a step"])
def test_a_command_that_fails_is_logged_and_holds_up_nobody(where, caplog):
    def fails():
        if where == "at once":
            raise ValueError("broken")
        return later()

    def later():
        yield
        raise ValueError("broken")

    async def scene():
        bridge, log = bound(), []
        bridge.post(fails)
        bridge.post(log.append, "next")
        await until(lambda: log)

    with caplog.at_level(logging.ERROR, "truesocket"):
        run(scene())
    assert "broken" in caplog.text


def test_many_commands_give_the_loop_its_turns():
    async def scene():
        bridge, log = bound(), []

        def burst():
            for number in range(2000):
                bridge.post(log.append, number)

        thread = threading.Thread(target=burst)
        thread.start()
        thread.join()  # the loop stands still meanwhile
        seen = []
        while len(log) < 2000:
            seen.append(len(log))
            await asyncio.sleep(0)
        return log, seen

    log, seen = run(scene())
    assert log == list(range(2000))
    assert len(seen) >= 2000 // bridge_module._TURN - 1


# --- from other threads -----------------------------------------------------------------------------------------------


def test_the_order_of_every_thread_is_kept():
    async def scene():
        bridge, log = bound(), []

        def talk(name):
            for number in range(500):
                bridge.post(log.append, (name, number))

        threads = [in_thread(talk, name) for name in range(8)]
        for number in range(500):
            bridge.post(log.append, ("loop", number))
            if number % 50 == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*threads)
        await until(lambda: len(log) == 9 * 500)
        return log

    log = run(scene())
    for name in [*range(8), "loop"]:
        assert [number for who, number in log if who == name] == list(range(500))


def test_commands_run_on_the_loop_with_one_wake_up_per_burst():
    async def scene():
        bridge, seen = bound(), []
        loop = asyncio.get_running_loop()
        wakes = []
        wake = loop.call_soon_threadsafe

        def counted(*args, **kwargs):
            wakes.append(args[0])
            return wake(*args, **kwargs)

        loop.call_soon_threadsafe = counted
        burst = threading.Thread(target=lambda: [bridge.post(lambda: seen.append(bridge.on_loop())) for _ in range(50)])
        burst.start()
        burst.join()  # the loop stands still meanwhile
        await until(lambda: len(seen) == 50)
        del loop.call_soon_threadsafe
        return seen, wakes

    seen, wakes = run(scene())
    assert seen == [True] * 50
    assert len(wakes) == 1


def test_another_loop_in_another_thread_is_not_the_loop():
    async def scene():
        bridge = bound()

        async def elsewhere():
            return bridge.on_loop()

        return await in_thread(lambda: asyncio.run(elsewhere())), bridge.on_loop()

    assert run(scene()) == (False, True)


@pytest.mark.parametrize(("limits", "weight"), [((10, 10**9), 0), ((10**9, 100), 20)])
def test_a_thread_waits_while_the_fifo_is_full(limits, weight):
    async def scene():
        bridge, log = bound(*limits), []
        given = []
        gate = asyncio.Event()

        def slow():
            while not gate.is_set():
                yield

        def talk():
            for number in range(30):
                bridge.post(log.append, number, weight=weight)
                given.append(number)

        bridge.post(slow)
        talking = in_thread(talk)
        await until(lambda: len(given) >= 6)
        await asyncio.sleep(0.2)
        before = len(given)
        gate.set()
        await talking
        await until(lambda: len(log) == 30)
        return before, log

    before, log = run(scene())
    assert before <= 11
    assert log == list(range(30))


def test_async_code_awaits_where_the_fifo_is_full():
    async def scene():
        bridge, log = bound(10), []
        gate = asyncio.Event()

        def slow():
            while not gate.is_set():
                yield

        bridge.post(slow)
        tellings = [bridge.post(log.append, number) for number in range(30)]  # never waits by itself
        assert [telling is DONE for telling in tellings] == [True] * 9 + [False] * 21
        waiting = asyncio.ensure_future(_await(tellings[-1]))
        await asyncio.sleep(0.05)
        was_open = waiting.done()
        gate.set()
        await waiting
        return was_open, log

    was_open, log = run(scene())
    assert not was_open
    assert log[:21] == list(range(21))


async def _await(telling):
    await telling


# --- before, behind and between loops ---------------------------------------------------------------------------------


def test_before_a_loop_commands_are_dropped_and_nobody_waits(bridge):
    log = []
    assert not bridge.on_loop()
    for _ in range(3):
        assert bridge.post(log.append, 1) is DONE
    assert log == []
    run(_bind_and_look(bridge))
    assert log == []


async def _bind_and_look(bridge):
    bridge.bind(asyncio.get_running_loop())
    await asyncio.sleep(0.01)


def test_a_second_live_loop_is_refused():
    async def scene():
        bridge = bound()
        bridge.bind(asyncio.get_running_loop())  # the same: no harm

        async def elsewhere():
            bridge.bind(asyncio.get_running_loop())

        with pytest.raises(UsageError, match="another event loop"):
            await in_thread(lambda: asyncio.run(elsewhere()))

    run(scene())


def test_a_loop_that_was_closed_without_a_word_is_followed_by_another(bridge):
    log = []

    async def first():
        bridge.bind(asyncio.get_running_loop())

        def half():
            while True:
                yield

        bridge.post(half)
        await in_thread(bridge.post, log.append, "of the first loop")

    async def second():
        bridge.bind(asyncio.get_running_loop())
        await in_thread(bridge.post, log.append, "of the second loop")
        await until(lambda: log)

    run(first())
    run(second())
    assert log == ["of the second loop"]


def test_a_thread_that_finds_the_loop_closed_lets_go_of_it(bridge):
    async def scene():
        bridge.bind(asyncio.get_running_loop())

    run(scene())
    poster = threading.Thread(target=bridge.post, args=(print,))
    poster.start()
    poster.join(GRACE)
    assert bridge.loop is None


def test_release_drops_what_waits_and_wakes_who_waits():
    async def scene():
        bridge, log = bound(5), []

        def endless():
            while True:
                yield

        bridge.post(endless)
        telling = None
        for number in range(6):
            telling = bridge.post(log.append, number)
        waiting = asyncio.ensure_future(_await(telling))
        thread = in_thread(bridge.post, log.append, "thread")
        await asyncio.sleep(0.05)
        assert not thread.done()
        bridge.release()
        await waiting
        await thread
        await asyncio.sleep(0.05)
        assert bridge.loop is None
        assert not bridge.on_loop()
        bridge.bind(asyncio.get_running_loop())
        bridge.post(log.append, "again")
        return log

    assert run(scene()) == ["again"]


def test_a_turn_that_was_planned_before_the_release_touches_nothing():
    async def scene():
        bridge, log = bound(), []
        loop = asyncio.get_running_loop()
        bridge.release()
        bridge._drain(loop)
        bridge.bind(loop)
        bridge.post(log.append, 1)
        return log

    assert run(scene()) == [1]


# --- questions --------------------------------------------------------------------------------------------------------


def test_a_question_on_the_loop_is_answered_at_once():
    async def scene():
        bridge = bound()
        reply = bridge.ask(lambda: 7)
        assert reply.done()
        return reply.result(), await reply

    assert run(scene()) == (7, 7)


def test_a_question_stands_behind_the_commands_before_it():
    async def scene():
        bridge, log = bound(), []

        def ask():
            bridge.post(steps, log, "a", 3)
            return bridge.ask(lambda: list(log)).result(GRACE)

        return await in_thread(ask)

    assert run(scene()) == ["a0", "a1", "a2"]


def test_result_on_the_loop_is_refused_and_await_is_right():
    async def scene():
        bridge = bound()

        def slow():
            yield
            yield

        bridge.post(slow)
        reply = bridge.ask(lambda: 7)
        with pytest.raises(UsageError, match="await"):
            reply.result()
        return await reply

    assert run(scene()) == 7


def test_whoever_asks_gets_the_error():
    async def scene():
        bridge = bound()

        def question():
            raise KeyError("nobody")

        with pytest.raises(KeyError):
            await bridge.ask(question)
        with pytest.raises(KeyError):
            await in_thread(lambda: bridge.ask(question).result(GRACE))

    run(scene())


def test_without_a_loop_a_question_is_answered_at_once(bridge):
    assert bridge.ask(lambda: 7).result() == 7


def test_a_question_that_waits_when_the_loop_ends_is_answered():
    async def scene():
        bridge = bound()

        def endless():
            while True:
                yield

        bridge.post(endless)
        reply = bridge.ask(lambda: 7)
        asked = in_thread(lambda: bridge.ask(lambda: 8).result(GRACE))
        await asyncio.sleep(0.05)
        bridge.release()
        return await reply, await asked

    assert run(scene()) == (7, 8)


def test_a_question_is_put_once_whoever_puts_it():
    """The loop's last turn and the thread that ends it may both come by."""
    reply, asked = Reply(lambda: False), []
    question = bridge_module._Question(reply, lambda: asked.append(True), ())
    question()
    question()
    assert asked == [True]
    assert reply.done()


def test_a_reply_that_does_not_come():
    reply = Reply(lambda: False)
    with pytest.raises(AckTimeout, match="no answer within"):
        reply.result(0.01)
    with pytest.raises(TimeoutError):
        reply.result(0.01)
    assert not reply.done()


def test_the_first_answer_counts():
    reply = Reply(lambda: False)
    reply.set(1)
    reply.set(2)
    reply.fail(ValueError())
    assert reply.result() == 1
    failed = Reply(lambda: True)
    failed.fail(ValueError("first"))
    failed.set(2)
    with pytest.raises(ValueError, match="first"):
        failed.result()


@pytest.mark.parametrize("kind", [AckTimeout, TimeoutError])
def test_an_answer_that_is_a_timeout_is_told_as_it_is(kind):
    reply = Reply(lambda: False)
    reply.fail(kind("of somebody else"))
    with pytest.raises(kind, match="of somebody else"):
        reply.result(1)


def test_whoever_stops_awaiting_harms_nobody():
    async def scene():
        reply = Reply(lambda: True)
        waiting = asyncio.ensure_future(_await(reply))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        reply.set(1)
        return reply.done()

    assert run(scene())


# --- forks ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork here")
def test_a_forked_child_starts_from_nothing():
    """The hook itself, called as the child calls it."""
    told = []

    async def scene():
        bridge, silent = bound(), bound()
        bridge.on_fork = lambda: told.append(bridge.loop)
        bridge_module._after_fork()
        assert silent.loop is None
        assert bridge.loop is None
        assert not bridge.on_loop()
        bridge.bind(asyncio.get_running_loop())

    run(scene())
    assert told == [None]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_real_fork(tmp_path):
    """In a process of its own, which may fork as it likes: the child's bridge takes a loop of its own."""
    program = tmp_path / "forks.py"
    program.write_text(
        """
import asyncio, os, threading, warnings
from truesocket.bridge import Bridge

warnings.simplefilter("ignore")
bridge, loop, ready = Bridge(), asyncio.new_event_loop(), threading.Event()
loop.call_soon(bridge.bind, loop)
loop.call_soon(ready.set)
threading.Thread(target=loop.run_forever, daemon=True).start()
ready.wait(30)
bridge._lock.acquire()  # whatever another thread holds at this moment
pid = os.fork()
if pid == 0:
    assert bridge.loop is None
    assert bridge.ask(lambda: 1).result(5) == 1

    async def own():
        bridge.bind(asyncio.get_running_loop())
        return await bridge.ask(lambda: 2)

    os._exit(0 if asyncio.run(own()) == 2 else 1)
bridge._lock.release()
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert bridge.ask(lambda: 3).result(30) == 3
print("fine")
"""
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "fine\n", done.stderr


# --- the loop thread --------------------------------------------------------------------------------------------------


def test_one_loop_for_all_who_come_at_once():
    own = LoopThread()
    assert own.loop is None
    loops = set()
    threads = [threading.Thread(target=lambda: loops.add(own.run(asyncio.get_running_loop))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GRACE)
    assert loops == {own.loop}
    assert own.run(threading.current_thread).name == "truesocket-loop"
    assert own.run(own.run, threading.get_ident) == own.run(threading.get_ident)
    own.end()


def test_no_thread_for_the_loop_is_an_error_each_time(monkeypatch):
    """And no loop that nobody turns stays behind, for which the next one would wait for ever."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    own = LoopThread()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                own.run(int)
            assert own.loop is None
    assert own.run(int) == 0
    own.end()


def test_loop_thread_raises_what_the_function_raises():
    own = LoopThread()
    with pytest.raises(ZeroDivisionError):
        own.run(lambda: 1 // 0)
    own.end()


def test_farewells_run_on_the_loop_and_a_bad_one_stops_nobody(caplog):
    own = LoopThread()
    loop = own.run(asyncio.get_running_loop)
    told = []

    async def good():
        told.append(asyncio.get_running_loop())

    async def bad():
        raise ValueError("oops")

    for key, farewell in enumerate((bad, good, good)):
        own.at_end(key, farewell)
    own.at_end(2, None)
    own.end()
    assert told == [loop]
    assert loop.is_closed()
    assert "a server could not end" in caplog.text
    with pytest.raises(UsageError, match="the process ends"):
        own.run(int)
    own.end()


def test_loop_that_is_blocked_does_not_hold_up_the_end(caplog, monkeypatch):
    monkeypatch.setattr(bridge_module, "_FAREWELL", 0.1)
    own, going = LoopThread(), threading.Event()
    loop = own.run(asyncio.get_running_loop)
    loop.call_soon_threadsafe(going.wait, GRACE)
    own.end()
    assert "does an async def handler block it?" in caplog.text
    going.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_server_in_a_thread_ends_with_its_process_and_starts_anew_in_a_child(tmp_path):
    program = tmp_path / "serves.py"
    program.write_text(
        """
import os, sys
from truesocket.core.server import Server
from truesocket.doors.entrance import Entrance

entrance = Entrance(Server())
stop = entrance.server.stop
entrance.server.stop = lambda: (stop(), print("stopped", flush=True))
loop = entrance.start_in_thread("wsgi")
assert entrance.start_in_thread("wsgi") is loop
if os.fork() == 0:
    assert not entrance.server.running
    assert entrance.start_in_thread("wsgi") is not loop
    assert entrance.server.members().result(30) == []
    sys.exit()
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
assert entrance.server.members().result(30) == []
print("fine", flush=True)
"""
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "stopped\nfine\nstopped\n", done.stderr
    assert "Traceback" not in done.stderr
    assert "open event loop" not in done.stderr


def test_disconnect_handlers_run_when_the_process_ends(tmp_path):
    """Those of a WSGI host, whose end is that of Python: some Pythons (3.12) start no thread any more then."""
    program = tmp_path / "ends.py"
    program.write_text(
        """
import sys, threading, time
import websocket
from flask import Flask
from werkzeug.serving import make_server
from truesocket.flask import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)

def tell(text):
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()

@socketio.on("disconnect")
def left(reason):
    time.sleep(0.01)
    tell(reason)

@socketio.on("disconnect", namespace="/async")
async def left_async(reason):
    tell("async: " + reason)

host = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=host.serve_forever, daemon=True).start()
clients = []
for _ in range(8):
    client = websocket.create_connection(f"ws://127.0.0.1:{host.port}/socket.io/?EIO=4&transport=websocket")
    assert client.recv().startswith("0")
    for packet in ("40", "40/async,"):
        client.send(packet)
        assert client.recv().startswith(packet)
    clients.append(client)
tell("the end")
"""
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    said = done.stdout.splitlines()
    assert said[:1] == ["the end"], done.stderr
    assert sorted(said[1:]) == ["async: server disconnect"] * 8 + ["server disconnect"] * 8, done.stderr
    assert "WARNING" not in done.stderr
    assert "Traceback" not in done.stderr
