"""Any handler, one way to run it: ``async def`` on the loop, ``def`` in a pool of threads.

Each client has a *lane* per namespace.  Its handlers start in the order in which the events arrived: one thread takes
them up one after another, so short handlers never overlap and a burst costs one wake-up.  A handler that has run for
longer than ``OVERTAKE`` seconds is left to itself and the next event gets another thread, up to ``handlers_per_client``
of them; that is how an endless loop stalls nobody, not even its own client.  What has been taken up but has not begun
is never overtaken, however long it waits for a thread, for the loop or for its surroundings: a handler has begun when
they call ``begin``, in front of its first line.  With ``async_handlers=False`` nobody overtakes.
``connect``, ``disconnect`` and acks have a pool of their own, which event handlers cannot fill.

::

    push ──> pending ──> head thread: job, job, job ... ──> leave
                 └────── head busy for OVERTAKE s: a new head takes over

``async def`` handlers that follow one another are taken up together, each in a task.  Tasks take their first step in
the order in which they were made; where surroundings await something in front of a handler, it begins in its turn
(:class:`_Turn`).

Lane state belongs to the loop.  What a head thread shares with it (the pending jobs, their bytes and who is the head)
is touched under the runner's lock; besides, a thread writes when its job began.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from truesocket.bridge import Bridge
from truesocket.core.config import Config
from truesocket.core.pool import Pool, here
from truesocket.core.ports import Surroundings
from truesocket.core.registry import Handler
from truesocket.core.socket import Socket, current
from truesocket.session.engine import Engine

__all__ = ["OVERTAKE", "Bare", "Job", "Lane", "Runner"]

_log = logging.getLogger("truesocket")

T = TypeVar("T")

#: Seconds that a handler may take before the next event of its client is given to another thread.
OVERTAKE = 0.01
#: Threads for connect, disconnect and acks at most.
_CONTROL_THREADS = 512
#: Jobs that a thread takes up in a row while other clients wait.
_FAIR = 16
#: Seconds between two warnings that threads run short.
_SHORTAGE_INTERVAL = 60.0


class Bare:
    """No surroundings: the handler alone.  For applications without Flask."""

    begins_at_once = True

    def call(
        self, handler: Handler, socket: Socket, event: str, args: tuple[object, ...], begin: Callable[[], object]
    ) -> object:
        begin()
        return handler.invoke(socket, args)

    async def acall(
        self,
        handler: Handler,
        socket: Socket,
        event: str,
        args: tuple[object, ...],
        begin: Callable[[], Awaitable[object]],
    ) -> object:
        await begin()
        result: object = await handler.invoke(socket, args)  # type: ignore[misc]  # an async def
        return result


class Job:
    """One call of one handler.  ``done`` is called where it ran, with its result or its exception."""

    __slots__ = ("args", "done", "event", "handler", "since", "size", "socket")

    def __init__(
        self,
        handler: Handler,
        socket: Socket,
        event: str,
        args: tuple[object, ...],
        done: Callable[[Job, object, BaseException | None], None],
        size: int = 0,
    ) -> None:
        self.handler: Handler = handler
        self.socket: Socket = socket
        self.event: str = event
        self.args: tuple[object, ...] = args
        self.done: Callable[[Job, object, BaseException | None], None] = done
        self.size: int = size
        self.since: float = 0.0  # when its task was made (``time.monotonic``), where it is one


def _at_once() -> None:
    """``begin`` of what nobody waits behind: connect, disconnect, acks."""


async def _at_once_on_loop() -> None:
    """The same for an ``async def`` handler."""


class _Turn:
    """The place of an ``async def`` handler in the order of the beginnings; called and awaited, it is its ``begin``."""

    __slots__ = ("_came", "_lane", "_token")

    def __init__(self, lane: Lane, token: object) -> None:
        self._lane = lane
        self._token = token
        self._came: asyncio.Future[None] | None = None

    async def __call__(self) -> None:
        """Waits until those before have begun; the handler begins with the next turn of the loop at the latest."""
        lane = self._lane
        if lane.turns and lane.turns[0] is not self:
            self._came = asyncio.get_running_loop().create_future()
            await self._came
        self._pass(self._token)

    def skip(self) -> None:
        """Its task has ended; if it never began, nobody shall wait for it."""
        if self in self._lane.turns:
            self._pass(None)

    def _pass(self, token: object) -> None:
        turns = self._lane.turns
        was_first = turns[0] is self
        turns.remove(self)
        if was_first and turns:
            following = turns[0]._came
            if following is not None and not following.done():
                following.set_result(None)
        # The surroundings may start a task of their own for the handler: its first step comes before the second turn.
        loop = self._lane.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon(loop.call_soon, self._lane.task_began, token)


#: ``_began`` of a lane whose head has taken up a job that has not begun.
_NOT_YET = float("inf")


class Lane:
    """The handlers of one client in one namespace.  Touched by the loop, but for what the module's text names."""

    __slots__ = (
        "_began",
        "_bytes",
        "_departure",
        "_engine",
        "_full",
        "_head",
        "_pending",
        "_runner",
        "_running",
        "_starting",
        "turns",
    )

    def __init__(self, runner: Runner, engine: Engine) -> None:
        self._runner = runner
        self._engine = engine
        self._pending: deque[Job] = deque()
        self._bytes = 0  # of the pending jobs
        self._head: object = None  # the token of the thread or task that may take up the next job
        self._began = 0.0  # when the head's job began
        self._running = 0  # threads and tasks
        self._starting = 0  # tasks that have not begun
        self.turns: deque[_Turn] = deque()  # theirs, in the order of the events
        self._departure: Callable[[], None] | None = None
        self._full = False  # we have stopped reading this client

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that it lives on, while there is one."""
        return self._runner.bridge.loop

    def push(self, job: Job) -> None:
        """The next event of this client."""
        runner = self._runner
        if runner.witness is not None:
            runner.witness(job)
        if self._head is None and not self._pending and self._may_begin(job):
            self._take_up(job, object())  # no thread knows this lane now, so there is nothing to lock
            return
        with runner.lock:
            self._pending.append(job)
            self._bytes += job.size
        self._advance()
        if self._is_over(1):
            self._full = True
            self._engine.pause()

    def depart(self, then: Callable[[], None]) -> None:
        """The client has left: calls ``then`` when what it had sent has begun, at the latest in a second."""
        self._departure = then
        self._relieve()
        if self._departure is not None:
            self._runner.later(1.0, self._departed)

    @property
    def has_waiting(self) -> bool:
        """Whether something that this client sent has not begun."""
        return bool(self._pending or self._starting or self._began == _NOT_YET)

    def unstick(self) -> None:
        """Looks whether the head has been busy for too long."""
        self._advance()
        self._relieve()

    def _departed(self) -> None:
        then, self._departure = self._departure, None
        if then is not None:
            then()

    def _is_over(self, part: float) -> bool:
        config = self._runner.config
        return len(self._pending) > config.max_pending_events * part or self._bytes > config.max_pending_bytes * part

    def _relieve(self) -> None:
        """Where little waits, this client is read again; where nothing waits, it may depart."""
        if self._departure is not None and not self.has_waiting:
            self._departed()
        elif self._full and not self._is_over(0.5):
            self._full = False
            self._engine.resume()

    # --- taking up, on the loop --------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Takes up what may be taken up now; looks again later where a head is busy."""
        runner = self._runner
        config = runner.config
        while self._running < config.handlers_per_client:
            token = object()
            job = self._take_over(token)
            if job is None:
                break
            self._take_up(job, token)
        if self._pending and config.async_handlers and self._running < config.handlers_per_client:
            runner.watch(self)

    def _may_begin(self, job: Job) -> bool:
        """Whether another handler may begin now, where no head is in its way."""
        if self._starting and not job.handler.is_async:
            return False  # a thread would be quicker than the tasks before it
        return self._running < self._runner.config.handlers_per_client

    def _take_over(self, token: object) -> Job | None:
        """The next job, if there is one and nobody stands before it; ``token`` is the head then."""
        runner = self._runner
        with runner.lock:
            if not self._pending:
                return None
            if self._head is not None and not (
                runner.config.async_handlers and time.monotonic() - self._began >= runner.overtake
            ):
                return None
            if not self._may_begin(self._pending[0]):
                return None
            self._head, self._began = token, _NOT_YET  # under the lock: the head before may be about to go on
            return self._pop()

    def _take_up(self, job: Job, token: object) -> None:
        self._running += 1
        self._head, self._began = token, _NOT_YET
        if job.handler.is_async:
            self._start_task(job, token)
        else:
            self._runner.events.start(self._drain, job, token)

    def _start_task(self, job: Job, token: object) -> None:
        runner = self._runner
        self._starting += 1
        if runner.config.async_handlers:
            self._free(token)  # a task keeps nobody waiting
        if runner.surroundings.begins_at_once:
            runner.start_handler(job, self._task_at_once(job, token))
        else:
            turn = _Turn(self, token)
            self.turns.append(turn)
            runner.start_handler(job, self._task_in_turn(job, token, turn))

    async def _task_at_once(self, job: Job, token: object) -> None:
        """The handler's first line is a part of this task's first step."""
        self._starting -= 1
        if self._head is token:
            self._began = time.monotonic()
        if self._is_waited_for and self.loop is not None:
            self.loop.call_soon(self.unstick)  # behind that step
        try:
            await self._runner.run_task(job)
        finally:
            self._leave(token)

    async def _task_in_turn(self, job: Job, token: object, turn: _Turn) -> None:
        try:
            await self._runner.run_task(job, turn)
        finally:
            turn.skip()
            self._leave(token)

    def task_began(self, token: object) -> None:
        """An ``async def`` handler has begun, or never will (``None``)."""
        self._starting -= 1
        if token is not None and self._head is token:
            self._began = time.monotonic()
        self._advance()
        self._relieve()

    def _take_up_task(self, job: Job, token: object) -> None:
        """The head thread met an ``async def`` handler: that goes on here, on the loop."""
        self._start_task(job, token)
        self._advance()

    @property
    def _is_waited_for(self) -> bool:
        """Whether it matters to anybody that a handler has begun or ended."""
        return bool(self._pending) or self._departure is not None or self._full

    def _leave(self, token: object) -> None:
        self._running -= 1
        if self._head is token:
            self._free(token)
        if self._is_waited_for:
            self._advance()
            self._relieve()

    def _free(self, token: object) -> None:
        with self._runner.lock:
            if self._head is token:
                self._head, self._began = None, 0.0

    # --- taking up, in a thread --------------------------------------------------------------------------------

    def _drain(self, job: Job, token: object) -> None:
        """In a pool thread: takes up jobs one after another while this thread is the head."""
        runner = self._runner
        left = _FAIR
        following: Job | None = job

        def begin() -> None:
            if self._head is token:
                self._began = time.monotonic()
            if self._departure is not None or self._full:
                runner.bridge.post(self._relieve)

        try:
            while following is not None:
                job = following
                if job.handler.is_async:
                    runner.bridge.post(self._take_up_task, job, token)
                    return
                runner.run_here(job, begin)
                left -= 1
                following = None if left <= 0 and runner.events.backlog else self._take_next(token)
        except BaseException:
            runner.bridge.post(self._leave, token)
            raise
        runner.bridge.post(self._leave, token)

    def _take_next(self, token: object) -> Job | None:
        with self._runner.lock:
            if self._head is not token or not self._pending:
                return None
            self._began = _NOT_YET
            return self._pop()

    def _pop(self) -> Job:
        job = self._pending.popleft()
        self._bytes -= job.size
        return job


class Runner:
    """The pools, the tasks and the lanes of one server."""

    def __init__(
        self, config: Config, bridge: Bridge, surroundings: Surroundings, *, overtake: float = OVERTAKE
    ) -> None:
        self.config = config
        self.overtake = overtake
        self.bridge = bridge
        self.surroundings = surroundings
        #: Sees every job before it waits for its turn, and may put its own ``done`` around the job's; for tests.
        self.witness: Callable[[Job], None] | None = None
        self._context = contextvars.copy_context()
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._watched: set[Lane] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._warned_at = -_SHORTAGE_INTERVAL
        self.reset()

    def reset(self) -> None:
        """Starts from nothing: a forked child has none of its parent's threads and tasks."""
        self.lock: threading.Lock = threading.Lock()
        self.events: Pool = Pool("truesocket", self.config.handler_threads, self._warn_short, later=self._soon)
        self.control: Pool = Pool("truesocket-control", _CONTROL_THREADS, self._warn_short, later=self._soon)
        self._timer = None
        self._watched.clear()
        self._tasks.clear()

    def stop(self) -> None:
        """The loop ends: watches nothing more.  Threads end by themselves, tasks with their loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watched.clear()
        for pool in (self.events, self.control):
            pool.look(hurry=True)  # no timer will come any more

    def run_control(self, job: Job) -> None:
        """Runs connect, disconnect or an ack callback: never behind event handlers."""
        if self.witness is not None:
            self.witness(job)
        if job.handler.is_async:
            self.start_handler(job, self.run_task(job))
        else:
            self.control.start(self.run_here, job)

    def run_here(self, job: Job, begin: Callable[[], object] = _at_once) -> None:
        """Runs a ``def`` handler in this thread, in a context of its own; ``begin`` is called in front of it."""
        worker = here.worker
        if worker is not None:
            worker.since = time.monotonic()
            worker.busy_with = job.handler.where
            worker.socket = job.socket
        try:
            result = self._context.copy().run(self._call, job, begin)
        except BaseException as error:  # also SystemExit and Disconnected: a handler ends, not the thread
            job.done(job, None, error)
        else:
            job.done(job, result, None)

    def _call(self, job: Job, begin: Callable[[], object]) -> object:
        current.set(job.socket)
        return self.surroundings.call(job.handler, job.socket, job.event, job.args, begin)

    async def run_task(self, job: Job, begin: Callable[[], Awaitable[object]] | None = None) -> None:
        """Runs an ``async def`` handler on the loop, in a task of its own; ``begin`` is awaited in front of it."""
        current.set(job.socket)
        try:
            result = await self.surroundings.acall(
                job.handler, job.socket, job.event, job.args, begin or _at_once_on_loop
            )
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            job.done(job, None, error)
            raise
        except GeneratorExit:
            raise  # the loop has ended under it
        except BaseException as error:  # also SystemExit and Disconnected: a handler ends, not the loop
            job.done(job, None, error)
        else:
            job.done(job, result, None)
        finally:
            self._tasks.pop(job, None)

    def start_handler(self, job: Job, coroutine: Coroutine[object, object, None]) -> None:
        """Starts a coroutine that comes to :meth:`run_task` of this job, and keeps it alive until then."""
        loop = self.bridge.loop
        if loop is None:
            coroutine.close()
            return
        job.since = time.monotonic()
        self._tasks[job] = loop.create_task(coroutine)

    def busy(self) -> list[tuple[Socket, float, str]]:
        """The handlers that run at this moment: whose, since when (``time.monotonic``), and their names."""
        workers = [*list(self.events.workers), *list(self.control.workers)]
        seen = [(worker.socket, worker.since, worker.busy_with) for worker in workers]
        found = [(socket, since, name) for socket, since, name in seen if socket is not None and name is not None]
        return found + [(job.socket, job.since, job.handler.where) for job in list(self._tasks)]

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Blocking work for the loop: runs in the control pool, in a copy of the caller's context."""
        context = contextvars.copy_context()
        return await asyncio.wrap_future(self.control.submit(context.run, function, *args))

    def later(self, delay: float, function: Callable[[], None]) -> None:
        """Calls ``function`` on the loop after ``delay`` seconds."""
        if self.bridge.loop is not None:
            self.bridge.loop.call_later(delay, function)

    def _soon(self, delay: float, function: Callable[[], None]) -> bool:
        """The same where we are on the loop; ``False`` elsewhere."""
        loop = self.bridge.loop
        if loop is None or not self.bridge.on_loop() or loop.is_closed():
            return False
        loop.call_later(delay, function)
        return True

    def watch(self, lane: Lane) -> None:
        """Looks after a lane whose next event waits for a busy handler."""
        self._watched.add(lane)
        if self._timer is None and self.bridge.loop is not None:
            self._timer = self.bridge.loop.call_later(self.overtake, self._look)

    def _look(self) -> None:
        self._timer = None
        watched, self._watched = self._watched, set()
        for lane in watched:
            lane.unstick()

    def handlers_of(self, socket: Socket) -> list[str]:
        """Which handlers of this client run in threads at the moment."""
        workers = [*list(self.events.workers), *list(self.control.workers)]
        names = {worker.busy_with for worker in workers if worker.socket is socket}
        return sorted(name for name in names if name is not None)

    def _warn_short(self, pool: Pool) -> None:
        now = time.monotonic()
        if now - self._warned_at < _SHORTAGE_INTERVAL:
            return
        self._warned_at = now
        busy = pool.busy()
        longest = {name: now - since for since, name in reversed(busy)}
        counts = Counter(name for _, name in busy)
        lines = "".join(
            f"\n    {counts[name]} x {name}, the longest for {longest[name]:.0f} s" for name, _ in counts.most_common(5)
        )
        kind = "handler threads" if pool is self.events else "threads for connect, disconnect and acks"
        _log.warning(
            "%s run short: all %d are busy and new events wait. Held longest by:%s\n"
            "Let these handlers end, move endless loops to socketio.start_background_task, or raise handler_threads.",
            kind,
            pool.size,
            lines,
        )
