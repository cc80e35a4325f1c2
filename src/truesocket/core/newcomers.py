"""Looks at every new connection a second time, some seconds later, without a timer for each.

Two questions are asked of a newcomer: has it joined a namespace (else it is closed after ``connect_timeout``), and has
it got its WebSocket (else the log says that it stayed on long-polling, and why)?

What waits for its second look is a sid: a client that has left meanwhile is held by nobody.  Those who came in the same
tick of the clock wait together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from truesocket.core.ports import Handshake
from truesocket.session.peer import Peer

__all__ = ["Newcomers"]

_Check = Callable[[Peer[Handshake]], None]


class Newcomers:
    """``peers`` are those who are here, by sid; ``checks`` pairs of a delay in seconds and what to do with a peer then.

    Clients come in their order: each queue is sorted by itself.
    """

    def __init__(self, peers: Mapping[str, Peer[Handshake]], *checks: tuple[float, _Check]) -> None:
        self._peers = peers
        self._queues: list[tuple[float, _Check, deque[tuple[float, list[str]]]]] = [
            (delay, check, deque()) for delay, check in checks
        ]

    def add(self, sid: str, now: float) -> None:
        """A peer has just come in."""
        for delay, _, queue in self._queues:
            if not queue or queue[-1][0] != now + delay:
                queue.append((now + delay, []))
            queue[-1][1].append(sid)

    def look(self, now: float) -> None:
        """Asks whoever is due, and still here."""
        for _, check, queue in self._queues:
            while queue and queue[0][0] <= now:
                for sid in queue.popleft()[1]:
                    peer = self._peers.get(sid)
                    if peer is not None:
                        check(peer)

    def clear(self) -> None:
        """Forgets everybody."""
        for _, _, queue in self._queues:
            queue.clear()
