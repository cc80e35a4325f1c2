"""One client's bounded queue: what could not be written yet.

A unit is a whole :class:`~truesocket.codec.parcel.Parcel` (a packet with its attachments) or one Engine.IO packet, so
that nothing is ever torn.  Used by ``session/engine.py`` alone: while a long-polling client is away between two
requests, and while a WebSocket takes no more bytes.
"""

from __future__ import annotations

from collections import deque
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


def _size(unit: Unit) -> int:
    return (unit.size if isinstance(unit, Parcel) else len(unit.data)) + _OVERHEAD


class Outbox:
    """A queue of units, bounded by ``limit`` bytes; one unit always fits into an empty queue."""

    __slots__ = ("_limit", "_units", "size")

    def __init__(self, limit: int) -> None:
        self._units: deque[Unit] = deque()
        self._limit = limit
        self.size = 0

    def __len__(self) -> int:
        return len(self._units)

    def put(self, unit: Unit) -> bool:
        """Appends ``unit``, or returns ``False`` where it does not fit."""
        size = _size(unit)
        if self._units and self.size + size > self._limit:
            return False
        self._units.append(unit)
        self.size += size
        return True

    def append(self, unit: Unit) -> None:
        """Appends ``unit`` whether it fits or not: the last word of a session."""
        self._units.append(unit)
        self.size += _size(unit)

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
        self.size -= _size(unit)
        return unit

    def packets(self, revision: int, most: int, limit: int) -> list[EnginePacket]:
        """At most ``most`` packets of about ``limit`` bytes, at least one if there are any, for a polling payload.

        A parcel that does not fit whole goes on in the next payload, attachments still in order behind their text.
        """
        taken: list[EnginePacket] = []
        size = 0
        while self._units and len(taken) < most:
            unit = self._units[0]
            if taken and size + _size(unit) > limit:
                break
            size += _size(self.take())
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
        self.size = 0

    def _put_back(self, packets: tuple[EnginePacket, ...]) -> None:
        for packet in reversed(packets):
            self._units.appendleft(packet)
            self.size += _size(packet)
