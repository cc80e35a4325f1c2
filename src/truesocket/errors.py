"""Every exception that truesocket raises, one tree.

::

    TruesocketError
    ├── ProtocolError            the peer broke the rules; carries close_code and http_status
    │   ├── FrameError           a WebSocket frame (RFC 6455, section 5)
    │   ├── PacketError          an Engine.IO or Socket.IO packet, or a polling payload
    │   ├── UpgradeError         the opening handshake (RFC 6455, section 4)
    │   └── TooLarge             more bytes than the limit allows
    ├── UsageError               the application broke the rules
    │   ├── UnknownOption        an option that does not exist; names the nearest one
    │   ├── UnknownSid           a sid that nobody has (any more)
    │   └── WrongValue           an argument that cannot work; also a builtin ValueError
    ├── Refused                  raised by a connect handler; its args travel to the client
    ├── AckTimeout               nobody answered in time; also a builtin TimeoutError
    └── BrokerError
        └── BrokerUnavailable
    Disconnected(BaseException)  ends a handler whose client is long gone

Codecs raise; sessions catch and turn an error into a close with a reason; a transport never sees an exception from
below.  Every text says what to do instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AckTimeout",
    "BrokerError",
    "BrokerUnavailable",
    "Disconnected",
    "FrameError",
    "PacketError",
    "ProtocolError",
    "Refused",
    "TooLarge",
    "TruesocketError",
    "UnknownOption",
    "UnknownSid",
    "UpgradeError",
    "UsageError",
    "WrongValue",
    "nearest",
]


class TruesocketError(Exception):
    """The root of the tree."""


class ProtocolError(TruesocketError):
    """The remote side broke the protocol.

    ``close_code`` is the WebSocket close code (RFC 6455, 7.4.1) and ``http_status`` the status of an HTTP answer that
    tell the remote side so.
    """

    close_code: int = 1002
    http_status: int = 400

    def __init__(self, message: str, *, close_code: int | None = None, http_status: int | None = None) -> None:
        super().__init__(message)
        if close_code is not None:
            self.close_code = close_code
        if http_status is not None:
            self.http_status = http_status


class FrameError(ProtocolError):
    """A WebSocket frame or message that RFC 6455 forbids."""


class PacketError(ProtocolError):
    """An Engine.IO packet, a Socket.IO packet or a polling payload that nobody can read."""


class UpgradeError(ProtocolError):
    """A request for a WebSocket that must be refused.  ``headers`` belong into the HTTP answer."""

    def __init__(self, message: str, *, http_status: int = 400, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message, http_status=http_status)
        self.headers = headers


class TooLarge(ProtocolError):
    """More bytes than ``max_payload`` allows."""

    close_code = 1009
    http_status = 413


class UsageError(TruesocketError):
    """The application called something in a way that cannot work; the text says what to do instead."""


class UnknownOption(UsageError, TypeError):
    """An option that does not exist.  Also a ``TypeError``, as for any unknown keyword argument."""

    def __init__(self, name: str, known: Iterable[str], *, where: str = "SocketIO()") -> None:
        hint = nearest(name, known)
        super().__init__(f"{where} has no option {name!r}{hint or '; see docs/reference/options.md for all of them'}")


class UnknownSid(UsageError, KeyError):
    """A sid that no connected client has; also a ``KeyError``.  Clients come and go: be ready for it."""

    def __init__(self, sid: object, namespace: str) -> None:
        self.sid: object = sid
        super().__init__(f"no client with sid {sid!r} in the namespace {namespace!r}; it may have left just now")

    def __str__(self) -> str:
        return str(self.args[0])


class WrongValue(UsageError, ValueError):
    """An argument that cannot work.  Also a ``ValueError``, which applications of Flask-SocketIO expect there."""


class Refused(TruesocketError):
    """Raise it in a connect handler to refuse the client.

    ``Refused("not today", {"retry": 60})`` reaches the browser as ``connect_error`` with the message ``"not today"``
    and the data ``{"retry": 60}`` (Socket.IO protocol 5, CONNECT_ERROR).
    """

    @property
    def payload(self) -> dict[str, object]:
        """The CONNECT_ERROR payload: ``{"message": ..., "data": ...}``."""
        if not self.args:
            return {"message": "Connection rejected by server"}
        payload: dict[str, object] = {"message": self.args[0] if isinstance(self.args[0], str) else str(self.args[0])}
        if len(self.args) == 2:
            payload["data"] = self.args[1]
        elif len(self.args) > 2:
            payload["data"] = list(self.args[1:])
        return payload


class AckTimeout(TruesocketError, TimeoutError):
    """Nobody answered within the time-out, or the client left before it answered."""


class BrokerError(TruesocketError):
    """The link between server processes failed."""


class BrokerUnavailable(BrokerError):
    """There is no broker, or it cannot be reached."""


class Disconnected(BaseException):
    """Ends a handler that goes on emitting to a client that left long ago (``orphan_timeout``).

    A ``BaseException``, so that ``except Exception`` inside an endless loop does not keep the loop spinning.
    ``reason`` says why the client left.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for a misspelt ``name``, or an empty string if nothing comes close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
