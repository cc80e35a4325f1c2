"""A raw WebSocket echo: what comes in goes out.  For outside test suites (Autobahn's and others).

    python -m truesocket.testing.websocket_echo PORT [--compression] [--context-takeover] [--limit BYTES]

It is ``codec/frames.py``, ``session/websocket.py`` and ``transports/stream.py`` alone: no Engine.IO, no HTTP server.
Messages of up to 16 MiB are echoed.  A client that sends faster than it reads is read more slowly.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import cast

from truesocket.codec import deflate, upgrade
from truesocket.errors import UpgradeError
from truesocket.session.compression import Compression
from truesocket.session.engine import Link
from truesocket.transports.stream import Stream

__all__ = ["Echo", "EchoProtocol", "main"]

LIMIT = 16 * 1024 * 1024


class Echo:
    """Implements :class:`~truesocket.transports.stream.Receiver`."""

    def received_on(self, link: Link, message: str | bytes) -> None:
        cast(Stream, link).send_message(message)
        if not link.writable:
            link.pause()

    def writable(self, link: Link) -> None:
        link.resume()

    def lost(self, link: Link, reason: str) -> None:
        """Nobody needs to know."""


class EchoProtocol(asyncio.Protocol):
    """Answers the opening handshake, then gives the transport to a stream.

    ``takeover`` is ``None`` where messages are not compressed, else whether windows are kept from one to the next.
    """

    def __init__(self, limit: int = LIMIT, takeover: bool | None = None) -> None:
        self._limit = limit
        self._takeover = takeover
        self._head = b""
        self._transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        try:
            head = upgrade.parse_head(self._head)
            if head is None:
                return
            key = upgrade.check(head.method, head.version, head.get)
        except UpgradeError as error:
            self._transport.write(upgrade.refusal(error.http_status, str(error), error.headers))
            self._transport.close()
            return
        self._open(head, key)

    def _open(self, head: upgrade.Head, key: str) -> None:
        agreed = None
        if self._takeover is not None:
            offers = head.get("sec-websocket-extensions")
            agreed = deflate.negotiate(offers, context_takeover=self._takeover)
        extensions = () if agreed is None else (("Sec-WebSocket-Extensions", agreed.header),)
        self._transport.write(upgrade.answer(key, extensions))
        compression = None if agreed is None else Compression(agreed, threshold=0)
        stream = Stream(self._transport, Echo(), 4, self._limit, compression)
        self._transport.set_protocol(stream)
        if self._head[head.end :]:
            stream.data_received(self._head[head.end :])


async def _serve(port: int, limit: int, takeover: bool | None) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: EchoProtocol(limit, takeover), "127.0.0.1", port)
    sys.stdout.write(f"echoing on ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m truesocket.testing.websocket_echo", description="WebSocket echo")
    parser.add_argument("port", type=int, metavar="PORT")
    parser.add_argument("--limit", type=int, default=LIMIT, help="largest message in bytes (default: %(default)s)")
    parser.add_argument("--compression", action="store_true", help="permessage-deflate, where the client offers it")
    parser.add_argument("--context-takeover", action="store_true", help="keep windows from message to message")
    options = parser.parse_args(argv)
    takeover = options.context_takeover if options.compression or options.context_takeover else None
    try:
        asyncio.run(_serve(options.port, options.limit, takeover))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
