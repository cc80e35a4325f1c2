"""uvicorn's HTTP protocol with a bound on the heads of requests, in time and in bytes.

uvicorn waits for ever for the end of a head, and keeps all of it: a client that sends a byte now and then holds a
connection (slowloris), one that never stops fills the memory.  :class:`Http` is for ``doors/uvicorn.py``'s ``serve``;
under ``uvicorn app:socketio`` it is ``--http truesocket.doors.http:Http``.

What is expected of uvicorn beyond its documentation, and pinned by ``tests/doors/test_http.py``: the class has
``loop``, ``transport``, ``client``, ``cycle`` (the request that is being served, with ``response_complete``), and
httptools' callbacks ``on_headers_complete`` and ``on_message_complete``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from truesocket.codec import upgrade
from truesocket.doors.uvicorn import find_entrance

__all__ = ["Http"]

#: Bytes of a request's line and headers at most.
_LONGEST_HEAD = 64 * 1024


class Http(HttpToolsProtocol):
    """One HTTP connection; the time-out is the option ``header_timeout`` of the server behind it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        entrance = find_entrance(self.config)
        self._server = None if entrance is None else entrance.server
        self._seconds = 0.0 if entrance is None else entrance.server.config.header_timeout
        self._timer: asyncio.TimerHandle | None = None  # runs while the head of a request is due
        self._head = 0  # bytes of it that have come
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if not self._is_serving():
            self._head += len(data)
        super().data_received(data)
        if self._is_serving() or self.transport.is_closing():
            return
        if self._timer is None and self._head:  # what has come is no whole head, and uvicorn waits without a limit
            self._expect_head()
        if self._head > _LONGEST_HEAD:
            self._refuse(431, f"a request's head of more than {_LONGEST_HEAD} bytes")

    def on_headers_complete(self) -> None:
        self._head = 0
        self._in_body = True
        self._stop()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _is_serving(self) -> bool:
        """Whether a request is under way: its body, or its answer."""
        cycle: Any = self.cycle  # None before the first request
        return self._in_body or (cycle is not None and not cycle.response_complete)

    def _expect_head(self) -> None:
        if self._seconds:
            self._timer = self.loop.call_later(self._seconds, self._late)

    def _late(self) -> None:
        self._timer = None
        if not self._is_serving() and not self.transport.is_closing():
            self._refuse(408, f"the request's head took more than {self._seconds:g} seconds")

    def _refuse(self, status: int, text: str) -> None:
        self._stop()
        address = self.client[0] if self.client else "a unix socket"
        if self._server is not None:
            about = self._server.reception.about_refused
            about.say(logging.INFO, "a connection from %s was closed: %s", address, text)
        if self._head:  # else there is no request to answer
            self.transport.write(upgrade.refusal(status, text))
        self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
