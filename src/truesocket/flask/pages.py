"""The pages of the Flask application under an ASGI server, each in a thread of the pages' own pool."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import flask
from a2wsgi import WSGIMiddleware

from truesocket.core.pool import Pool

__all__ = ["Pages"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Pages:
    """``app`` gives the application, ``is_running`` says whether the server goes on, ``threads`` how many there may be.

    Threads start when they are needed.
    """

    def __init__(self, app: Callable[[], flask.Flask], is_running: Callable[[], bool], threads: int) -> None:
        self._app = app
        self._is_running = is_running
        self._threads = threads
        self._middleware: Any = None  # a2wsgi types its protocols more narrowly than ASGI does
        self._debugger: Any = None

    def use_debugger(self) -> None:
        """Flask's interactive error pages."""
        from werkzeug.debug import DebuggedApplication

        self._debugger = DebuggedApplication(self._plain, evalex=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One page."""
        if self._middleware is None:
            self._middleware = WSGIMiddleware(cast(Any, self._wsgi))
            self._middleware.executor.shutdown(wait=False)  # its threads would keep the program from ending
            self._middleware.executor = Pool("truesocket-http", self._threads)
        if scope["type"] == "http" and any(b"_" in name for name, _ in scope["headers"]):
            # WSGI could not tell X_Forwarded_For from X-Forwarded-For
            scope = {**scope, "headers": [pair for pair in scope["headers"] if b"_" not in pair[0]]}
        started = False

        async def send_on(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._middleware(scope, receive, send_on)
        except asyncio.CancelledError:
            if scope["type"] != "http" or self._is_running():
                raise
            if not started:  # the server ends, and this page has taken too long
                await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})

    def _wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.multiprocess"] = False
        environ["wsgi.errors"] = sys.stderr
        return (self._debugger or self._plain)(environ, start_response)

    def _plain(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._app()(environ, start_response)
