"""``socketio.run()`` and ``stop()``: the server for ``python app.py``, with its reloader and one-sentence errors."""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import flask
import uvicorn

from truesocket.core.drain import longest
from truesocket.doors import tls
from truesocket.doors import uvicorn as door
from truesocket.errors import UsageError
from truesocket.flask import reloader, run_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from truesocket.flask.extension import SocketIO

__all__ = ["Run", "port_of", "run"]

_log = logging.getLogger("truesocket")

#: What `run()` of the extension, :func:`run` here and the function that warns are away from the program's own line.
_STACKLEVEL = 4
#: Seconds that the reloader gives its child beside those that its server may take to end.
_MORE = 3.0


def port_of(app: flask.Flask) -> int:
    """The port in ``SERVER_NAME``, or 5000."""
    name = str(app.config.get("SERVER_NAME") or "")
    port = name.rpartition(":")[2]
    return int(port) if port.isdigit() else 5000


@dataclass
class Run:
    """One call of ``run()``: what was asked for, and the server while it serves."""

    host: str
    port: int
    debug: bool
    use_reloader: bool | None
    access_log: bool
    ssl_context: object
    extra_files: tuple[str, ...]
    reloader_options: Mapping[str, object]
    options: dict[str, Any]
    server: door.Server | None = field(default=None, init=False)
    ended: bool = field(default=False, init=False)

    def stop(self) -> None:
        """Ends it, from any thread; twice does no harm.  A server that is only being made ends when it has started."""
        self.ended = True
        if self.server is not None:
            self.server.should_exit = True

    def serve(self, socketio: SocketIO) -> None:
        """Serves in this process until a signal or :meth:`stop` ends it."""
        options = dict(self.options)
        if options.pop("use_debugger", self.debug):
            socketio.use_debugger()
        files = tls.take(options)
        known = inspect.signature(uvicorn.Config).parameters.keys() | _SERVE_OPTIONS
        options = run_options.for_server(options, dict.fromkeys(known), stacklevel=_STACKLEVEL)
        context = tls.context_of(self.ssl_context, files)
        options.setdefault("log_level", "info" if self.access_log else "warning")
        door.serve(
            socketio,
            host=self.host,
            port=self.port,
            ssl_context=context,
            access_log=self.access_log,
            on_made=self._made,
            on_started=lambda listening: _banner(listening, self.host, secure=context is not None),
            **options,
        )

    def _made(self, server: door.Server) -> None:
        self.server = server
        server.should_exit = self.ended


_SERVE_OPTIONS = {"switch_interval", "gc_freeze"}


def run(socketio: SocketIO, order: Run) -> None:
    """Serves until it is ended; with the reloader the parent watches the files and a child serves.

    What cannot work is one sentence and exit code 1.
    """
    try:
        watched = run_options.for_reloader(order.reloader_options, order.options)
        if _reloads(order):
            config = socketio.core.config
            patience = longest(config.drain_seconds, config.shutdown_timeout) + _MORE
            if not reloader.in_child():
                sys.exit(reloader.run(order.extra_files, watched, patience))
            reloader.end_with_parent(patience)
        order.serve(socketio)
    except UsageError as error:
        sys.stderr.write(f"truesocket: {error}\n")
        sys.exit(reloader.BAD_START if reloader.in_child() else 1)


def _reloads(order: Run) -> bool:
    """The reloader's parent listens to signals, which only the main thread may."""
    wanted = order.debug if order.use_reloader is None else order.use_reloader
    if not wanted or threading.current_thread() is threading.main_thread():
        return wanted
    if order.use_reloader is None:
        _log.info("run() is not in the main thread: no reloader")
        return False
    raise UsageError("the reloader works in the main thread only: write run(..., use_reloader=False) in this one")


def _banner(port: int, host: str, *, secure: bool) -> None:
    scheme = "https" if secure else "http"
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    everywhere = " (and on every other address of this machine)" if shown != host else ""
    if ":" in shown:
        shown = f"[{shown}]"
    _log.info("listening on %s://%s:%d%s  -  Ctrl-C ends it", scheme, shown, port, everywhere)
