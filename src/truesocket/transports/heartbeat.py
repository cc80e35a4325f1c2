"""One timer wheel for all sessions of a server: no task and no timer per client.

The wheel is also the sessions' clock.  It counts only time in which the loop turned: a tick that comes late by more
than one slot (a blocked loop, SIGSTOP, a laptop's sleep) moves every deadline by the lag, because the clock did not
advance, and the bytes that piled up meanwhile are read before the next tick.  So nobody is expired for our own delay.
"""

from __future__ import annotations

import asyncio

from truesocket.session.engine import Engine

__all__ = ["Heartbeat"]

#: Seconds between two ticks.
SLOT = 0.1


class Heartbeat:
    """Implements :class:`truesocket.session.engine.Clock` on an event loop."""

    __slots__ = ("_handle", "_loop", "_planned", "_slot", "_wheel", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._slot = 0
        self._wheel: dict[int, set[Engine]] = {}
        self._planned = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts to tick on ``loop``; called on that loop."""
        self._loop = loop
        self._planned = loop.time() + SLOT
        self._handle = loop.call_at(self._planned, self._tick)

    def stop(self) -> None:
        """Stops ticking and forgets every deadline."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop = None
        self._wheel.clear()

    def wake(self, engine: Engine, at: float) -> None:
        """Calls ``engine.tick()`` in the first slot that ends at or after ``at``."""
        slot = max(int(at / SLOT) + 1, self._slot + 1)
        members = self._wheel.get(slot)
        if members is None:
            self._wheel[slot] = {engine}
        else:
            members.add(engine)

    def _tick(self) -> None:
        loop = self._loop
        if loop is None:
            return
        late = loop.time() - self._planned
        self._planned = max(self._planned, loop.time() - SLOT) + SLOT if late > SLOT else self._planned + SLOT
        self._handle = loop.call_at(self._planned, self._tick)
        self._slot += 1
        self.now = self._slot * SLOT
        for engine in self._wheel.pop(self._slot, ()):
            at = engine.tick()
            if at is not None:
                self.wake(engine, at)
