"""Every option of a server: named, checked and documented once.

``SocketIO(app, ping_interval=10)`` and ``Server(ping_interval=10)`` both end here.  An unknown option is an error that
names the nearest one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, cast

from truesocket.codec.serializers import JSON, Serializer
from truesocket.core.cookies import Cookie
from truesocket.core.limits import OverRate
from truesocket.errors import UnknownOption, UsageError
from truesocket.session.engine import EngineOptions
from truesocket.session.outbox import Overflow

if TYPE_CHECKING:
    from truesocket.core.ports import Handshake

__all__ = ["Config", "Origins"]

#: ``None``: same origin; ``"*"``: every origin; a text or list of origins; or a function that says yes or no,
#: of the origin, or of the origin and the :class:`~truesocket.core.ports.Handshake`.
Origins = str | Sequence[str] | Callable[..., object] | None

_TRANSPORTS = ("polling", "websocket")

_SERIALIZER = ("write", "packet", "parse")

_POSITIVE = (
    "ping_interval",
    "ping_timeout",
    "max_payload",
    "handler_threads",
    "handlers_per_client",
    "max_pending_events",
    "max_pending_bytes",
    "http_threads",
    "handshakes_burst",
    "max_namespaces",
    "max_callbacks",
)


@dataclass(frozen=True, slots=True)
class Config:
    """The options of one server.  Times in seconds, sizes in bytes."""

    #: Where Socket.IO clients connect: ``/socket.io/``, with or without the slash at the end.
    path: str = "socket.io"
    #: The ways in that are open.
    transports: tuple[str, ...] = _TRANSPORTS
    #: Whether a client that starts with long-polling may change over to a WebSocket.
    allow_upgrades: bool = True
    #: Between two heartbeats.
    ping_interval: float = 25.0
    #: How long a heartbeat may stay unanswered.
    ping_timeout: float = 20.0
    #: How long a change from polling to WebSocket may take.
    upgrade_timeout: float = 10.0
    #: How long a client may stay connected without joining a namespace.
    connect_timeout: float = 45.0
    #: Over how long the closing of the clients is spread when the server ends; ``None``: 500 a second, for 5 seconds at
    #: most, and up to 100 clients at once.
    drain_seconds: float | None = None
    #: How long running handlers, slow readers and disconnect handlers have then, behind that.
    shutdown_timeout: float = 4.0
    #: The largest message or polling payload taken from a client.
    max_payload: int = 1_000_000
    #: Attachments (bytes) in one packet of a client, at most.
    max_attachments: int = 10
    #: Connections at the same time, at most; 0: as many as come.
    max_connections: int = 0
    #: Connections at the same time from one IPv4 address, or from one IPv6 network of 64 bits; 0: as many as come.
    max_connections_per_address: int = 0
    #: New clients in a second; who comes beyond is told to come back; 0: as many as come.
    handshakes_per_second: float = 1000.0
    #: New clients that may come at once, before that.
    handshakes_burst: int = 10_000
    #: Namespaces of one client at the same time.
    max_namespaces: int = 100
    #: Rooms of one client and namespace, at most; 0: as many as you like.
    max_rooms: int = 10_000
    #: Events of one client in a second; 0: as many as it sends.
    events_per_second: float = 0.0
    #: Events that may come at once, before that; 0: those of two seconds.
    events_burst: int = 0
    #: Bytes of one client's packets in a second; 0: as many as it sends.
    bytes_per_second: float = 0.0
    #: Bytes that may come at once, before that; 0: those of two seconds.
    bytes_burst: int = 0
    #: What becomes of more than that: ``"warn"``, ``"drop"`` it, or ``"close"`` the client.
    over_rate: str = "drop"
    #: Callbacks of ``emit(callback=)`` that may wait for one client and namespace; beyond, the oldest is given up.
    max_callbacks: int = 1000
    #: How long the head of an HTTP request may take, where we run the server; 0: as long as it likes.
    header_timeout: float = 20.0
    #: What may wait for one client that reads too slowly.
    outbox_bytes: int = 4 * 1024 * 1024
    #: What happens then: ``"close"`` the client, ``"drop_oldest"`` events, or ``"drop_volatile"`` ones only.
    overflow: str = "close"
    #: Pages of which origins may connect; ``None`` is the page's own server only.
    cors_allowed_origins: Origins = None
    #: Addresses of proxies whose ``X-Forwarded-*`` headers are believed; ``"*"`` believes everybody.
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    #: Namespaces that exist without a handler; ``("*",)`` accepts every name.
    namespaces: tuple[str, ...] = ("/",)
    #: Accept first and ask the connect handler then.
    always_connect: bool = False
    #: ``False``: each event of a client ends before its next one starts.
    async_handlers: bool = True
    #: Threads for handlers at most; idle ones end.
    handler_threads: int = 4096
    #: Handlers of one client and namespace that run at the same time, at most.
    handlers_per_client: int = 64
    #: Events of one client and namespace that may wait for a handler; then we stop reading that client.
    max_pending_events: int = 1000
    #: The same in bytes.
    max_pending_bytes: int = 16 * 1024 * 1024
    #: After this time a handler that still emits to its client, who left, is ended with ``Disconnected``.
    orphan_timeout: float = 3600.0
    #: Threads for the HTTP pages of a WSGI application behind an ASGI server.
    http_threads: int = 64
    #: How packets are written: ``"default"`` (JSON), ``"msgpack"``, or an object with the methods of ``Serializer``.
    serializer: object = "default"
    #: Asked at each handshake whether this client may come in: a function of the ``Handshake``; may be ``async def``.
    allow_request: Callable[[Handshake], object] | None = None
    #: A cookie that carries the session's id: its name, or a dict with ``name`` and attributes.
    cookie: object = None
    #: Whether pages of other origins may send their cookies along.
    cors_credentials: bool = True
    #: Whether long-polling answers are compressed, where the client can read that.
    http_compression: bool = True
    #: From how many bytes on anything is compressed.
    compression_threshold: int = 1024
    #: Whether WebSocket messages are compressed (permessage-deflate), where the client can read that.
    websocket_compression: bool = False
    #: Whether a connection keeps what it has compressed for its next message: smaller, and about 64 KiB for each side.
    websocket_context_takeover: bool = False
    #: The window of that compression: 2 to this power, in bytes (9 to 15).
    websocket_window_bits: int = 15
    #: For how long a client whose connection broke may come back as who it was, and get all it missed; 0: not at all.
    recovery: float = 0.0
    #: Events of one namespace that are kept for it, at most.
    recovery_events: int = 10_000
    #: The same in bytes.
    recovery_bytes: int = 32 * 1024 * 1024
    #: Clients that may be away at the same time.
    recovery_clients: int = 10_000
    #: For how long events are kept for ``history()`` and for those who enter a room late; 0: not at all.
    history: float = 0.0
    #: Another browser client to serve: ``socket.io.js`` or a folder such as ``node_modules/socket.io-client``.
    serve_client: str | None = None
    #: A handler that holds the event loop for longer is named in the log; 0 switches the watchdog off.
    block_warning: float = 1.0

    @classmethod
    def make(cls, options: dict[str, object], *, where: str = "SocketIO()") -> Config:
        """Checks ``options`` and makes a Config; raises :class:`UsageError` that says what to write instead."""
        known = {field.name for field in fields(cls)}
        for name in options:
            if name not in known:
                raise UnknownOption(name, known, where=where)
        values = dict(options)
        for name in ("transports", "trusted_proxies", "namespaces"):
            if name in values:
                values[name] = _names(where, name, values[name])
        config = cls(**values)  # type: ignore[arg-type]  # each is checked right below
        config._check_types(where)
        config._check_values(where)
        return config

    def _check_types(self, where: str) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            wanted = _wanted(field.default) if field.type != "object" else None
            if wanted is not None and not _fits(value, field.default):
                raise UsageError(f"{where}: {field.name}={value!r} must be {wanted}")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise UsageError(f"{where}: {name} must be more than 0")

    def _check_values(self, where: str) -> None:
        if not self.path.strip("/"):
            raise UsageError(f"{where}: path={self.path!r} must name a path, such as 'socket.io'")
        wrong = [name for name in self.transports if name not in _TRANSPORTS]
        if wrong or not self.transports:
            raise UsageError(
                f"{where}: transports={list(self.transports)!r}; choose from 'polling' and 'websocket', at least one"
            )
        if self.overflow not in [policy.value for policy in Overflow]:
            raise UsageError(f"{where}: overflow={self.overflow!r}; choose 'close', 'drop_oldest' or 'drop_volatile'")
        if self.over_rate not in [choice.value for choice in OverRate]:
            raise UsageError(f"{where}: over_rate={self.over_rate!r}; choose 'warn', 'drop' or 'close'")
        for name in self.namespaces:
            if name != "*" and not name.startswith("/"):
                raise UsageError(f"{where}: namespaces={list(self.namespaces)!r}; {name!r} must begin with a slash")
        named = self.serializer in ("default", "msgpack")
        if not named and not all(callable(getattr(self.serializer, name, None)) for name in _SERIALIZER):
            raise UsageError(
                f"{where}: serializer={self.serializer!r}; choose 'default' or 'msgpack', or give an object with the"
                f" methods {', '.join(_SERIALIZER)} (truesocket.codec.serializers.Serializer)"
            )
        if (self.recovery or self.history) and not named and not callable(getattr(self.serializer, "append", None)):
            raise UsageError(
                f"{where}: recovery= and history= number the events; the serializer needs append(written, text)"
                " for that (truesocket.codec.serializers.Serializer)"
            )
        if not 9 <= self.websocket_window_bits <= 15:
            raise UsageError(f"{where}: websocket_window_bits={self.websocket_window_bits}; choose from 9 to 15")
        if self.drain_seconds is not None and not _fits(self.drain_seconds, 0.0):
            raise UsageError(f"{where}: drain_seconds={self.drain_seconds!r} must be a number, 0 or more, or None")
        if self.cookie is not None:
            Cookie(self.cookie)
        self._check_origins(where)
        self._check_proxies(where)

    def _check_origins(self, where: str) -> None:
        allowed = self.cors_allowed_origins
        if allowed is None or callable(allowed):
            return
        for origin in _names(where, "cors_allowed_origins", allowed):
            if origin not in ("*", "null") and "://" not in origin:
                raise UsageError(
                    f"{where}: cors_allowed_origins={allowed!r}; an origin has a scheme: write 'https://{origin}'"
                )

    def _check_proxies(self, where: str) -> None:
        for proxy in self.trusted_proxies:
            try:
                if proxy != "*":
                    ipaddress.ip_network(proxy, strict=False)
            except ValueError:
                raise UsageError(
                    f"{where}: trusted_proxies={list(self.trusted_proxies)!r}; {proxy!r} is no address, no network such"
                    " as '10.0.0.0/8', and not '*'"
                ) from None

    def make_serializer(self) -> Serializer:
        """The serializer that the option names."""
        if self.serializer == "default":
            return JSON
        if self.serializer == "msgpack":
            return _msgpack()
        return cast(Serializer, self.serializer)

    @property
    def prefix(self) -> str:
        """The path with slashes around it, as requests have it: ``"/socket.io/"``."""
        return f"/{self.path.strip('/')}/"

    def engine_options(self) -> EngineOptions:
        """What the sessions need to know."""
        return EngineOptions(
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            upgrade_timeout=self.upgrade_timeout,
            max_payload=self.max_payload,
            max_attachments=self.max_attachments,
            outbox_bytes=self.outbox_bytes,
            overflow=Overflow(self.overflow),
            upgrades=self.allow_upgrades and "websocket" in self.transports,
        )


def _msgpack() -> Serializer:
    try:
        from truesocket.codec.msgpacks import Msgpack
    except ModuleNotFoundError:
        raise UsageError("serializer='msgpack' needs a package: pip install 'truesocket[msgpack]'") from None
    return Msgpack()


def _wanted(default: object) -> str | None:
    """What an option with this default must be, in words; ``None`` where the type does not tell."""
    if isinstance(default, bool):
        return "True or False"
    if isinstance(default, int):
        return "a whole number, 0 or more"
    if isinstance(default, float):
        return "a number, 0 or more"
    return "a text" if isinstance(default, str) else None


def _fits(value: object, default: object) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int) and value >= 0
    if isinstance(default, float):
        return isinstance(value, int | float) and value >= 0
    return isinstance(value, str)


def _names(where: str, option: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence | set | frozenset):
        return tuple(str(item) for item in value)
    raise UsageError(f"{where}: {option}={value!r} must be a name or a list of names")
