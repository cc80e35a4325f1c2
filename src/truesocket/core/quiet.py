"""Log lines that strangers can cause, bounded in rate: so many at once, then their number.

Whoever sends garbage to a server gets one line per session, but may open a thousand sessions a second.  The first lines
of a period are written, the rest is counted, and the first line of a later period says how many there were.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

__all__ = ["Quiet"]


class Quiet:
    """Writes at most ``most`` lines in ``period`` seconds; ``now`` gives the time in seconds."""

    def __init__(
        self,
        log: logging.Logger,
        *,
        most: int = 20,
        period: float = 10.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._now = now
        self._most = most
        self._period = period
        self._since: float | None = None  # when the period began
        self._lines = 0
        self.swallowed: int = 0  #: lines of this period that were not written

    def say(self, level: int, text: str, *args: object) -> None:
        """One line, if there is room for it."""
        self.look()
        if self._since is None:
            self._since = self._now()
        self._lines += 1
        if self._lines <= self._most:
            self._log.log(level, text, *args)
        else:
            self.swallowed += 1

    def look(self) -> None:
        """Ends a period that is over, with a line that says what was not written; called every second, too."""
        if self._since is not None and self._now() - self._since >= self._period:
            self.finish()

    def finish(self) -> None:
        """Ends the period now."""
        swallowed, self.swallowed = self.swallowed, 0
        self._since, self._lines = None, 0
        if swallowed:
            self._log.warning("%d more like this, in about %.0f s", swallowed, self._period)
