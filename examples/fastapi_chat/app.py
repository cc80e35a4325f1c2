"""A chat with rooms, for FastAPI: a login by token, an HTTP endpoint that pushes, handlers of both kinds.

    pip install fastapi truesocket
    uvicorn app:app --ws truesocket.doors.uvicorn:Door

Then open http://127.0.0.1:8000 in two windows.
"""

import logging
import secrets
import time
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse
from pydantic import BaseModel

from truesocket import ASGIApp, Event, Proceed, Refused, Server, Socket

# begin: server
api = FastAPI(title="Chat")
server = Server()
app = ASGIApp(server, other=api)  # Socket.IO at /socket.io/, FastAPI everywhere else
# end: server

log = logging.getLogger("chat")
names: dict[str, str] = {}  # token -> who it belongs to


# ---- HTTP: what FastAPI does


class Login(BaseModel):
    """What is sent to /login."""

    name: str


class Announcement(BaseModel):
    """What is sent to a room."""

    text: str


@api.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


@api.post("/login")
async def login(who: Login) -> dict[str, str]:
    token = secrets.token_urlsafe()
    names[token] = who.name
    return {"token": token}


# begin: push
@api.post("/rooms/{room}/announcements")
async def announce(room: str, announcement: Announcement) -> dict[str, int]:
    heard_by = await server.count(room)
    if not heard_by:
        raise HTTPException(404, "nobody is in this room")
    await server.to(room).emit("announced", announcement.text)
    return {"heard_by": heard_by}


# end: push
# ---- Socket.IO: what truesocket does


# begin: login
@server.event
async def connect(socket: Socket, auth: dict[str, Any] | None) -> None:
    name = names.get((auth or {}).get("token", ""))
    if name is None:
        raise Refused("log in first")
    socket.data["name"] = name


# end: login
# begin: rooms
@server.event
async def join(socket: Socket, room: str) -> list[str]:
    await socket.enter(room)
    await socket.to(room).emit("joined", room, socket.data["name"])
    return [member.data["name"] for member in await server.sockets(room)]


@server.event
def say(socket: Socket, room: str, text: str) -> str:
    """A `def` handler runs in a thread: it may block, on a database or a model."""
    if room not in socket.rooms().result():
        return "you are not in this room"
    server.to(room).emit("said", room, socket.data["name"], text)
    return "ok"


# end: rooms
@server.event
async def disconnect(socket: Socket, reason: str) -> None:
    for room in await socket.rooms():
        await server.to(room).emit("left", room, socket.data["name"])


# begin: middleware
@server.middleware
async def timed(event: Event, proceed: Proceed) -> Any:
    began = time.perf_counter()
    try:
        return await proceed()
    finally:
        log.info("%s by %s took %.1f ms", event.name, event.socket.data["name"], (time.perf_counter() - began) * 1000)


# end: middleware
