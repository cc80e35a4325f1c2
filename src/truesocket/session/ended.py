"""What a session that has ended knows instead of its listener and its link: two that do nothing.

The clock looks at every session once more at the deadline that it had planned, up to a ping interval later.  A session
that has ended lets go of the rest of the world at once, so that only the little of its own is kept until then.
"""

from __future__ import annotations

from typing import Final

from truesocket.codec.engineio import EnginePacket
from truesocket.codec.parcel import Parcels
from truesocket.session.ports import EngineListener, Link

__all__ = ["NOBODY", "NOWHERE"]


class _Nobody:
    """Implements :class:`~truesocket.session.ports.EngineListener`."""

    __slots__ = ()

    def received(self, data: str | bytes) -> None:
        """Too late."""

    def closed(self, reason: str) -> None:
        """It knows."""

    def dropped(self) -> None:
        """Nothing is sent any more."""

    def gone(self) -> None:
        """It knows."""


class _Nowhere:
    """Implements :class:`~truesocket.session.ports.Link`: a WebSocket that takes nothing."""

    __slots__ = ()
    writable = False
    raw = None

    def send(self, parcel: Parcels) -> None:
        """Too late."""

    def send_packet(self, packet: EnginePacket) -> None:
        """Too late."""

    def close(self, code: int, reason: str) -> None:
        """It is closed."""

    def pause(self) -> None:
        """Nothing comes."""

    def resume(self) -> None:
        """Nothing comes."""


NOBODY: Final[EngineListener] = _Nobody()
NOWHERE: Final[Link] = _Nowhere()
