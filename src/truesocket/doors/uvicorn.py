"""The fast way in, under uvicorn: the WebSocket's raw transport goes to ``transports/stream.py``.

:class:`Door` is a WebSocket protocol class for uvicorn (``--ws truesocket.doors.uvicorn:Door``).  It answers the
opening handshake of requests to our own path and hands the transport on; any other path goes to uvicorn's own class.
:func:`serve` runs uvicorn with it.

What is expected of uvicorn, beyond its documentation, and pinned by ``tests/doors/test_uvicorn.py``: ``Config.ws``
takes a class or an import string; it is built as ``cls(config=, server_state=, app_state=)``; it gets
``connection_made(transport)``, then the request's head through ``data_received``, then ``transport.set_protocol``;
``server_state.connections`` is a set whose members have ``shutdown()``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import inspect
import logging
import math
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, cast

import uvicorn
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
from uvicorn.server import HANDLED_SIGNALS, ServerState

from truesocket.codec import upgrade
from truesocket.codec.upgrade import Head
from truesocket.core import turns
from truesocket.core.ports import Handshake
from truesocket.doors import opening, tls
from truesocket.doors.asgi import Receive, Scope, Send
from truesocket.doors.entrance import Entrance
from truesocket.doors.opening import BookedStream
from truesocket.errors import UnknownOption, UpgradeError, UsageError
from truesocket.transports.polling import HttpReply

__all__ = ["Application", "Door", "Server", "bind", "serve"]

_log = logging.getLogger("truesocket")

#: Seconds between two looks, while the server ends.
_LOOK = 0.02
#: The exit code of a program whose lifespan failed at the start, uvicorn's own.
_STARTUP_FAILURE = 3
#: Seconds within which two signals of different kinds mean the same.
_ALONG = 2.0
#: Seconds after which a thread that computes lets others run (``core/turns.py``); Python's own is 0.005.
_SWITCH_INTERVAL = 0.0001


class Door(asyncio.Protocol):
    """Answers one upgrade request, then steps aside.

    uvicorn sets it as the transport's protocol *behind* the call that brings the request, so what follows is forwarded
    until the next turn of the loop, when the protocol that took over is set in its place.  ``doors/http.py`` sets it
    first, and :meth:`enter` brings the request.
    """

    #: How the start-up line calls it (``doors/asgi.py``).
    door = "uvicorn"

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._state = server_state
        self._connections = cast(set[Any], server_state.connections)  # uvicorn asks its members for shutdown() only
        self._app_state = app_state
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._next: asyncio.Protocol | None = None
        self._early: list[bytes] = []  # what came while the request is being looked at in a thread

    # --- asyncio.Protocol ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._next is not None:
            self._next.data_received(data)
        elif self._early:
            self._early.append(data)
        else:
            self._early.append(data)
            self._request(data)

    def eof_received(self) -> bool | None:
        return self._next.eof_received() if self._next is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        if self._next is not None:
            self._next.connection_lost(exc)

    def pause_writing(self) -> None:
        if self._next is not None:
            self._next.pause_writing()

    def resume_writing(self) -> None:
        if self._next is not None:
            self._next.resume_writing()

    def shutdown(self) -> None:
        """uvicorn ends while the request is still being looked at."""
        self._transport.close()

    # --- the request -----------------------------------------------------------------------------------------------

    def enter(self, entrance: Entrance, head: Head, data: bytes) -> None:
        """A request of ours, which :func:`read_upgrade` has found at the begin of ``data``."""
        self._early.append(data)
        entrance.start("uvicorn")
        self._open(entrance, head)

    def _request(self, data: bytes) -> None:
        try:
            head = upgrade.parse_head(data)
        except UpgradeError as error:
            self._refuse(upgrade.refusal(error.http_status, str(error), error.headers))
            return
        entrance = find_entrance(self._config)
        if head is None or entrance is None or not entrance.is_ours(_path(head, self._config.root_path)):
            self._pass_on(data)
            return
        entrance.start("uvicorn")
        self._open(entrance, head)

    def _pass_on(self, data: bytes) -> None:
        """Not ours: uvicorn's own WebSocket class takes it, as if we had never been here."""
        own = cast(Any, AutoWebSocketsProtocol)
        if own is None:
            self._refuse(upgrade.refusal(404, "no WebSocket here"))
            return
        protocol = own(config=self._config, server_state=self._state, app_state=self._app_state)
        self._connections.discard(self)
        protocol.connection_made(self._transport)
        protocol.data_received(data)
        self._hand_over(protocol)

    def _open(self, entrance: Entrance, head: Head) -> None:
        handshake = self._handshake(head)
        seen = entrance.prepared(handshake)
        if isinstance(seen, Handshake):
            self._decide(entrance, head, seen)
            return
        task = asyncio.ensure_future(seen)

        def prepared(done: asyncio.Future[Handshake]) -> None:
            if done.cancelled() or self._transport.is_closing():
                return
            error = done.exception()
            if error is not None:
                _log.error("the application's WSGI wrappers failed on a handshake", exc_info=error)
                self._refuse(upgrade.refusal(500, "Internal Server Error"))
            else:
                self._decide(entrance, head, done.result())

        task.add_done_callback(prepared)

    def _decide(self, entrance: Entrance, head: Head, handshake: Handshake) -> None:
        wanted = opening.admit(entrance, handshake, head.method)
        if isinstance(wanted, HttpReply):
            self._refuse(upgrade.refusal(wanted.status, wanted.body, wanted.headers, wanted.content_type))
            return
        self._connections.discard(self)
        stream = opening.open_stream(entrance, wanted, self._transport, self._connections)
        if stream is None:
            return
        self._hand_over(stream)
        first, *later = self._early
        for data in (first[head.end :], *later):
            if data:
                stream.data_received(data)
        self._early = []

    def _hand_over(self, protocol: asyncio.Protocol) -> None:
        self._next = protocol
        if self._transport.get_protocol() is self:
            self._transport.set_protocol(protocol)
        else:
            asyncio.get_running_loop().call_soon(self._transport.set_protocol, protocol)

    def _refuse(self, answer: bytes) -> None:
        self._connections.discard(self)
        self._transport.write(answer)
        self._transport.close()

    def _handshake(self, head: Head) -> Handshake:
        client = _address(self._transport.get_extra_info("peername"))
        root_path = self._config.root_path
        return Handshake(
            path=_path(head, root_path),
            query=head.query,
            headers=head.headers,
            client=client,
            server=_address(self._transport.get_extra_info("sockname")),
            scheme="https" if self._transport.get_extra_info("sslcontext") else "http",
            door="uvicorn",
            transport="websocket",
            root_path=root_path,
            http_version=head.version,
            peer_address=client[0],
        )


def read_upgrade(config: uvicorn.Config, data: bytes) -> tuple[Entrance, Head] | None:
    """The request for one of our WebSockets that ``data`` begins with, and the way in.

    ``None`` where it is anything else, or anything but plain: then it goes uvicorn's way, to whatever end.
    """
    if not data.startswith(b"GET ") or b"transport=websocket" not in data:
        return None
    door = config.ws_protocol_class
    entrance = find_entrance(config)
    if not (isinstance(door, type) and issubclass(door, Door)) or entrance is None:
        return None
    try:
        head = upgrade.parse_head(data)
    except UpgradeError:
        return None
    if head is None or head.version != "1.1" or not entrance.is_ours(_path(head, config.root_path)):
        return None
    said = dict(head.headers)  # of a repeated one the last, as uvicorn has it
    if "content-length" in said or "transfer-encoding" in said:
        return None
    wants = said.get("upgrade", "").lower() == "websocket" and "upgrade" in said.get("connection", "").lower()
    return (entrance, head) if wants else None


def _path(head: Head, root_path: str) -> str:
    if root_path and head.path.startswith(root_path + "/"):
        return head.path[len(root_path) :]
    return head.path


def _address(name: object) -> tuple[str, int]:
    if isinstance(name, tuple) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return "", 0  # a unix socket


def find_entrance(config: uvicorn.Config) -> Entrance | None:
    """Our way in among the layers of the application that uvicorn serves."""
    app: object = config.loaded_app
    while app is not None:
        entrance = getattr(app, "entrance", None)
        if isinstance(entrance, Entrance):
            return entrance
        app = getattr(app, "app", None)
    return None


# --- running uvicorn --------------------------------------------------------------------------------------------------


class Application(Protocol):
    """An ASGI application with a way in for us: an ``ASGIApp``, or Flask's ``SocketIO``."""

    entrance: Entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Server(uvicorn.Server):
    """uvicorn, ending as an application expects: sessions first, a bounded wait, and :func:`serve` returns.

    A second SIGINT or SIGTERM ends it at once.
    """

    should_exit: bool

    def __init__(self, config: uvicorn.Config, entrance: Entrance, on_started: Callable[[int], None] | None) -> None:
        super().__init__(config)
        self._entrance = entrance
        self._on_started = on_started
        self._signals: dict[int, float] = {}  # when they came first

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:  # the lifespan has failed, and uvicorn has said why; newer ones end here themselves
            sys.exit(_STARTUP_FAILURE)
        if self._on_started is not None and sockets:
            self._on_started(sockets[0].getsockname()[1])
        if self.should_exit:  # already; older uvicorns would leave without shutdown() if they saw it now
            self.should_exit = False
            asyncio.get_running_loop().call_soon(setattr, self, "should_exit", True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        drain = self._entrance.end()
        deadline = time.monotonic() if drain is None else drain.deadline
        while drain is not None and not (drain.task.done() or self.force_exit):
            if not self._entrance.has_pollers:  # whoever polls fetches what waits for it through the port
                self._close_port(sockets)
            await asyncio.sleep(_LOOK)
        self._close_port(sockets)
        await self._entrance.close_streams(self._streams, deadline, lambda: self.force_exit)
        self._entrance.stop()
        for stream in self._streams():
            stream.abort()
        if self.config.timeout_graceful_shutdown is None:
            self.config.timeout_graceful_shutdown = max(math.ceil(deadline - time.monotonic()), 1)
        await super().shutdown(sockets)

    def _close_port(self, sockets: list[socket.socket] | None) -> None:
        """Who comes from now on finds nobody, and goes elsewhere."""
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()

    def _streams(self) -> list[BookedStream]:
        return [each for each in self.server_state.connections if isinstance(each, BookedStream)]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the loop and are not raised again: what the program does after ``run()`` still happens."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {name: signal.signal(name, self.handle_exit) for name in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        """The same signal again ends it now, and so does another one, unless it comes along with the first.

        Ctrl-C reaches the reloader and its child alike, and the reloader sends its child a SIGTERM then.
        """
        now = time.monotonic()
        if sig in self._signals or now - min(self._signals.values(), default=now) > _ALONG:
            self.force_exit = True
        self._signals.setdefault(sig, now)
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.  Raises :class:`~truesocket.errors.UsageError` in one clear sentence where that fails."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise UsageError(
            f"cannot listen on {host}:{port}: this machine knows no address of that name; take 127.0.0.1 for this"
            " machine alone, or 0.0.0.0 to be reached from others"
        ) from None
    family = min((each[0] for each in found), key=lambda each: each is not socket.AF_INET)  # IPv4 where there is both
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise UsageError(_bind_trouble(host, port, error)) from None
    sock.setblocking(False)
    return sock


def _bind_trouble(host: str, port: int, error: OSError) -> str:
    if error.errno in _IN_USE:
        return (
            f"port {port} on {host} is in use by another program: stop that one,"
            f" or choose another port, for example port={port + 1 if port < 65535 else 5000}"
        )
    if isinstance(error, PermissionError):
        return f"port {port} needs special rights on this system: choose one above 1023, for example port=5000"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"cannot listen on {host}:{port}: that is no address of this machine; take 127.0.0.1 for this machine"
            " alone, or 0.0.0.0 to be reached from others"
        )
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


_IN_USE = {98, 48, 10048, 10013}  # EADDRINUSE on Linux, macOS, Windows; WSAEACCES


def serve(
    app: Application,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    ssl_context: ssl.SSLContext | None = None,
    on_made: Callable[[Server], None] | None = None,
    on_started: Callable[[int], None] | None = None,
    sock: socket.socket | None = None,
    access_log: bool = False,
    log_level: str = "warning",
    switch_interval: float | None = _SWITCH_INTERVAL,
    gc_freeze: bool = True,
    **options: object,
) -> None:
    """Runs uvicorn with the fast door until a signal, or ``should_exit`` of what ``on_made`` was given, ends it.

    ``switch_interval`` (seconds) is given to ``sys.setswitchinterval``, so that handlers that compute do not hold up
    the event loop, and on one core more is done (``core/turns.py``); ``gc_freeze`` takes what exists at the start out
    of the garbage collector's rounds.  ``None`` and ``False`` leave the process as it is.
    ``options`` go to ``uvicorn.Config``; one that it does not have raises :class:`~truesocket.errors.UnknownOption`.
    TLS comes from ``ssl_context`` or ``certfile`` and its relatives (``doors/tls.py``).
    Raises :class:`~truesocket.errors.UsageError` where the port is taken.
    """
    ssl_context = tls.context_of(ssl_context, tls.take(options))
    known = inspect.signature(uvicorn.Config).parameters
    for name in options:
        if name not in known:
            raise UnknownOption(name, known, where="run()")
    settings: dict[str, Any] = {
        "ws": Door,
        "http": "truesocket.doors.http:Http",
        "lifespan": "on",
        "proxy_headers": False,  # doors/entrance.py does it, the same for every door
        "access_log": access_log,
        "log_level": log_level,
        **options,
    }
    listener = sock or bind(host, port)
    config = uvicorn.Config(app, host=host, port=port, **settings)
    config.load()
    if ssl_context is not None:
        config.ssl = ssl_context
    if switch_interval is not None:
        turns.share(switch_interval)
    if gc_freeze:
        gc.collect()
        gc.freeze()
    server = Server(config, app.entrance, on_started)
    if on_made is not None:
        on_made(server)
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
