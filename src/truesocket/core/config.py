"""Every option of a server: named, checked and documented once.

``SocketIO(app, ping_interval=10)`` and ``Server(ping_interval=10)`` both end here.  An unknown option is an error that
names the nearest one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

from truesocket.errors import UnknownOption, UsageError
from truesocket.session.engine import EngineOptions
from truesocket.session.outbox import Overflow

__all__ = ["Config", "Origins"]

#: ``None``: same origin; ``"*"``: every origin; a text or list of origins; or a function that says yes or no.
Origins = str | Sequence[str] | Callable[[str], bool] | None

_TRANSPORTS = ("polling", "websocket")


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
    #: The largest message or polling payload taken from a client.
    max_payload: int = 1_000_000
    #: What may wait for one client that reads too slowly.
    outbox_bytes: int = 4 * 1024 * 1024
    #: What happens then: ``"close"`` the client, or ``"drop_oldest"`` events.
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
                values[name] = _names(values[name])
        config = cls(**values)  # type: ignore[arg-type]  # each is checked right below
        config._check(where)
        return config

    def _check(self, where: str) -> None:
        for field in fields(self):
            default = field.default
            value = getattr(self, field.name)
            if isinstance(default, bool):
                good = isinstance(value, bool)
            elif isinstance(default, int | float):
                good = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            else:
                continue
            if not good:
                kind = "True or False" if isinstance(default, bool) else "a number, 0 or more"
                raise UsageError(f"{where}: {field.name}={value!r} must be {kind}")
        for name in ("ping_interval", "ping_timeout", "max_payload", "handler_threads", "handlers_per_client"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{where}: {name} must be more than 0")
        wrong = [name for name in self.transports if name not in _TRANSPORTS]
        if wrong or not self.transports:
            raise UsageError(
                f"{where}: transports={list(self.transports)!r}; choose from 'polling' and 'websocket', at least one"
            )
        if self.overflow not in [policy.value for policy in Overflow]:
            raise UsageError(f"{where}: overflow={self.overflow!r}; choose 'close' or 'drop_oldest'")

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
            outbox_bytes=self.outbox_bytes,
            overflow=Overflow(self.overflow),
            upgrades=self.allow_upgrades and "websocket" in self.transports,
        )


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence | set | frozenset):
        return tuple(str(item) for item in value)
    raise UsageError(f"{value!r} must be a name or a list of names")
