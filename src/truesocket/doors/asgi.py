"""Any ASGI server: HTTP requests become polling turns, WebSocket messages go to a peer, the rest to the application.

The host frames WebSockets itself, so this door joins the staircase at the Engine.IO layer.  A host's ``send`` is a
coroutine that hardly ever waits: with the hosts of which that is known it runs on the spot, and only what does wait
becomes a task.  With others, one task per client writes what waits, and only while something waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from functools import partial
from typing import Any, cast

from truesocket.codec import engineio
from truesocket.codec.engineio import EnginePacket
from truesocket.codec.parcel import Parcels
from truesocket.core.admission import Denied
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors import polls
from truesocket.doors.ending import signals_heard
from truesocket.doors.entrance import Entrance, Prepare
from truesocket.doors.polls import Poll
from truesocket.errors import TooLarge
from truesocket.session.engine import Engine, Reason
from truesocket.transports.polling import HttpReply, Left

__all__ = ["ASGIApp", "App", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Bytes handed to the host at most before the client's outbox takes over.
_HIGH_WATER = 64 * 1024
#: Hosts whose ``send`` of a message does not mind in which task it runs: no timeout and no cancel scope in it.
_STEPPED = ("uvicorn.protocols.websockets.", "hypercorn.protocol.")


class ASGIApp:
    """An ASGI application: Socket.IO at its own path, ``other`` everywhere else.

    ``prepare`` sees each handshake first (``doors/entrance.py``).  Without ``other``, every other path is a 404.
    """

    def __init__(self, server: Server, other: App | None = None, *, prepare: Prepare | None = None) -> None:
        self.entrance: Entrance = Entrance(server, prepare)
        self._other = other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        handshake = _handshake(scope)
        if self.entrance.is_ours(handshake.path):
            self.entrance.start("asgi")
            if kind == "websocket":
                answers = "websocket.http.response" in (scope.get("extensions") or {})
                await self._websocket(handshake, receive, send, answers)
            else:
                await self._http(scope["method"], handshake, receive, send)
        elif self._other is not None:
            await self._pass_on(self._other, handshake, scope, receive, send)
        elif kind == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await _send_reply(send, HttpReply(404, b"Not Found"))

    async def _pass_on(self, other: App, handshake: Handshake, scope: Scope, receive: Receive, send: Send) -> None:
        """To the application, which sees the client as we do: behind the trusted proxies."""
        if any(name.startswith("x-forwarded-") for name, _ in handshake.headers):
            seen = self.entrance.behind_proxies(handshake)
            scheme = seen.scheme if scope["type"] == "http" else seen.scheme.replace("http", "ws")
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in seen.headers]
            scope = {**scope, "client": list(seen.client), "scheme": scheme, "headers": headers}
        await other(scope, receive, send)

    # --- lifespan ------------------------------------------------------------------------------------------------

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starts and stops the server with its host; an application with a lifespan of its own gets it, too."""
        self.entrance.ending = False
        self.entrance.start(_door_beside(receive))
        try:
            with signals_heard(self.entrance.end):
                await self._live(scope, receive, send)
        except asyncio.CancelledError:  # the host ends now, without a word: nothing of ours to report
            self.entrance.stop()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen: set[str] = set()

        async def receive_on() -> MutableMapping[str, Any]:
            message = await receive()
            seen.add(message["type"])
            if message["type"] == "lifespan.shutdown":
                await self.entrance.finish()
            return message

        async def send_on(message: MutableMapping[str, Any]) -> None:
            seen.add(message["type"])
            await send(message)

        if self._other is not None:
            try:
                await self._other(scope, receive_on, send_on)
            except Exception:
                if "lifespan.startup.complete" in seen:
                    raise  # else: an application that knows no lifespan, or that has said that it failed
        if "lifespan.startup.failed" in seen:
            self.entrance.stop()
            return
        if "lifespan.startup" not in seen:
            await receive_on()
        if "lifespan.startup.complete" not in seen:
            await send_on({"type": "lifespan.startup.complete"})
        if "lifespan.shutdown" not in seen:
            await receive_on()
        if not seen & {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
            await send_on({"type": "lifespan.shutdown.complete"})

    # --- HTTP ----------------------------------------------------------------------------------------------------

    async def _http(self, method: str, handshake: Handshake, receive: Receive, send: Send) -> None:
        rest = self.entrance.rest(handshake.path)
        if rest:
            await _send_reply(send, self.entrance.static.reply(rest, method, handshake.header("if-none-match")))
            return
        found = await polls.admit(self.entrance, handshake, method)
        reply = found if isinstance(found, HttpReply) else await self._turn(found, receive)
        if reply is not None:
            await _send_reply(send, reply)

    async def _turn(self, poll: Poll, receive: Receive) -> HttpReply | None:
        """One GET or POST; ``None`` where the client went away meanwhile."""
        if poll.method == "GET":
            try:
                return await poll.get(partial(_watch, receive))
            except Left:
                return None
        refusal = poll.begins()
        if refusal is not None:
            return refusal
        try:
            body = await _body(receive, self.entrance.server.config.max_payload)
            return None if body is None else await poll.post(body)
        except TooLarge:
            return poll.too_large()
        finally:
            poll.peer.engine.post_ends()

    # --- WebSocket -----------------------------------------------------------------------------------------------

    async def _websocket(self, handshake: Handshake, receive: Receive, send: Send, answers: bool) -> None:
        """One WebSocket; ``answers`` says whether the host can send an HTTP answer in its place."""
        await receive()  # websocket.connect
        handshake.transport = "websocket"
        seen = self.entrance.prepared(handshake)
        if not isinstance(seen, Handshake):
            seen = await seen
        opening = self.entrance.read(seen, "GET", is_websocket=True)
        if isinstance(opening, Denied):
            if answers:
                await _send_reply(send, self.entrance.refusal(opening), kind="websocket.http")
            else:
                code = 1013 if opening.retry_after else 1008
                await send({"type": "websocket.close", "code": code, "reason": opening.hint[:100]})
            return
        server = self.entrance.server
        peer = server.new_peer(seen, opening) if opening.sid is None else server.peers[opening.sid]
        engine = peer.engine
        cookies = self.entrance.cookies(engine.sid) if opening.sid is None else ()
        await send({"type": "websocket.accept", "headers": [(b"set-cookie", value.encode()) for _, value in cookies]})
        link = AsgiLink(engine, send)
        if opening.sid is None:
            peer.open(link)
        elif not engine.probe(link):
            link.close(1000, "this session has its WebSocket already")
        await link.run(receive)


class AsgiLink:
    """A WebSocket that the host frames; a :class:`~truesocket.session.engine.Link`."""

    __slots__ = ("_closing", "_engine", "_flusher", "_readable", "_send", "_size", "_step", "_waiting", "writable")
    raw = None

    def __init__(self, engine: Engine, send: Send) -> None:
        self._engine = engine
        self._send = send
        self._step = _stepped(send)
        self._waiting: deque[str | bytes] = deque()
        self._size = 0
        self._flusher: asyncio.Task[None] | None = None
        self._closing: tuple[int, str] | None = None
        self._readable = asyncio.Event()
        self._readable.set()
        self.writable: bool = True

    async def run(self, receive: Receive) -> None:
        """Reads until the connection ends, or the host gives up on us."""
        reason = Reason.TRANSPORT_ERROR
        try:
            reason = await self._read(receive)
        except asyncio.CancelledError:  # the host ends
            reason = Reason.TRANSPORT_CLOSE
            raise
        finally:
            self.writable = False
            self._waiting.clear()
            if self._flusher is not None:
                self._flusher.cancel()
            self._engine.lost(self, reason)

    async def _read(self, receive: Receive) -> str:
        """Hands on messages; returns why the connection ended."""
        limit = self._engine.max_payload
        while True:
            if not self._readable.is_set():
                await self._readable.wait()
            event = await receive()
            if event["type"] == "websocket.disconnect":
                code = event.get("code", 1005)
                return Reason.TRANSPORT_CLOSE if code in (1000, 1001, 1005, 1006, 1012) else Reason.TRANSPORT_ERROR
            text: str | None = event.get("text")
            message: str | bytes = text if text is not None else event.get("bytes") or b""
            if len(message) > limit:
                self.close(1009, f"a message of more than {limit} bytes")
                continue
            self._engine.received_on(self, message)

    def send(self, parcel: Parcels) -> None:
        for message in parcel.messages(self._engine.revision):
            self._put(message)

    def send_packet(self, packet: EnginePacket) -> None:
        self._put(engineio.build_message(packet, self._engine.revision))

    def close(self, code: int, reason: str) -> None:
        self.writable = False
        if self._closing is None:
            self._closing = (code, reason)
            self._readable.set()
            self._flush()

    def pause(self) -> None:
        if self._closing is None:
            self._readable.clear()

    def resume(self) -> None:
        self._readable.set()

    def _put(self, message: str | bytes) -> None:
        if self._closing is not None:
            return
        begun: _Begun | None = None
        if self._flusher is not None or self._step is None:
            self._waiting.append(message)
        else:  # 1.8 instead of 3.4 us per delivery with a task, the host's own work left out
            sending = self._step(_event(message))
            try:
                begun = _Begun(sending, sending.send(None), len(message))
            except Exception:  # StopIteration: it is written; else the host has lost the connection, as in `_write`
                return
        self._size += len(message)
        if self._size > _HIGH_WATER:
            self.writable = False
        self._flush(begun)

    def _flush(self, begun: _Begun | None = None) -> None:
        if self._flusher is None:
            self._flusher = asyncio.get_running_loop().create_task(self._write(begun))

    async def _write(self, begun: _Begun | None) -> None:
        """All that waits, behind what has ``begun``."""
        try:
            if begun is not None:
                await begun
                self._written(begun.size)
            while self._waiting:
                message = self._waiting.popleft()
                await self._send(_event(message))
                self._written(len(message))
            if self._closing is not None:
                code, reason = self._closing
                await self._send({"type": "websocket.close", "code": code, "reason": reason[:100]})
        except Exception:  # the host has lost the connection: `receive` tells why
            self._waiting.clear()
        finally:
            self._flusher = None

    def _written(self, size: int) -> None:
        self._size -= size
        if not self.writable and self._closing is None and self._size <= _HIGH_WATER // 2:
            self.writable = True
            self._engine.writable(self)


class _Begun(Generator[object, None, None]):
    """A coroutine that was begun without a task and waits for ``awaited``: a task that awaits this goes on with it."""

    def __init__(self, coroutine: Coroutine[object, None, None], awaited: object, size: int) -> None:
        self.size = size
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[object, None, None]:
        return self

    def send(self, value: None) -> object:
        awaited, self._awaited = self._awaited, None
        return self._coroutine.send(value) if awaited is None else awaited

    def throw(self, *error: Any) -> object:
        return self._coroutine.throw(*error)


def _stepped(send: Send) -> Callable[[MutableMapping[str, Any]], Coroutine[object, None, None]] | None:
    """``send``, where it may be begun without a task: the host's own, with no layer of an application around it."""
    host = type(getattr(send, "__self__", None)).__module__
    return cast(Any, send) if host.startswith(_STEPPED) else None


def _event(message: str | bytes) -> dict[str, str | bytes]:
    return {"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message}


def _door_beside(receive: Receive) -> str:
    """Which door the host's WebSockets take, as far as it can be seen.

    uvicorn's lifespan knows its configuration, and that the class which it was told to use.  Behind a layer that wraps
    ``receive`` nothing is seen; then the first WebSocket tells the log (``Entrance.start``).
    """
    config = getattr(getattr(receive, "__self__", None), "config", None)
    return str(getattr(getattr(config, "ws_protocol_class", None), "door", "asgi"))


# --- ASGI's forms -----------------------------------------------------------------------------------------------------


def _handshake(scope: Scope) -> Handshake:
    client = scope.get("client") or ("", 0)
    server = scope.get("server") or ("localhost", 80)
    root_path = scope.get("root_path", "")
    path = scope["path"]
    if root_path and path.startswith(root_path + "/"):
        path = path[len(root_path) :]
    return Handshake(
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]],
        client=(str(client[0]), int(client[1] or 0)),
        server=(str(server[0]), int(server[1] or 0)),
        scheme="https" if scope.get("scheme", "http") in ("https", "wss") else "http",
        door="asgi",
        transport="polling",
        root_path=root_path,
        http_version=scope.get("http_version", "1.1"),
        peer_address=str(client[0]),
    )


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The request's body; ``None`` where the client breaks off.  Raises ``TooLarge`` for more than ``limit`` bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return None
        part = event.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(f"a body of more than {limit} bytes")
        parts.append(part)
        if not event.get("more_body", False):
            return b"".join(parts)


def _watch(receive: Receive, left: Callable[[], None]) -> Callable[[], object]:
    """Calls ``left`` when the client of a parked GET goes away; what is returned ends that."""

    def over(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # a host that fails here has lost the client, too
        left()

    leaving = asyncio.get_running_loop().create_task(_gone(receive))
    leaving.add_done_callback(over)
    return leaving.cancel


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_reply(send: Send, reply: HttpReply, kind: str = "http") -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply.all_headers()]
    await send({"type": f"{kind}.response.start", "status": reply.status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": reply.body})
