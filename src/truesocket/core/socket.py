"""The user's handle on one client in one namespace, and that client's life.

==========  =================================================================================================
state       what holds
==========  =================================================================================================
CONNECTING  the connect handler runs; events that arrive are held; what that handler tells (joins, emits to whomever)
            and what others emit to this client applies on acceptance, behind the CONNECT reply, and vanishes on
            refusal
CONNECTED   events, joins, emits
LEAVING     the disconnect handler runs, once, and only after an accepted connect; ``rooms()`` and the session
            answer as before; nothing is delivered
GONE        naming it raises :class:`~truesocket.errors.UnknownSid`
==========  =================================================================================================

``core/dispatch.py`` moves it from state to state; ``session/conversation.py`` calls the three ``Member`` methods.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from truesocket.codec.parcel import Parcel
from truesocket.core.ports import Handshake
from truesocket.session.engine import Engine
from truesocket.session.peer import Peer

if TYPE_CHECKING:
    from truesocket.bridge import Reply
    from truesocket.core.emitter import Emitter
    from truesocket.core.once import Ledger
    from truesocket.core.recovery import Claim, State
    from truesocket.core.runner import Lane
    from truesocket.core.server import Server

__all__ = ["Ack", "Command", "Socket", "SocketListener", "SocketState", "current"]

#: What enters the FIFO of commands; it may return the rest of its work, in steps.
Command = Callable[..., Iterator[object] | None]

#: Bytes of memory that a held command takes, beside what it sends.
_HELD = 200

#: The socket whose handler this is; ``None`` outside of handlers, and in threads that a handler starts.
current: ContextVar[Socket | None] = ContextVar("truesocket_current", default=None)


class SocketState(Enum):
    """See the table above."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    LEAVING = "leaving"
    GONE = "gone"


_CONNECTED: Final = SocketState.CONNECTED  # every event asks (see session/websocket.py)


class SocketListener(Protocol):
    """What a socket passes on: ``core/dispatch.py``."""

    def event(self, socket: Socket, name: str, args: list[object], id: int | None, size: int) -> None:
        """The client sent an event."""

    def left(self, socket: Socket, reason: str) -> None:
        """The client left this namespace."""


class Ack:
    """Somebody waits for the answer to an event: ``answered(args)``, or ``lost()`` where the client left first.

    Without ``lost`` nobody is held up by a client that never answers (``emit(callback=)``), and it may be given up.
    """

    __slots__ = ("answered", "lost")

    def __init__(self, answered: Callable[[list[object]], None], lost: Callable[[], None] | None) -> None:
        self.answered: Callable[[list[object]], None] = answered
        self.lost: Callable[[], None] | None = lost


class Socket:
    """One client in one namespace.  ``sid`` is its name, and the name of the room that it is always in.

    ``auth`` is what it gave at CONNECT, ``data`` a dict for the application, ``extra`` belongs to the face that serves
    the application (Flask).
    """

    __slots__ = (
        "_acks",
        "_callbacks",
        "_data",
        "_is_counted",
        "_listener",
        "_next_ack",
        "answers",
        "auth",
        "claim",
        "engine",
        "extra",
        "held",
        "held_bytes",
        "held_received",
        "lane",
        "left_at",
        "memory",
        "namespace",
        "peer",
        "query",
        "reason",
        "rooms_before",
        "server",
        "sid",
        "state",
        "successor",
        "warned",
    )

    def __init__(
        self,
        server: Server,
        listener: SocketListener,
        peer: Peer[Handshake],
        namespace: str,
        sid: str,
        query: str,
        auth: dict[str, Any] | None,
    ) -> None:
        self.server: Server = server
        self.peer: Peer[Handshake] = peer
        self.engine: Engine = peer.engine
        self.namespace: str = namespace
        self.sid: str = sid
        self.query: str = query
        self.auth: dict[str, Any] | None = auth
        self.state: SocketState = SocketState.CONNECTING
        self.reason: str | None = None  # why it left
        self.left_at: float | None = None
        self.warned: bool = False
        self.held: list[tuple[Command, tuple[object, ...]]] | None = None
        self.held_bytes: int = 0  # of what we have told it
        self.held_received: int = 0  # of what it has sent
        self.rooms_before: frozenset[Hashable] = frozenset()
        self.lane: Lane | None = None
        self.extra: object = None
        self.memory: State | None = None  # what recovery knows of it
        self.claim: Claim | None = None  # what it has had back
        self.answers: Ledger | None = None  # to the events that it repeats
        self.successor: Callable[[], None] | None = None  # waits until this one is gone
        self._listener = listener
        self._data: dict[str, Any] | None = None
        self._acks: dict[int, Ack] | None = None
        self._next_ack = 0
        self._callbacks = 0  # of the acks, those that may be given up
        self._is_counted = True
        peer.sockets += 1

    def __repr__(self) -> str:
        return f"<Socket {self.sid} in {self.namespace}, {self.state.value}, {self.transport}>"

    @property
    def handshake(self) -> Handshake:
        """How the client came in."""
        return self.peer.handshake

    @property
    def transport(self) -> str:
        """``"websocket"`` or ``"polling"``, at this moment."""
        return self.engine.transport

    @property
    def data(self) -> dict[str, Any]:
        """Whatever the application wants to remember of this client."""
        if self._data is None:
            self._data = {}
        return self._data

    @property
    def recovered(self) -> bool:
        """Whether it has come back: with the sid, rooms and data that it had, and all that it missed."""
        return self.claim is not None

    # --- what applications do with it --------------------------------------------------------------------------

    def emit(self, event: str, *args: object, volatile: bool = False) -> Awaitable[None]:
        """Sends an event to this client."""
        self.server.check_orphan(self)
        return self.server.emit(event, *args, to=self.sid, namespace=self.namespace, volatile=volatile)

    def call(self, event: str, *args: object, timeout: float | None = 60) -> Reply[Any]:
        """Sends an event to this client, and asks for its answer: ``None``, one value, or a tuple of several.

        The reply fails with :class:`~truesocket.errors.AckTimeout` after ``timeout`` seconds, or when it leaves.
        """
        self.server.check_orphan(self)
        return self.server.call(event, *args, to=self.sid, namespace=self.namespace, timeout=timeout)

    def to(self, *rooms: Hashable) -> Emitter:
        """An emitter to everybody in these rooms but this client."""
        return self.broadcast.to(*rooms)

    @property
    def broadcast(self) -> Emitter:
        """An emitter to everybody in the namespace but this client."""
        return self.server.of(self.namespace).except_(self.sid)

    def enter(self, room: Hashable, *, replay: bool | str = False) -> Awaitable[None]:
        """Enters a room; ``replay`` tells it first what was said there (:meth:`Server.enter`)."""
        return self.server.enter(self.sid, room, namespace=self.namespace, replay=replay)

    def leave(self, room: Hashable) -> Awaitable[None]:
        """Leaves a room."""
        return self.server.leave(self.sid, room, namespace=self.namespace)

    def rooms(self) -> Reply[list[Hashable]]:
        """The rooms that it is in, its own (named by its sid) among them."""
        return self.server.rooms(self.sid, namespace=self.namespace)

    def disconnect(self) -> Awaitable[None]:
        """Sends the client out of this namespace."""
        return self.server.disconnect(self.sid, namespace=self.namespace)

    # --- core --------------------------------------------------------------------------------------------------

    def remember(self, memory: State, claim: Claim | None = None) -> None:
        """Its connection may break from now on; with ``claim`` it did."""
        self.memory = memory
        self.claim = claim
        self._data = memory.data

    def hold(self, command: Command, *args: object, size: int = 0) -> None:
        """Keeps a command until the client is accepted; its connection is closed where that becomes too much.

        ``size`` are the bytes that the command sends.
        """
        self.held_bytes += size + _HELD
        if self.held_bytes > self.server.config.max_pending_bytes:
            if self.reason is None:
                self.server.reception.close_stuck(self)
            return
        self._keep(command, args)

    def _keep(self, command: Command, args: tuple[object, ...]) -> None:
        if self.held is None:
            self.held = []
        self.held.append((command, args))

    def uncount(self) -> None:
        """It is gone: one namespace less of its client."""
        if self._is_counted:
            self._is_counted = False
            self.peer.sockets -= 1

    def send(self, parcel: Parcel, volatile: bool = False) -> None:
        """One packet to the client, now or on acceptance."""
        if self.state is _CONNECTED:
            self.engine.send(parcel, volatile)
        elif self.state is SocketState.CONNECTING and self.reason is None:
            self.hold(self.send, parcel, volatile, size=parcel.size)

    @property
    def can_answer(self) -> bool:
        """Whether an event sent to this client now can be answered."""
        return self.state in (SocketState.CONNECTING, SocketState.CONNECTED)

    def expect(self, ack: Ack) -> int:
        """Registers who waits for an answer; returns the id to send."""
        if self._acks is None:
            self._acks = {}
        id = self._next_ack
        self._next_ack += 1
        self._acks[id] = ack
        if ack.lost is None:
            self._callbacks += 1
            if self._callbacks > self.server.config.max_callbacks:
                self._give_up_callback(self._acks)
        return id

    def _give_up_callback(self, acks: dict[int, Ack]) -> None:
        """The oldest callback goes; a call() waits on, it has a time-out of its own."""
        oldest = next(id for id, ack in acks.items() if ack.lost is None)
        del acks[oldest]
        self._callbacks -= 1
        self.server.reception.callback_given_up(self)

    def forget(self, ack: Ack) -> None:
        """Nobody waits for this answer any more."""
        if self._acks is not None:
            self._acks = {id: waiting for id, waiting in self._acks.items() if waiting is not ack}

    def lose_acks(self) -> None:
        """The client left: everybody who waits for its answer is told now."""
        acks, self._acks = self._acks, None
        self._callbacks = 0
        for ack in (acks or {}).values():
            if ack.lost is not None:
                ack.lost()

    # --- session.conversation.Member ---------------------------------------------------------------------------

    def received_event(self, name: str, args: list[object], id: int | None, size: int) -> None:
        if self.state is _CONNECTED and self.held is None:
            self._listener.event(self, name, args, id, size)
        elif self.state in (SocketState.CONNECTING, SocketState.CONNECTED):
            self._keep(self._listener.event, (self, name, args, id, size))
            self.held_received += size
            config = self.server.config
            count = len(self.held) if self.held is not None else 0
            if count > config.max_pending_events or self.held_received > config.max_pending_bytes:
                self.engine.pause()

    def received_ack(self, id: int, args: list[object]) -> None:
        ack = self._acks.pop(id, None) if self._acks is not None else None
        if ack is not None:
            self._callbacks -= ack.lost is None
            ack.answered(args)

    def left(self) -> None:
        self._listener.left(self, "client namespace disconnect")
