"""Time that a test moves by hand."""

from __future__ import annotations

import heapq
import itertools

from truesocket.session.engine import Engine

__all__ = ["FakeClock"]

#: Seconds behind which an engine that asks for the past is called again.
_SOON = 0.001


class FakeClock:
    """Implements :class:`truesocket.session.engine.Clock`; starts at ``now`` seconds and stands still by itself."""

    def __init__(self, now: float = 0.0) -> None:
        self.now: float = now
        self.lag: float = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Engine]] = []

    def wake(self, engine: Engine, at: float) -> None:
        """Calls ``engine.tick()`` when the time reaches ``at``."""
        heapq.heappush(self._due, (at, next(self._order), engine))

    def advance(self, seconds: float) -> None:
        """Moves the time on, and calls whoever is due on the way, in order and each at its own time."""
        end = self.now + seconds
        while self._due and self._due[0][0] <= end:
            at, _, engine = heapq.heappop(self._due)
            self.now = max(self.now, at)
            again = engine.tick()
            if again is not None:
                self.wake(engine, max(again, self.now + _SOON))
        self.now = end

    def stall(self, seconds: float) -> None:
        """The process stands still for a while: the world goes on, this clock does not."""
        self.lag += seconds
