"""What all doors share: one server, one prefix, one way to let a client in.

A door cuts the request and knows how to answer on its host.  Whether the request is ours, whether it may come in, and
what the session behind it is, is decided here, so that it is the same through every door.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from truesocket._version import __version__
from truesocket.codec import deflate, jsons
from truesocket.codec.deflate import Deflate
from truesocket.core.admission import (
    ENDING,
    FORBIDDEN,
    FULL,
    TOO_FAST,
    TOO_MANY_HERE,
    Denied,
    Opening,
    through_proxies,
)
from truesocket.core.cookies import Cookie
from truesocket.core.drain import Drain
from truesocket.core.limits import Refusal
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors.static import Static
from truesocket.transports.heartbeat import Heartbeat
from truesocket.transports.polling import HttpReply, compressed, error_reply

__all__ = ["NO_UPGRADE", "Entrance", "Prepare"]

_log = logging.getLogger("truesocket")

_UPGRADE_DROPPED = "a proxy on the way drops the Upgrade header (see docs/how-to/behind-a-proxy.md)"
#: Seconds that WebSockets get for their closing handshake when the process ends.
_CLOSE_TIMEOUT = 1.0
#: Seconds between two looks meanwhile.
_LOOK = 0.02
NO_UPGRADE = "its WebSocket could not be opened on this host"

#: By the cause of a refusal: its code, what the client is told, and what the log says.
_FULL_HOUSE = {
    "connections": (FULL, "this server is full: come back in a moment", "max_connections: %d clients are here"),
    "address": (
        TOO_MANY_HERE,
        "too many connections from this address",
        "max_connections_per_address: %s has as many as it may; if that is your own proxy, name it in trusted_proxies",
    ),
    "handshakes": (TOO_FAST, "too many clients at once: come back in a moment", "handshakes_per_second: more come"),
}


class Prepare(Protocol):
    """What an application's face does to a handshake before it is looked at (Flask: the app's WSGI wrappers)."""

    def __call__(self, handshake: Handshake) -> Callable[[], Handshake] | None:
        """``None`` where nothing is to be done, else the (possibly blocking) work, for a thread."""


class Abortable(Protocol):
    """A connection that can be cut."""

    def abort(self) -> None:
        """Ends it without a word."""

    @property
    def is_flushed(self) -> bool:
        """Whether all that was written is out of our hands."""


class Entrance:
    """The way in to ``server``."""

    def __init__(self, server: Server, prepare: Prepare | None = None) -> None:
        self.server = server
        self._prepare = prepare
        self._prefix = server.config.prefix
        self._door = ""  # the one in the start-up line
        self.ending: bool = False  # the host ends, though it still takes connections: nobody comes in any more
        self.static: Static = Static(server.config.serve_client)
        #: Connections that no host looks after, to be cut where they outlive the process's goodbye.
        self.streams: set[Abortable] = set()
        self._warned = False
        cookie = server.config.cookie
        self._cookie = None if cookie is None else Cookie(cookie)

    def start(self, door: str, *, websockets: bool = True) -> None:
        """The server lives on the running loop from now on; the first time, the log says how.

        ``websockets=False``: the host keeps its sockets to itself.
        """
        if self.ending:
            return
        if self.server.running:
            self.server.start(Heartbeat)
            if door == "uvicorn" and self._door == "asgi":  # it could not be seen before
                self._door = door
                _log.info("WebSockets come in by the fast door (door: %s)", door)
            return
        self.server.start(Heartbeat)
        self._door = door
        announce(self.server, door, can=websockets)
        self.warn_of_workers(count_workers(sys.argv, os.environ))

    def start_in_thread(self, door: str, *, websockets: bool = True) -> asyncio.AbstractEventLoop:
        """The loop that serves the server; where there is none yet, that of the loop thread does from now on.

        For hosts without an event loop; any thread may call it, as often as it likes, and a forked child gets a loop of
        its own.  When the process ends, the clients get their close.
        """
        return self.server.start_in_thread(lambda: self.start(door, websockets=websockets), self._farewell)

    def stop_in_thread(self) -> None:
        """Ends what :meth:`start_in_thread` began, before the process does (tests)."""
        self.server.stop_in_thread(self.stop)

    async def _farewell(self) -> None:
        """The process ends: sessions first, then WebSockets get a moment for their closing handshake."""
        await self.finish(lambda: self.streams)
        await asyncio.sleep(0)

    async def finish(self, streams: Callable[[], Iterable[Abortable]] = tuple) -> None:
        """The host has ended but for us: those who are still here are told in order, and then the server stops.

        ``streams()`` are the connections that nobody else ends.
        """
        drain = self.end()
        if drain is not None:
            drain.fetches = False
            await asyncio.wait([drain.task])
            await self.close_streams(streams, drain.deadline)
        self.stop()
        for stream in list(streams()):
            stream.abort()

    async def close_streams(
        self,
        streams: Callable[[], Iterable[Abortable]],
        deadline: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """Waits for closing handshakes, a moment, and for slow readers until ``deadline`` (``time.monotonic``)."""
        soon = time.monotonic() + _CLOSE_TIMEOUT
        while not is_over():
            left = list(streams())
            now = time.monotonic()
            if not left or (now >= soon and (now >= deadline or all(stream.is_flushed for stream in left))):
                return
            await asyncio.sleep(_LOOK)

    def warn_of_workers(self, workers: int) -> None:
        """Several worker processes (0: nobody knows how many) need a broker: the log says so, once."""
        if workers == 1 or self._warned or self.server.broker is not None:
            return
        self._warned = True
        ensure_log_output()
        _log.error(
            "%s worker processes and no broker between them: clients of one worker do not hear what another emits, and"
            " long-polling requests that reach the wrong worker get 400. Run one worker; it serves thousands of"
            " clients, and handlers run in threads.",
            workers or "several",
        )

    def stop(self) -> None:
        """The host ends."""
        self.server.stop()

    def end(self) -> Drain | None:
        """The host is about to end: clients are told from now on, and those who come meanwhile are sent away.

        On the loop; twice does no harm.  ``None`` where the server does not run.
        """
        self.ending = True
        return self.server.drain()

    @property
    def has_pollers(self) -> bool:
        """Whether clients on long-polling are here, who need the port to fetch what waits for them."""
        return any(peer.engine.transport == "polling" for peer in self.server.peers.values())

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
        if self.ending and (is_websocket or args.get("sid") not in peers):
            self.server.counts.refused["ending"] += 1
            return Denied(ENDING, "this server ends: come back in a moment", "ending", 1)
        found = self.server.admission.read(
            args,
            method,
            is_websocket=is_websocket,
            knows=transport_of,
            origin=handshake.header("origin"),
            foreign=lambda: self._foreign(handshake),
            unwanted=lambda: self._unwanted(handshake),
        )
        if isinstance(found, Denied) and not is_websocket and args.get("transport") == "websocket":
            self.note(args.get("sid", ""), _UPGRADE_DROPPED)
        if isinstance(found, Denied):
            self.server.counts.refused[found.cause] += 1
        return found

    def refusal(self, denied: Denied) -> HttpReply:
        """The answer to a request that may not go on."""
        reply = error_reply(denied.code, denied.hint)
        if not denied.retry_after:
            return reply
        return replace(reply, headers=(*reply.headers, ("Retry-After", str(denied.retry_after))))

    def note(self, sid: str, cause: str = NO_UPGRADE) -> None:
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
        opens = method == "GET" and "sid" not in handshake.args()
        if opens:
            handshake.refusal = self.server.limits.handshake(self.server.now)
            if handshake.refusal is not None:
                return handshake  # before the application is asked for anything
        work = self._prepare(handshake) if self._prepare is not None else None
        asks = opens and self.server.config.allow_request is not None
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

    def _foreign(self, handshake: Handshake) -> Denied | None:
        """Whether a page asks that may not, for a new session or for one that there is."""
        if self.server.admission.allows_origin(handshake):
            return None
        hint = "pages of this origin may not connect; the server's log has the line that lets them in"
        return Denied(FORBIDDEN, hint, "origin")

    def _unwanted(self, handshake: Handshake) -> Denied | None:
        """Whether this client may not come in, though it asks in the right way."""
        if isinstance(handshake.refusal, Refusal):
            return self._full(handshake.refusal, 0)
        if not handshake.is_allowed:
            return Denied(FORBIDDEN, "the application's allow_request said no", "allow_request")
        here, address = len(self.server.peers), handshake.client[0]
        refusal = self.server.limits.room(here, address)
        if refusal is None:
            return None
        return self._full(refusal, here if refusal.cause == "connections" else address)

    def _full(self, refusal: Refusal, what: object) -> Denied:
        code, hint, line = _FULL_HOUSE[refusal.cause]
        about = self.server.reception.about_refused
        about.say(logging.WARNING, "a client was sent away, " + line, *([what] if "%" in line else []))
        return Denied(code, hint, refusal.cause, refusal.retry_after)

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


def announce(server: Server, door: str, *, can: bool = True) -> None:
    """The start-up line: whether WebSockets are real, which loop and JSON library, which transports."""
    ensure_log_output()
    loop = server.bridge.loop
    library = type(loop).__module__.partition(".")[0]
    transports = server.config.transports
    websockets = "WebSockets are real" if "websocket" in transports else "WebSockets are switched off by transports="
    if not can and "websocket" in transports:
        transports = tuple(name for name in transports if name != "websocket")
        websockets = "long-polling only, this host has no WebSockets"
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


def count_workers(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """How many worker processes the host was told to run: ``--workers 4``, ``-w 4``, or ``WEB_CONCURRENCY``."""
    arguments = [*arguments, *environment.get("GUNICORN_CMD_ARGS", "").split()]
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
