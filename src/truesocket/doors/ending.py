"""Hears that an ASGI host is to end before the host says so.

Most hosts tell their application last (``lifespan.shutdown``): first they wait until every connection has ended, and a
WebSocket or a parked GET does not end by itself.  uvicorn waits for the next heartbeat then, gunicorn's own worker for
its whole ``--graceful-timeout``.  So the signal is heard here as well, and passed on to the host's own handler.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["signals_heard"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def signals_heard(tell: Callable[[], object]) -> Iterator[None]:
    """Calls ``tell`` on the running loop when a signal comes that the host ends at, then the host's own handler.

    Hosts that listen through ``loop.add_signal_handler`` go on to hear theirs: asyncio and uvloop learn of a signal
    from the file descriptor that Python writes its number to, whatever the handler is.  Off the main thread nothing is
    done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    undo = [_listen(number, loop, tell) for number in _SIGNALS]
    try:
        yield
    finally:
        for each in undo:
            each()


def _listen(number: signal.Signals, loop: asyncio.AbstractEventLoop, tell: Callable[[], object]) -> Callable[[], None]:
    """Puts us before the host's handler; returns what takes us away again."""
    theirs = signal.getsignal(number)
    if not callable(theirs) or theirs is signal.default_int_handler:
        return lambda: None  # nobody here ends at this signal in an orderly way

    def hear(received: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell)
        theirs(received, frame)

    def undo() -> None:
        if signal.getsignal(number) is hear:
            signal.signal(number, theirs)

    signal.signal(number, hear)
    if hasattr(signal, "siginterrupt"):
        signal.siginterrupt(number, False)  # as loops have it: a signal interrupts no system call
    return undo
