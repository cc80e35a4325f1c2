"""Receives what sessions report: clients that come in, join namespaces and go.

Looks at newcomers a second time, too: who joins nothing is closed, who stays on long-polling is mentioned in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from truesocket.core.newcomers import Newcomers
from truesocket.core.ports import Handshake
from truesocket.core.quiet import Quiet
from truesocket.core.returning import Credentials, new_sid
from truesocket.core.socket import Socket
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
            (config.upgrade_timeout + _POLLING_GRACE, self._note_polling), (config.connect_timeout, self._close_silent)
        )
        self._about_bad_clients = Quiet(_log)
        self._about_polling = Quiet(_log)

    def add(self, peer: Peer[Handshake], now: float) -> None:
        """A client has come in."""
        self._newcomers.add(peer, now)

    def look(self, now: float) -> None:
        """Once a second."""
        self._newcomers.look(now)
        self._about_bad_clients.look()
        self._about_polling.look()

    def finish(self) -> None:
        """The server ends: says what it has kept back."""
        self._about_bad_clients.finish()
        self._about_polling.finish()
        self._newcomers.clear()

    def clear(self) -> None:
        """Forgets everybody: a forked child."""
        self._newcomers.clear()

    # --- session.peer.PeerListener ---------------------------------------------------------------------------

    def connect(
        self, peer: Peer[Handshake], namespace: str, query: str, auth: dict[str, object] | None
    ) -> Member | None:
        server = self._server
        names = server.config.namespaces
        if namespace not in names and "*" not in names and not server.registry.knows(namespace):
            return None
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

    def closed(self, peer: Peer[Handshake], reason: str) -> None:
        if peer.error:
            address = peer.handshake.client[0]
            self._about_bad_clients.say(
                logging.WARNING, "client %s at %s was closed: %s", peer.sid, address, peer.error
            )
        for member in list(peer.conversation.members.values()):
            if isinstance(member, Socket):
                self._server.dispatch.left(member, reason)
        peer.conversation.members.clear()

    def gone(self, peer: Peer[Handshake]) -> None:
        self._server.peers.pop(peer.sid, None)

    # --- newcomers ---------------------------------------------------------------------------------------------

    def _close_silent(self, peer: Peer[Handshake]) -> None:
        if not peer.conversation.members:
            peer.close(Reason.FORCED_CLOSE)

    def _note_polling(self, peer: Peer[Handshake]) -> None:
        if peer.sid not in self._server.peers or peer.engine.transport != "polling":
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
