"""A wire that can be cut: it passes bytes on to a server, and breaks all its connections when it is asked for `/-cut-`.

It stays dead for a moment: browsers and aiohttp send a request again when a kept connection breaks under it, and would
not notice.

with Proxies(server.port) as proxies:
    url = proxies.open()  # one for each client, so that a cut concerns nobody else
"""

import asyncio
import contextlib
import socket
import threading

from tests.support.servers import HOST

CUT = b"GET /-cut- HTTP"
OUTAGE = 0.3  # seconds
DONE = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Proxies:
    """Any number of proxies in front of one port, in a thread of their own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open_ones: list[tuple[asyncio.Server, Wire]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Proxies":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(self) -> str:
        """Start one and return its address."""
        server = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return f"http://{HOST}:{server.sockets[0].getsockname()[1]}"

    async def _open(self) -> asyncio.Server:
        wire = Wire(self._port)
        server = await asyncio.start_server(wire.connected, HOST, 0)
        self._open_ones.append((server, wire))
        return server

    async def _end(self) -> None:
        for server, wire in self._open_ones:
            server.close()
            wire.cut()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})


class Wire:
    """The connections of one client."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._dead_until = 0.0

    def cut(self, sparing: asyncio.StreamWriter | None = None) -> None:
        """Break every connection at once, without a word, and those that come in a moment."""
        self._dead_until = asyncio.get_running_loop().time() + OUTAGE
        for end in self._ends - {sparing}:
            end.transport.abort()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if asyncio.get_running_loop().time() < self._dead_until:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(HOST, self._port)
        ends = {writer, back}
        if asyncio.get_running_loop().time() < self._dead_until:  # it has been cut while it was being made
            for end in ends:
                end.transport.abort()
            return
        self._ends |= ends
        for end in ends:
            end.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with contextlib.suppress(OSError):
                await asyncio.gather(self._pass(reader, back, writer), self._pass(there, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asker: asyncio.StreamWriter | None = None
    ) -> None:
        while data := await reader.read(1 << 16):
            if asker is not None and data.startswith(CUT):
                self.cut(sparing=asker)
                asker.write(DONE)
                break
            writer.write(data)
            await writer.drain()
        writer.close()
        if asker is not None:
            asker.close()
