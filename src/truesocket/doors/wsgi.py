"""Any WSGI server: polling everywhere, and WebSockets where the host lets its socket be taken over.

The host's threads only bring requests.  What they bring is looked at on the server's loop, which lives on the loop
thread (``bridge.py``).  A WebSocket, and a GET that finds nothing to fetch, leave the host with their connection
(``doors/takeover.py``); so a few threads serve thousands of clients.  Where the host keeps its sockets to itself,
clients stay on long-polling (``doors/parking.py``) and the log says so, once, with the way out.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import io
import logging
import ssl
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable
from http import HTTPStatus
from typing import Any, TypeVar
from wsgiref.types import StartResponse, WSGIApplication

from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors import opening, polls, takeover
from truesocket.doors.entrance import NO_UPGRADE, Entrance
from truesocket.doors.opening import Wanted
from truesocket.doors.parking import Parking
from truesocket.doors.polls import Poll
from truesocket.errors import TooLarge
from truesocket.transports.polling import HttpReply, error_reply

__all__ = ["APP", "Door", "WSGIApp", "handshake_of"]

_log = logging.getLogger("truesocket")

T = TypeVar("T")

#: Where the environ of a handshake names the application that the client came through.
APP = "truesocket.app"

_GONE = HttpReply(503, b"the server ends")
#: Bytes of a body that is too large which are read all the same.
_DRAINED = 16 * 1024 * 1024
#: Seconds between two looks, of a thread that waits, whether the process ends.
_LOOK = 0.5
#: What a client need not keep of its host: sockets, streams and callbacks, which would keep the connection in memory.
_OF_THE_HOST = ("gunicorn.", "werkzeug.", "waitress.", "uwsgi.", "mod_wsgi.", "wsgi.early_hints", "wsgi.file_wrapper")


class WSGIApp:
    """A WSGI application: Socket.IO at its own path, ``other`` everywhere else.  Without ``other``, that is a 404."""

    def __init__(self, server: Server, other: WSGIApplication | None = None) -> None:
        self.entrance: Entrance = Entrance(server)
        self._door = Door(lambda: self.entrance)
        self._other = other or _not_found

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return self._door(environ, start_response, self._other)


def _not_found(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    return _respond(start_response, HttpReply(404, b"Not Found"))


class Door:
    """Answers what is addressed to Socket.IO; ``entrance`` gives the way in, as it is at that moment."""

    def __init__(self, entrance: Callable[[], Entrance]) -> None:
        self._entrance = entrance
        self._parking = Parking()
        self._telling = threading.Lock()
        self._told = False

    def __call__(
        self, environ: dict[str, Any], start_response: StartResponse, other: WSGIApplication
    ) -> Iterable[bytes]:
        entrance = self._entrance()
        path = _text(environ.get("PATH_INFO", ""))
        _see_through_proxies(entrance, environ, path)
        if not entrance.is_ours(path):
            return other(environ, start_response)
        method = environ["REQUEST_METHOD"]
        is_websocket = environ.get("HTTP_UPGRADE", "").strip().lower() == "websocket"
        rest = entrance.rest(path)
        if rest and not is_websocket:
            reply = entrance.static.reply(rest, method, environ.get("HTTP_IF_NONE_MATCH", ""))
            return _respond(start_response, reply)
        websockets = takeover.can_take(environ)
        loop = entrance.start_in_thread("wsgi", websockets=websockets)
        if not self._told:
            self._tell(entrance, environ)
        handshake = handshake_of(environ, path, "websocket" if is_websocket else "polling")
        if not websockets:
            handshake.note = NO_UPGRADE
        try:
            if is_websocket:
                return self._websocket(entrance, loop, environ, start_response, handshake)
            return self._poll(entrance, loop, environ, start_response, handshake)
        except concurrent.futures.CancelledError:
            return _respond(start_response, _GONE)

    def _tell(self, entrance: Entrance, environ: dict[str, Any]) -> None:
        """Once: what this host cannot do, and what to do about it."""
        with self._telling:
            if self._told:
                return
            self._told = True
        if environ.get("wsgi.multiprocess"):
            entrance.warn_of_workers(0)
        config = entrance.server.config
        if takeover.can_take(environ) or "websocket" not in config.transports or not config.allow_upgrades:
            return
        name = str(environ.get("SERVER_SOFTWARE", "this WSGI host")).partition("/")[0]
        if isinstance(takeover.host_socket(environ), ssl.SSLSocket):
            _log.warning(
                "%s ends TLS itself, so its connections cannot become WebSockets: clients stay on long-polling. Let the"
                " proxy in front end TLS, or run `truesocket run app:app --certfile ... --keyfile ...`.",
                name,
            )
        else:
            _log.warning(
                "%s does not let its connections become WebSockets: clients stay on long-polling. Run"
                " `gunicorn --worker-class gthread --threads 8 app:app` or `truesocket run app:app`.",
                name,
            )

    # --- WebSocket -----------------------------------------------------------------------------------------------

    def _websocket(
        self,
        entrance: Entrance,
        loop: asyncio.AbstractEventLoop,
        environ: dict[str, Any],
        start_response: StartResponse,
        handshake: Handshake,
    ) -> Iterable[bytes]:
        wanted = _run(loop, _wanted(entrance, handshake, environ["REQUEST_METHOD"]))
        if isinstance(wanted, HttpReply):
            return _respond(start_response, wanted)
        taken = takeover.take(environ)
        if taken is None:
            loop.call_soon_threadsafe(entrance.note, wanted.opening.sid or "")
            return _respond(start_response, error_reply(3, "this host serves long-polling only; the log says why"))
        takeover.adopt(loop, taken, takeover.OpenedLater(entrance, wanted, taken.early))
        start_response("101 Switching Protocols", [("Upgrade", "websocket")])
        return takeover.Goodbye(taken.spare)

    # --- polling -------------------------------------------------------------------------------------------------

    def _poll(
        self,
        entrance: Entrance,
        loop: asyncio.AbstractEventLoop,
        environ: dict[str, Any],
        start_response: StartResponse,
        handshake: Handshake,
    ) -> Iterable[bytes]:
        upgrades = takeover.can_take(environ)
        found = _run(loop, _first_look(entrance, handshake, environ["REQUEST_METHOD"], upgrades=upgrades))
        if isinstance(found, Poll):
            found = self._post(loop, found, environ)
        if isinstance(found, HttpReply):
            return _respond(start_response, found)
        poll, task = found
        taken = takeover.take(environ)
        if taken is None:
            return _respond(start_response, self._wait(loop, poll, task, environ))
        takeover.adopt(loop, taken, takeover.ParkedAnswer(entrance, task))
        start_response("200 OK", [("Content-Type", "text/plain; charset=UTF-8")])
        return takeover.Goodbye(taken.spare)

    def _post(self, loop: asyncio.AbstractEventLoop, poll: Poll, environ: dict[str, Any]) -> _Look:
        """Reads the body in this thread, whatever time the client takes, and gives it to the session."""
        try:
            body = _body(environ, poll.entrance.server.config.max_payload)
        except TooLarge:
            return _run(loop, _too_large(poll))
        except BaseException:
            loop.call_soon_threadsafe(poll.peer.engine.post_ends)
            raise
        return _run(loop, _look(poll, _take_post(poll, body)))

    def _wait(
        self,
        loop: asyncio.AbstractEventLoop,
        poll: Poll,
        task: asyncio.Future[HttpReply],
        environ: dict[str, Any],
    ) -> HttpReply:
        """Holds this thread until the request is answered; a GET for a while only."""
        answer = asyncio.run_coroutine_threadsafe(_shielded(task), loop)
        if poll.method != "GET":
            return answer.result()
        with self._parking.space(environ, len(poll.entrance.server.peers)) as seconds:
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0 and threading.main_thread().is_alive():
                try:
                    return answer.result(min(left, _LOOK))
                except concurrent.futures.TimeoutError:
                    continue
        loop.call_soon_threadsafe(poll.peer.engine.send_home)
        return answer.result()


# --- on the loop ------------------------------------------------------------------------------------------------------

_Look = HttpReply | tuple[Poll, asyncio.Future[HttpReply]]


async def _wanted(entrance: Entrance, handshake: Handshake, method: str) -> Wanted | HttpReply:
    found = entrance.prepared(handshake, method)
    return opening.admit(entrance, found if isinstance(found, Handshake) else await found, method)


async def _first_look(entrance: Entrance, handshake: Handshake, method: str, *, upgrades: bool) -> Poll | _Look:
    """A GET is begun; a POST comes back for its body."""
    poll = await polls.admit(entrance, handshake, method, upgrades=upgrades)
    if isinstance(poll, HttpReply):
        return poll
    if method == "POST":
        return poll.begins() or poll
    return await _look(poll, poll.get())


async def _look(poll: Poll, turn: Coroutine[Any, Any, HttpReply]) -> _Look:
    """The answer, if there is one at once; else what to wait for."""
    task = asyncio.ensure_future(turn)
    await asyncio.sleep(0)
    return task.result() if task.done() else (poll, task)


async def _take_post(poll: Poll, body: bytes) -> HttpReply:
    try:
        return await poll.post(body)
    finally:
        poll.peer.engine.post_ends()


async def _too_large(poll: Poll) -> HttpReply:
    poll.peer.engine.post_ends()
    return poll.too_large()


async def _shielded(task: asyncio.Future[HttpReply]) -> HttpReply:
    return await asyncio.shield(task)


def _run(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:  # the loop has just ended
        coroutine.close()
        raise concurrent.futures.CancelledError from None
    return future.result()


# --- WSGI's forms -----------------------------------------------------------------------------------------------------


def handshake_of(environ: dict[str, Any], path: str, transport: str) -> Handshake:
    """The handshake of a request, with what the client's handlers may know of its environ (PEP 3333)."""
    headers = [(_header_of(name), value) for name, value in environ.items() if name.startswith("HTTP_")]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers.append((name.replace("_", "-").lower(), environ[name]))
    address = str(environ.get("REMOTE_ADDR") or "")
    return Handshake(
        path=path,
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        client=(address, _number(environ.get("REMOTE_PORT"))),
        server=(str(environ.get("SERVER_NAME", "")), _number(environ.get("SERVER_PORT"))),
        scheme=environ["wsgi.url_scheme"],
        door="wsgi",
        transport=transport,
        root_path=_text(environ.get("SCRIPT_NAME", "")),
        http_version=str(environ.get("SERVER_PROTOCOL", "HTTP/1.1")).partition("/")[2],
        peer_address=address,
        extra=_kept(environ),
    )


def _kept(environ: dict[str, Any]) -> dict[str, Any]:
    kept = {_shared(name): value for name, value in environ.items() if not name.startswith(_OF_THE_HOST)}
    kept["wsgi.input"] = io.BytesIO()
    kept["wsgi.errors"] = sys.stderr
    return kept


@functools.lru_cache(256)
def _header_of(key: str) -> str:
    """The name of a header, from its key in an environ."""
    return key[5:].replace("_", "-").lower()


@functools.lru_cache(256)
def _shared(name: str) -> str:
    """The same object for equal names.  Not interned: clients choose them, and interned ones may stay for ever."""
    return name


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "replace")


def _number(value: object) -> int:
    text = str(value or "")
    return int(text) if text.isdecimal() else 0


def _see_through_proxies(entrance: Entrance, environ: dict[str, Any], path: str) -> None:
    """The environ names the client in front of a trusted proxy, for pages and handlers alike; twice does no harm."""
    if not any(name.startswith("HTTP_X_FORWARDED_") for name in environ):
        return
    handshake = handshake_of(environ, path, "polling")
    seen = entrance.behind_proxies(handshake)
    if seen.client != handshake.client:
        environ["REMOTE_ADDR"] = seen.client[0]
        environ["REMOTE_PORT"] = str(seen.client[1])
    environ["wsgi.url_scheme"] = seen.scheme
    if seen.host:
        environ["HTTP_HOST"] = seen.host


def _body(environ: dict[str, Any], limit: int) -> bytes:
    """The body.  Raises ``TooLarge`` for more than ``limit`` bytes, and ``OSError`` where the client breaks off."""
    stream = environ["wsgi.input"]
    given = environ.get("CONTENT_LENGTH")
    if not given and not environ.get("wsgi.input_terminated"):
        return b""  # where it would end is unknown
    length = _number(given) if given else limit + 1
    if length > limit and given:
        _throw_away(stream, length)
        raise TooLarge(f"a body of {length} bytes")
    body = bytes(stream.read(length))
    if len(body) > limit:
        _throw_away(stream, _DRAINED)
        raise TooLarge(f"a body of more than {limit} bytes")
    if given and len(body) < length:
        raise ConnectionResetError("the client broke off in the middle of a body")
    return body


def _throw_away(stream: Any, length: int) -> None:
    """Reads on behind the limit: gunicorn's main thread waits two seconds for a client whose body was left unread."""
    left = min(length, _DRAINED)
    while left > 0:
        part = stream.read(min(left, 65_536))
        if not part:
            break
        left -= len(part)


def _respond(start_response: StartResponse, reply: HttpReply) -> Iterable[bytes]:
    start_response(f"{reply.status} {HTTPStatus(reply.status).phrase}", list(reply.all_headers()))
    return [reply.body]
