"""When is a server done?  Who waits for its handlers, and what went wrong in them.

A :class:`Watch` is the witness of a server's runner (``core/runner.py``) while test clients are connected to it.  A
:class:`Span` is a stretch of time: it knows the handlers that were called in it, waits for their end, and keeps their
errors.  A handler that was already running when the span began is not waited for, so that one that never ends stands
in nobody's way.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from truesocket.core.ports import Handshake
from truesocket.core.runner import Job
from truesocket.core.server import Server
from truesocket.core.socket import Socket, SocketState
from truesocket.errors import Refused, UsageError
from truesocket.session.peer import Peer
from truesocket.transports.heartbeat import Heartbeat

if TYPE_CHECKING:
    from truesocket.testing.line import Line

__all__ = ["Span", "Watch", "is_here", "listening", "start_here", "start_in_thread", "watch_of"]

#: Seconds between two looks at what nobody reports the end of.
_LOOK_AGAIN = 0.001
_ON_THE_WAY = (SocketState.CONNECTING, SocketState.LEAVING)


class Span:
    """The handlers called in a stretch of time, and what they raised: (the handler's client, the error).

    Other threads take what has ended out of the sets, so whoever walks through one takes a copy.

    ``everything``: also those that were running before, but, if ``forgiving``, for those that somebody has waited for
    in vain.
    """

    def __init__(self, watch: Watch, *, everything: bool = False, forgiving: bool = False) -> None:
        self._watch = watch
        self._ignored = watch.given_up if forgiving else frozenset[Job]()
        self.running: set[Job] = watch.running if everything else set()
        self.errors: list[tuple[Socket, BaseException]] = []
        #: Sockets with a handler that was running when the span began.
        self._busy_before = set() if everything else {job.socket for job in watch.running.copy()}

    def errors_of(self, peer: Peer[Handshake]) -> list[BaseException]:
        """What the handlers of one client raised."""
        return [error for socket, error in list(self.errors) if socket.peer is peer]

    def raise_first(self) -> None:
        """Raises what the first handler that failed has raised, if one has."""
        for _, error in self.errors:
            raise error

    async def settle(self, timeout: float) -> None:
        """Until these handlers have ended, and what they sent has arrived.

        Raises ``TimeoutError`` after ``timeout`` seconds, with the names of those that still run.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while await self._is_busy():
            if loop.time() > deadline:
                self._watch.given_up |= self.running.copy()
                names = sorted({job.handler.where for job in self.running.copy()}) or ["what they have sent"]
                raise TimeoutError(f"not done within {timeout:g} seconds: {', '.join(names)}")
            await asyncio.sleep(0 if not self.running else _LOOK_AGAIN)

    async def _is_busy(self) -> bool:
        if self.running.copy() - self._ignored.copy():
            return True
        await self._watch.server.bridge.ask(_nothing)  # behind all that those who have ended have told
        if self.running.copy() - self._ignored.copy() or any(line.is_busy for line in self._watch.lines):
            return True
        sockets = list(self._watch.server.by_sid.values())
        return any(
            (socket.state in _ON_THE_WAY or socket.held is not None)
            and socket not in self._busy_before
            and not any(job.socket is socket for job in self._ignored.copy())
            for socket in sockets
        )


def _nothing() -> None:
    """What is asked only to be answered behind the commands before it."""


class Watch:
    """The witness of one server, and the connections of its test clients.  Lives on the loop."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.running: set[Job] = set()
        self.given_up: set[Job] = set()  # those of them that somebody has waited for in vain
        self.lines: set[Line] = set()
        self._spans: set[Span] = set()
        self._is_ours = False  # whether the server runs for the test clients alone

    def add(self, line: Line, *, started: bool) -> None:
        """A client has come; ``started`` says that the server runs on its account."""
        self.lines.add(line)
        self._is_ours = self._is_ours or started

    def remove(self, line: Line, *, stop: bool) -> None:
        """A client has left; with ``stop`` the last one ends a server that ran for them alone."""
        if line not in self.lines:
            return
        self.lines.discard(line)
        if self.lines:
            return
        self.server.runner.witness = None
        if stop and self._is_ours and self.server not in listening:
            self.server.stop_in_thread(self.server.stop)  # where it runs on the loop thread
            self.server.stop()

    @contextlib.contextmanager
    def span(self) -> Iterator[Span]:
        """The handlers that are called from now on."""
        span = Span(self)
        self._spans.add(span)
        try:
            yield span
        finally:
            self._spans.discard(span)

    def __call__(self, job: Job) -> None:
        """This handler is going to be called."""
        spans = tuple(self._spans)
        done = job.done
        places = [self.running, self.given_up, *(span.running for span in spans)]
        for place in (self.running, *(span.running for span in spans)):
            place.add(job)

        def ended(job: Job, result: object, error: BaseException | None) -> None:
            """Where the handler ran."""
            done(job, result, error)  # its answer is on its way before we say that it has ended
            if error is not None and not isinstance(error, Refused):
                self._failed(job.socket, error, spans)
            for place in places:
                place.discard(job)

        job.done = ended

    def _failed(self, socket: Socket, error: BaseException, spans: tuple[Span, ...]) -> None:
        for span in spans:
            span.errors.append((socket, error))
        for line in list(self.lines):
            if line.belongs_to(socket.peer):
                line.listener.handler_failed(error)


#: Servers that a :class:`~truesocket.testing.live.LiveServer` serves, on the loop thread.
listening: weakref.WeakSet[Server] = weakref.WeakSet()


def watch_of(server: Server) -> Watch:
    """The watch of a server, made where there is none; called on the loop."""
    found = server.runner.witness
    if not isinstance(found, Watch):
        found = server.runner.witness = Watch(server)
    return found


def start_in_thread(server: Server) -> tuple[asyncio.AbstractEventLoop, bool]:
    """For blocking clients: the loop that serves the server, and whether it was started for us (on the loop thread)."""
    was_running = _is_running(server)

    async def farewell() -> None:
        server.stop()

    return server.start_in_thread(lambda: server.start(Heartbeat), farewell), not was_running


def start_here(server: Server) -> bool:
    """For clients of ``async def`` tests: the running loop serves the server; whether it was started for us.

    Raises :class:`~truesocket.errors.UsageError` where another loop does.
    """
    here = asyncio.get_running_loop()
    if _is_running(server) and server.bridge.loop is not here:
        if server in listening or _has_clients(server):
            raise UsageError(
                "another event loop serves this server: close the clients that are connected there (a blocking Client,"
                " an AsyncClient of another test) and its LiveServer, or use blocking clients here, too"
            )
        server.stop_in_thread(server.stop)  # the loop thread has nobody left to serve
    was_running = _is_running(server)
    server.start(Heartbeat)
    return not was_running


def _has_clients(server: Server) -> bool:
    """Whether somebody is connected but lines that are never closed, and may be forgotten."""
    watch = server.runner.witness
    lingering = [line for line in watch.lines if line.listener.lingers] if isinstance(watch, Watch) else []
    return any(not any(line.belongs_to(peer) for line in lingering) for peer in list(server.peers.values()))


def is_here(server: Server) -> bool:
    """Whether the caller runs on the loop that serves the server, and must not wait for it."""
    return _is_running(server) and server.bridge.on_loop()


def _is_running(server: Server) -> bool:
    loop = server.bridge.loop
    return loop is not None and not loop.is_closed()
