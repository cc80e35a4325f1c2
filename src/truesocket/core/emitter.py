"""``server.to("lobby").except_(sid).volatile.emit("news", 1)``: an immutable description of who is meant.

Every step returns a new emitter, so one can be kept and used again.  What an emitter can do to those it means: tell
them something (``emit``), ask them (``call``), send them into rooms, out of rooms or away, list and count them.  The
JSON is written in the caller's thread: an argument that cannot be written is an error right where it was given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, ValuesView
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from truesocket.codec.socketio import RESERVED_EVENTS, PacketType
from truesocket.core.ports import Envelope
from truesocket.core.socket import Ack, Socket
from truesocket.errors import UsageError

if TYPE_CHECKING:
    from truesocket.bridge import Reply
    from truesocket.core.call import Answers
    from truesocket.core.commands import Target
    from truesocket.core.server import Server

__all__ = ["Emitter", "check_namespace", "check_room", "room_names"]


def room_names(rooms: Hashable | Iterable[Hashable]) -> tuple[Hashable, ...]:
    """A room or a list, tuple or set of rooms, as a tuple.  ``[]`` is nobody, ``0`` is the room 0.

    Raises :class:`~truesocket.errors.UsageError` for what cannot be a room.
    """
    named = tuple(rooms) if isinstance(rooms, list | tuple | set | frozenset) else (rooms,)
    for room in named:
        check_hashable(room)
    return named


def check_hashable(room: object) -> None:
    """Raises :class:`~truesocket.errors.UsageError` for a value that cannot be looked up."""
    if isinstance(room, Iterator | ValuesView):
        raise UsageError(f"{room!r} cannot be a room; for the rooms in it write list(...) around it")
    try:
        hash(room)
    except TypeError:
        raise UsageError(
            f"{room!r} cannot be a room: a room is a string, a number or a tuple of such. Several rooms are"
            " to('a', 'b') in a chain, or to=['a', 'b'] as an argument"
        ) from None


def check_room(room: object) -> None:
    """The same for the one room of an ``enter``; ``None`` means everybody elsewhere, so it is no room."""
    if room is None:
        raise UsageError("None is no room: to=None means everybody in the namespace. Give the room's name")
    check_hashable(room)


def check_namespace(namespace: object) -> None:
    """Raises :class:`~truesocket.errors.UsageError` for what is not the name of one namespace."""
    if not isinstance(namespace, str) or not namespace.startswith("/"):
        raise UsageError(
            f"namespace={namespace!r}: give the name of one namespace, which begins with a slash, as in '/chat';"
            " patterns and '*' are for handlers"
        )


@dataclass(frozen=True, slots=True)
class Emitter:
    """Who is meant: everybody in ``namespace``, or the members of ``rooms``, but for those of ``excepted``."""

    server: Server
    namespace: str = "/"
    rooms: tuple[Hashable, ...] | None = None
    excepted: frozenset[Hashable] = frozenset()
    is_volatile: bool = False

    # --- who ---------------------------------------------------------------------------------------------------

    def of(self, namespace: str) -> Emitter:
        """In another namespace."""
        check_namespace(namespace)
        return replace(self, namespace=namespace)

    def to(self, *rooms: Hashable) -> Emitter:
        """Also to these rooms; a sid is a room, too."""
        for room in rooms:
            check_room(room)
        return replace(self, rooms=(self.rooms or ()) + rooms)

    def except_(self, *rooms: Hashable) -> Emitter:
        """But not to the members of these rooms."""
        for room in rooms:
            check_room(room)
        return replace(self, excepted=self.excepted.union(rooms))

    @property
    def volatile(self) -> Emitter:
        """Clients that cannot take it at once miss it: for positions, prices, frames."""
        return replace(self, is_volatile=True)

    # --- telling -----------------------------------------------------------------------------------------------

    def emit(self, event: str, *args: object, callback: Callable[..., object] | None = None) -> Awaitable[None]:
        """Sends an event.  Never waits; may be called in any thread and may be awaited.

        ``callback`` is called with each recipient's answer.  Raises ``TypeError`` or ``ValueError`` for arguments that
        JSON cannot hold.
        """
        return self.publish(event, args, None if callback is None else self.server.dispatch.calls_back(callback))

    def publish(
        self, event: str, args: tuple[object, ...], on_ack: Callable[[Socket], Ack | None] | None = None
    ) -> Awaitable[None]:
        """What every emission goes through; ``on_ack`` is asked on the loop, for each recipient, who waits."""
        if not isinstance(event, str):
            raise UsageError(f"emit({event!r}): the first argument is the event's name, a string")
        if event in RESERVED_EVENTS:
            raise UsageError(f"emit({event!r}): Socket.IO keeps this name for itself; choose another")
        check_namespace(self.namespace)
        server = self.server
        for listener in server.outgoing_listeners:
            listener(event, args, self)
        written = server.serializer.write([event, *args], server.json_default)
        parcel = server.serializer.packet(PacketType.EVENT, self.namespace, written)
        envelope = Envelope(self.namespace, self.rooms, self.excepted, parcel, written, self.is_volatile, on_ack)
        publish = server.fanout.deliver if server.broker is None else server.broker.publish
        return server.tell(publish, envelope, weight=parcel.size)

    def enter(self, *rooms: Hashable) -> Awaitable[None]:
        """Puts everybody who is meant into these rooms; who comes later is not meant."""
        for room in rooms:
            check_room(room)
        commands = self.server.commands
        return self.server.tell(commands.each, self.target, commands.enter, rooms)

    def leave(self, *rooms: Hashable) -> Awaitable[None]:
        """Takes everybody who is meant out of these rooms."""
        for room in rooms:
            check_room(room)
        commands = self.server.commands
        return self.server.tell(commands.each, self.target, commands.leave, rooms)

    def disconnect(self) -> Awaitable[None]:
        """Sends everybody who is meant out of the namespace."""
        return self.server.tell(self.server.commands.close_each, self.target)

    # --- asking ------------------------------------------------------------------------------------------------

    def call(self, event: str, *args: object, timeout: float | None = 60) -> Reply[Answers]:
        """Sends an event to everybody who is meant, and asks for their answers.

        The reply comes when each of them has answered or left, after ``timeout`` seconds at the latest; it never fails.
        """
        return self.server.call_all(self, event, args, timeout)

    def sockets(self) -> Reply[list[Socket]]:
        """Everybody who is meant, those on this server."""
        return self.server.ask(self.server.commands.sockets, self.target)

    def count(self) -> Reply[int]:
        """How many they are."""
        return self.server.ask(self.server.commands.count, self.target)

    @property
    def target(self) -> Target:
        """Namespace, rooms and exceptions, as commands take them.  Checks the namespace's name."""
        check_namespace(self.namespace)
        return self.namespace, self.rooms, self.excepted
