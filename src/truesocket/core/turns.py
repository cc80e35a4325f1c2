"""Who computes, and for how long: the event loop and the threads beside it, which share Python's lock.

Python asks a thread that computes to let others run behind its *switch interval*, and has no order among those who
wait; on one core, the kernel moreover leaves a thread alone for some milliseconds before another that was woken takes
over.  How late a thread is that wants to run 50 times a second beside four that compute, median and p99, and how much
these still get done (no server; Linux 6.18, Python 3.11; the median of three runs, on one core the mean of two):

==================  ================  =====  ================  =====
switch interval     two cores               one core
==================  ================  =====  ================  =====
5 ms (Python's)     292 ms, 604 ms     1.0   2.2 s, 4.2 s       1.0
0.5 ms              2.5 ms, 21 ms      1.0   4.0 ms, 22 ms      1.0
0.1 ms              0.7 ms, 3.1 ms     0.9   4.0 ms, 22 ms      1.0
the same, short turns                        0.6 ms, 7.9 ms     0.9
==================  ================  =====  ================  =====

So the interval is short, and where there is only one core, two things more are done.  The kernel is asked for *short
turns* (a slice, with ``sched_setattr(2)``; Linux heeds it from 6.12 on), for the loop's thread and all that it starts.
And a broadcast is :data:`undisturbed`: while it is written, the others ask for the lock later.

Pushes of a server to 100 clients beside four such handlers, due time to arrival, p99: on one core 39 ms before, 16 to
20 with short turns, 8 to 10 with both; on two cores 23 to 30 before, 10 to 13 now.  There, short turns do not help, and
what makes a broadcast undisturbed makes it ten times worse: who computes on the other core gets the long interval.
"""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import struct
import sys

__all__ = ["share", "undisturbed"]

_log = logging.getLogger("truesocket")

#: Seconds for which a broadcast may keep the lock: Python's own interval.
_LONG = 0.005
#: Nanoseconds of a short turn: the shortest that Linux grants.
_SLICE = 100_000
#: The number of ``sched_setattr``, which most C libraries have no function for.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
#: size, policy, flags, nice, priority, runtime (of an ordinary thread: its slice), deadline, period.
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")


class _Undisturbed:
    """``with undisturbed:`` around what the loop should not be interrupted in; does nothing until :func:`share`."""

    __slots__ = ("_interval", "_raised", "_reads")

    def __init__(self) -> None:
        self._interval: float | None = None
        self._reads = 0.0  # what Python tells when it is set: 0.0001 is told as 0.00009999, which set would be 0.000099
        self._raised = False

    def begin(self, interval: float) -> None:
        """From now on; ``interval`` (seconds) has just been set."""
        self._interval = interval
        self._reads = sys.getswitchinterval()

    def __enter__(self) -> None:
        if self._interval is not None and sys.getswitchinterval() == self._reads:  # else the application has its own
            self._raised = True
            sys.setswitchinterval(_LONG)

    def __exit__(self, *exc: object) -> None:
        if self._raised and self._interval is not None:
            self._raised = False
            sys.setswitchinterval(self._interval)


#: For the thread of the event loop.
undisturbed: _Undisturbed = _Undisturbed()


def share(interval: float) -> None:
    """Makes the calling thread, which is to run the event loop, and those that compute share Python's lock.

    ``interval`` in seconds, for ``sys.setswitchinterval``.
    """
    sys.setswitchinterval(interval)
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) == 1:
        _shorten_turns()
        undisturbed.begin(interval)


def _shorten_turns() -> None:
    """Asks Linux for short turns, for this thread and those it starts; whoever has another policy keeps it."""
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None or sys.maxsize < 2**32 or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = _SCHED_ATTR.pack(_SCHED_ATTR.size, os.SCHED_OTHER, 0, nice, 0, _SLICE, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, 0, wanted, 0) != 0:
        _log.debug("no short turns: %s", os.strerror(ctypes.get_errno()))
