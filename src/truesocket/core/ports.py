"""What the core asks of the rooms around it, as Protocols, and the values that cross these borders.

Brokers, doors, metrics and the Flask face implement these; the core imports none of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

from truesocket.codec.parcel import Parcel
from truesocket.codec.serializers import Written
from truesocket.session.engine import Clock

if TYPE_CHECKING:
    from truesocket.core.registry import Handler
    from truesocket.core.socket import Ack, Socket

__all__ = ["Broker", "Envelope", "Handshake", "Listener", "Observer", "Surroundings", "Ticker"]


@dataclass(slots=True, eq=False)
class Handshake:
    """How a client came in: its first HTTP request, the same through every door.

    ``headers`` are (lower-case name, value) pairs in the order of the request, ``query`` the raw query string,
    ``client`` and ``server`` are (host, port).  ``scheme`` is ``"http"`` or ``"https"``, also for WebSockets, as WSGI
    has it.  ``client``, ``scheme`` and ``host`` are what the client sees, behind trusted proxies
    (``core/admission.py``); ``peer_address`` is the address of the TCP connection.  ``note`` says what went wrong with
    an upgrade, if anything; ``is_allowed`` is what ``allow_request`` said, ``refusal`` what ``core/limits.py`` said to
    one client too many.  ``extra`` belongs to the face that serves the application (Flask keeps its environ there).
    """

    path: str
    query: str
    headers: list[tuple[str, str]]
    client: tuple[str, int]
    server: tuple[str, int]
    scheme: str
    door: str
    transport: str
    root_path: str = ""
    http_version: str = "1.1"
    peer_address: str = ""
    issued: float = field(default_factory=time.time)
    note: str = ""
    is_allowed: bool = True
    refusal: object = None
    extra: object = None

    def header(self, name: str, default: str = "") -> str:
        """The value of a header (``name`` in lower case); repeated ones joined with ``", "``."""
        found: str | None = None
        for key, value in self.headers:
            if key == name:
                found = value if found is None else f"{found}, {value}"
        return default if found is None else found

    def args(self) -> dict[str, str]:
        """The query as a dict; of repeated keys the last value."""
        query = self.query
        if "%" in query or "+" in query:
            return dict(parse_qsl(query, keep_blank_values=True))
        found: dict[str, str] = {}  # nothing is escaped: a fifth of the time, and each request asks several times
        for part in query.split("&"):
            if part:
                name, _, value = part.partition("=")
                found[name] = value
        return found

    def cookies(self) -> dict[str, str]:
        """The cookies that came with it, as they are in the header; of repeated names the first (RFC 6265, 5.4)."""
        found: dict[str, str] = {}
        for header in (value for key, value in self.headers if key == "cookie"):
            for part in header.split(";"):
                name, equals, value = part.partition("=")
                if equals:
                    found.setdefault(name.strip(), value.strip())
        return found

    @property
    def host(self) -> str:
        """The host and port that the client addressed."""
        return self.header("host")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One emission on its way to the fan-out, and between nodes.

    ``rooms`` is ``None`` for everybody in the namespace; a client in several of the rooms hears it once.
    ``written`` is ``[event, *args]`` in wire form, ``parcel`` the packet made of it.  ``on_ack`` says for each
    recipient who waits for its answer, or ``None``.
    """

    namespace: str
    rooms: tuple[Hashable, ...] | None
    except_rooms: frozenset[Hashable]
    parcel: Parcel
    written: Written
    volatile: bool = False
    on_ack: Callable[[Socket], Ack | None] | None = None


class Broker(Protocol):
    """Carries envelopes between the nodes of a cluster.  A single process needs none: it delivers what it emits."""

    def publish(self, envelope: Envelope) -> Iterator[object] | None:
        """Delivers to this node and to all others.

        Called on the loop, in the order of the emissions, and never blocks.  May return an iterator of steps that the
        caller finishes before the next envelope.
        """


class Listener(Protocol):
    """Hears what a broker brings: the fan-out."""

    def deliver(self, envelope: Envelope) -> Iterator[object] | None:
        """Sends to every local member.  Called on the loop."""


class Ticker(Clock, Protocol):
    """The clock of all sessions, which the doors bring along: ``transports/heartbeat.py``."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ticks on this loop from now on."""

    def stop(self) -> None:
        """Ticks no more."""


class Observer(Protocol):
    """Watches a server (metrics, dashboards): every method is called on the loop and must be quick."""

    def connected(self, socket: Socket) -> None:
        """A client has joined a namespace."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """It has left."""


class Surroundings(Protocol):
    """What stands around a handler while it runs: nothing, or Flask's contexts (``flask/surroundings.py``).

    ``begin`` is called once, right in front of the handler's first line: the handlers of one client begin in the order
    of their events, however long their surroundings take.
    """

    begins_at_once: bool  #: whether nothing is awaited in front of an ``async def`` handler but ``begin``

    def call(
        self, handler: Handler, socket: Socket, event: str, args: tuple[object, ...], begin: Callable[[], object]
    ) -> object:
        """Runs a ``def`` handler, in the pool thread that it is called on."""

    async def acall(
        self,
        handler: Handler,
        socket: Socket,
        event: str,
        args: tuple[object, ...],
        begin: Callable[[], Awaitable[object]],
    ) -> object:
        """Runs an ``async def`` handler, on the loop; blocking work around it goes into the pool.

        ``await begin()`` may take its time, until the handlers before have begun.
        """
