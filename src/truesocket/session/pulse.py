"""The heartbeat of one session: when its client was heard of, when it is pinged, when it is given up.

Revision 4: we ping, the client answers within the ping time-out.  Revision 3: the client pings, and is given up after
interval and time-out without a word.  While we do not read a client, its pong is not awaited.

It knows time and nothing else: no packets, no links.  ``session/engine.py`` is built on it, and does what is due.
"""

from __future__ import annotations

from truesocket.session.ports import Clock, EngineOptions

__all__ = ["Pulse"]


class Pulse:
    """The part of an engine that is about time; a base class, so that no session needs one object more."""

    __slots__ = ("_clock", "_heard", "_options", "_paused_at", "_ping_at", "revision")

    def __init__(self, revision: int, clock: Clock, options: EngineOptions) -> None:
        self.revision: int = revision
        self._clock = clock
        self._options = options
        self._paused_at: float | None = None
        self._heard = clock.now
        # When the client expects a ping, by its own time; None: one is out, its pong is awaited.
        self._ping_at: float | None = self._client_time() + options.ping_interval

    @property
    def paused(self) -> bool:
        """Whether we have stopped reading this client."""
        return self._paused_at is not None

    def _client_time(self) -> float:
        """Time as the client sees it: it expects its pings however busy our loop was."""
        return self._clock.now + self._clock.lag

    def _alive_until(self) -> float:
        """When the client is given up, if nothing is heard of it."""
        if self.revision == 3:
            return self._heard + self._options.ping_interval + self._options.ping_timeout
        return self._heard + self._options.ping_timeout

    def _pause_until(self, since: float) -> float:
        """A revision-3 client gives up when its own ping stays unanswered: better to tell it why, half way there."""
        return since + self._options.ping_timeout / 2

    def _next_beat(self) -> float:
        """When its heartbeat is to be looked at next."""
        if self.revision == 3 and self._paused_at is not None:
            return self._pause_until(self._paused_at)
        if self.revision == 4 and self._ping_at is not None:
            return self._ping_at - self._clock.lag
        return self._alive_until()

    # --- what has happened -------------------------------------------------------------------------------------

    def _pauses(self) -> None:
        """We read no more: a pong would not be read, so the next ping is due as if it had come."""
        self._paused_at = self._clock.now
        if self._ping_at is None:
            self._ping_at = self._heard + self._clock.lag + self._options.ping_interval

    def _resumes(self) -> None:
        """We read again; the time of the pause does not count."""
        self._heard = self._clock.now
        self._paused_at = None

    def _pinged(self) -> None:
        """A ping goes out; a client that we do not read is pinged on, but not held to its pong."""
        self._heard = self._clock.now
        self._ping_at = None if self._paused_at is None else self._client_time() + self._options.ping_interval

    def _ponged(self) -> bool:
        """A pong has come; whether it was awaited."""
        if self._ping_at is not None:
            return False
        self._ping_at = self._client_time() + self._options.ping_interval
        return True

    # --- what is due -------------------------------------------------------------------------------------------

    def _is_silent(self, now: float) -> bool:
        """Whether nothing has been heard for too long."""
        if self.revision == 3:
            return self._paused_at is None and now >= self._alive_until()
        return self._ping_at is None and now >= self._alive_until()

    def _is_ping_due(self) -> bool:
        """Revision 4: whether the client expects a ping by now."""
        return self.revision == 4 and self._ping_at is not None and self._client_time() >= self._ping_at

    def _is_pause_over(self, now: float) -> bool:
        """Revision 3: whether the client was not read for so long that it would give up."""
        return self.revision == 3 and self._paused_at is not None and now >= self._pause_until(self._paused_at)
