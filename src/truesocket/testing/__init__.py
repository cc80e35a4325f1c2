"""Helpers for tests: a clock that one moves by hand, and bytes cut at every place."""

from truesocket.testing.chop import chopped, splits
from truesocket.testing.clock import FakeClock

__all__ = ["FakeClock", "chopped", "splits"]
