"""A Flask application with its SocketIO, served in a thread of this process through the fast door."""

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn

from tests.support.servers import HOST
from truesocket.doors.asgi import ASGIApp
from truesocket.doors.uvicorn import Door, bind
from truesocket.flask import SocketIO


@contextlib.contextmanager
def served(socketio: SocketIO | ASGIApp, **options: Any) -> Iterator[int]:
    """Serves until the block ends; gives the port.  ``options`` are uvicorn's."""
    listener = bind(HOST, 0)
    config = uvicorn.Config(
        socketio,
        **{"ws": Door, "log_level": "error", "lifespan": "on", "timeout_graceful_shutdown": 2, **options},
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
    assert not thread.is_alive(), "the server did not end"
