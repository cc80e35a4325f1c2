"""Who may come in: the checks of a Socket.IO request, the origin of the page, and what proxies say.

Every door asks here, for long-polling and for WebSockets alike.  The order of the checks is the official server's:
transport, characters of the origin, session, method, whether this client is wanted, protocol version.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlsplit

from truesocket.core.config import Config
from truesocket.core.ports import Handshake
from truesocket.core.quiet import Quiet
from truesocket.core.registry import handler

__all__ = ["Admission", "Denied", "Opening", "through_proxies"]

_log = logging.getLogger("truesocket")

#: The error codes of Engine.IO.
UNKNOWN_TRANSPORT, UNKNOWN_SID, BAD_METHOD, BAD_REQUEST, FORBIDDEN, UNSUPPORTED_VERSION = range(6)
#: Our own, for who may come back later: no room, too many from one address, too many at once, the server ends.
FULL, TOO_MANY_HERE, TOO_FAST, ENDING = range(6, 10)

_UPGRADE_MISSING = (
    "transport=websocket without an Upgrade header: a proxy on the way drops it"
    " (see docs/how-to/behind-a-proxy.md), or the client is no WebSocket client"
)
#: Control characters: no HTTP header holds any (RFC 9110, 5.5).
_ILLEGAL = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_POLLING_ON_WEBSOCKET = "a WebSocket request with transport=polling"


class Opening(NamedTuple):
    """A request that may go on.  ``sid`` is ``None`` where it opens a session."""

    transport: str
    sid: str | None
    revision: int
    base64: bool


@dataclass(frozen=True, slots=True)
class Denied:
    """A request that may not: Engine.IO's error code, and what to do about it.

    ``cause`` is what the statistics call it; ``retry_after`` says in how many seconds to come back, if at all.
    """

    code: int
    hint: str
    cause: str = "request"
    retry_after: int = 0


class Admission:
    """The checks of one server.  ``tag`` is the end of the sids that this process gives out."""

    def __init__(self, config: Config, tag: str) -> None:
        self._config = config
        self._tag = tag
        self._told: set[str] = set()  # origins whose refusal has been logged
        self._quiet = Quiet(_log)
        ask = config.cors_allowed_origins
        #: A function of the origin, or of the origin and the handshake: its signature is read once.
        self._ask: Callable[..., object] = ask if callable(ask) else _same_host
        if callable(ask) and handler(ask).least < 2:
            self._ask = lambda origin, handshake: ask(origin)

    def read(
        self,
        args: Mapping[str, str],
        method: str,
        *,
        is_websocket: bool,
        knows: Callable[[str], str | None],
        origin: str = "",
        foreign: Callable[[], Denied | None] = lambda: None,
        unwanted: Callable[[], Denied | None] = lambda: None,
    ) -> Opening | Denied:
        """Checks the query of a request.

        ``knows(sid)`` gives the transport of a session, or ``None``; ``foreign()`` says whether the page that asks may
        not, ``unwanted()`` whether a new client may not come in; ``origin`` is the header.
        """
        transport = args.get("transport", "")
        if transport not in self._config.transports:
            return Denied(UNKNOWN_TRANSPORT, self._transport_hint(transport))
        if _ILLEGAL.search(origin):
            return Denied(BAD_REQUEST, "the Origin header holds characters that no header may hold")
        sid = args.get("sid")
        if sid is not None:
            found = self._read_sid(sid, transport, is_websocket, knows(sid))
            return found if isinstance(found, Denied) else foreign() or found
        if method != "GET":
            return Denied(BAD_METHOD, "a session is opened with GET")
        if transport == "websocket" and not is_websocket:
            return Denied(BAD_REQUEST, _UPGRADE_MISSING)
        if transport == "polling" and is_websocket:
            return Denied(BAD_REQUEST, _POLLING_ON_WEBSOCKET)
        denied = foreign() or unwanted()
        if denied is not None:
            return denied
        version = args.get("EIO")
        if version not in ("3", "4"):
            return Denied(UNSUPPORTED_VERSION, _version_hint(version))
        return Opening(transport, None, int(version), args.get("b64") == "1" or "j" in args)

    def _read_sid(self, sid: str, transport: str, is_websocket: bool, current: str | None) -> Opening | Denied:
        if current is None:
            return Denied(UNKNOWN_SID, self._sid_hint(sid))
        if is_websocket and transport == "polling":
            return Denied(BAD_REQUEST, _POLLING_ON_WEBSOCKET)
        if is_websocket and not self._config.allow_upgrades:
            return Denied(BAD_REQUEST, "this server does not let sessions change over to a WebSocket (allow_upgrades)")
        if not is_websocket and transport != "polling":
            return Denied(BAD_REQUEST, _UPGRADE_MISSING)
        if not is_websocket and current != "polling":
            return Denied(BAD_REQUEST, "this session has changed over to its WebSocket")
        return Opening(transport, sid, 0, False)

    def _transport_hint(self, transport: str) -> str:
        known = " or ".join(self._config.transports)
        if transport in ("polling", "websocket"):
            return f"this server is open for {known} only"
        return f"transport={transport or '(missing)'}; this server speaks {known}"

    def _sid_hint(self, sid: str) -> str:
        if sid.endswith(self._tag):
            return "the session has ended; connect again"
        return (
            "another process gave this session out: several workers without sticky sessions, or a server that was"
            " restarted meanwhile; run one worker, or let clients connect with transports: ['websocket']"
        )

    # --- the page that asks --------------------------------------------------------------------------------------

    def allows_origin(self, handshake: Handshake) -> bool:
        """Whether a page of this origin may connect; what is no page (no Origin header) may.

        The default is the origin of the server itself: the same host and port, whatever the scheme, so that a proxy
        that ends TLS does no harm.
        """
        origin = handshake.header("origin")
        if not origin and "j" in handshake.args() and handshake.header("sec-fetch-site") != "same-origin":
            # JSONP: any page may load a script from here, with the user's cookies, and browsers send no Origin for it
            origin = _origin_of(handshake.header("referer")) or "null"
        if not origin:
            return True
        allowed = self._config.cors_allowed_origins
        if allowed is None:
            good = _same_host(origin, handshake)
        elif callable(allowed):
            good = bool(self._ask(origin, handshake))
        else:
            patterns = [allowed] if isinstance(allowed, str) else allowed
            good = not patterns or any(_matches(origin, pattern) for pattern in patterns)
        if not good:
            self._tell(origin, handshake)
        return good

    def look(self) -> None:
        """Called every second: says how many lines about refused pages were left out, if any were."""
        self._quiet.look()

    def _tell(self, origin: str, handshake: Handshake) -> None:
        if origin in self._told or len(self._told) > 1000:
            return
        self._told.add(origin)
        self._quiet.say(
            logging.WARNING,
            "a page from %s was refused: this server is %s://%s. If the page is yours, add it:"
            " SocketIO(app, cors_allowed_origins=[%r])",
            _clean(origin),
            handshake.scheme,
            _clean(handshake.host),
            _clean(origin),
        )


def _origin_of(address: str) -> str:
    """The origin of a page's address, or an empty string."""
    scheme, separator, rest = address.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{host}" if separator and host else ""


def _version_hint(version: str | None) -> str:
    if version is None:
        return "the EIO parameter is missing: the client is no Socket.IO client, or something on the way cut the query"
    return f"EIO={version}: this server speaks 3 (Socket.IO clients 1.x, 2.x) and 4 (clients 3.x, 4.x)"


def _clean(text: str) -> str:
    """Text from outside, fit for a log line."""
    return "".join(char if char.isprintable() else "?" for char in text[:200])


def _matches(origin: str, pattern: str) -> bool:
    """Whether an origin is the allowed one; ``*`` in it stands for anything, a slash at its end for nothing."""
    wanted = pattern.rstrip("/").lower()
    if "*" not in wanted:
        return origin.lower() == wanted
    return re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), origin.lower()) is not None


_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def _same_host(origin: str, handshake: Handshake) -> bool:
    try:
        page = urlsplit(origin)
        server = urlsplit(f"{page.scheme}://{handshake.host}")
        port = _PORTS.get(page.scheme)
        return bool(page.hostname) and (page.hostname, page.port or port) == (server.hostname, server.port or port)
    except ValueError:
        return False


# --- what proxies say -------------------------------------------------------------------------------------------------


def through_proxies(handshake: Handshake, trusted: Iterable[str]) -> Handshake:
    """The handshake as the client made it, where the connection comes from a trusted proxy.

    Believes ``X-Forwarded-For`` (the last address in it that is no trusted proxy), ``-Proto`` and ``-Host``; from
    anybody else these headers mean nothing.
    """
    if not any(name.startswith("x-forwarded-") for name, _ in handshake.headers):
        return handshake  # most clients of most servers
    nets = tuple(trusted)
    client, scheme = handshake.client, handshake.scheme
    hops = [hop.strip() for hop in handshake.header("x-forwarded-for").split(",") if hop.strip()]
    if _is_trusted(client[0], nets):
        for hop in reversed(hops):
            client = (_clean(hop), 0)
            if not _is_trusted(hop, nets):
                break
        proto = handshake.header("x-forwarded-proto").split(",")[-1].strip().lower()
        if proto in _PORTS:
            scheme = "https" if proto in ("https", "wss") else "http"
    elif client[1] != 0 or not hops:  # port 0: the host server has believed the proxy already (uvicorn, Hypercorn)
        return handshake
    return _with_host(replace(handshake, client=client, scheme=scheme))


def _with_host(handshake: Handshake) -> Handshake:
    """The handshake with the host that the proxy was asked for."""
    host = handshake.header("x-forwarded-host").split(",")[-1].strip()
    if not host:
        return handshake
    others = [(name, value) for name, value in handshake.headers if name != "host"]
    return replace(handshake, headers=[("host", host), *others])


def _is_trusted(address: str, nets: tuple[str, ...]) -> bool:
    address = address or "127.0.0.1"  # a unix socket: this machine
    if "*" in nets or address in nets:
        return True
    try:
        ip = ipaddress.ip_address(address)
        return any("/" in net and ip in ipaddress.ip_network(net, strict=False) for net in nets)
    except ValueError:
        return False
