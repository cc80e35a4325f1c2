"""How much of everything: token buckets and counts, with the time as an argument.

``core/reception.py`` and ``doors/entrance.py`` ask here who may still come in, and ``core/reception.py`` whether a
client may still say something.  A limit that is off is not asked at all; one that is on costs the same however many
clients there are, and a client that says nothing costs nothing.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from truesocket.core.config import Config

__all__ = ["Addresses", "Bucket", "Limits", "Meter", "OverRate", "Refusal", "network_of"]

#: Bits of an IPv6 address that name one customer's network: whoever has one has 2^64 of the rest.
_IPV6_PREFIX = 64


class Bucket:
    """So many a second, and up to ``burst`` at once.  What is taken beyond is refused, and costs nothing."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Whether ``amount`` may pass.  More than the burst at once passes when the bucket is full, and is paid off."""
        left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if left < min(amount, self._burst):
            self._left = left
            return False
        self._left = left - amount
        return True

    def wait(self, amount: float = 1.0) -> float:
        """Seconds until ``amount`` may pass, as of the last ``take``."""
        return max(0.0, (min(amount, self._burst) - self._left) / self._rate)


class OverRate(Enum):
    """What becomes of a packet of a client that sends more than it may."""

    WARN = "warn"  #: it counts, and goes on its way
    DROP = "drop"  #: it is dropped, with its attachments
    CLOSE = "close"  #: the client is closed with the reason "rate limit"


@dataclass(frozen=True, slots=True)
class Refusal:
    """``cause`` is what the statistics call it; ``retry_after`` in seconds."""

    cause: str
    retry_after: int


class Addresses:
    """How many connections each address has."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, address: str) -> int:
        """Those of one address, or of its IPv6 network."""
        return self._counts.get(network_of(address), 0)

    def add(self, address: str) -> None:
        """One more."""
        network = network_of(address)
        self._counts[network] = self._counts.get(network, 0) + 1

    def remove(self, address: str) -> None:
        """One less; who has none is forgotten."""
        network = network_of(address)
        left = self._counts.get(network, 0) - 1
        if left > 0:
            self._counts[network] = left
        else:
            self._counts.pop(network, None)

    def clear(self) -> None:
        """Forgets everybody."""
        self._counts.clear()


@lru_cache(maxsize=1024)  # asked three times in the life of a client, 4 us each
def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, an IPv6 network of 64 bits; any other text is itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False))


class Meter:
    """What one client has said lately; made when it says something for the first time."""

    __slots__ = ("_bytes", "_events", "told")

    def __init__(self, config: Config, now: float) -> None:
        events, size = config.events_per_second, config.bytes_per_second
        self._events = Bucket(events, config.events_burst or events * 2, now) if events else None
        self._bytes = Bucket(size, config.bytes_burst or size * 2, now) if size else None
        self.told: bool = False  # whether the log has named this client

    def passes(self, now: float, size: int, *, counts: bool) -> bool:
        """Whether a packet of ``size`` bytes stays within the limits; ``counts`` says whether it is an event."""
        within = self._bytes is None or self._bytes.take(now, size)
        if counts and self._events is not None and not self._events.take(now):
            within = False
        return within


class Limits:
    """The limits of one server.  Lives on the loop."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._handshakes: Bucket | None = None
        self.addresses: Addresses = Addresses()
        self.meters: bool = bool(config.events_per_second or config.bytes_per_second)
        self.over_rate: OverRate = OverRate(config.over_rate)

    def handshake(self, now: float) -> Refusal | None:
        """One more client asks to come in: asked before anything is done for it."""
        rate = self._config.handshakes_per_second
        if not rate:
            return None
        if self._handshakes is None:
            self._handshakes = Bucket(rate, self._config.handshakes_burst or rate, now)
        if self._handshakes.take(now):
            return None
        return Refusal("handshakes", int(self._handshakes.wait()) + 1)

    def room(self, connections: int, address: str) -> Refusal | None:
        """Whether there is room for one more client, from this address."""
        config = self._config
        if config.max_connections and connections >= config.max_connections:
            return Refusal("connections", 5)
        most = config.max_connections_per_address
        if most and self.addresses.count(address) >= most:
            return Refusal("address", 5)
        return None

    def enter(self, address: str) -> None:
        """A client has come in."""
        if self._config.max_connections_per_address:
            self.addresses.add(address)

    def leave(self, address: str) -> None:
        """It has gone."""
        if self._config.max_connections_per_address:
            self.addresses.remove(address)

    def meter(self, now: float) -> Meter:
        """For a client that says something for the first time."""
        return Meter(self._config, now)
