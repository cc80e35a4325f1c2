"""One client's bounded queue: what could not be written yet.

A unit is a whole :class:`~truesocket.codec.parcel.Parcel` (a packet with its attachments) or one Engine.IO packet, so
that nothing is ever torn.  Used by ``session/engine.py`` alone: while a long-polling client is away between two
requests, and while a WebSocket takes no more bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum

from truesocket.codec.engineio import EnginePacket
from truesocket.codec.parcel import Parcel

__all__ = ["Outbox", "Overflow", "Unit"]

Unit = Parcel | EnginePacket

#: What an Engine.IO packet costs on the wire beside its data: the type, a separator, some framing.
_OVERHEAD = 8


class Overflow(Enum):
    """What happens to a client for which more is waiting than ``outbox_bytes``."""

    CLOSE = "close"  #: the client is closed with the reason "slow consumer"
    DROP_OLDEST = "drop_oldest"  #: the oldest waiting events make room
    #: Volatile events wait, too, and the oldest of them make room; where there are none, as with ``CLOSE``.
    DROP_VOLATILE = "drop_volatile"


class _Volatile:
    """The place of a volatile parcel in the queue; ``None`` in it: it has made room for another."""

    __slots__ = ("parcel",)

    def __init__(self, parcel: Parcel) -> None:
        self.parcel: Parcel | None = parcel


def _size(unit: Unit) -> int:
    return (unit.size if isinstance(unit, Parcel) else len(unit.data)) + _OVERHEAD


class Outbox:
    """A queue of units, bounded by ``limit`` bytes; one unit always fits into an empty queue."""

    __slots__ = ("_empty", "_limit", "_units", "_volatile", "size")

    def __init__(self, limit: int) -> None:
        self._units: deque[Unit | _Volatile] = deque()
        self._volatile: deque[_Volatile] = deque()  # those among the units, in their order
        self._empty = 0  # places of volatile parcels that are gone
        self._limit = limit
        self.size: int = 0

    def __len__(self) -> int:
        return len(self._units) - self._empty

    def put(self, unit: Unit, *, volatile: bool = False) -> bool:
        """Appends ``unit``, or returns ``False`` where it does not fit."""
        size = _size(unit)
        if self and self.size + size > self._limit:
            return False
        if volatile and isinstance(unit, Parcel):
            place = _Volatile(unit)
            self._volatile.append(place)
            self._units.append(place)
        else:
            self._units.append(unit)
        self.size += size
        return True

    def append(self, unit: Unit) -> None:
        """Appends ``unit`` whether it fits or not: the last word of a session."""
        self._units.append(unit)
        self.size += _size(unit)

    def drop_volatile(self) -> bool:
        """Forgets the oldest volatile event.  ``False`` where there is none."""
        if not self._volatile:
            return False
        place = self._volatile.popleft()
        assert place.parcel is not None
        self.size -= _size(place.parcel)
        place.parcel = None
        self._empty += 1
        if self._empty > 16 and self._empty > len(self._units) // 2:
            self._units = deque(unit for unit in self._units if not _is_empty(unit))
            self._empty = 0
        return True

    def drop_oldest(self) -> bool:
        """Forgets the oldest *event*; control packets stay.  ``False`` where there is none to forget."""
        for index, unit in enumerate(self._units):
            if isinstance(unit, Parcel):
                del self._units[index]
                self.size -= _size(unit)
                return True
        return False

    def take(self) -> Unit:
        """The oldest unit; ``IndexError`` where there is none."""
        unit = self._units.popleft()
        while isinstance(unit, _Volatile):
            if unit.parcel is not None:
                self._volatile.popleft()
                unit = unit.parcel
                break
            self._empty -= 1
            unit = self._units.popleft()
        self.size -= _size(unit)
        return unit

    def packets(self, revision: int, most: int, limit: int) -> list[EnginePacket]:
        """At most ``most`` packets of about ``limit`` bytes, at least one if there are any, for a polling payload.

        A parcel that does not fit whole goes on in the next payload, attachments still in order behind their text.
        """
        taken: list[EnginePacket] = []
        size = 0
        while self and len(taken) < most:
            unit = self.take()
            if taken and size + _size(unit) > limit:
                self._put_back((unit,))
                break
            size += _size(unit)
            if isinstance(unit, EnginePacket):
                taken.append(unit)
                continue
            packets = unit.packets(revision)
            room = most - len(taken)
            taken += packets[:room]
            self._put_back(packets[room:])
        return taken

    def clear(self) -> None:
        """Forgets everything: the client is gone."""
        self._units.clear()
        self._volatile.clear()
        self._empty = 0
        self.size = 0

    def _put_back(self, units: Sequence[Unit]) -> None:
        """They are the next ones again; what was volatile has begun its way and is so no more."""
        for unit in reversed(units):
            self._units.appendleft(unit)
            self.size += _size(unit)


def _is_empty(unit: Unit | _Volatile) -> bool:
    return isinstance(unit, _Volatile) and unit.parcel is None
