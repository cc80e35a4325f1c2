"""Parked GETs on WSGI hosts that keep their sockets to themselves: how long one may hold a thread.

A GET that finds nothing to fetch holds a thread of the host until there is something to tell, and pages need threads,
too.  So at most half of the threads are held, for some seconds each.  Everybody else, and everybody on a host with
fewer than four threads, is sent home with a noop after a moment, and asks again at once.  That moment gets shorter the
more clients there are: all of them together delay a page by a quarter of a second, and ask often, but not as fast as
they can.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["Parking"]

#: Threads that a host must have before a GET may hold one.
_FEW = 4
#: Threads of a host that makes one per request.
_MANY = 1_000
#: Seconds that a GET holds a thread where there are enough; a host that ends waits that long for it.
_LONG = 5.0
#: Seconds that all the others together hold a single thread.
_SHARE = 0.25
#: Seconds that one of them holds it at least, so that a client asks 200 times a second at most.
_SHORT = 0.005


class Parking:
    """The threads of one host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: set[int] = set()
        self._held = 0

    def threads(self, environ: dict[str, Any]) -> int:
        """How many threads the host has, as far as it can be known."""
        if not environ.get("wsgi.multithread"):
            return 1
        if "werkzeug.socket" in environ:
            return _MANY
        channel = getattr(environ.get("waitress.client_disconnected"), "__self__", None)
        known = getattr(getattr(getattr(channel, "server", None), "adj", None), "threads", None)
        if isinstance(known, int):
            return known
        with self._lock:  # as many as have been seen at work: a pool keeps its threads
            if len(self._seen) < _MANY:
                self._seen.add(threading.get_ident())
            return len(self._seen)

    @contextlib.contextmanager
    def space(self, environ: dict[str, Any], clients: int) -> Iterator[float]:
        """How many seconds a GET may hold its thread, one of ``clients``; within the block it counts as held."""
        threads = self.threads(environ)
        with self._lock:
            long = threads >= _FEW and self._held < threads // 2
            self._held += long
        try:
            yield _LONG if long else max(_SHARE / max(clients, 1), _SHORT)
        finally:
            with self._lock:
                self._held -= long
