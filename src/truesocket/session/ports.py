"""What an engine needs around it, and the words it uses: the ports of ``session/engine.py``.

``transports/`` and ``doors/`` implement :class:`Clock` and :class:`Link`, ``session/peer.py`` implements
:class:`EngineListener`, and everybody compares with :class:`Reason`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from truesocket.codec.engineio import EnginePacket
from truesocket.codec.parcel import Parcels
from truesocket.session.outbox import Overflow

if TYPE_CHECKING:
    from truesocket.session.engine import Engine

__all__ = ["Clock", "EngineListener", "EngineOptions", "Link", "Raw", "Reason", "State"]


class State(Enum):
    """See the table in ``session/engine.py``."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Reason:
    """Why a session ended: the official server's words, so that applications can compare them."""

    TRANSPORT_ERROR = "transport error"
    TRANSPORT_CLOSE = "transport close"
    FORCED_CLOSE = "forced close"
    PING_TIMEOUT = "ping timeout"
    PARSE_ERROR = "parse error"
    SHUTTING_DOWN = "server shutting down"
    SLOW = "slow consumer"
    TOO_MANY_PENDING = "too many pending events"
    RATE_LIMIT = "rate limit"


class Clock(Protocol):
    """Time as the sessions see it: ``transports/heartbeat.py``, or ``testing.FakeClock``."""

    @property
    def now(self) -> float:
        """Seconds, monotonic; it stands still while the loop does not turn."""

    @property
    def lag(self) -> float:
        """Seconds for which it has stood still in all: ``now + lag`` is time as the other side sees it."""

    def wake(self, engine: Engine, at: float) -> None:
        """Asks for a call of ``engine.tick()`` at about ``at``."""


class Raw(Protocol):
    """What takes bytes: a socket, or nearly so."""

    def write(self, data: bytes) -> object:
        """Never blocks."""


class Link(Protocol):
    """One WebSocket as an engine sees it: ``transports/stream.py`` or ``doors/asgi.py``."""

    writable: bool

    @property
    def raw(self) -> Raw | None:
        """Where a broadcast may write its frames, past :meth:`send`, while ``writable``.

        ``None`` where they are not the same bytes for everybody (compression), or not frames (hosts that frame).
        """

    def send(self, parcel: Parcels) -> None:
        """Writes a parcel, or some; only called while ``writable``."""

    def send_packet(self, packet: EnginePacket) -> None:
        """Writes a packet of the engine's own, writable or not."""

    def close(self, code: int, reason: str) -> None:
        """Closes the WebSocket behind what has been sent."""

    def pause(self) -> None:
        """Stops reading from the client."""

    def resume(self) -> None:
        """Reads again."""


class EngineListener(Protocol):
    """To whom an engine reports."""

    def received(self, data: str | bytes) -> None:
        """The content of one message packet."""

    def closed(self, reason: str) -> None:
        """The session is over; reported once."""

    def dropped(self) -> None:
        """An event was dropped, because more waits for this client than may."""

    def gone(self) -> None:
        """Not even a GET will be answered any more: forget the sid."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What all sessions of a server share.  Times in seconds, sizes in bytes."""

    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    max_payload: int = 1_000_000
    max_attachments: int = 10
    outbox_bytes: int = 4 * 1024 * 1024
    overflow: Overflow = Overflow.CLOSE
    upgrades: bool = True
