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
_OURS = __name__.partition(".")[0]


class Watchdog:
    """Watches one loop.  ``limit`` in seconds."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._turned = 0.0
        self._stop = threading.Event()
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts to watch; called on the loop."""
        self._stop = threading.Event()
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
        self._handle = loop.call_later(_INTERVAL / 2, self._turn, loop)

    def _watch(self, thread: int, stop: threading.Event) -> None:
        told = -1.0
        looked = time.monotonic()
        while not stop.wait(_INTERVAL):
            now = time.monotonic()
            asleep = now - looked > 3 * _INTERVAL  # the whole process stood still: nobody's fault
            looked = now
            turned = self._turned
            if not asleep and now - turned > self._limit and turned != told:
                told = turned
                self._tell(thread, now - turned)

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


def _place(frame: FrameType) -> str:
    """The innermost place, and the line of the application that led there."""
    code = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
