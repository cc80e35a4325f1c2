"""Receives what sessions report: clients that come in, join namespaces and go.

Looks at newcomers a second time, too: who joins nothing is closed, who stays on long-polling is mentioned in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from truesocket.core.limits import Meter, OverRate
from truesocket.core.newcomers import Newcomers
from truesocket.core.ports import Handshake
from truesocket.core.quiet import Quiet
from truesocket.core.returning import Credentials, new_sid
from truesocket.core.socket import Socket
from truesocket.errors import Refused
from truesocket.session.conversation import Member
from truesocket.session.engine import Reason
from truesocket.session.peer import Peer

if TYPE_CHECKING:
    from truesocket.core.server import Server

__all__ = ["Reception"]

_log = logging.getLogger("truesocket")

#: Seconds behind the upgrade time-out at which a client that is still polling is mentioned in the log.
_POLLING_GRACE = 5.0


class Reception:
    """Implements :class:`~truesocket.session.peer.PeerListener`; lives on the loop."""

    def __init__(self, server: Server) -> None:
        config = server.config
        self._server = server
        self._newcomers = Newcomers(
            server.peers,
            (config.upgrade_timeout + _POLLING_GRACE, self._note_polling),
            (config.connect_timeout, self._close_silent),
        )
        self._about_bad_clients = Quiet(_log)
        self._about_polling = Quiet(_log)
        self._about_slow_clients = Quiet(_log)
        self._about_loud_clients = Quiet(_log)
        #: About those who were sent away at the door; ``doors/`` say it.
        self.about_refused: Quiet = Quiet(_log)

    def add(self, peer: Peer[Handshake], transport: str, now: float) -> None:
        """A client has come in."""
        server = self._server
        self._newcomers.add(peer.sid, now)
        server.counts.opened[transport] += 1
        server.limits.enter(peer.handshake.client[0])
        peer.conversation.is_metered = server.limits.meters

    def look(self, now: float) -> None:
        """Once a second."""
        self._newcomers.look(now)
        for quiet in self._quiet:
            quiet.look()

    def finish(self) -> None:
        """The server ends: says what it has kept back."""
        for quiet in self._quiet:
            quiet.finish()
        self._newcomers.clear()

    def clear(self) -> None:
        """Forgets everybody: a forked child."""
        self._newcomers.clear()

    @property
    def _quiet(self) -> tuple[Quiet, ...]:
        return (
            self._about_bad_clients,
            self._about_polling,
            self._about_slow_clients,
            self._about_loud_clients,
            self.about_refused,
        )

    # --- session.peer.PeerListener ---------------------------------------------------------------------------

    def connect(
        self, peer: Peer[Handshake], namespace: str, query: str, auth: dict[str, object] | None
    ) -> Member | None:
        server = self._server
        names = server.config.namespaces
        if not namespace.isprintable():  # it will stand in log lines
            return None
        if namespace not in names and "*" not in names and not server.registry.knows(namespace):
            return None
        self._check_namespaces(peer)
        if peer.engine.revision == 3:  # clients 1.x and 2.x work their sid out by themselves, and recover nothing
            sid = peer.sid if namespace == "/" else f"{namespace}#{peer.sid}"
            socket = Socket(server, server.dispatch, peer, namespace, sid, query, auth)
            server.by_sid[sid] = socket
            server.dispatch.connect(socket)
            return socket
        returning = server.returning
        given = Credentials.of(auth, recovery=returning is not None)
        claim = returning.claim(namespace, given.pid, given.offset) if returning is not None else None
        sid = new_sid() if claim is None else claim.state.sid
        socket = Socket(server, server.dispatch, peer, namespace, sid, query, given.auth)
        socket.answers = server.once.of(namespace, given.retry_key, server.now)
        if socket.answers is not None:
            socket.answers.owner = socket
        if returning is None:
            server.by_sid[sid] = socket
            server.dispatch.connect(socket)
        else:
            returning.begin(socket, claim)
        return socket

    def passes(self, peer: Peer[Handshake], size: int, is_event: bool) -> bool:
        server = self._server
        if server.draining is not None and not server.draining.hears(peer):
            return not is_event
        limits = server.limits
        meter = peer.meter
        if not isinstance(meter, Meter):
            meter = peer.meter = limits.meter(server.now)
        if meter.passes(server.now, size, counts=is_event):
            return True
        server.counts.rate_limited += 1
        if not meter.told:
            meter.told = True
            self._about_loud_clients.say(
                logging.WARNING,
                "client %s at %s sends more than it may (events_per_second, bytes_per_second): over_rate=%r",
                peer.sid,
                peer.handshake.client[0],
                limits.over_rate.value,
            )
        if limits.over_rate is OverRate.CLOSE:
            peer.close(Reason.RATE_LIMIT)
        return limits.over_rate is OverRate.WARN

    def dropped(self, peer: Peer[Handshake]) -> None:
        self._server.counts.slow_dropped += 1
        if not peer.is_known_slow:
            peer.is_known_slow = True
            self._tell_slow(peer, "events for it are dropped from now on")

    def closed(self, peer: Peer[Handshake], reason: str) -> None:
        counts = self._server.counts
        if reason == Reason.SLOW:
            counts.slow_closed += 1
            self._tell_slow(peer, "it is closed")
        elif reason == Reason.TOO_MANY_PENDING:
            counts.overloaded += 1
        if peer.error:
            counts.parse_errors += 1
            address = peer.handshake.client[0]
            self._about_bad_clients.say(
                logging.WARNING, "client %s at %s was closed: %s", peer.sid, address, peer.error
            )
        for member in list(peer.conversation.members.values()):
            if isinstance(member, Socket):
                self._server.dispatch.left(member, reason)
        peer.conversation.members.clear()

    def gone(self, peer: Peer[Handshake]) -> None:
        if self._server.peers.pop(peer.sid, None) is not None:
            self._server.limits.leave(peer.handshake.client[0])

    # --- what sockets report -----------------------------------------------------------------------------------

    def close_stuck(self, socket: Socket) -> None:
        """Too much waits for a client whose connect handler does not end."""
        self._about_slow_clients.say(
            logging.WARNING,
            "client %s is closed: its connect handler has not ended, and more waits for it than max_pending_bytes=%d",
            socket.sid,
            self._server.config.max_pending_bytes,
        )
        socket.peer.close(Reason.TOO_MANY_PENDING)

    def callback_given_up(self, socket: Socket) -> None:
        """Too many callbacks wait for a client's answers."""
        counts = self._server.counts
        counts.callbacks_forgotten += 1
        if counts.callbacks_forgotten == 1:
            _log.warning(
                "client %s does not answer: max_callbacks=%d of emit(callback=) wait for it, and from now on the oldest"
                " is given up. Said once; server.stats counts on",
                socket.sid,
                self._server.config.max_callbacks,
            )

    # --- limits ------------------------------------------------------------------------------------------------

    def _check_namespaces(self, peer: Peer[Handshake]) -> None:
        """Those that it is about to leave count, too: coming and going again and again is no way round."""
        most = self._server.config.max_namespaces
        if peer.sockets < most:
            return
        self._server.counts.refused["namespaces"] += 1
        self._about_loud_clients.say(
            logging.WARNING,
            "client %s at %s may not join another namespace: it has max_namespaces=%d",
            peer.sid,
            peer.handshake.client[0],
            most,
        )
        raise Refused("Too many namespaces")

    def _tell_slow(self, peer: Peer[Handshake], what: str) -> None:
        config = self._server.config
        self._about_slow_clients.say(
            logging.WARNING,
            "client %s at %s reads too slowly, %d bytes wait for it and more does not fit into outbox_bytes=%d: %s"
            " (overflow=%r)",
            peer.sid,
            peer.handshake.client[0],
            peer.engine.waiting,
            config.outbox_bytes,
            what,
            config.overflow,
        )

    # --- newcomers ---------------------------------------------------------------------------------------------

    def _close_silent(self, peer: Peer[Handshake]) -> None:
        if not peer.conversation.members:
            peer.close(Reason.FORCED_CLOSE)

    def _note_polling(self, peer: Peer[Handshake]) -> None:
        if peer.engine.transport != "polling":
            return
        config = self._server.config
        if "websocket" not in config.transports or not config.allow_upgrades:
            return  # the application wants it so
        cause = peer.handshake.note or (
            "it never asked for a WebSocket: the page says transports: ['polling'], or a proxy answers for us"
            " (see docs/how-to/behind-a-proxy.md)"
        )
        address = peer.handshake.client[0]
        self._about_polling.say(logging.INFO, "client %s at %s stays on long-polling: %s", peer.sid, address, cause)
