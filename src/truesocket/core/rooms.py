"""Who is in which room: a two-way index for one namespace.

Everybody is in the room of their own sid without an entry here (``core/fanout.py`` looks sids up in the table of
sockets), so that an idle client costs nothing.  Leaving touches the client's own rooms only, so a mass exit is linear.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

__all__ = ["Rooms"]

M = TypeVar("M", bound=Hashable)

_NOBODY: dict[object, None] = {}


class Rooms(Generic[M]):
    """Rooms of members ``M``.  Iteration is in the order of entering."""

    __slots__ = ("_members", "_rooms")

    def __init__(self) -> None:
        self._members: dict[Hashable, dict[M, None]] = {}
        self._rooms: dict[M, dict[Hashable, None]] = {}

    def enter(self, member: M, room: Hashable) -> None:
        """Twice is once."""
        self._members.setdefault(room, {})[member] = None
        self._rooms.setdefault(member, {})[room] = None

    def leave(self, member: M, room: Hashable) -> None:
        """Nothing happens where the member is not in the room.  An empty room is gone."""
        rooms = self._rooms.get(member)
        if rooms is None or room not in rooms:
            return
        del rooms[room]
        if not rooms:
            del self._rooms[member]
        members = self._members[room]
        del members[member]
        if not members:
            del self._members[room]

    def leave_all(self, member: M) -> None:
        """Out of every room."""
        for room in list(self._rooms.get(member, ())):
            self.leave(member, room)

    def close(self, room: Hashable) -> None:
        """Everybody leaves it."""
        for member in list(self._members.get(room, ())):
            self.leave(member, room)

    def members(self, room: Hashable) -> Collection[M]:
        """Who is in a room.  A live view: copy it before anybody can enter or leave."""
        return self._members.get(room, _NOBODY).keys()  # type: ignore[return-value]

    def rooms(self, member: M) -> Collection[Hashable]:
        """Where a member is.  A live view."""
        return self._rooms.get(member, {}).keys()
