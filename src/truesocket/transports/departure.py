"""Whether the other side of a socket has gone, asked without reading.

A loop that does not read a socket does not hear of its end: what has been sent before stands in front of it.  Linux
tells all the same (``POLLRDHUP``).  Elsewhere the answer is always no, and a heartbeat finds out later.
"""

from __future__ import annotations

import select
from typing import Protocol

__all__ = ["has_left"]


class HasFileno(Protocol):
    """A socket, or what asyncio and uvloop give for one."""

    def fileno(self) -> int:
        """Its descriptor, -1 once closed."""


#: 0 where the system has no such event.
_HANG_UP: int = getattr(select, "POLLRDHUP", 0)


def has_left(sock: HasFileno | None) -> bool:
    """Whether the other side sends no more; ``False`` where the system cannot tell."""
    if sock is None or not _HANG_UP or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), _HANG_UP)
    return bool(poll.poll(0))
