"""``server.to("lobby").except_(sid).volatile.emit("news", 1)``: an immutable description of who shall hear.

Every step returns a new emitter, so one can be kept and used again.  The JSON is written in the caller's thread: an
argument that cannot be written is an error right where it was given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from truesocket.codec.socketio import RESERVED_EVENTS, PacketType
from truesocket.core.ports import Envelope
from truesocket.core.socket import Ack, Socket
from truesocket.errors import UsageError

if TYPE_CHECKING:
    from truesocket.core.server import Server

__all__ = ["Emitter", "room_names"]


def room_names(rooms: Hashable | Iterable[Hashable]) -> tuple[Hashable, ...]:
    """A room or a list, tuple or set of rooms, as a tuple.  ``[]`` is nobody, ``0`` is the room 0."""
    if isinstance(rooms, list | tuple | set | frozenset):
        return tuple(rooms)
    return (rooms,)  # type: ignore[return-value]  # any other value names one room


@dataclass(frozen=True, slots=True)
class Emitter:
    """Who hears: everybody in ``namespace``, or the members of ``rooms``, but for those of ``excepted``."""

    server: Server
    namespace: str = "/"
    rooms: tuple[Hashable, ...] | None = None
    excepted: frozenset[Hashable] = frozenset()
    is_volatile: bool = False

    def of(self, namespace: str) -> Emitter:
        """In another namespace."""
        return replace(self, namespace=namespace)

    def to(self, *rooms: Hashable) -> Emitter:
        """Also to these rooms; a sid is a room, too."""
        return replace(self, rooms=(self.rooms or ()) + rooms)

    def except_(self, *rooms: Hashable) -> Emitter:
        """But not to the members of these rooms."""
        return replace(self, excepted=self.excepted.union(rooms))

    @property
    def volatile(self) -> Emitter:
        """Clients that cannot take it at once miss it: for positions, prices, frames."""
        return replace(self, is_volatile=True)

    def emit(self, event: str, *args: object, on_ack: Callable[[Socket], Ack | None] | None = None) -> Awaitable[None]:
        """Sends an event.  Never waits; may be called in any thread and may be awaited.

        ``on_ack`` is asked on the loop, once per recipient, who waits for its answer.  Raises ``TypeError`` or
        ``ValueError`` for arguments that JSON cannot hold.
        """
        if not isinstance(event, str):
            raise UsageError(f"emit({event!r}): the first argument is the event's name, a string")
        if event in RESERVED_EVENTS:
            raise UsageError(f"emit({event!r}): Socket.IO keeps this name for itself; choose another")
        server = self.server
        written = server.serializer.write([event, *args], server.json_default)
        parcel = server.serializer.packet(PacketType.EVENT, self.namespace, written)
        envelope = Envelope(self.namespace, self.rooms, self.excepted, parcel, written, self.is_volatile, on_ack)
        publish = server.fanout.deliver if server.broker is None else server.broker.publish
        return server.tell(publish, envelope, weight=parcel.size)
