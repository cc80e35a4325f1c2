"""Taking a connection over from a WSGI host that shows its socket: gunicorn and Werkzeug.

The descriptor of the client's connection moves to a socket of ours, and the host's own socket object gets one end of a
dummy pair in its place.  So the host needs no exception to let go: it writes its goodbye into the dummy, reads the end
of the stream from it, and closes it as it closes every connection.  Its thread is free at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, cast

from truesocket.codec import upgrade
from truesocket.doors.entrance import Entrance
from truesocket.doors.opening import Wanted, open_stream
from truesocket.transports.polling import HttpReply, error_reply

__all__ = ["Goodbye", "OpenedLater", "ParkedAnswer", "Taken", "adopt", "host_socket", "take"]

_log = logging.getLogger("truesocket")

#: Where hosts show their socket.
_KEYS = ("gunicorn.socket", "werkzeug.socket")
#: Seconds that a client has to fetch the answer to its parked request once that is written.
_CUT = 30.0


def host_socket(environ: dict[str, Any]) -> socket.socket | None:
    """The host's socket, whether we can have it or not; ``None`` where it shows none, or shares it (HTTP/2)."""
    if not str(environ.get("SERVER_PROTOCOL", "")).startswith("HTTP/1."):
        return None
    for key in _KEYS:
        found = environ.get(key)
        if isinstance(found, socket.socket):
            return found
    return None


def can_take(environ: dict[str, Any]) -> bool:
    """Whether :func:`take` will do: a plain socket, in a process that lives on when this request ends."""
    sock = host_socket(environ)
    if sock is None or isinstance(
        sock, ssl.SSLSocket
    ):  # asyncio cannot go on with a TLS session that somebody else began
        return False
    return "gunicorn.socket" in environ or not environ.get("wsgi.multiprocess")  # Werkzeug forks for each request


@dataclass(slots=True)
class Taken:
    """A connection that is ours: ``early`` came behind the request, ``spare`` is our end of the host's dummy."""

    sock: socket.socket
    early: bytes
    spare: socket.socket


def take(environ: dict[str, Any]) -> Taken | None:
    """Takes the connection from the host; ``None`` where that is not possible (nothing has changed then)."""
    host = host_socket(environ)
    if host is None or not can_take(environ):
        return None
    try:
        spare, dummy = socket.socketpair()
    except OSError as error:  # no more descriptors
        _log.warning("a connection could not be taken over from the WSGI host: %s", error)
        return None
    spare.shutdown(socket.SHUT_WR)
    kind = (host.family, host.type, host.proto)
    sock = socket.socket(*kind, fileno=host.detach())
    socket.socket.__init__(host, dummy.family, dummy.type, dummy.proto, dummy.detach())
    return Taken(sock, _early(environ), spare)


def _early(environ: dict[str, Any]) -> bytes:
    """What the host has read behind the request; it must not see that again, it would be a broken request to it.

    No client has a reason to send any: it waits for the answer (RFC 6455, 4.1), and a request behind a parked one
    will be sent again, because the answer says ``Connection: close``.
    """
    stream = environ.get("wsgi.input")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if "werkzeug.socket" in environ:
            return bytes(cast(Any, stream).read())  # ends at the dummy's end
        unreader = cast(Any, stream).reader.unreader  # gunicorn's
        early = bytes(unreader.buf.getvalue())
        unreader.buf = type(unreader.buf)()
        return early
    return b""


class Goodbye:
    """What the host gets as our response: nothing to write, and the dummy's end when it has done so."""

    def __init__(self, spare: socket.socket) -> None:
        self._spare = spare

    def __iter__(self) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        """The host has finished (PEP 3333).  Unread, its goodbye would come back to it as a broken connection."""
        self._spare.setblocking(False)
        with contextlib.suppress(OSError):
            while self._spare.recv(65_536):
                pass
        self._spare.close()


# --- on the loop ------------------------------------------------------------------------------------------------------


def adopt(loop: asyncio.AbstractEventLoop, taken: Taken, protocol: asyncio.Protocol) -> None:
    """Hands a connection to the loop, from any thread, and does not wait."""
    goes_on = _adopt(loop, taken.sock, lambda: protocol)
    try:
        asyncio.run_coroutine_threadsafe(goes_on, loop)
    except RuntimeError:  # the loop has just ended
        goes_on.close()
        taken.sock.close()


async def _adopt(loop: asyncio.AbstractEventLoop, sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> None:
    try:
        await loop.connect_accepted_socket(factory, sock)
    except BaseException as error:
        sock.close()
        if not isinstance(error, OSError | asyncio.CancelledError):
            raise


class OpenedLater(asyncio.Protocol):
    """A WebSocket that is opened as soon as the loop has its connection."""

    def __init__(self, entrance: Entrance, wanted: Wanted, early: bytes) -> None:
        self._entrance = entrance
        self._wanted = wanted
        self._early = early

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        own = cast(asyncio.Transport, transport)
        if not self._entrance.server.running:  # it has ended since
            own.abort()
            return
        stream = open_stream(self._entrance, self._wanted, own, self._entrance.streams)
        if stream is None:
            return
        own.set_protocol(stream)
        if self._early:
            stream.data_received(self._early)


class ParkedAnswer(asyncio.Protocol):
    """A request that is answered when ``task`` ends; the connection ends with it."""

    def __init__(self, entrance: Entrance, task: asyncio.Future[HttpReply]) -> None:
        self._entrance = entrance
        self._task = task
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._cut: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._entrance.streams.add(self)
        self._task.add_done_callback(self._answer)

    def eof_received(self) -> None:
        """The client goes before there was anything to tell."""
        self._task.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._entrance.streams.discard(self)
        self._task.cancel()
        if self._cut is not None:
            self._cut.cancel()

    def abort(self) -> None:
        """Ends the connection without a word."""
        self._transport.abort()

    @property
    def is_flushed(self) -> bool:
        """Whether all that was written is out of our hands."""
        return not self._transport.get_write_buffer_size()

    def _answer(self, task: asyncio.Future[HttpReply]) -> None:
        if self._transport.is_closing():
            return
        if not task.cancelled():
            self._transport.write(_whole(_result(task)))
        self._transport.close()
        self._cut = asyncio.get_running_loop().call_later(_CUT, self._transport.abort)


def _result(task: asyncio.Future[HttpReply]) -> HttpReply:
    error = task.exception()
    if error is None:
        return task.result()
    _log.error("a polling request failed; this is a bug in truesocket, please report it", exc_info=error)
    return error_reply(3, status=500)


def _whole(reply: HttpReply) -> bytes:
    headers = (("Date", formatdate(usegmt=True)), *reply.headers)
    return upgrade.refusal(reply.status, reply.body, headers, reply.content_type)
