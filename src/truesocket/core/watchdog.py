"""Finds the handler that blocks the event loop, and names the line where it hangs.

A thread of its own looks twice a second whether the loop has turned.  Where it has not for ``limit`` seconds, the
loop's thread is in somebody's code: its stack goes into the log, once per hang.  Only an ``async def`` handler can do
that; a ``def`` handler runs in a thread and may block as long as it likes.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from types import FrameType

__all__ = ["Watchdog"]

_log = logging.getLogger("truesocket")

_INTERVAL = 0.5
#: Packages that call handlers: what they have called is the handler.
_HOSTS = frozenset({"asyncio", __name__.partition(".")[0]})


class Watchdog:
    """Watches one loop.  ``limit`` in seconds; ``interval``, too, is the time between two looks."""

    def __init__(self, limit: float, interval: float = _INTERVAL) -> None:
        self._limit = limit
        self._interval = interval
        self._turned = 0.0
        self._stop = threading.Event()
        self._handle: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts to watch; called on the loop."""
        self._stop = threading.Event()
        self._loop = loop
        self._turn(loop)
        threading.Thread(
            target=self._watch, args=(threading.get_ident(), self._stop), name="truesocket-watchdog", daemon=True
        ).start()

    def stop(self) -> None:
        """Watches no more; called on the loop."""
        self._stop.set()
        if self._handle is not None:
            self._handle.cancel()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turned = time.monotonic()
        self._handle = loop.call_later(self._interval / 2, self._turn, loop)

    def _watch(self, thread: int, stop: threading.Event) -> None:
        told = -1.0
        looked = time.monotonic()
        while not stop.wait(self._interval):
            now = time.monotonic()
            asleep = now - looked > 3 * self._interval  # the whole process stood still: nobody's fault
            looked = now
            turned = self._turned
            if self._is_over():
                return
            if not asleep and now - turned > self._limit and turned != told:
                told = turned
                self._tell(thread, now - turned)

    def _is_over(self) -> bool:
        """Whether the loop or the process has ended under us: who turns no more is not blocked."""
        loop = self._loop
        ended = loop is not None and (loop.is_closed() or not loop.is_running())
        return ended or not threading.main_thread().is_alive()

    def _tell(self, thread: int, seconds: float) -> None:
        frame = sys._current_frames().get(thread)
        if frame is None:
            return
        stack = traceback.StackSummary.extract(traceback.walk_stack(frame))
        stack.reverse()
        _log.warning(
            "the event loop has been blocked for %.1f s in %s. Everybody waits for it: use `await`"
            " (asyncio.sleep, an async library), or write a plain `def` handler, which may block.\n%s",
            seconds,
            _place(frame),
            "".join(stack.format()).rstrip(),
        )


def _place(innermost: FrameType) -> str:
    """The handler with the line where it hangs, and the innermost place where that is another."""
    handler = frame = innermost
    above = frame.f_back
    while above is not None and _package(frame) not in _HOSTS and _package(above) not in _HOSTS:
        handler = frame = above
        above = frame.f_back
    return _name(handler) if handler is innermost else f"{_name(handler)}, at {_name(innermost)}"


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
