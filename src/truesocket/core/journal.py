"""The last events of one namespace, numbered, so that a client who comes back can be given what it missed.

A journal is what recovery (``core/recovery.py``) and history (``core/history.py``) read; the fan-out writes it.  It is
bounded in time, events and bytes, whichever is reached first.  Each event has an *offset*, ``"<epoch>.<seq>"``: the
epoch says which run of the server counted, so that an offset of another run is never mistaken for one of ours.  To
everybody else an offset is an opaque text.

Clients that can recover get the offset as the last argument of the event, as the official clients from 4.6 on expect
it.  It is put behind the arguments that are written already: one more form of the packet, not one per client.

Time is an argument.  Called on the loop only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from truesocket.codec.parcel import Parcel
from truesocket.codec.serializers import Written

__all__ = ["Journal", "Kept", "Limits"]

#: A kept event holds its text twice, as JSON and as a packet, and its frame once it was sent.
_COPIES = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a journal keeps: ``seconds``, ``events`` and ``bytes``, each an upper bound."""

    seconds: float
    events: int
    bytes: int


class Kept(NamedTuple):
    """One event: its number, when it was sent, who was meant, and its forms without and with the offset."""

    seq: int
    at: float
    rooms: tuple[Hashable, ...] | None
    excepted: frozenset[Hashable]
    written: Written
    marked: Parcel

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, roughly."""
        return self.marked.size * _COPIES


class Journal:
    """The events of one namespace.  ``epoch`` is a text without a dot that no other run of a server has."""

    __slots__ = ("__weakref__", "_bytes", "_epoch", "_first", "_kept", "_limits", "_rooms", "namespace", "seq")

    def __init__(self, namespace: str, epoch: str, limits: Limits) -> None:
        self.namespace: str = namespace
        self._epoch = epoch
        self._limits = limits
        self._kept: deque[Kept] = deque()
        self._bytes = 0
        self._first = 1  # of the events that are still known, the number of the oldest
        self._rooms: dict[Hashable, deque[Kept]] = {}
        self.seq: int = 0  # of the newest event

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """What it holds in memory, roughly."""
        return self._bytes

    def offset(self, seq: int | None = None) -> str:
        """The offset of an event, or that of the newest one."""
        return f"{self._epoch}.{self.seq if seq is None else seq}"

    def seq_of(self, offset: object) -> int | None:
        """The number in an offset that a client gave back; ``None`` where it is not one of ours."""
        if not isinstance(offset, str):
            return None
        epoch, _, digits = offset.rpartition(".")
        if epoch != self._epoch or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            return None
        seq = int(digits)
        return seq if seq <= self.seq else None

    def keep(self, kept: Kept) -> None:
        """Writes down the event numbered ``seq + 1``; the oldest ones make room."""
        assert kept.seq == self.seq + 1
        self.seq = kept.seq
        self._kept.append(kept)
        self._bytes += kept.size
        for room in dict.fromkeys(kept.rooms or ()):
            self._rooms.setdefault(room, deque()).append(kept)
        while len(self._kept) > self._limits.events or self._bytes > self._limits.bytes:
            self._forget_oldest()

    def expire(self, now: float) -> None:
        """Forgets what is older than the limit allows."""
        while self._kept and now - self._kept[0].at > self._limits.seconds:
            self._forget_oldest()

    def knows(self, seq: int) -> bool:
        """Whether every event behind ``seq`` is still here."""
        return seq + 1 >= self._first

    def since(self, seq: int) -> list[Kept]:
        """The events behind ``seq``, oldest first."""
        return list(islice(self._kept, max(0, seq + 1 - self._first), None))

    def in_room(self, room: Hashable) -> list[Kept]:
        """The events to one room, oldest first."""
        return list(self._rooms.get(room, ()))

    def _forget_oldest(self) -> None:
        kept = self._kept.popleft()
        self._bytes -= kept.size
        self._first = kept.seq + 1
        for room in dict.fromkeys(kept.rooms or ()):
            events = self._rooms[room]
            events.popleft()
            if not events:
                del self._rooms[room]
