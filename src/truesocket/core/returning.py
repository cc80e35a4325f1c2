"""Clients that come back: what their CONNECT says of the connection before, and waiting until that one is over.

``core/recovery.py`` knows what a client was and what it missed; this introduces it to sockets.  A client that comes
back keeps its sid, so its new socket takes the place of the old one, behind the old one's ``disconnect`` handler:
applications hear "left" and "joined" in this order, and never two clients with one sid.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from truesocket.core.journal import Kept, Limits
from truesocket.core.once import KEY
from truesocket.core.recovery import Claim, Recovery
from truesocket.core.socket import Socket
from truesocket.session.engine import Reason

if TYPE_CHECKING:
    from truesocket.core.config import Config
    from truesocket.core.server import Server

__all__ = ["Credentials", "Returning", "make_recovery", "new_sid"]

_log = logging.getLogger("truesocket")

#: Seconds that a client waits for the ``disconnect`` handler of its connection before; then it is a new client.
_PATIENCE = 15.0


def new_sid() -> str:
    """A sid that nobody guesses: 120 bits."""
    return secrets.token_urlsafe(15)


class Credentials(NamedTuple):
    """The payload of a CONNECT: who the client was, under which key it repeats events, and the application's own."""

    pid: object
    offset: object
    retry_key: object
    auth: dict[str, Any] | None

    @classmethod
    def of(cls, payload: dict[str, Any] | None, *, recovery: bool) -> Credentials:
        """``pid`` and ``offset`` are the application's own where nothing is recovered."""
        ours = {KEY, "pid", "offset"} if recovery else {KEY}
        if payload is None or ours.isdisjoint(payload):
            return cls(None, None, None, payload)
        rest = {key: value for key, value in payload.items() if key not in ours}
        pid, offset = (payload.get("pid"), payload.get("offset")) if recovery else (None, None)
        return cls(pid, offset, payload.get(KEY), rest or None)


def make_recovery(config: Config) -> Recovery | None:
    """As the options want it.  What was sent to a connection that had died unnoticed must still be known."""
    if not (config.recovery or config.history):
        return None
    unnoticed = config.ping_interval + config.ping_timeout
    seconds = max(config.recovery + unnoticed if config.recovery else 0.0, config.history)
    return Recovery(
        Limits(seconds, config.recovery_events, config.recovery_bytes), config.recovery, config.recovery_clients
    )


class Returning:
    """``recovery`` remembers; ``server`` has the sockets.  Lives on the loop."""

    def __init__(self, server: Server, recovery: Recovery) -> None:
        self._server = server
        self._recovery = recovery

    def claim(self, namespace: str, pid: object, offset: object) -> Claim | None:
        """What a client was, if it may have that back; its old connection, if there is one, is closed now."""
        if pid is None:
            return None
        here = self._recovery.present(pid, namespace)
        old = self._server.by_sid.get(here) if here is not None else None
        if old is not None:
            old.peer.close(Reason.TRANSPORT_CLOSE)
        return self._recovery.claim(pid, offset, namespace, self._server.now)

    def begin(self, socket: Socket, claim: Claim | None) -> None:
        """The client's connect handler runs, behind the disconnect handler of the connection before."""
        if claim is None:
            socket.remember(self._recovery.begin(socket.sid, socket.namespace))
        else:
            socket.remember(claim.state, claim)
        before = self._server.by_sid.get(socket.sid)
        if before is None:
            self._start(socket)
            return
        before.successor = lambda: self._start(socket)
        self._server.runner.later(_PATIENCE, lambda: self._wait_no_longer(before, socket))

    def accepted(self, socket: Socket) -> list[Kept]:
        """The client has been let in: it is in its rooms again.  Returns what it missed."""
        memory = socket.memory
        assert memory is not None
        if socket.claim is None:
            self._recovery.accept(memory)
            return []
        rooms = self._server.space(socket.namespace).rooms
        for room in memory.stays:
            rooms.enter(socket, room)
        return self._recovery.resume(socket.claim)

    def refused(self, socket: Socket) -> None:
        """It has not: nobody comes back under its name."""
        if socket.memory is not None:
            self._recovery.discard(socket.memory)

    def left(self, socket: Socket, reason: str) -> None:
        """It has left, and may come back."""
        if socket.memory is not None:
            self._recovery.drop(socket.memory, reason, self._server.now)

    def _start(self, socket: Socket) -> None:
        self._server.by_sid[socket.sid] = socket
        self._server.dispatch.connect(socket)

    def _wait_no_longer(self, before: Socket, socket: Socket) -> None:
        if before.successor is None:
            return
        before.successor = None
        assert socket.memory is not None
        _log.warning(
            "the disconnect handler of %s has not ended after %.0f s; its client is back, and becomes a new one",
            before.sid,
            _PATIENCE,
        )
        self._recovery.discard(socket.memory)
        socket.sid = new_sid()
        socket.remember(self._recovery.begin(socket.sid, socket.namespace))
        self._start(socket)
