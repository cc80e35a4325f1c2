"""The WSGI environ of a handshake, as the application's pages would see it.

A handler finds in ``request`` what the client's first HTTP request said.  That request goes once through the
application's own WSGI wrappers (``app.wsgi_app = ProxyFix(app.wsgi_app)``), so that ``remote_addr``, ``is_secure`` and
``host`` are the same in a page and in a handler, whatever the transport and the door.
"""

from __future__ import annotations

import functools
import io
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast
from wsgiref.types import StartResponse, WSGIApplication

import flask
from werkzeug.middleware.proxy_fix import ProxyFix

from truesocket.core.ports import Handshake
from truesocket.doors.wsgi import APP, Door
from truesocket.errors import UsageError

__all__ = [
    "Gate",
    "base_environ",
    "environ_of",
    "event_environ",
    "install_gate",
    "is_quick",
    "kept",
    "through_wrappers",
]

_PROBE = "truesocket.probe"
#: The same for everybody.
_STREAMS = ("wsgi.input", "wsgi.errors")
#: What a connection keeps is a whole environ where this is in it.
_IS_WHOLE = "REQUEST_METHOD"
#: Two namespaces of a client may connect at once.
_first = threading.Lock()


def environ_of(handshake: Handshake) -> dict[str, Any]:
    """Builds the environ of a handshake (PEP 3333)."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": handshake.root_path,
        "PATH_INFO": handshake.path if handshake.path.isascii() else handshake.path.encode().decode("latin-1"),
        "QUERY_STRING": handshake.query,
        "SERVER_NAME": handshake.server[0],
        "SERVER_PORT": str(handshake.server[1]),
        "SERVER_PROTOCOL": f"HTTP/{handshake.http_version}",
        "REMOTE_ADDR": handshake.client[0],
        "REMOTE_PORT": str(handshake.client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": handshake.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in handshake.headers:
        key = _key_of(name)
        if key in environ:
            environ[key] += f"{'; ' if name == 'cookie' else ','}{value}"
        elif key:
            environ[key] = value
    return environ


@functools.lru_cache(128)
def _key_of(header: str) -> str:
    """The key of a header in an environ; nothing for those that could be mistaken for another: X_Forwarded_For."""
    if "_" in header:
        return ""
    key = header.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


# --- what a connection keeps ---------------------------------------------------------------------------------------


def kept(handshake: Handshake) -> dict[str, Any]:
    """What a connection keeps for Flask: what its environs have that is not in the handshake.

    Making an environ anew for each event takes 2 us; keeping one takes 1 KB for each connection.
    """
    if not isinstance(handshake.extra, dict):
        with _first:
            if not isinstance(handshake.extra, dict):
                handshake.extra = {}
    return cast("dict[str, Any]", handshake.extra)


def event_environ(handshake: Handshake, keeps: dict[str, Any]) -> dict[str, Any]:
    """A new environ, for one event of a connection that ``keeps`` these."""
    if _IS_WHOLE in keeps:
        return keeps.copy()
    environ = environ_of(handshake)
    environ.update(keeps)
    return environ


def base_environ(handshake: Handshake) -> dict[str, Any]:
    """The environ of a connection itself; whoever asks for it may change it, so that it is kept from now on."""
    keeps = kept(handshake)
    if _IS_WHOLE not in keeps:
        keeps.update({**environ_of(handshake), **keeps})
    return keeps


class Gate:
    """The innermost WSGI layer of an application: a probing environ turns round here, Socket.IO's requests go out.

    ``door`` answers these where the host is a WSGI server; they have passed the application's wrappers as pages do.
    """

    def __init__(self, app: WSGIApplication, owner: flask.Flask) -> None:
        self.app = app
        self._owner = owner
        self.door: Door | None = None

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ[APP] = self._owner
        probe: Callable[[dict[str, Any]], None] | None = environ.get(_PROBE)
        if probe is None:
            if self.door is None:
                return self.app(environ, start_response)
            return self.door(environ, start_response, self.app)
        probe(environ)
        start_response("204 No Content", [])
        return []


def install_gate(app: flask.Flask) -> Gate:
    """Puts a gate behind the wrappers that ``app.wsgi_app`` has or will get; once per application."""
    holder: Any = app
    name = "wsgi_app"
    while True:
        layer = getattr(holder, name)
        if isinstance(layer, Gate):
            return layer
        inner = next((each for each in ("app", "wsgi_app") if callable(getattr(layer, each, None))), None)
        if inner is None or _is_own(layer, app):
            break
        holder, name = layer, inner
    gate = Gate(layer, app)
    setattr(holder, name, gate)
    return gate


def is_quick(wsgi_app: object) -> bool:
    """Whether there is nothing in front of the gate but Werkzeug's ProxyFix, which waits for nobody."""
    while type(wsgi_app) is ProxyFix:
        wsgi_app = wsgi_app.app
    return isinstance(wsgi_app, Gate)


def _is_own(layer: object, app: flask.Flask) -> bool:
    """Whether a layer is the application's own ``wsgi_app`` method."""
    return getattr(layer, "__self__", None) is app


def through_wrappers(app: flask.Flask, handshake: Handshake) -> Handshake:
    """Sends the handshake's environ through the wrappers of ``app`` and reads back what they made of it."""
    environ = environ_of(handshake)
    seen: list[dict[str, Any]] = []
    environ[_PROBE] = seen.append
    body = app.wsgi_app(environ, lambda status, headers, exc_info=None: lambda data: None)
    try:
        for _ in body:  # a wrapper may be a generator, which does nothing until somebody reads
            pass
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    if not seen:
        raise UsageError(
            "a WSGI wrapper of app.wsgi_app answered a Socket.IO handshake itself; let it pass what is not its own"
        )
    found = seen[0]
    del found[_PROBE]
    handshake.client = (str(found.get("REMOTE_ADDR", "")), int(found.get("REMOTE_PORT") or 0))
    handshake.scheme = str(found["wsgi.url_scheme"])
    host = str(found.get("HTTP_HOST", ""))
    handshake.headers = [("host", host) if each[0] == "host" else each for each in handshake.headers]
    handshake.extra = _changed(environ_of(handshake), found)
    return handshake


def _changed(ours: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What the wrappers have added and changed; all of it, where they have taken something away."""
    if not ours.keys() <= found.keys():
        return found
    unmade = object()
    return {name: value for name, value in found.items() if name not in _STREAMS and ours.get(name, unmade) != value}
