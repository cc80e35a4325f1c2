"""One turn of long-polling: an :class:`HttpRequest` in, an :class:`HttpReply` out, whatever the HTTP server is.

The door has cut the request and asked admission already; a new session comes here with its peer opened.  A GET is
parked on a future until the engine has something to tell; a POST is answered ``ok`` when its packets have been taken.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace

from truesocket.codec import engineio, jsons
from truesocket.codec.engineio import EnginePacket
from truesocket.codec.oldways import build_jsonp, parse_jsonp
from truesocket.errors import PacketError
from truesocket.session.engine import Engine, State

__all__ = ["HttpReply", "HttpRequest", "Left", "Watch", "compressed", "error_reply", "payload_reply", "turn"]

#: Watches a client whose GET is parked: calls back when it has gone away; what it returns ends the watch.
Watch = Callable[[Callable[[], None]], Callable[[], object]]

_ERRORS = {
    0: (400, "Transport unknown"),
    1: (400, "Session ID unknown"),
    2: (400, "Bad handshake method"),
    3: (400, "Bad request"),
    4: (403, "Forbidden"),
    5: (400, "Unsupported protocol version"),
    # beyond those of Engine.IO: who is sent away for now
    6: (503, "Server full"),
    7: (429, "Too many connections from this address"),
    8: (503, "Too many handshakes"),
    9: (503, "Server shutting down"),
}


class Left(Exception):
    """The client has gone away while its GET was parked; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """``body`` is the whole body, already held against ``max_payload``; ``jsonp`` the index of a JSONP callback."""

    method: str
    content_type: str = ""
    body: bytes = b""
    jsonp: str | None = None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What the door sends; ``headers`` come in addition to Content-Type and Content-Length."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=UTF-8"
    headers: tuple[tuple[str, str], ...] = (("Cache-Control", "no-store"),)

    def all_headers(self) -> tuple[tuple[str, str], ...]:
        """Every header of the answer; an answer to HEAD brings its own Content-Length."""
        if self.status in (204, 304):
            return self.headers
        if any(name == "Content-Length" for name, _ in self.headers):
            return (("Content-Type", self.content_type), *self.headers)
        return (("Content-Type", self.content_type), ("Content-Length", str(len(self.body))), *self.headers)


def error_reply(code: int, hint: str = "", status: int | None = None) -> HttpReply:
    """The JSON error body of Engine.IO with our ``hint``: ``{"code": 1, "message": "Session ID unknown", ...}``."""
    usual, message = _ERRORS[code]
    content: dict[str, object] = {"code": code, "message": message}
    if hint:
        content["hint"] = hint
    return HttpReply(status or usual, jsons.dumps(content)[0].encode(), "application/json")


async def turn(engine: Engine, request: HttpRequest, watch: Watch | None = None) -> HttpReply:
    """One GET or POST of a session that exists, or did so when the request was let in.

    Raises :class:`Left` where ``watch`` says so of a parked GET.
    """
    if engine.state is State.CLOSED:
        return error_reply(1, "the session has just ended")
    if request.method == "GET":
        return await _get(engine, request.jsonp, watch)
    return await _post(engine, request)


async def _get(engine: Engine, jsonp: str | None, watch: Watch | None) -> HttpReply:
    future: asyncio.Future[list[EnginePacket] | None] = asyncio.get_running_loop().create_future()

    def answer(packets: list[EnginePacket] | None) -> None:
        if not future.done():
            future.set_result(packets)

    if not engine.poll(answer):
        over = "two GETs of one session at the same time; the session has been closed"
        return error_reply(3, "this session has its WebSocket" if engine.link is not None else over)
    end_watch = watch(lambda: answer(None)) if watch is not None and not future.done() else None
    try:
        packets = await future
    except asyncio.CancelledError:
        engine.poll_lost(answer)
        raise
    finally:
        if end_watch is not None:
            end_watch()
    if packets is None:
        engine.poll_lost(answer)
        raise Left
    return payload_reply(engine, packets, jsonp)


def payload_reply(engine: Engine, packets: list[EnginePacket], jsonp: str | None = None) -> HttpReply:
    """Packets in the form that this session reads."""
    if jsonp is not None:
        script = build_jsonp(jsonp, engineio.build_payload(packets, engine.revision))
        return HttpReply(200, script, "text/javascript; charset=UTF-8")
    binary = engine.revision == 3 and not engine.base64 and engineio.needs_binary_payload(packets)
    body = engineio.build_payload(packets, engine.revision, binary=binary)
    return HttpReply(200, body, "application/octet-stream" if binary else "text/plain; charset=UTF-8")


async def _post(engine: Engine, request: HttpRequest) -> HttpReply:
    binary = request.content_type.startswith("application/octet-stream")
    if not _take(engine, request, binary=binary):
        return error_reply(3, f"the session has been closed: {engine.error}")
    while engine.paused and engine.state is State.OPEN:
        await asyncio.sleep(0.05)  # the handlers do not keep up: the client sends its next payload after this answer
    return HttpReply(200, b"ok", "text/html")


def _take(engine: Engine, request: HttpRequest, *, binary: bool) -> bool:
    """Gives the body to the session; ``False`` where it could not be read."""
    if request.jsonp is None:
        return engine.post(request.body, binary=binary)
    try:
        payload = parse_jsonp(request.body)
    except PacketError as error:
        engine.fail(error)
        return False
    return engine.post(payload, binary=False)


def compressed(reply: HttpReply, accept_encoding: str, threshold: int) -> HttpReply:
    """The reply, compressed with gzip from ``threshold`` bytes on, if the client reads that."""
    if len(reply.body) < threshold or not _accepts_gzip(accept_encoding):
        return reply
    headers = (*reply.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return replace(reply, body=gzip.compress(reply.body, 1, mtime=0), headers=headers)


def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        name, _, weight = part.replace(" ", "").partition(";")
        if name in ("gzip", "*"):
            return weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
