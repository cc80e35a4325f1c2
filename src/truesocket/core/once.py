"""Events that a client repeats until they are answered: each is handled once.

A client with ``retries`` (ours has them) sends one event at a time, with the same ack id until the answer comes; where
the answer is lost on the way, so is what we know of it, unless we remember.  The client names a key of its own in the
CONNECT payload (``retry_key``, 128 bits that nobody guesses), which stays the same for its next connections.  Under
that key the last answers are kept.

=====================================  ==============================================================================
an event that wants an ack, and        what happens
=====================================  ==============================================================================
is new                                 its handler runs; ``begins`` says so
is being handled                       nothing: the answer goes out when it is there, on the newest connection
has been answered                      the same answer again
failed (the handler raised)            its handler runs again: that is what the client repeats it for
=====================================  ==============================================================================

So a handler that ends without an error has run exactly once, as long as the server runs and the client is not away for
longer than ``seconds``.  Time is an argument.  Called on the loop only.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final

from truesocket.codec.parcel import Parcel

__all__ = ["KEY", "Ledger", "Once", "Verdict"]

#: The name of the key in the payload of CONNECT.
KEY: Final = "retry_key"
#: Ledger kept of one client: it has one event on its way, the others are there for those who do not wait.
_ANSWERS = 32
#: The shortest and longest key that is taken for one.
_KEY_LENGTHS = range(16, 129)


class Verdict(Enum):
    """What to do with an event that a client may have sent before."""

    RUN = "run"
    WAIT = "wait"
    REPEAT = "repeat"


class Ledger:
    """What one client has been told.  ``seen_at`` is when it was last here."""

    __slots__ = ("_answers", "owner", "place", "seen_at")

    def __init__(self, place: tuple[str, str]) -> None:
        self.place: tuple[str, str] = place  # namespace and key
        self._answers: OrderedDict[int, Parcel | None] = OrderedDict()  # None: being handled
        self.seen_at: float = 0.0
        self.owner: object = None  # the client's newest connection, which hears the answers

    def look(self, id: int) -> tuple[Verdict, Parcel | None]:
        """An event with this ack id has come: what to do, and the answer where there is one."""
        if id not in self._answers:
            self._answers[id] = None
            while len(self._answers) > _ANSWERS:
                self._answers.popitem(last=False)
            return Verdict.RUN, None
        answer = self._answers[id]
        return (Verdict.WAIT if answer is None else Verdict.REPEAT), answer

    def answered(self, id: int, answer: Parcel) -> None:
        """Its handler has ended; the same answer is given from now on."""
        if id in self._answers:
            self._answers[id] = answer

    def failed(self, id: int) -> None:
        """Its handler has failed; the next time it is a new event."""
        self._answers.pop(id, None)


class Once:
    """The answers of all clients that named a key.

    They are forgotten after ``seconds`` without their client, and where there are more than ``clients`` of them.
    """

    def __init__(self, seconds: float, clients: int) -> None:
        self._seconds = seconds
        self._clients = clients
        self._known: OrderedDict[tuple[str, str], Ledger] = OrderedDict()  # the one seen last is the last

    def __len__(self) -> int:
        return len(self._known)

    def of(self, namespace: str, key: object, now: float) -> Ledger | None:
        """The answers of a client that comes in; ``None`` where it names no key."""
        if not isinstance(key, str) or len(key) not in _KEY_LENGTHS:
            return None
        self.expire(now)
        place = (namespace, key)
        found = self._known.get(place) or Ledger(place)
        self.seen(found, now)
        return found

    def seen(self, answers: Ledger, now: float) -> None:
        """Their client is here, or leaves just now: from then on it is away."""
        answers.seen_at = now
        self._known[answers.place] = answers
        self._known.move_to_end(answers.place)
        while len(self._known) > self._clients:
            self._known.popitem(last=False)

    def expire(self, now: float) -> None:
        """Forgets clients that have been away for too long."""
        while self._known:
            oldest = next(iter(self._known.values()))
            if now - oldest.seen_at <= self._seconds:
                break
            del self._known[oldest.place]
