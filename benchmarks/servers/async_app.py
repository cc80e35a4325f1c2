"""One ASGI application for us and for python-socketio, with ``async def`` handlers: ``app``.

``BENCH_WHO`` says whose it is; ``truesocket run async_app:app`` or any ASGI server serves it.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import payloads

PAYLOADS = payloads.read()

app: Any

if os.environ["BENCH_WHO"] == "truesocket":
    import truesocket

    server = truesocket.Server(**payloads.options())
    app = truesocket.ASGIApp(server)

    @server.on("connect")
    async def connect(socket: truesocket.Socket) -> None:
        socket.enter("lobby")

    @server.on("cast")
    async def cast(socket: truesocket.Socket, kind: str, times: int) -> None:
        for _ in range(times):
            await server.emit("news", PAYLOADS[kind], to="lobby")

    @server.on("enter")
    async def enter(socket: truesocket.Socket, room: str) -> bool:
        socket.enter(room)
        return True

    @server.on("room")
    async def room(socket: truesocket.Socket, name: str, kind: str) -> None:
        await server.emit("news", PAYLOADS[kind], to=name)

    @server.on("ask")
    async def ask(socket: truesocket.Socket, text: str) -> str:
        return text

    @server.on("tick")
    async def tick(socket: truesocket.Socket, interval: int, times: int) -> None:
        asyncio.ensure_future(push(interval / 1e6, times))  # noqa: RUF006 -- it lives as long as it sleeps

else:
    import socketio

    server = socketio.AsyncServer(async_mode="asgi")
    app = socketio.ASGIApp(server)

    @server.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.enter_room(sid, "lobby")

    @server.on("cast")
    async def cast(sid: str, kind: str, times: int) -> None:
        for _ in range(times):
            await server.emit("news", PAYLOADS[kind], to="lobby")

    @server.on("enter")
    async def enter(sid: str, room: str) -> bool:
        await server.enter_room(sid, room)
        return True

    @server.on("room")
    async def room(sid: str, name: str, kind: str) -> None:
        await server.emit("news", PAYLOADS[kind], to=name)

    @server.on("ask")
    async def ask(sid: str, text: str) -> str:
        return text

    @server.on("tick")
    async def tick(sid: str, interval: int, times: int) -> None:
        server.start_background_task(push, interval / 1e6, times)


async def push(interval: float, times: int) -> None:
    due = time.monotonic()
    for _ in range(times):
        due += interval
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await server.emit("tick", {"t": time.monotonic_ns() // 1000, "d": int(due * 1e6)}, to="lobby")
