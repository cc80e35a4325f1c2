"""One remote peer: an Engine.IO session and the Socket.IO conversation on it.  The sans-I/O root.

::

    transports ── received_on / post / poll / tick ──> engine ──> Peer ──> conversation ──> members (core)
    transports <──────── link.send / answer ────────── engine <── Peer <── conversation <── members (core)

``core/`` gives a :class:`PeerListener`; ``transports/`` drive ``peer.engine``.  A test does both by hand, with bytes in
and bytes out and no event loop (``tests/session``).
"""

from __future__ import annotations

from typing import Final, Generic, Protocol, TypeVar

from truesocket.codec.parcel import Parcel
from truesocket.codec.serializers import JSON, Serializer
from truesocket.errors import PacketError
from truesocket.session.conversation import Conversation, Member
from truesocket.session.engine import Clock, Engine, EngineOptions, Link, Reason, State

__all__ = ["Peer", "PeerListener"]

H = TypeVar("H")
_OPEN: Final = State.OPEN  # every packet asks (see session/websocket.py)


class PeerListener(Protocol[H]):
    """What a peer reports.  Every method is called on the one thread that drives the peer."""

    def connect(self, peer: Peer[H], namespace: str, query: str, auth: dict[str, object] | None) -> Member | None:
        """The peer asks to join ``namespace``; ``None`` where that does not exist."""

    def closed(self, peer: Peer[H], reason: str) -> None:
        """The peer left, with all its namespaces; reported once."""

    def passes(self, peer: Peer[H], size: int, is_event: bool) -> bool:
        """Whether the peer may send this packet now; asked where ``peer.conversation.is_metered`` is set."""

    def dropped(self, peer: Peer[H]) -> None:
        """An event for the peer was dropped, because it reads too slowly."""

    def gone(self, peer: Peer[H]) -> None:
        """Its sid can be forgotten."""


class Peer(Generic[H]):
    """``handshake`` is the caller's own record of how the peer came in; the peer only carries it.

    So it does with ``meter``, which measures what it sends, ``sockets``, how many namespaces it has or is about to
    leave, and ``is_known_slow``, whether the log has named it.
    """

    __slots__ = ("_listener", "conversation", "engine", "handshake", "is_known_slow", "meter", "sockets")

    def __init__(
        self,
        sid: str,
        revision: int,
        handshake: H,
        listener: PeerListener[H],
        clock: Clock,
        options: EngineOptions,
        *,
        base64: bool = False,
        serializer: Serializer = JSON,
    ) -> None:
        self.handshake: H = handshake
        self.meter: object = None
        self.sockets: int = 0
        self.is_known_slow: bool = False
        self._listener = listener
        self.engine: Engine = Engine(sid, revision, self, clock, options, base64=base64)
        self.conversation: Conversation = Conversation(revision, self, serializer, options.max_attachments)

    @property
    def sid(self) -> str:
        """The Engine.IO session id; each namespace has a Socket.IO sid of its own."""
        return self.engine.sid

    @property
    def error(self) -> str:
        """What the client did wrong, for the log; empty where it did nothing."""
        return self.engine.error

    def open(self, link: Link | None, *, upgrades: bool = True) -> None:
        """Says hello on a WebSocket, or to the first poll; ``upgrades=False``: its host has no WebSockets."""
        self.engine.open(link, upgrades=upgrades)
        self.conversation.start()

    def send(self, parcel: Parcel, volatile: bool = False) -> None:
        """One packet to the client."""
        self.engine.send(parcel, volatile)

    def close(self, reason: str = Reason.FORCED_CLOSE) -> None:
        """Closes the whole connection, all namespaces with it."""
        self.engine.close(reason)

    def connect(self, namespace: str, query: str, auth: dict[str, object] | None) -> Member | None:
        member = self._listener.connect(self, namespace, query, auth)
        if member is not None and self.engine.state is not State.OPEN:
            member.left()  # the answer alone was too much for a client that does not read
        return member

    def received(self, data: str | bytes) -> None:
        if self.engine.state is not _OPEN:
            return
        try:
            self.conversation.receive(data)
        except PacketError as error:
            self.engine.fail(error)

    def passes(self, size: int, is_event: bool) -> bool:
        return self._listener.passes(self, size, is_event)

    def dropped(self) -> None:
        self._listener.dropped(self)

    def closed(self, reason: str) -> None:
        self._listener.closed(self, reason)

    def gone(self) -> None:
        self._listener.gone(self)
