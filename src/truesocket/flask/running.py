"""``socketio.run()``: the server for ``python app.py``, with its banner, its reloader and its one-sentence errors."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import flask

from truesocket.doors import uvicorn as door
from truesocket.errors import UsageError
from truesocket.flask import reloader

if TYPE_CHECKING:
    import ssl

    from truesocket.flask.extension import SocketIO

__all__ = ["port_of", "run"]

_log = logging.getLogger("truesocket")


def port_of(app: flask.Flask) -> int:
    """The port in ``SERVER_NAME``, or 5000."""
    name = str(app.config.get("SERVER_NAME") or "")
    port = name.rpartition(":")[2]
    return int(port) if port.isdigit() else 5000


def run(
    socketio: SocketIO,
    app: flask.Flask,
    host: str,
    port: int,
    *,
    reload: bool,
    extra_files: Iterable[str],
    access_log: bool,
    ssl_context: ssl.SSLContext | None,
    ssl_certfile: str | None,
    ssl_keyfile: str | None,
    options: dict[str, Any],
) -> None:
    """Serves until a signal comes; with ``reload`` the parent watches the files and a child serves."""
    if reload and not reloader.in_child():
        sys.exit(reloader.run(extra_files))
    if app.debug:
        socketio.use_debugger()
    try:
        door.serve(
            socketio,
            host=host,
            port=port,
            ssl_context=ssl_context,
            access_log=access_log,
            log_level="info" if access_log else "warning",
            on_started=lambda listening: _banner(listening, host, secure=bool(ssl_context or ssl_certfile)),
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
            **options,
        )
    except UsageError as error:
        sys.stderr.write(f"truesocket: {error}\n")
        sys.exit(reloader.BAD_START if reload else 1)


def _banner(port: int, host: str, *, secure: bool) -> None:
    scheme = "https" if secure else "http"
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    everywhere = " (and on every other address of this machine)" if shown != host else ""
    if ":" in shown:
        shown = f"[{shown}]"
    _log.info("listening on %s://%s:%d%s  -  Ctrl-C ends it", scheme, shown, port, everywhere)
