"""What all doors share: one server, one prefix, one way to let a client in.

A door cuts the request and knows how to answer on its host.  Whether the request is ours, whether it may come in, and
what the session behind it is, is decided here, so that it is the same through every door.
"""

from __future__ import annotations

import inspect
import logging
import os
import platform
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from truesocket._version import __version__
from truesocket.codec import deflate, jsons
from truesocket.codec.deflate import Deflate
from truesocket.core.admission import FORBIDDEN, Denied, Opening, through_proxies
from truesocket.core.cookies import Cookie
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors.static import Static
from truesocket.transports.heartbeat import Heartbeat
from truesocket.transports.polling import HttpReply, compressed

__all__ = ["Entrance", "Prepare"]

_log = logging.getLogger("truesocket")

_UPGRADE_DROPPED = "a proxy on the way drops the Upgrade header (see docs/how-to/behind-a-proxy.md)"
_NO_UPGRADE = "its WebSocket could not be opened on this host"


class Prepare(Protocol):
    """What an application's face does to a handshake before it is looked at (Flask: the app's WSGI wrappers)."""

    def __call__(self, handshake: Handshake) -> Callable[[], Handshake] | None:
        """``None`` where nothing is to be done, else the (possibly blocking) work, for a thread."""


class Entrance:
    """The way in to ``server``."""

    def __init__(self, server: Server, prepare: Prepare | None = None) -> None:
        self.server = server
        self._prepare = prepare
        self._prefix = server.config.prefix
        self.static = Static(server.config.serve_client)
        cookie = server.config.cookie
        self._cookie = None if cookie is None else Cookie(cookie)

    def start(self, door: str) -> None:
        """The server lives on the running loop from now on; the first time, the log says how."""
        if self.server.running:
            self.server.start(Heartbeat)
            return
        self.server.start(Heartbeat)
        announce(self.server, door)

    def stop(self) -> None:
        """The host ends."""
        self.server.stop()

    def is_ours(self, path: str) -> bool:
        """Whether a path belongs to Socket.IO; with and without the slash at the end."""
        return path.startswith(self._prefix) or path == self._prefix[:-1]

    def rest(self, path: str) -> str:
        """What follows our prefix: ``"truesocket.js"``, or an empty string for Socket.IO itself."""
        return path[len(self._prefix) :]

    def read(self, handshake: Handshake, method: str, *, is_websocket: bool) -> Opening | Denied:
        """Checks a request's query against the sessions that there are."""
        peers = self.server.peers

        def transport_of(sid: str) -> str | None:
            peer = peers.get(sid)
            return peer.engine.transport if peer is not None else None

        args = handshake.args()
        found = self.server.admission.read(
            args,
            method,
            is_websocket=is_websocket,
            knows=transport_of,
            origin=handshake.header("origin"),
            unwanted=lambda: self._unwanted(handshake),
        )
        if isinstance(found, Denied) and not is_websocket and args.get("transport") == "websocket":
            self.note(args.get("sid", ""), _UPGRADE_DROPPED)
        return found

    def note(self, sid: str, cause: str = _NO_UPGRADE) -> None:
        """Remembers why a session did not get its WebSocket, for the log."""
        peer = self.server.peers.get(sid)
        if peer is not None and peer.engine.transport == "polling":
            peer.handshake.note = cause

    def behind_proxies(self, handshake: Handshake) -> Handshake:
        """The handshake as the client made it, where a trusted proxy stands between."""
        return through_proxies(handshake, self.server.config.trusted_proxies)

    def cors_headers(self, handshake: Handshake) -> tuple[tuple[str, str], ...]:
        """What lets a page of another origin read our answers, if it may."""
        origin = handshake.header("origin")
        if not origin or not self.server.admission.allows_origin(handshake):
            return ()
        return (
            ("Access-Control-Allow-Origin", origin),
            *((("Access-Control-Allow-Credentials", "true"),) if self.server.config.cors_credentials else ()),
            ("Access-Control-Allow-Methods", "GET, POST, OPTIONS"),
            ("Access-Control-Allow-Headers", "Content-Type"),
            ("Vary", "Origin"),
        )

    def prepared(self, handshake: Handshake, method: str = "GET") -> Handshake | Awaitable[Handshake]:
        """The handshake as the client made it: behind trusted proxies and the application's own wrappers.

        Where the application wants to be asked (``allow_request``), it is, by the request that opens a session.
        """
        handshake = self.behind_proxies(handshake)
        work = self._prepare(handshake) if self._prepare is not None else None
        allow = self.server.config.allow_request
        asks = allow is not None and method == "GET" and "sid" not in handshake.args()
        return handshake if work is None and not asks else self._ask(handshake, work, asks)

    async def _ask(self, handshake: Handshake, work: Callable[[], Handshake] | None, asks: bool) -> Handshake:
        if work is not None:
            handshake = await self.server.runner.in_thread(work)
        if asks:
            handshake.is_allowed = await self._is_allowed(handshake)
        return handshake

    async def _is_allowed(self, handshake: Handshake) -> bool:
        allow = self.server.config.allow_request
        assert allow is not None
        try:
            if inspect.iscoroutinefunction(allow):
                return bool(await allow(handshake))
            return bool(await self.server.runner.in_thread(allow, handshake))
        except Exception:
            _log.exception("allow_request failed on a client at %s, who is refused", handshake.client[0])
            return False

    def _unwanted(self, handshake: Handshake) -> Denied | None:
        """Whether this client may not come in, though it asks in the right way."""
        if not self.server.admission.allows_origin(handshake):
            hint = "pages of this origin may not connect; the server's log has the line that lets them in"
            return Denied(FORBIDDEN, hint)
        if not handshake.is_allowed:
            return Denied(FORBIDDEN, "the application's allow_request said no")
        return None

    def cookies(self, sid: str) -> tuple[tuple[str, str], ...]:
        """The headers that go with the first answer of a session."""
        return () if self._cookie is None else (self._cookie.header(sid),)

    def compressed(self, reply: HttpReply, handshake: Handshake) -> HttpReply:
        """An answer to a poll, compressed if the options and the client want it so."""
        config = self.server.config
        if not config.http_compression:
            return reply
        return compressed(reply, handshake.header("accept-encoding"), config.compression_threshold)

    def negotiate(self, extensions: str) -> Deflate | None:
        """permessage-deflate, if the options and the client want it."""
        config = self.server.config
        if not config.websocket_compression or not extensions:
            return None
        return deflate.negotiate(
            extensions,
            context_takeover=config.websocket_context_takeover,
            window_bits=config.websocket_window_bits,
        )


def announce(server: Server, door: str) -> None:
    """The start-up line: that WebSockets are real, which loop and JSON library, which transports."""
    ensure_log_output()
    loop = server.bridge.loop
    library = type(loop).__module__.partition(".")[0]
    transports = server.config.transports
    websockets = "WebSockets are real" if "websocket" in transports else "WebSockets are switched off by transports="
    _log.info(
        "truesocket %s: %s (door: %s), loop %s, JSON %s, Python %s, transports %s at %s",
        __version__,
        websockets,
        door,
        library,
        jsons.LIBRARY,
        platform.python_version(),
        " and ".join(sorted(transports, reverse=True)),
        server.config.prefix,
    )
    workers = count_workers(sys.argv, os.environ)
    if workers > 1 and server.broker is None:
        _log.error(
            "%d worker processes and no broker between them: clients of one worker do not hear what another emits, and"
            " long-polling requests that reach the wrong worker get 400. Run one worker; it serves thousands of"
            " clients, and handlers run in threads.",
            workers,
        )


def count_workers(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many worker processes the host was told to run: ``--workers 4``, ``-w 4``, or ``WEB_CONCURRENCY``."""
    for index, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("--workers", "-w"):
            value = value or (arguments[index + 1] if index + 1 < len(arguments) else "")
            return int(value) if value.isdigit() else 1
    value = environment.get("WEB_CONCURRENCY", "")
    return int(value) if value.isdigit() else 1


def ensure_log_output() -> None:
    """Lets our log lines be seen where the application has set up no logging at all."""
    if not _log.hasHandlers():
        output = logging.StreamHandler(sys.stderr)
        output.setFormatter(logging.Formatter("%(levelname)-8s %(message)s"))
        _log.addHandler(output)
    if _log.level == logging.NOTSET and logging.getLogger().level == logging.WARNING:
        _log.setLevel(logging.INFO)
