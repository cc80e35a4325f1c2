"""The WSGI environ of a handshake, as the application's pages would see it.

A handler finds in ``request`` what the client's first HTTP request said.  That request goes once through the
application's own WSGI wrappers (``app.wsgi_app = ProxyFix(app.wsgi_app)``), so that ``remote_addr``, ``is_secure`` and
``host`` are the same in a page and in a handler, whatever the transport and the door.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

import flask

from truesocket.core.ports import Handshake
from truesocket.doors.wsgi import APP, Door
from truesocket.errors import UsageError

__all__ = ["Gate", "environ_of", "install_gate", "through_wrappers"]

_PROBE = "truesocket.probe"


def environ_of(handshake: Handshake) -> dict[str, Any]:
    """Builds the environ of a handshake (PEP 3333)."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": handshake.root_path,
        "PATH_INFO": handshake.path.encode().decode("latin-1"),
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
        if "_" in name:
            continue  # it would pass for the one with hyphens: X_Forwarded_For
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = sys.intern(f"HTTP_{key}")
        separator = "; " if name == "cookie" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    return environ


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
    handshake.headers = [(name, host if name == "host" else value) for name, value in handshake.headers]
    handshake.extra = found
    return handshake
