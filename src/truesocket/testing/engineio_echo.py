"""A raw Engine.IO echo at ``/engine.io/``: every message comes back.  For outside test suites.

    python -m truesocket.testing.engineio_echo PORT [--ping-interval MS] [--ping-timeout MS] [--max-payload BYTES]

Both revisions, on long-polling and WebSockets, through the usual doors; only the Socket.IO conversation is left out.
"""

from __future__ import annotations

import argparse
from typing import Any

from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors.asgi import ASGIApp
from truesocket.doors.entrance import ensure_log_output
from truesocket.doors.uvicorn import serve
from truesocket.session.engine import Link
from truesocket.session.peer import Peer

__all__ = ["EchoPeer", "EchoServer", "main"]


class EchoPeer(Peer[Handshake]):
    """A peer that speaks Engine.IO only, and says what it hears."""

    __slots__ = ()

    def open(self, link: Link | None, *, upgrades: bool = True) -> None:
        self.engine.open(link)

    def received(self, data: str | bytes) -> None:
        self.engine.send_message(data)


class EchoServer(Server):
    """A server of such peers; ``options`` as for :class:`~truesocket.core.server.Server`."""

    peer_type: type[Peer[Handshake]] = EchoPeer

    def __init__(self, **options: Any) -> None:
        super().__init__(path="engine.io", connect_timeout=float("inf"), cors_allowed_origins="*", **options)


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m truesocket.testing.engineio_echo", description="Engine.IO echo")
    parser.add_argument("port", type=int, metavar="PORT")
    parser.add_argument("--ping-interval", type=float, default=25_000, help="milliseconds (default: %(default)s)")
    parser.add_argument("--ping-timeout", type=float, default=20_000, help="milliseconds (default: %(default)s)")
    parser.add_argument("--max-payload", type=int, default=1_000_000, help="bytes (default: %(default)s)")
    options = parser.parse_args(argv)
    ensure_log_output()
    server = EchoServer(
        ping_interval=options.ping_interval / 1000,
        ping_timeout=options.ping_timeout / 1000,
        max_payload=options.max_payload,
    )
    serve(ASGIApp(server), port=options.port)


if __name__ == "__main__":
    main()
