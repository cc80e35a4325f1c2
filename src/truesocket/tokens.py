"""JSON Web Tokens at the door: verified when a client connects, watched until they expire, refreshed over an event.

::

    tokens = Tokens(jwks_url="https://login.example/jwks.json", algorithms=["RS256"], audience="chat")
    tokens.guard(server)                     # or the SocketIO of a Flask application

    @server.on("say")
    def say(text):
        print(tokens.claims()["sub"], text)

PyJWT does the cryptography (``pip install "truesocket[jwt]"``).  Verifying runs in a handler's thread, as keys may have
to be fetched.  What happens when a token expires: the client hears ``token_expired`` and has ``grace`` seconds to send
``refresh_token`` with a new one; then it is sent out of the namespace, with the reason ``"token expired"``.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from truesocket.core.middleware import Event, Proceed
from truesocket.core.ports import Handshake
from truesocket.core.quiet import Quiet
from truesocket.core.registry import Where
from truesocket.core.server import Server
from truesocket.core.socket import Socket, SocketState, current
from truesocket.errors import Refused, UsageError

__all__ = ["EXPIRED", "REFRESH", "Tokens"]

_log = logging.getLogger("truesocket")

#: The event that tells a client of its expired token: ``{"grace": seconds}``.
EXPIRED = "token_expired"
#: The event with which a client brings a new one; answered with ``{"ok": True, "expires": ...}``, or why not.
REFRESH = "refresh_token"
#: The reason that disconnect handlers hear.
REASON = "token expired"

#: Characters of a token that are looked at.
_LONGEST = 16 * 1024
#: Seconds between two fetches of the keys for the sake of a key that nobody knows, or behind one that failed.
_PATIENCE = 10.0
#: Bytes of a secret at least (RFC 7518, 3.2).
_SECRET = {"HS256": 32, "HS384": 48, "HS512": 64}
_LOCAL = ("localhost", "127.0.0.1", "::1")

_MISSING = ("token_missing", "a token is needed")
_OVER = ("token_expired", "the token has expired")
_WRONG = ("token_invalid", "the token is not valid here")
_LATER = ("token_unchecked", "the token cannot be checked at the moment")
_OTHER = ("token_invalid", "the token is somebody else's")


class Tokens:
    """Who may come in by a JSON Web Token, and for how long.

    ``key`` is the secret or the public key (PEM), or ``jwks_url`` names where the issuer publishes its keys.
    ``algorithms`` are the only ones taken, whatever a token says of itself; ``audience`` and ``issuer`` are compared.
    The token is looked for in the field ``auth`` of the auth payload, in the ``Authorization: Bearer`` header, in the
    ``cookie`` and in the ``query`` parameter of these names; ``None`` (``header=False``) looks there not at all.
    ``leeway`` and ``grace`` are in seconds.  Raises :class:`~truesocket.errors.UsageError` for what cannot be safe.
    """

    def __init__(
        self,
        *,
        algorithms: Sequence[str],
        key: str | bytes | None = None,
        jwks_url: str | None = None,
        audience: str | Sequence[str] | None = None,
        issuer: str | Sequence[str] | None = None,
        auth: str | None = "token",
        header: bool = True,
        cookie: str | None = None,
        query: str | None = None,
        leeway: float = 0.0,
        grace: float = 30.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._jwt = _library()
        self._algorithms = (algorithms,) if isinstance(algorithms, str) else tuple(algorithms)
        self._check_algorithms(secret=jwks_url is None)
        if (key is None) == (jwks_url is None):
            raise UsageError("Tokens(): give key=, the secret or public key, or jwks_url=, and not both")
        self._key = key
        if key is not None:
            self._check_key(key)
        self._keys = None if jwks_url is None else _Keys(self._jwt, jwks_url)
        self._audience = audience
        self._issuer = issuer
        self._auth = auth
        self._header = header
        self._cookie = cookie
        self._query = query
        self._leeway = leeway
        self._grace = grace
        self._now = now
        self._quiet = Quiet(_log)
        self._watches: dict[Server, _Watch] = {}

    def guard(self, server: object, *, namespace: Where = "/") -> None:
        """Nobody joins ``namespace`` of this server (``Server``, or ``SocketIO``) without a valid token from now on."""
        core = getattr(server, "core", server)
        if not isinstance(core, Server):
            raise UsageError(f"Tokens.guard({server!r}): give a truesocket.Server, or the SocketIO of an application")
        if core not in self._watches:
            self._watches[core] = watch = _Watch(core, self._leeway, self._grace, self._now)
            core.observers.append(watch)
        core.middleware("connect", namespace=namespace)(self._come_in)
        core.on(REFRESH, self._refresh, namespace=namespace)

    def claims(self) -> dict[str, Any]:
        """What the token of the client says whose handler this is; also ``socket.data["claims"]``."""
        socket = current.get()
        if socket is None:
            raise UsageError('claims() is for handlers; elsewhere read socket.data["claims"]')
        found: dict[str, Any] = socket.data.get("claims", {})
        return found

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a valid token.  Raises :class:`~truesocket.errors.Refused`.

        It may have to fetch keys: call it in a thread, not on the loop.
        """
        if len(token) > _LONGEST:
            raise _refused(_WRONG)
        try:
            key = self._key if self._keys is None else self._keys.find(token)
            claims: dict[str, Any] = self._jwt.decode(
                token,
                key,
                algorithms=list(self._algorithms),
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp"]},
            )
            claims["exp"] = int(claims["exp"])
        except self._jwt.ExpiredSignatureError:
            raise _refused(_OVER) from None
        except self._jwt.PyJWKClientError as error:
            self._quiet.say(logging.WARNING, "the keys that tokens are verified with: %s", error)
            raise _refused(_LATER) from None
        except (self._jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            self._quiet.say(logging.INFO, "a token was refused: %s", type(error).__name__)
            raise _refused(_WRONG) from None
        return claims

    # --- in a handler's thread ---------------------------------------------------------------------------------

    def _come_in(self, event: Event, proceed: Proceed) -> object:
        """The middleware around connect."""
        socket = event.socket
        token = self._find(socket)
        if token is None:
            raise _refused(_MISSING)
        claims = self.verify(token)
        socket.data["claims"] = claims
        self._accept(socket, claims)
        return proceed()

    def _refresh(self, socket: Socket, token: object = None) -> dict[str, object]:
        """The handler of ``refresh_token``."""
        try:
            if not isinstance(token, str):
                raise _refused(_MISSING)
            claims = self.verify(token)
            before: dict[str, Any] = socket.data.get("claims", {})
            if claims.get("sub") != before.get("sub"):
                raise _refused(_OTHER)
        except Refused as refused:
            return {"ok": False, **refused.payload}
        self._accept(socket, claims)
        return {"ok": True, "expires": claims["exp"]}

    def _accept(self, socket: Socket, claims: dict[str, Any]) -> None:
        """On the loop, behind the acceptance if there is one to come; where that does not come, not at all."""
        socket.server.tell(self._watches[socket.server].begin, socket, claims)

    def _find(self, socket: Socket) -> str | None:
        handshake: Handshake = socket.handshake
        found: list[object] = []
        if self._auth is not None and isinstance(socket.auth, dict):
            found.append(socket.auth.get(self._auth))
        if self._header:
            scheme, _, value = handshake.header("authorization").partition(" ")
            found.append(value.strip() if scheme.lower() == "bearer" else None)
        if self._cookie is not None:
            found.append(handshake.cookies().get(self._cookie))
        if self._query is not None:
            found.append(handshake.args().get(self._query))
        return next((each for each in found if isinstance(each, str) and each), None)

    # --- what would not be safe --------------------------------------------------------------------------------

    def _check_algorithms(self, *, secret: bool) -> None:
        known = set(self._jwt.algorithms.get_default_algorithms()) - {"none"}
        wrong = [name for name in self._algorithms if name not in known]
        if wrong or not self._algorithms:
            raise UsageError(f"Tokens(algorithms={list(self._algorithms)!r}): choose from {', '.join(sorted(known))}")
        symmetric = [name for name in self._algorithms if name in _SECRET]
        if symmetric and (len(symmetric) < len(self._algorithms) or not secret):
            raise UsageError(
                f"Tokens(algorithms={list(self._algorithms)!r}): HS256 and its like verify with a secret, the others"
                " with a public key, which an attacker may use as that secret; take one kind"
            )

    def _check_key(self, key: str | bytes) -> None:
        least = max(_SECRET.get(name, 0) for name in self._algorithms)
        if len(key) < least:
            raise UsageError(
                f"Tokens(key=...): a secret for {self._algorithms[0]} has at least {least} bytes, this one has"
                f" {len(key)}; make one with secrets.token_urlsafe({least})"
            )
        try:
            self._jwt.get_algorithm_by_name(self._algorithms[0]).prepare_key(key)
        except (self._jwt.PyJWTError, ValueError, TypeError):
            raise UsageError(f"Tokens(key=...): this is no key for {self._algorithms[0]}") from None


class _Keys:
    """The keys that an issuer publishes, fetched when needed, and not more often for those who ask for wrong ones."""

    def __init__(self, library: Any, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
            raise UsageError(f"Tokens(jwks_url={url!r}): keys come by https, or somebody on the way brings his own")
        self._jwt = library
        self._client = library.PyJWKClient(url, timeout=5)
        self._lock = threading.Lock()
        self._not_before = 0.0

    def find(self, token: str) -> Any:
        """The key that a token names.  Raises PyJWT's errors."""
        kid = self._jwt.get_unverified_header(token).get("kid")
        with self._lock:
            found = self._named(kid, refresh=False)
            if found is None and time.monotonic() >= self._not_before:
                self._not_before = time.monotonic() + _PATIENCE
                found = self._named(kid, refresh=True)
        if found is None:
            raise self._jwt.InvalidTokenError("no such key")
        return found

    def _named(self, kid: object, *, refresh: bool) -> Any:
        if not refresh and self._client.jwk_set_cache.get() is None:  # it would be fetched now
            if time.monotonic() < self._not_before:
                raise self._jwt.PyJWKClientError("they could not be fetched a moment ago")
            self._not_before = time.monotonic() + _PATIENCE
        keys = self._client.get_signing_keys(refresh)
        return next((key for key in keys if key.key_id == kid), None)


class _Watch:
    """When the tokens of one server's clients expire: one table and one timer for all.  Lives on the loop.

    Implements :class:`~truesocket.core.ports.Observer`.
    """

    def __init__(self, server: Server, leeway: float, grace: float, now: Callable[[], float]) -> None:
        self._server = server
        self._leeway = leeway
        self._grace = grace
        self._now = now
        self._at: dict[Socket, int] = {}  # when each is due
        self._due: dict[int, set[Socket]] = {}  # by the second
        self._order: list[int] = []  # those seconds, as a heap
        self._asked: set[Socket] = set()
        self._loop: asyncio.AbstractEventLoop | None = None  # on which the timer runs

    def begin(self, socket: Socket, claims: dict[str, Any]) -> None:
        """A client has a token that is good until then."""
        if socket.state is SocketState.CONNECTED:
            socket.data["claims"] = claims
            self._asked.discard(socket)
            self._expect(socket, claims["exp"] + self._leeway)

    def connected(self, socket: Socket) -> None:
        """Its token is told by :meth:`begin`."""

    def disconnected(self, socket: Socket, reason: str) -> None:
        """It has left."""
        self._forget(socket)
        self._asked.discard(socket)

    def _expect(self, socket: Socket, when: float) -> None:
        self._forget(socket)
        second = int(when) + 1
        self._at[socket] = second
        if second not in self._due:
            self._due[second] = set()
            heapq.heappush(self._order, second)
        self._due[second].add(socket)
        self._arm()

    def _forget(self, socket: Socket) -> None:
        second = self._at.pop(socket, None)
        if second in self._due:
            self._due[second].discard(socket)

    def _arm(self) -> None:
        loop = self._server.bridge.loop
        if self._loop is not loop:
            self._loop = loop
            self._server.runner.later(1.0, self._look)

    def _look(self) -> None:
        """Once a second, while anybody is here."""
        self._loop = None
        now = self._now()
        while self._order and self._order[0] <= now:
            for socket in self._due.pop(heapq.heappop(self._order)):
                if self._at.pop(socket, None) is not None:  # else it has left because of another, just now
                    self._expired(socket, now)
        if self._at:
            self._arm()

    def _expired(self, socket: Socket, now: float) -> None:
        if self._grace and socket not in self._asked:
            self._asked.add(socket)
            socket.emit(EXPIRED, {"grace": self._grace})
            self._expect(socket, now + self._grace)
        else:
            self._server.tell(self._server.dispatch.close, socket, REASON)


def _refused(why: tuple[str, str]) -> Refused:
    code, message = why
    return Refused(message, {"code": code})


def _library() -> Any:
    try:
        import jwt
    except ModuleNotFoundError:
        raise UsageError("truesocket.tokens needs a package: pip install 'truesocket[jwt]'") from None
    return jwt
