"""Looks at every new connection a second time, some seconds later, without a timer for each.

Two questions are asked of a newcomer: has it joined a namespace (else it is closed after ``connect_timeout``), and has
it got its WebSocket (else the log says that it stayed on long-polling, and why)?
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from truesocket.core.ports import Handshake
from truesocket.session.peer import Peer

__all__ = ["Newcomers"]

_Check = Callable[[Peer[Handshake]], None]


class Newcomers:
    """``checks`` are pairs of a delay in seconds and what to do with the peer then."""

    def __init__(self, *checks: tuple[float, _Check]) -> None:
        self._queues: list[tuple[float, _Check, deque[tuple[float, Peer[Handshake]]]]] = [
            (delay, check, deque()) for delay, check in checks
        ]

    def add(self, peer: Peer[Handshake], now: float) -> None:
        """A peer has just come in."""
        for delay, _, queue in self._queues:
            queue.append((now + delay, peer))

    def look(self, now: float) -> None:
        """Asks whoever is due."""
        for _, check, queue in self._queues:
            while queue and queue[0][0] <= now:
                check(queue.popleft()[1])

    def clear(self) -> None:
        """Forgets everybody."""
        for _, _, queue in self._queues:
            queue.clear()
