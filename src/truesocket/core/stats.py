"""What a server has counted: who is here, who was refused and why, who was too slow or too loud.

The loop counts (:class:`Counts`), anybody may look (:class:`Stats`, ``server.stats``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["Counts", "Stats"]


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot; numbers are since the server was made, but for ``connections``."""

    #: Clients that are here now, by transport: ``{"websocket": 40, "polling": 2}``.
    connections: Mapping[str, int]
    #: Clients that have come in, by the transport that they came in with.
    opened: Mapping[str, int]
    #: Requests and packets that were refused, by cause: ``request`` (not understood, or of a session that is over),
    #: ``origin``, ``allow_request``, ``connections``, ``address``, ``handshakes``, ``connect`` (a connect handler said
    #: no), ``namespaces``, ``rooms``, ``ending`` (the server was about to end).
    refused: Mapping[str, int]
    #: Clients that were closed because they read too slowly.
    slow_closed: int
    #: Events that were dropped for clients that read too slowly.
    slow_dropped: int
    #: Packets above ``events_per_second`` or ``bytes_per_second``, whatever became of them.
    rate_limited: int
    #: Clients that were closed because they sent what nobody could read, or more than they may.
    parse_errors: int
    #: Clients that were closed because too much was waiting for their handlers.
    overloaded: int
    #: ``emit(callback=)``: callbacks that were given up, because the client answers none.
    callbacks_forgotten: int


class Counts:
    """The counters; touched by the loop alone."""

    __slots__ = (
        "callbacks_forgotten",
        "opened",
        "overloaded",
        "parse_errors",
        "rate_limited",
        "refused",
        "slow_closed",
        "slow_dropped",
    )

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.slow_closed: int = 0
        self.slow_dropped: int = 0
        self.rate_limited: int = 0
        self.parse_errors: int = 0
        self.overloaded: int = 0
        self.callbacks_forgotten: int = 0

    def snapshot(self, transports: list[str]) -> Stats:
        """What there is, with the transports of those who are here."""
        here = Counter({"websocket": 0, "polling": 0})
        here.update(transports)
        return Stats(
            connections=MappingProxyType(dict(here)),
            opened=MappingProxyType(dict(self.opened)),
            refused=MappingProxyType(dict(self.refused)),
            slow_closed=self.slow_closed,
            slow_dropped=self.slow_dropped,
            rate_limited=self.rate_limited,
            parse_errors=self.parse_errors,
            overloaded=self.overloaded,
            callbacks_forgotten=self.callbacks_forgotten,
        )
