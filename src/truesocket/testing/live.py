"""A real server on a free port, in the test's process: for browsers, and for clients that need a socket.

It listens on the loop that serves the server: the loop thread, which in-memory clients use as well.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from truesocket.core.server import Server
from truesocket.doors.asgi import ASGIApp
from truesocket.errors import UsageError
from truesocket.testing.client import entrance_of
from truesocket.testing.watch import is_here, listening, start_in_thread

if TYPE_CHECKING:
    from truesocket.doors.uvicorn import Server as UvicornServer

__all__ = ["LiveServer"]

#: Seconds that the server gets to start, and to end.
_PATIENCE = 20.0


class LiveServer:
    """Serves a Server, an ASGIApp, a SocketIO or a Flask application that has one, through the fast door.

    ``with LiveServer(socketio) as server:`` starts it and ends it; ``server.url`` is where it is meanwhile.
    ``options`` go to ``uvicorn.Config``.
    """

    def __init__(self, app: object, *, host: str = "127.0.0.1", **options: object) -> None:
        self.host = host
        self.port: int = 0
        self._entrance = entrance_of(app)
        found = getattr(app, "extensions", {}).get("socketio", app)
        self._app = ASGIApp(found) if isinstance(found, Server) else found
        self._options = options
        self._uvicorn: UvicornServer | None = None
        self._over: concurrent.futures.Future[None] | None = None

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:40123``."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Listens on a free port from now on.

        Raises :class:`~truesocket.errors.UsageError` on the loop that serves the server, which it would stop.
        """
        import uvicorn

        from truesocket.doors import uvicorn as door

        core = self._entrance.server
        if is_here(core):
            raise UsageError(
                "an AsyncClient has this server on the test's own loop: close it before the server listens, and use"
                " blocking clients beside it"
            )
        listener = door.bind(self.host, 0)
        self.port = listener.getsockname()[1]
        settings: dict[str, Any] = {
            "ws": door.Door,
            "lifespan": "on",
            "log_level": "error",
            "proxy_headers": False,
            "timeout_graceful_shutdown": 2,
            **self._options,
        }
        started = threading.Event()
        config = uvicorn.Config(cast(Any, self._app), **settings)
        self._uvicorn = door.Server(config, self._entrance, lambda port: started.set())
        loop, _ = start_in_thread(core)
        listening.add(core)
        self._over = asyncio.run_coroutine_threadsafe(self._uvicorn.serve([listener]), loop)
        self._over.add_done_callback(lambda over: started.set())
        if not started.wait(_PATIENCE) or self._over.done():
            self.stop()
            raise UsageError("the server did not start; its log has the reason")

    def stop(self) -> None:
        """Ends it, and waits until it has ended; twice does no harm."""
        if self._uvicorn is None or self._over is None:
            return
        self._uvicorn.should_exit = True
        try:
            self._over.result(_PATIENCE)
        finally:
            listening.discard(self._entrance.server)
            self._entrance.ending = False  # this host is gone, and the process goes on
            self._uvicorn = self._over = None

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
