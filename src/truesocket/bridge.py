"""The one file that lets other threads in.

All state lives on one event loop.  Everything that changes it (an emission, an ack, a join, a close) is a *command* in
one FIFO, whoever gives it, so that nothing overtakes: ``join_room(r)`` and then ``emit(to=r)`` reaches the joiner, and
two broadcasts arrive in one order everywhere.

* On the loop a command runs at once where nothing waits before it, and is appended otherwise.
* From any other thread it is appended, with one wake-up of the loop per burst; where the FIFO is full, that thread
  waits.
* A command may return an iterator: each step of it is one turn of the loop (a broadcast to very many clients).
* Before a loop runs, and when it has ended, nobody is connected: commands are dropped, questions are answered at once
  from what there is, nobody waits.

``core/server.py`` owns a :class:`Bridge`; ``core/runner.py`` uses it to come back from its threads.

Under a host that has no event loop (WSGI, a test, a script) servers live on :data:`loop_thread`: one loop in one daemon
thread per process, started by the first server that needs it, and ended, with a word to every client, at exit.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from typing import Generic, TypeVar

from truesocket.errors import AckTimeout, UsageError

__all__ = ["DONE", "Bridge", "LoopThread", "Reply", "Told", "loop_thread"]

_log = logging.getLogger("truesocket")

T = TypeVar("T")

Step = Iterator[object] | None
_Command = tuple[Callable[..., Step], tuple[object, ...], int]

#: Commands and bytes that may wait before a thread that gives one more has to wait as well.
LIMIT_COMMANDS = 20_000
LIMIT_BYTES = 64 * 1024 * 1024
#: Commands per turn of the loop, so that reading and heartbeats get theirs.
_TURN = 256
#: Seconds that servers on the loop thread have for their goodbye when the process ends, beside what they ask for.
_FAREWELL = 3.0


class Told:
    """What a command returns: nothing to wait for, but ``await`` does no harm.

    On the loop, while the FIFO is over its limit, it carries the event that opens below it: ``await sio.emit(...)`` is
    the back-pressure of async code.
    """

    __slots__ = ("_opens",)

    def __init__(self, opens: asyncio.Event | None = None) -> None:
        self._opens = opens

    def __await__(self) -> Generator[object, None, None]:
        if self._opens is not None:
            yield from self._opens.wait().__await__()


DONE = Told()


class Reply(Generic[T]):
    """The answer to a question: ``await reply`` on an event loop, ``reply.result(timeout)`` in a thread."""

    __slots__ = ("_future", "_on_loop")

    def __init__(self, on_loop: Callable[[], bool]) -> None:
        self._future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._on_loop = on_loop

    def set(self, value: T) -> None:
        """Answers; the second answer is dropped."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self._future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Answers with an error; the second answer is dropped."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            self._future.set_exception(error)

    def done(self) -> bool:
        """Whether the answer is there."""
        return self._future.done()

    def result(self, timeout: float | None = None) -> T:
        """Waits for the answer, at most ``timeout`` seconds, then raises :class:`AckTimeout`.

        Raises :class:`UsageError` on the loop itself, which would wait for ever; ``await`` it there.
        """
        if not self._future.done() and self._on_loop():
            raise UsageError("result() would block the event loop; write `await` before the call instead")
        try:
            return self._future.result(timeout)
        except concurrent.futures.TimeoutError:
            if self._future.done():  # the answer itself is an error of this kind, or has just come
                return self._future.result()
            raise AckTimeout(f"no answer within {timeout} seconds") from None

    def __await__(self) -> Generator[object, None, T]:
        if self._future.done():
            return self._future.result()
        return (yield from asyncio.wrap_future(self._future).__await__())


class _Question(Generic[T]):
    """A command that answers; once is enough, and it is answered even where the loop ends before."""

    __slots__ = ("_args", "_question", "_reply")

    def __init__(self, reply: Reply[T], question: Callable[..., T], args: tuple[object, ...]) -> None:
        self._reply = reply
        self._question = question
        self._args = args

    def __call__(self) -> None:
        if self._reply.done():
            return
        try:
            self._reply.set(self._question(*self._args))
        except Exception as error:  # whatever it is, it belongs to whoever asked
            self._reply.fail(error)


class Bridge:
    """The way onto one event loop, and the FIFO of commands there.

    Where ``limit_commands`` commands or more than ``limit_bytes`` wait, whoever gives one more has to wait as well.
    """

    def __init__(self, limit_commands: int = LIMIT_COMMANDS, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_commands = limit_commands
        self._limit_bytes = limit_bytes
        self.on_fork: Callable[[], None] | None = None  # called in a forked child, behind our own reset
        self._reset()
        _bridges.add(self)

    def _reset(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._fifo: deque[_Command] = deque()
        self._waiting = 0  # bytes in the FIFO
        self._woken = False
        self._rest: Iterator[object] | None = None  # the command that goes on in the next turn
        self._current: object = None  # the command that runs, or its rest
        self._lock = threading.Lock()
        self._below = threading.Condition(self._lock)
        self._opens: asyncio.Event | None = None

    # --- the loop ----------------------------------------------------------------------------------------------

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commands run on ``loop`` from now on; called on that loop."""
        if self.loop is not None and self.loop is not loop and not self.loop.is_closed():
            raise UsageError(
                "this server already runs on another event loop; make one server per loop, or let the first one end"
            )
        if self.loop is not loop:
            self.release()  # a loop that was closed without a word has left its half-run commands here
        self.loop = loop
        self._thread = threading.get_ident()

    def release(self) -> None:
        """Lets go of the loop; what still waits is dropped and waiting threads go on."""
        with self._lock:
            loop, self.loop = self.loop, None
            self._thread = 0
            questions = [command for command, _, _ in self._fifo if isinstance(command, _Question)]
            self._fifo.clear()
            self._waiting = 0
            self._rest = None
            self._woken = False
            self._below.notify_all()
        opens, self._opens = self._opens, None
        if opens is not None and loop is not None and not loop.is_closed():
            opens.set()
        for question in questions:
            question()

    def on_loop(self) -> bool:
        """Whether the caller runs on *this* loop (and not on any other, such as that of a Flask ``async def`` view)."""
        return self._thread == threading.get_ident()

    # --- commands ----------------------------------------------------------------------------------------------

    def post(self, command: Callable[..., Step], *args: object, weight: int = 0) -> Awaitable[None]:
        """Gives a command; ``weight`` is the memory it holds while it waits, in bytes.  Returns at once on the loop."""
        if self._thread == threading.get_ident():
            if self._current is None and self._rest is None and not self._fifo:
                self._run(command, args)
                return DONE
            return self._post_on_loop(command, args, weight)
        with self._lock:
            while self._is_full() and self.loop is not None:
                self._below.wait(1.0)
            loop = self.loop
            if loop is None:
                return DONE
            self._fifo.append((command, args, weight))
            self._waiting += weight
            if self._woken:
                return DONE
            self._woken = True
        try:
            loop.call_soon_threadsafe(self._drain, loop)
        except RuntimeError:  # the loop has just been closed
            self.release()
        return DONE

    def take_next(self, command: Callable[..., Step], fits: Callable[..., bool]) -> tuple[object, ...] | None:
        """The arguments of the command that is next in the FIFO, which is taken out of it: it is done along with this.

        For ``command``, while it runs.  ``None`` where the next one is another, where its arguments do not fit, and
        where ``command`` is only a part of what runs: it would overtake the rest of that.
        """
        with self._lock:
            if not self._fifo or self._current != command:
                return None
            following, args, weight = self._fifo[0]
            if following != command or not fits(*args):
                return None
            self._fifo.popleft()
            self._waiting -= weight
            return args

    def ask(self, question: Callable[..., T], *args: object) -> Reply[T]:
        """Asks something that is answered on the loop, behind the commands given before."""
        reply: Reply[T] = Reply(self.on_loop)
        answer = _Question(reply, question, args)
        self.post(answer)
        if self.loop is None:  # it was dropped, or may have been
            answer()
        return reply

    def _post_on_loop(self, command: Callable[..., Step], args: tuple[object, ...], weight: int) -> Awaitable[None]:
        with self._lock:
            self._fifo.append((command, args, weight))
            self._waiting += weight
            wake = not self._woken
            self._woken = True
        if wake and self.loop is not None:
            self.loop.call_soon(self._drain, self.loop)
        if not self._is_full():
            return DONE
        if self._opens is None:
            self._opens = asyncio.Event()
        return Told(self._opens)

    def _is_full(self) -> bool:
        return len(self._fifo) >= self._limit_commands or self._waiting > self._limit_bytes

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """One turn of the loop: the rest of a long command, or some short ones."""
        if loop is not self.loop:
            return  # it has been let go of since this turn was planned
        budget = _TURN
        while budget > 0:
            budget -= 1
            if self._rest is not None:
                if self._step(self._rest):
                    break
                continue
            with self._lock:
                if not self._fifo:
                    self._woken = False
                    break
                command, args, weight = self._fifo.popleft()
                self._waiting -= weight
            if self._run(command, args):
                break
        self._open_below()
        if self._woken and self.loop is not None:
            self.loop.call_soon(self._drain, self.loop)

    def _run(self, command: Callable[..., Step], args: tuple[object, ...]) -> bool:
        """Runs a command; ``True`` where it is a long one that goes on in the next turn."""
        self._current = command
        try:
            rest = command(*args)
        except Exception:
            _log.exception("a command failed; this is a bug in truesocket, please report it")
            rest = None
        finally:
            self._current = None
        if rest is None or not self._step(rest):
            return False
        self._keep_going()
        return True

    def _step(self, rest: Iterator[object]) -> bool:
        """One step of a long command; ``True`` while there is more to do."""
        self._rest = rest
        self._current = rest
        try:
            next(rest)
        except StopIteration:
            self._rest = None
        except Exception:
            _log.exception("a command failed; this is a bug in truesocket, please report it")
            self._rest = None
        finally:
            self._current = None
        return self._rest is not None

    def _keep_going(self) -> None:
        with self._lock:
            wake = not self._woken
            self._woken = True
        if wake and self.loop is not None:
            self.loop.call_soon(self._drain, self.loop)

    def _open_below(self) -> None:
        if self._is_full():
            return
        with self._lock:
            self._below.notify_all()
        if self._opens is not None:
            self._opens.set()
            self._opens = None


class LoopThread:
    """An event loop in a daemon thread, for hosts that have none; it belongs to one process.

    It starts when it is first needed (uvloop where that is installed).  At exit every farewell runs on it, then it
    ends.  A forked child starts one of its own.
    """

    def __init__(self) -> None:
        self._abandoned: list[asyncio.AbstractEventLoop] = []
        self._reset()

    def _reset(self) -> None:
        """No loop yet.  That of a parent process is kept, untouched: closing it would reach into the parent's."""
        loop: asyncio.AbstractEventLoop | None = getattr(self, "_loop", None)
        if loop is not None:
            self._abandoned.append(loop)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._farewells: dict[object, tuple[Callable[[], Coroutine[object, object, None]], float]] = {}
        self._over = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, if it runs."""
        return self._loop

    def run(self, function: Callable[..., T], *args: object) -> T:
        """Calls ``function(*args)`` on the loop, and returns or raises what it does.

        Raises :class:`UsageError` while the process ends.
        """
        loop = self._started()
        if self._thread is threading.current_thread():
            return function(*args)
        reply: Reply[T] = Reply(lambda: False)
        loop.call_soon_threadsafe(_Question(reply, function, args))
        return reply.result()

    def at_end(
        self, key: object, farewell: Callable[[], Coroutine[object, object, None]] | None, within: float = 0.0
    ) -> None:
        """What is to run on the loop before it ends, and in how many seconds; ``None`` takes it back."""
        with self._lock:
            if farewell is None:
                self._farewells.pop(key, None)
            else:
                self._farewells[key] = (farewell, within)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._over:
                raise UsageError("the process ends: no connection is taken any more")
            if self._loop is None:
                loop = _new_loop()
                thread = threading.Thread(target=_turn_for_ever, args=(loop,), name="truesocket-loop", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, now or (some Pythons at their end) for ever
                    loop.close()
                    raise
                self._loop, self._thread = loop, thread
            return self._loop

    def end(self) -> None:
        """Says goodbye and ends the loop; called at exit.  Ctrl-C ends it without waiting longer."""
        with self._lock:
            self._over = True
            loop, thread = self._loop, self._thread
            farewells = [farewell for farewell, _ in self._farewells.values()]
            within = max((within for _, within in self._farewells.values()), default=0.0)
            self._farewells.clear()
        if loop is None or thread is None or thread is threading.current_thread():
            return
        goodbye = _say_all(farewells)
        try:
            asyncio.run_coroutine_threadsafe(goodbye, loop).result(within + _FAREWELL)
        except concurrent.futures.TimeoutError:
            _log.warning("the event loop did not come to its end in time; does an async def handler block it?")
        except RuntimeError:  # somebody has closed our loop
            goodbye.close()
            return
        except (KeyboardInterrupt, SystemExit):  # a second Ctrl-C, or the host's handler of a second signal
            _log.info("ended without waiting longer")
        loop.call_soon_threadsafe(loop.stop)
        thread.join(1.0)
        self._loop = self._thread = None


async def _say_all(farewells: Iterable[Callable[[], Coroutine[object, object, None]]]) -> None:
    results = await asyncio.gather(*(farewell() for farewell in farewells), return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            _log.error("a server could not end; this is a bug in truesocket, please report it", exc_info=result)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows, PyPy
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _turn_for_ever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=0.5))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


_bridges: weakref.WeakSet[Bridge] = weakref.WeakSet()
loop_thread: LoopThread = LoopThread()
"""The one of this process."""
atexit.register(loop_thread.end)


def _after_fork() -> None:
    """A forked child has neither the loop's thread nor its connections: it starts from nothing."""
    loop_thread._reset()
    for bridge in list(_bridges):
        bridge._reset()
        if bridge.on_fork is not None:
            bridge.on_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
