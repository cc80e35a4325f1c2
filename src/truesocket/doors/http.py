"""The first bytes of a connection under uvicorn, and the bounds on the heads of requests, in time and in bytes.

A request for one of our WebSockets that comes in one piece goes straight to :class:`~truesocket.doors.uvicorn.Door`:
it is parsed once.  By uvicorn's way it is parsed, written down again for the WebSocket class, and parsed again.  All
else goes to uvicorn's own HTTP protocol, as if we had never been here but for the bounds: uvicorn waits for ever for
the end of a head, and keeps all of it; a client that sends a byte now and then holds a connection (slowloris), one that
never stops fills the memory.  :class:`Http` is for ``doors/uvicorn.py``'s ``serve``; under ``uvicorn app:socketio`` it
is ``--http truesocket.doors.http:Http``.

What is expected of uvicorn beyond its documentation, and pinned by ``tests/doors/test_http.py``: ``Config.http`` takes
a class, built as ``cls(config=, server_state=, app_state=)``, and ``server_state.connections`` is a set whose members
have ``shutdown()``; its own class has ``loop``, ``transport``, ``client``, ``cycle`` (the request that is being served,
with ``response_complete``), and httptools' callbacks ``on_headers_complete`` and ``on_message_complete``.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_remote_addr
from uvicorn.server import ServerState

from truesocket.codec import upgrade
from truesocket.core.server import Server
from truesocket.doors.uvicorn import Door, find_entrance, read_upgrade

__all__ = ["Http"]

#: Bytes of a request's line and headers at most.
_LONGEST_HEAD = 64 * 1024
_LATE = "the request's head took more than {:g} seconds"


class Http(asyncio.Protocol):
    """One connection before its first bytes; then it steps aside, for the fast door or for uvicorn's HTTP.

    The time-out is the option ``header_timeout`` of the server behind it.
    """

    __slots__ = ("_app_state", "_config", "_connections", "_state", "_timer", "_transport")

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._state = server_state
        self._app_state = app_state
        self._connections = cast(set[Any], server_state.connections)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        entrance = find_entrance(self._config)
        if entrance is not None and entrance.server.config.header_timeout:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(entrance.server.config.header_timeout, self._late, entrance.server)

    def data_received(self, data: bytes) -> None:
        due = self._step_aside()
        config = self._config
        asked = read_upgrade(config, data)
        if asked is not None:
            door = cast(type[Door], config.ws_protocol_class)(config, self._state, self._app_state)
            door.connection_made(self._transport)
            self._transport.set_protocol(door)
            door.enter(*asked, data)
            return
        protocol = _Http(due, config, self._state, self._app_state)
        protocol.connection_made(self._transport)
        self._transport.set_protocol(protocol)
        protocol.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._step_aside()

    def shutdown(self) -> None:
        """uvicorn ends, and nothing has been asked for here."""
        self._transport.close()

    def _late(self, server: Server) -> None:
        _tell(server, get_remote_addr(self._transport), _LATE.format(server.config.header_timeout))
        self._transport.close()

    def _step_aside(self) -> float | None:
        """Leaves uvicorn's books; returns by when the head is due, in the loop's time."""
        self._connections.discard(self)
        timer, self._timer = self._timer, None
        if timer is None:
            return None
        timer.cancel()
        return timer.when()


class _Http(HttpToolsProtocol):
    """uvicorn's HTTP, with the bounds.  ``due``: when the head of the first request is, in the loop's time."""

    def __init__(self, due: float | None, *args: Any) -> None:
        super().__init__(*args)
        self._due = due  # None behind the first head
        entrance = find_entrance(self.config)
        self._server = None if entrance is None else entrance.server
        self._seconds = 0.0 if entrance is None else entrance.server.config.header_timeout
        self._timer: asyncio.TimerHandle | None = None  # runs while the head of a request is due
        self._head = 0  # bytes of it that have come
        self._in_body = False

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
        self._due = None
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
            due, self._due = self._due or self.loop.time() + self._seconds, None
            self._timer = self.loop.call_at(due, self._late)

    def _late(self) -> None:
        self._timer = None
        if not self._is_serving() and not self.transport.is_closing():
            self._refuse(408, _LATE.format(self._seconds))

    def _refuse(self, status: int, text: str) -> None:
        self._stop()
        if self._server is not None:
            _tell(self._server, self.client, text)
        if self._head:  # else there is no request to answer
            self.transport.write(upgrade.refusal(status, text))
        self.transport.close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _tell(server: Server, client: tuple[str, int] | None, text: str) -> None:
    address = client[0] if client else "a unix socket"
    server.reception.about_refused.say(logging.INFO, "a connection from %s was closed: %s", address, text)
