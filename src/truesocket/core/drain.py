"""The end of a server, in order and within its time: nobody comes in, handlers finish, what waits goes out.

===========================  ==========================================================================================
when                         what happens
===========================  ==========================================================================================
at once                      the door sends newcomers away with 503 (``doors/entrance.py``)
spread over ``drain_seconds``  one client after another is *finished*: its handlers that run get to their end, events
                             that it sends from now on are not begun, and what is told to it is put on its way
finished                     its engine is closed, never with a Socket.IO DISCONNECT, after which official clients stay
                             away; a slow reader gets what waits for it; its disconnect handlers run
``shutdown_timeout`` later   whatever is still under way is named in the log and left to itself
===========================  ==========================================================================================

A handler that has run for longer than ``shutdown_timeout`` already, such as an endless loop, is not waited for.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from truesocket.core.socket import Socket, SocketState
from truesocket.session.engine import Reason

if TYPE_CHECKING:
    from truesocket.core.ports import Handshake
    from truesocket.core.server import Server
    from truesocket.session.peer import Peer

__all__ = ["Drain", "longest"]

_log = logging.getLogger("truesocket")

#: Clients that are told in a second where ``drain_seconds`` is ``None``, for how many seconds at most, and how many are
#: so few that they are told at once.
_RATE = 500
_SPREAD = 5.0
_FEW = 100
#: Seconds between two looks.
_LOOK = 0.02
#: Of the end, what is left for the goodbyes when handlers have had their time: seconds at most, and a part of it.
_GOODBYES = 1.0
_PART = 0.25
#: Seconds after which the log says what is waited for.
_PATIENCE = 1.0
#: Names in such a line at most.
_NAMES = 5


def longest(drain_seconds: float | None, shutdown_timeout: float) -> float:
    """How many seconds the end may take with these options."""
    return (_SPREAD if drain_seconds is None else drain_seconds) + shutdown_timeout


def _spread(count: int) -> float:
    """Over how many seconds so many clients are told."""
    return 0.0 if count <= _FEW else min(_SPREAD, count / _RATE)


class Drain:
    """The end of one server; begins at once, on the running loop.  ``task`` ends with it, whatever happened."""

    def __init__(self, server: Server) -> None:
        config = server.config
        self._server = server
        self._began = time.monotonic()
        self._peers = list(server.peers.values())
        count = len(self._peers)
        spread = _spread(count) if config.drain_seconds is None else config.drain_seconds
        self._step = spread / count if count else 0.0
        #: When it ends (``time.monotonic``).
        self.deadline: float = self._began + self._step * max(count - 1, 0) + config.shutdown_timeout
        self._goodbyes = self.deadline - min(_GOODBYES, config.shutdown_timeout * _PART)
        self._endless = {
            socket for socket, since, _ in server.runner.busy() if self._began - since > config.shutdown_timeout
        }
        #: Whether clients on long-polling can still come to fetch what waits for them.
        self.fetches: bool = True
        self._finishing: set[Peer[Handshake]] = set()
        self._told = False
        self.task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._run())

    def hears(self, peer: Peer[Handshake]) -> bool:
        """Whether events of this client are still begun."""
        return peer not in self._finishing

    async def _run(self) -> None:
        try:
            await self._close_all()
            while self._what_is_left() and time.monotonic() < self.deadline:
                self._tell()
                await asyncio.sleep(_LOOK)
            self._give_up(self._what_is_left())
        except Exception:
            _log.exception("the server could not end in order; this is a bug in truesocket, please report it")

    async def _close_all(self) -> None:
        done = 0
        while done < len(self._peers) or self._finishing:
            now = time.monotonic()
            due = len(self._peers) if not self._step else int((now - self._began) / self._step) + 1
            for peer in self._peers[done:due]:
                self._finish(peer)
            done = max(done, min(due, len(self._peers)))
            if now >= self._goodbyes:
                self._give_up(self._names() if self._finishing else "")
                break
            self._close_finished()
            if done < len(self._peers) or self._finishing:
                self._tell()
                await asyncio.sleep(_LOOK)
        for peer in list(self._server.peers.values()):  # also those who came in while the door was being shut
            peer.close(Reason.SHUTTING_DOWN)
        self._finishing.clear()

    def _finish(self, peer: Peer[Handshake]) -> None:
        """Its turn has come: no more events of it, but answers to ``call()``."""
        peer.conversation.is_metered = True  # so that we are asked
        self._finishing.add(peer)

    def _close_finished(self) -> None:
        """Behind what was told to them before: acks, and what handlers emit with their last breath."""
        running = {socket for socket, _, _ in self._server.runner.busy()} - self._endless
        for peer in [peer for peer in self._finishing if not self._is_busy(peer, running)]:
            self._finishing.discard(peer)
            self._server.bridge.post(peer.close, Reason.SHUTTING_DOWN)

    def _is_busy(self, peer: Peer[Handshake], running: set[Socket]) -> bool:
        for socket in peer.conversation.members.values():
            if not isinstance(socket, Socket) or socket in self._endless:
                continue
            if socket in running or socket.held is not None or socket.state is SocketState.CONNECTING:
                return True
            if socket.lane is not None and socket.lane.has_waiting:
                return True
        return False

    def _what_is_left(self) -> str:
        """What we wait for, in words; empty where that is nothing."""
        for peer in self._server.peers.values():
            if peer.engine.link is not None or self.fetches:
                return "clients that read slowly"
        for socket in self._server.by_sid.values():
            if socket not in self._endless:
                return "handlers of clients that have left"
        return ""

    def _tell(self) -> None:
        """Once, where it takes its time."""
        if self._told or time.monotonic() - self._began < _PATIENCE:
            return
        self._told = True
        _log.info(
            "the server ends: %d clients are here, and it waits for %s, %.1f s at most%s",
            len(self._server.peers),
            self._names() or self._what_is_left() or "them to be told",
            max(self.deadline - time.monotonic(), 0.0),
            ". A second signal ends it now" if self.fetches else "",
        )

    def _give_up(self, what: str) -> None:
        if what:
            _log.warning("the server ends without waiting longer for %s (shutdown_timeout)", what)

    def _names(self) -> str:
        names = sorted({name for socket, _, name in self._server.runner.busy() if socket not in self._endless})
        return ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
