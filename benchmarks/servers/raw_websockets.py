"""The package websockets with its ``broadcast``, on uvloop: no protocol above WebSocket.  ``PORT`` is the argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

FOLDER = Path(os.environ["BENCH_PAYLOADS"])
TEXTS = {name: (FOLDER / f"{name}.event").read_text() for name in ("100", "2048")}
CONNECTIONS: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    CONNECTIONS.add(connection)
    try:
        async for text in connection:
            word, *rest = str(text).split(" ")
            if word == "ask":
                await connection.send(text)
            else:
                for _ in range(int(rest[1])):
                    broadcast(CONNECTIONS, TEXTS[rest[0]])
    finally:
        CONNECTIONS.discard(connection)


async def main() -> None:
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), backlog=4096) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
