"""truesocket: real-time push over a WebSocket that is real, speaking the Socket.IO protocol.

For a Flask application see :mod:`truesocket.flask`.  For any ASGI framework::

    server = truesocket.Server()
    app = truesocket.ASGIApp(server, other=fastapi_app)

    @server.on("say")
    async def say(socket: truesocket.Socket, text: str):
        await socket.to("lobby").emit("said", text)
"""

from truesocket._version import __version__
from truesocket.core.emitter import Emitter
from truesocket.core.ports import Handshake
from truesocket.core.server import Answers, Event, Proceed, Reply, Server
from truesocket.core.socket import Socket
from truesocket.core.stats import Stats
from truesocket.doors.asgi import ASGIApp
from truesocket.errors import (
    AckTimeout,
    Disconnected,
    Refused,
    TruesocketError,
    UnknownOption,
    UnknownSid,
    UsageError,
)

__all__ = [
    "ASGIApp",
    "AckTimeout",
    "Answers",
    "Disconnected",
    "Emitter",
    "Event",
    "Handshake",
    "Proceed",
    "Refused",
    "Reply",
    "Server",
    "Socket",
    "Stats",
    "TruesocketError",
    "UnknownOption",
    "UnknownSid",
    "UsageError",
    "__version__",
]
