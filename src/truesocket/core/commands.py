"""What changes and reads memberships: commands on the loop, in the order of the FIFO.

``core/server.py`` puts them there; nobody else calls them.  What an accepted client does at once is held for one whose
connect handler still runs (``core/socket.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from truesocket.core.fanout import STEP, Fanout, Space
from truesocket.core.ports import Envelope
from truesocket.core.recovery import Recovery
from truesocket.core.socket import Command, Socket, SocketState
from truesocket.core.stats import Counts

__all__ = ["Commands", "Target"]

#: Whom a command for many means: a namespace, its rooms (``None``: everybody) and the rooms that are left out.
Target = tuple[str, tuple[Hashable, ...] | None, frozenset[Hashable]]


class Commands:
    """``spaces`` are the members and rooms by namespace; ``close`` sends one client out."""

    def __init__(
        self,
        spaces: dict[str, Space],
        fanout: Fanout,
        close: Callable[[Socket], None],
        recovery: Recovery | None = None,
    ) -> None:
        self._recovery = recovery
        self._most_rooms = 0
        self._counts = Counts()
        self._spaces = spaces
        self._fanout = fanout
        self._close = close

    def limit_rooms(self, most: int, counts: Counts) -> None:
        """A client gets into no more than ``most`` rooms from now on; 0: into as many as you like."""
        self._most_rooms = most
        self._counts = counts

    def has_too_many(self, socket: Socket, room: Hashable) -> bool:
        """Whether a client is in so many rooms that it may not get into this one; any thread may ask."""
        space = self._spaces.get(socket.namespace)
        if not self._most_rooms or space is None:
            return False
        rooms = space.rooms.rooms(socket)
        return len(rooms) >= self._most_rooms and room not in rooms

    # --- one client --------------------------------------------------------------------------------------------

    def tell_later(self, socket: Socket, command: Command, args: tuple[object, ...]) -> Iterator[object] | None:
        """What a connect handler tells waits until its client is accepted."""
        if socket.state is SocketState.CONNECTING:
            envelope = args[0] if args else None
            size = envelope.parcel.size if isinstance(envelope, Envelope) else 0
            socket.hold(command, *args, size=size)
            return None
        return command(*args)

    def enter(self, socket: Socket, room: Hashable) -> None:
        if socket.state is SocketState.CONNECTED:
            if self._most_rooms and self.has_too_many(socket, room):  # else `Server.enter` has said so
                self._counts.refused["rooms"] += 1
                return
            self._spaces[socket.namespace].rooms.enter(socket, room)
            if socket.memory is not None:
                socket.memory.enter(room)
        elif socket.state is SocketState.CONNECTING:
            socket.hold(self.enter, socket, room)

    def leave(self, socket: Socket, room: Hashable) -> None:
        if socket.state is SocketState.CONNECTED:
            self._spaces[socket.namespace].rooms.leave(socket, room)
            if socket.memory is not None:
                socket.memory.leave(room)
        elif socket.state is SocketState.CONNECTING:
            socket.hold(self.leave, socket, room)

    def close(self, socket: Socket) -> None:
        self._close(socket)

    def rooms(self, socket: Socket) -> list[Hashable]:
        """Where a client is; where it was, if it is leaving; where it will be, if it is connecting."""
        if socket.state is SocketState.CONNECTED:
            rooms: Iterable[Hashable] = self._spaces[socket.namespace].rooms.rooms(socket)
        elif socket.state is SocketState.CONNECTING:
            rooms = self._held_rooms(socket)
        else:
            rooms = socket.rooms_before
        return [socket.sid, *(room for room in rooms if room != socket.sid)]

    def _held_rooms(self, socket: Socket) -> Iterable[Hashable]:
        rooms: dict[Hashable, None] = {}
        for command, args in socket.held or ():
            if command == self.enter:
                rooms[args[1]] = None
            elif command == self.leave:
                rooms.pop(args[1], None)
        return rooms

    # --- many --------------------------------------------------------------------------------------------------

    def close_room(self, namespace: str, room: Hashable) -> None:
        space = self._spaces.get(namespace)
        if self._recovery is not None:
            for socket in space.rooms.members(room) if space is not None else ():
                if socket.memory is not None:
                    socket.memory.leave(room)
            self._recovery.close_room(namespace, room)
        if space is not None:
            space.rooms.close(room)

    def sockets(self, target: Target) -> list[Socket]:
        """Who is there."""
        return list(self._fanout.members(*target))

    def count(self, target: Target) -> int:
        """How many are there."""
        namespace, rooms, excepted = target
        if rooms is None and not excepted:
            space = self._spaces.get(namespace)
            return len(space.members) if space is not None else 0
        return len(self._fanout.members(*target))

    def each(self, target: Target, command: Callable[..., None], rooms: tuple[Hashable, ...]) -> Iterator[None] | None:
        """``command(socket, room)`` for everybody who is there now, and every room; in steps where they are many."""
        members = self._fanout.members(*target)
        if len(members) <= STEP:
            _to_each(members, command, rooms)
            return None
        return _in_steps(members, command, rooms)

    def close_each(self, target: Target) -> Iterator[None] | None:
        """Everybody who is there now leaves the namespace."""
        return self.each(target, lambda socket, _: self._close(socket), (None,))


def _to_each(members: Iterable[Socket], command: Callable[..., None], rooms: tuple[Hashable, ...]) -> None:
    for socket in members:
        for room in rooms:
            command(socket, room)


def _in_steps(members: Sequence[Socket], command: Callable[..., None], rooms: tuple[Hashable, ...]) -> Iterator[None]:
    for start in range(0, len(members), STEP):
        _to_each(members[start : start + STEP], command, rooms)
        yield
