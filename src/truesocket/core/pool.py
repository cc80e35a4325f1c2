"""An elastic pool of daemon threads.

It knows nothing of handlers and clients, but for the note on each worker that says what it is busy with.  The runner
has two (events; connect, disconnect and acks), and the pages of a WSGI application have one of their own.

Threads that compute take turns at Python's lock, and every change costs.  So a *patient* pool leaves a job to a thread
that has just taken one up, and looks a millisecond later: where no thread has come back meanwhile, because they wait
for something, every job that waits gets a thread of its own.  (20 clients, a Flask handler with ack: 0.4 x the CPU.)

Some Pythons (3.12 among them) start no thread once the process ends, and that is when the last handlers run, those of
``disconnect``: the :data:`reserve` is there for them.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from truesocket.core.socket import Socket

__all__ = ["Pool", "Worker", "here", "reserve"]

_log = logging.getLogger("truesocket")

T = TypeVar("T")

#: Seconds after which an idle thread ends.
_IDLE = 10.0
#: Seconds for which a thread that has taken up a job is expected to come back for the next one.
_PATIENCE = 0.001
#: Jobs in that time that make more threads useless: they are short, and take turns.
_BRISK = 4
#: Threads of the reserve.
_RESERVE = 4


class _Thread(Enum):
    """Who does a job."""

    AT_WORK = "at work"  #: one that is about to finish another
    IDLE = "idle"
    NEW = "new"
    NONE = "none"  #: there are as many as there may be


class Worker:
    """A thread of a pool, and what it is busy with."""

    __slots__ = ("busy_with", "since", "socket")

    def __init__(self) -> None:
        self.busy_with: str | None = None
        self.socket: Socket | None = None
        self.since: float = 0.0


class Pool:
    """An elastic pool of daemon threads: it grows up to ``most``, idle ones end, exit never waits for it.

    Also an executor in the sense of ``loop.run_in_executor`` (:meth:`submit`).  With ``later(seconds, function)``,
    which calls a function later or returns ``False`` where it cannot, the pool is patient (see above).
    """

    def __init__(
        self,
        name: str,
        most: int,
        on_short: Callable[[Pool], None] | None = None,
        *,
        idle: float = _IDLE,
        later: Callable[[float, Callable[[], None]], bool] | None = None,
    ) -> None:
        self.name = name
        self.most = most
        self._idle_time = idle
        self._on_short = on_short
        self._queue: queue.SimpleQueue[tuple[Callable[..., object], tuple[object, ...]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._numbers = itertools.count(1)
        self._later = later
        self._looks = False  # whether a look is due
        self._brisk_until = 0.0  # a thread is expected back until then
        self._taken = 0  # jobs since the last look
        self.backlog: int = 0  # jobs that no thread has been found for
        self.workers: set[Worker] = set()

    def start(self, function: Callable[..., object], *args: object) -> None:
        """Runs ``function(*args)`` in a thread; it must not raise."""
        with self._lock:
            if self._later is not None and time.monotonic() < self._brisk_until and self._look_later(self._later):
                self.backlog += 1
                thread = _Thread.AT_WORK
            else:
                thread = self._find()
                self.backlog += thread is _Thread.NONE
        self._queue.put((function, args))
        self._see_to(thread)

    def _find(self) -> _Thread:
        """A thread for one more job; the caller has the lock."""
        self._brisk_until = time.monotonic() + _PATIENCE
        if self._idle:
            self._idle -= 1
            return _Thread.IDLE
        if self._threads < self.most:
            self._threads += 1
            return _Thread.NEW
        return _Thread.NONE

    def _see_to(self, thread: _Thread) -> None:
        if (thread is _Thread.NONE or (thread is _Thread.NEW and not self._spawn())) and self._on_short is not None:
            self._on_short(self)

    def _look_later(self, later: Callable[[float, Callable[[], None]], bool]) -> bool:
        if not self._looks:
            self._looks = later(_PATIENCE, self.look)
        return self._looks

    def look(self, *, hurry: bool = False) -> None:
        """Finds threads for jobs that were left to others and still wait; with ``hurry`` for all of them, now."""
        found: list[_Thread] = []
        with self._lock:
            self._looks = False
            taken, self._taken = self._taken, 0
            wanted = self.backlog
            if not hurry and time.monotonic() < self._brisk_until:
                wanted = min(wanted, int(taken < _BRISK))
            while len(found) < wanted and _Thread.NONE not in found[-1:]:
                found.append(self._find())
            is_full = _Thread.NONE in found[-1:]
            self.backlog -= len(found) - is_full
            if self.backlog and not is_full and self._later is not None:
                self._look_later(self._later)
        for thread in found:
            self._see_to(thread)

    def _spawn(self) -> bool:
        try:
            threading.Thread(
                target=self._work, args=(self._idle_time,), name=f"{self.name}-{next(self._numbers)}", daemon=True
            ).start()
        except RuntimeError:
            if reserve.take(self._work):
                return True
            with self._lock:  # the system gives no more threads: the job waits for one of ours
                self._threads -= 1
                self.backlog += 1
            return False
        return True

    def submit(self, function: Callable[..., T], /, *args: object, **kwargs: object) -> concurrent.futures.Future[T]:
        """Runs a function and gives a future of its result (``concurrent.futures.Executor.submit``)."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self.start(run)
        return future

    @property
    def size(self) -> int:
        """Threads alive."""
        return self._threads

    def busy(self) -> list[tuple[float, str]]:
        """What the threads are doing: (since, name of the handler), longest first."""
        seen = [(worker.since, worker.busy_with) for worker in list(self.workers)]
        return sorted((since, name) for since, name in seen if name is not None)

    def _work(self, idle_time: float = 0.0) -> None:
        """What a thread of the pool does, until it has been idle for so many seconds."""
        worker = Worker()
        here.worker = worker
        self.workers.add(worker)
        try:
            while True:
                try:
                    function, args = self._queue.get(timeout=idle_time)
                except queue.Empty:
                    with self._lock:
                        if self._idle == 0:  # somebody has just counted on this thread
                            continue
                        self._idle -= 1
                        self._threads -= 1
                        return
                self._brisk_until = time.monotonic() + _PATIENCE
                try:
                    function(*args)
                except BaseException:
                    _log.exception("a job failed; this is a bug in truesocket, please report it")
                del function, args
                worker.busy_with = worker.socket = None
                with self._lock:
                    self._taken += 1
                    if self.backlog:
                        self.backlog -= 1
                    else:
                        self._idle += 1
                        self._brisk_until = 0.0
        finally:
            self.workers.discard(worker)


class _Here(threading.local):
    worker: Worker | None = None


here: _Here = _Here()
"""``here.worker`` is the worker that this thread is, ``None`` in threads of others."""


class _Reserve:
    """A few threads that wait for the end of the process, for pools that find no thread can be started any more."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_there = False

    def stand_by(self) -> None:
        """Once per process, by whoever will have work at its end."""
        with self._lock:
            for number in range(0 if self._is_there else _RESERVE):
                threading.Thread(target=self._stand, name=f"truesocket-reserve-{number + 1}", daemon=True).start()
                self._is_there = True

    def take(self, work: Callable[[], None]) -> bool:
        """Gives work to whoever is free first; ``False`` before the end of the main thread, or without a reserve."""
        if not self._is_there or threading.main_thread().is_alive():
            return False
        self._waiting.put(work)
        return True

    def _stand(self) -> None:
        waiting = self._waiting
        while True:
            waiting.get()()


reserve: _Reserve = _Reserve()
"""The one of this process."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reserve._reset)
