"""Connection state recovery: a client whose connection broke comes back as who it was, and is given what it missed.

As the official clients speak it (4.6 and later) and ours: the CONNECT reply carries a ``pid``, a secret of 128 bits;
every event carries an offset (``core/journal.py``); a client that comes back names both.  It gets its sid, its rooms
and its ``data`` again, then every event that was meant for it since the last one that it has seen, in order and none
twice, then the rest of life.

What decides who was meant is the rooms *at the time of the event*: each membership is a *stay* from one number to
another, so that a client who left a room just before its connection broke misses nothing of that room, and one who
entered it late is told nothing of before.

==========================  ======================================================================================
the client                  becomes
==========================  ======================================================================================
says goodbye, is sent out   forgotten: it left on purpose
drops                       *away*: kept for ``seconds``, and as long as no more than ``clients`` are away
comes back                  the connect handler decides again, with the new request; a refusal forgets the state
comes back too late,        a new client, as if it had never been here; so does one that names a wrong pid, a
or too much was sent        namespace that is not its own, or an offset of another run of the server
is still here               its old connection is closed first: a phone that changed networks is back long before
                            we notice
==========================  ======================================================================================

Knows no sockets and no loop.  Time is an argument.  ``core/dispatch.py`` calls it, on the loop only.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from truesocket.core.journal import Journal, Kept, Limits
from truesocket.session.engine import Reason

__all__ = ["DELIBERATE", "Claim", "Recovery", "State"]

#: Reasons for leaving that somebody wanted, or brought about: there is nothing to come back to.
DELIBERATE: Final = frozenset(
    {"client namespace disconnect", "server namespace disconnect", "refused", Reason.PARSE_ERROR}
)
#: Bytes of a pid: nobody guesses it.
_PID_BYTES = 16
#: Stays that are over, of one client, at most: one that enters and leaves without end forgets the oldest.
_PAST_STAYS = 1000


class Stay(NamedTuple):
    """A membership that is over: of ``room``, for the events numbered ``begin`` + 1 to ``end``."""

    room: Hashable
    begin: int
    end: int


class State:
    """What is remembered of one client in one namespace."""

    __slots__ = ("_journal", "accepted", "begin", "data", "dropped_at", "is_claimed", "past", "pid", "sid", "stays")

    def __init__(self, pid: str, sid: str, journal: Journal) -> None:
        self._journal = journal
        self.pid: str = pid
        self.sid: str = sid
        self.begin: int = journal.seq  # the newest event when it asked to come in: from then on it may be named
        self.accepted: int | None = None  # and when it was let in: from then on it is one of everybody
        self.stays: dict[Hashable, int] = {}  # rooms that it is in, with the newest event when it entered
        self.past: list[Stay] = []
        self.data: dict[str, object] = {}
        self.dropped_at: float = 0.0
        self.is_claimed: bool = False

    @property
    def offer(self) -> dict[str, str]:
        """What the CONNECT reply tells the client: its pid, and the offset before anything that it may hear."""
        return {"pid": self.pid, "offset": self._journal.offset(self.begin)}

    @property
    def namespace(self) -> str:
        """Where it is."""
        return self._journal.namespace

    def enter(self, room: Hashable) -> None:
        """It enters a room."""
        self.stays.setdefault(room, self._journal.seq)

    def leave(self, room: Hashable) -> None:
        """It leaves a room."""
        begin = self.stays.pop(room, None)
        if begin is not None and begin < self._journal.seq:
            self.past.append(Stay(room, begin, self._journal.seq))
            del self.past[:-_PAST_STAYS]

    def is_meant(self, kept: Kept) -> bool:
        """Whether an event was for this client when it was sent."""
        if kept.seq <= self.begin or self._was_in(kept.excepted, kept.seq):
            return False
        if kept.rooms is None:
            return self.accepted is not None and kept.seq > self.accepted
        return self._was_in(kept.rooms, kept.seq)

    def _was_in(self, rooms: Iterable[Hashable], seq: int) -> bool:
        for room in rooms:
            if room == self.sid or self.stays.get(room, seq) < seq:
                return True
            if any(stay.room == room and stay.begin < seq <= stay.end for stay in self.past):
                return True
        return False


class Claim(NamedTuple):
    """A client that may have its state back: what it was, and the number of the last event that it has seen."""

    state: State
    seq: int


class Recovery:
    """The journals of all namespaces and the states of all clients that can come back.

    A namespace without events and clients takes no room: there may be any number of them.

    ``limits`` bound each journal, ``seconds`` how long a client may be away, ``clients`` how many may be.
    """

    def __init__(self, limits: Limits, seconds: float, clients: int) -> None:
        self._limits = limits
        self._seconds = seconds
        self._clients = clients
        self._journals: WeakValueDictionary[str, Journal] = WeakValueDictionary()  # those that somebody has use for
        self._written: dict[str, Journal] = {}  # those with something in them
        self._away: OrderedDict[str, State] = OrderedDict()  # by pid, in the order of their leaving
        self._here: dict[str, State] = {}

    @property
    def away(self) -> int:
        """How many clients may still come back."""
        return len(self._away)

    def journal(self, namespace: str) -> Journal:
        """The journal of a namespace."""
        found = self._journals.get(namespace)
        if found is None:
            found = self._journals[namespace] = Journal(namespace, secrets.token_urlsafe(6), self._limits)
        return found

    def keep(self, journal: Journal, kept: Kept) -> None:
        """Writes an event down."""
        journal.keep(kept)
        self._written[journal.namespace] = journal

    # --- clients that are here ---------------------------------------------------------------------------------------

    def begin(self, sid: str, namespace: str) -> State:
        """A new client asks to come in."""
        return State(secrets.token_urlsafe(_PID_BYTES), sid, self.journal(namespace))

    def accept(self, state: State) -> None:
        """It has been let in."""
        state.accepted = self.journal(state.namespace).seq
        self._here[state.pid] = state

    def resume(self, claim: Claim) -> list[Kept]:
        """A client that came back has been let in; returns what it missed, oldest first."""
        state = claim.state
        self._away.pop(state.pid, None)
        state.is_claimed = False
        self._here[state.pid] = state
        return [kept for kept in self.journal(state.namespace).since(claim.seq) if state.is_meant(kept)]

    def drop(self, state: State, reason: str, now: float) -> None:
        """A client has left; unless somebody wanted it so, it may come back."""
        self._here.pop(state.pid, None)
        if reason in DELIBERATE:
            return
        state.dropped_at = now
        self._away[state.pid] = state
        while len(self._away) > self._clients:
            self._away.popitem(last=False)

    def close_room(self, namespace: str, room: Hashable) -> None:
        """A room is emptied: those who are away are out of it, too."""
        for state in self._away.values():
            if state.namespace == namespace:
                state.leave(room)

    # --- clients that come back --------------------------------------------------------------------------------------

    def present(self, pid: object, namespace: str) -> str | None:
        """The sid of a client that is still here under this pid: its old connection is dead and does not know it."""
        state = self._here.get(pid) if isinstance(pid, str) else None
        return state.sid if state is not None and state.namespace == namespace else None

    def claim(self, pid: object, offset: object, namespace: str, now: float) -> Claim | None:
        """The state behind a pid, which can be claimed once; ``None`` where there is none, or too much was missed.

        ``offset`` is that of the last event that the client has seen, ``None`` where it has seen none.
        """
        self.expire(now)
        state = self._away.get(pid) if isinstance(pid, str) else None
        if state is None or state.is_claimed or state.namespace != namespace:
            return None
        journal = self.journal(namespace)
        seq = state.begin if offset is None else journal.seq_of(offset)
        if seq is None or not journal.knows(max(seq, state.begin)):
            return None
        state.is_claimed = True
        return Claim(state, max(seq, state.begin))

    def discard(self, state: State) -> None:
        """The client was not let in again: what was remembered of it is forgotten."""
        self._away.pop(state.pid, None)

    def expire(self, now: float) -> None:
        """Forgets clients that have been away for too long, and old events."""
        while self._away:
            oldest = next(iter(self._away.values()))
            if now - oldest.dropped_at <= self._seconds:
                break
            self._away.popitem(last=False)
        for journal in list(self._written.values()):
            journal.expire(now)
            if not journal:
                del self._written[journal.namespace]
