"""Handlers that go on talking to a client who left long ago: named in the log first, ended in the end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from truesocket.core.socket import Socket
from truesocket.errors import Disconnected
from truesocket.session.engine import Reason

if TYPE_CHECKING:
    from truesocket.core.runner import Runner

__all__ = ["check"]

_log = logging.getLogger("truesocket")

#: Seconds after which a handler that still talks to a client who left is mentioned in the log.
_WARNING = 60.0


def check(socket: Socket, age: float, timeout: float, runner: Runner) -> None:
    """``socket`` left ``age`` seconds ago, and its handler emits to it.  Raises ``Disconnected`` behind ``timeout``."""
    if age > timeout:
        raise Disconnected(socket.reason or Reason.TRANSPORT_CLOSE)
    if age > _WARNING and not socket.warned:
        socket.warned = True
        _log.warning(
            "a handler still emits to %s (%s), who left %.0f s ago (%s); it will be ended after %.0f s."
            " End the loop when the client leaves, or use socketio.start_background_task for endless work.",
            socket.sid,
            ", ".join(runner.handlers_of(socket)) or "in a thread of its own",
            age,
            socket.reason,
            timeout,
        )
