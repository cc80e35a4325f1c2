"""One timer wheel for all sessions of a server: no task and no timer per client.

The wheel is also the sessions' clock.  It counts only time in which the loop turned: where a tick comes late by more
than a slot (a blocked loop, SIGSTOP, a laptop's sleep), the clock does not advance by the lag, so every deadline moves
by it, and the bytes that piled up meanwhile are read before anybody is looked at.  Nobody is expired for our own delay.
Halts right behind one another leave no time to read what the clients have answered: of four in a row, one slot counts.
What the *other* side waits for, our pings, is sent by ``now + lag``: a busy loop must not let its clients down.
"""

from __future__ import annotations

import asyncio
import logging

from truesocket.session.engine import Engine

__all__ = ["Heartbeat"]

_log = logging.getLogger("truesocket")

#: Seconds between two ticks.
SLOT = 0.1
#: Seconds that the loop gets behind a late tick to read what piled up.
_READ_PASS = 0.01
#: How often in a row it gets that, where it stands still again and again.  Then whoever waits for a ping gets it.
_MOST_READ_PASSES = 3
#: Slots behind which a late tick was a halt: of the slot around it, the loop had next to nothing.
_HALT = 5


class Heartbeat:
    """Implements :class:`truesocket.session.engine.Clock` on an event loop."""

    __slots__ = ("_handle", "_lag_slots", "_loop", "_passes", "_seen", "_slot", "_started", "_wheel", "lag", "now")

    def __init__(self) -> None:
        self.now: float = 0.0
        self.lag: float = 0.0
        self._slot = 0  # slots since the start
        self._seen = 0  # the slot in which we last looked whether we are late
        self._passes = 0  # for reading, since somebody was looked at
        self._lag_slots = 0  # how many of them do not count
        self._wheel: dict[int, set[Engine]] = {}
        self._started = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts to tick on ``loop``; called on that loop."""
        self._loop = loop
        self._started = loop.time() - self._slot * SLOT
        self._seen = self._slot
        self._plan(loop)

    def stop(self) -> None:
        """Stops ticking and forgets every deadline."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop = None
        self._wheel.clear()

    def wake(self, engine: Engine, at: float) -> None:
        """Calls ``engine.tick()`` in the first slot that ends at or after ``at``."""
        slot = max(int(at / SLOT) + 1 + self._lag_slots, self._slot + 1)
        members = self._wheel.get(slot)
        if members is None:
            self._wheel[slot] = {engine}
        else:
            members.add(engine)

    def _plan(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_at(self._started + (self._slot + 1) * SLOT, self._tick)

    def _tick(self) -> None:
        loop = self._loop
        if loop is None:
            return
        reached = int((loop.time() - self._started) / SLOT)
        late, self._seen = reached - self._seen - 1, reached
        if late >= 1:
            may_read = self._passes < _MOST_READ_PASSES
            self._lag_slots += late + (1 if may_read and late >= _HALT else 0)
            self.lag = self._lag_slots * SLOT
            if may_read:
                self._passes += 1
                self._handle = loop.call_later(_READ_PASS, self._tick)
                return
        self._passes = 0
        self._turn()

    def _turn(self) -> None:
        """Looks at everybody who is due."""
        loop = self._loop
        if loop is None:
            return
        slot = max(self._slot + 1, self._lag_slots, int((loop.time() - self._started) / SLOT))
        due = [slot] if slot == self._slot + 1 else sorted(key for key in self._wheel if key <= slot)
        self._slot = self._seen = slot
        self.now = (slot - self._lag_slots) * SLOT
        self._plan(loop)
        for key in due:
            for engine in self._wheel.pop(key, ()):
                self._look(engine)

    def _look(self, engine: Engine) -> None:
        try:
            at = engine.tick()
        except Exception:  # one broken session must not stop the clock of all others
            _log.exception("a heartbeat failed; this is a bug in truesocket, please report it")
            return
        if at is not None:
            self.wake(engine, at)
