"""The functions that find their way through the context of the event being handled: ``emit``, ``join_room`` and others.

They know the application by ``current_app`` and the client by ``request``; outside of a handler, in a page for example,
they want to be told ``namespace`` and ``to``.  What stands around a handler is in ``flask/surroundings.py``.

One rule for what has an answer (``call``, ``rooms``): where an event loop runs in the calling thread, in ``async def``
handlers and views, it is awaited; elsewhere the function waits and returns it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Never, TypeVar, cast

import flask

from truesocket.core.emitter import room_names
from truesocket.core.socket import Socket
from truesocket.errors import UnknownSid, UsageError
from truesocket.flask.environ import base_environ
from truesocket.flask.options import warn_unknown
from truesocket.flask.surroundings import FlaskSurroundings, owned
from truesocket.flask.theirs import Answer
from truesocket.flask.visit import SOCKET

if TYPE_CHECKING:
    from truesocket.bridge import Reply
    from truesocket.flask.extension import SocketIO

__all__ = [
    "FlaskSurroundings",
    "answered",
    "base_environ",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "owned",
    "rooms",
    "send",
]

T = TypeVar("T")

#: The arguments of emit().
_EMIT = ("namespace", "callback", "broadcast", "to", "room", "include_self", "skip_sid", "ignore_queue")


def answered(reply: Reply[T]) -> Reply[T] | T:
    """The answer, waited for; or the reply itself where an event loop runs in this thread, which must not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return reply.result()
    return reply


class _Rooms(list[Hashable]):
    """The rooms of a client, on the server's own loop, where they are known at once; ``await`` does no harm."""

    def __await__(self) -> Generator[object, None, list[Hashable]]:
        yield from ()
        return self


def _socketio() -> SocketIO:
    found = flask.current_app.extensions.get("socketio")
    if found is None:
        raise UsageError("this application has no SocketIO: write SocketIO(app) or socketio.init_app(app)")
    return cast("SocketIO", found)


def _here(name: str, given: str | None, what: str) -> str:
    """A value given, or that of the handler we are in."""
    if given is not None:
        return given
    found = getattr(flask.request, name, None) if flask.has_request_context() else None
    if found is None:
        raise UsageError(f"outside of an event handler there is no {name}: give {what}")
    return str(found)


def _target(to: Any, room: Any, broadcast: bool) -> Any:
    if to is None:
        to = room
    if to is None and not broadcast:
        return _here("sid", None, "to=... or broadcast=True")
    return None if broadcast and to is None else to


def _skip(include_self: bool, skip_sid: Any) -> list[Any]:
    skip = [] if skip_sid is None else list(room_names(skip_sid))
    return skip if include_self else [*skip, _here("sid", None, "skip_sid=...")]


def _check_orphan(socketio: SocketIO) -> None:
    socket = flask.request.environ.get(SOCKET) if flask.has_request_context() else None
    if isinstance(socket, Socket) and socket.left_at is not None:
        socketio.core.check_orphan(socket)


def emit(
    event: str,
    *args: object,
    namespace: str | None = None,
    callback: Callable[..., object] | None = None,
    broadcast: bool = False,
    to: Hashable | Iterable[Hashable] | None = None,
    room: Hashable | Iterable[Hashable] | None = None,
    include_self: bool = True,
    skip_sid: str | list[str] | None = None,
    ignore_queue: bool = False,
    **unknown: Never,
) -> None:
    """Sends an event to the client whose event is being handled, to the rooms or sids ``to``, or to everybody.

    ``callback`` gets the client's answer, in a context like the caller's.  ``include_self=False`` leaves out the
    sender, ``skip_sid`` others.  It never waits: the bytes leave while the handler goes on.  Outside of a handler give
    ``namespace`` and ``to`` or ``broadcast=True``.  Raises ``TypeError`` for arguments that JSON cannot hold.
    """
    if unknown:
        warn_unknown("emit()", unknown, _EMIT, stacklevel=2)
    socketio = _socketio()
    target = _target(to, room, broadcast)
    skip = _skip(include_self, skip_sid)
    _check_orphan(socketio)
    socketio.core.emit(
        event,
        *_spread(args),
        to=target,
        namespace=_here("namespace", namespace, "namespace='/'"),
        skip=skip,
        callback=owned(callback),
    )


def _spread(args: tuple[object, ...]) -> tuple[object, ...]:
    """A single tuple is several arguments, ``None`` alone is none (Flask-SocketIO's rule)."""
    if len(args) == 1 and isinstance(args[0], tuple):
        return args[0]
    return () if args == (None,) else args


def send(
    message: object,
    json: bool = False,
    namespace: str | None = None,
    callback: Callable[..., object] | None = None,
    broadcast: bool = False,
    to: Hashable | Iterable[Hashable] | None = None,
    room: Hashable | Iterable[Hashable] | None = None,
    include_self: bool = True,
    skip_sid: str | list[str] | None = None,
    ignore_queue: bool = False,
    **unknown: Never,
) -> None:
    """Sends the event ``message`` (or ``json``); otherwise like :func:`emit`."""
    if unknown:
        warn_unknown("send()", unknown, ("json", *_EMIT), stacklevel=2)
    emit(
        "json" if json else "message",
        message,
        namespace=namespace,
        callback=callback,
        broadcast=broadcast,
        to=to,
        room=room,
        include_self=include_self,
        skip_sid=skip_sid,
    )


def call(
    event: str,
    *args: object,
    namespace: str | None = None,
    to: Hashable | None = None,
    room: Hashable | None = None,
    timeout: float | None = 60,
    ignore_queue: bool = False,
    **unknown: Never,
) -> Any:
    """Sends an event to a client and returns its answer: ``None``, one value, or a tuple of several.

    Waits in the calling thread; in an ``async def`` handler or view write ``await call(...)``.  ``timeout`` in seconds.
    Raises :class:`~truesocket.errors.AckTimeout` when nobody answers in time, at once where the client has left.
    """
    if unknown:
        warn_unknown("call()", unknown, ("namespace", "to", "room", "timeout", "ignore_queue"), stacklevel=2)
    server = _socketio().core
    reply = server.call(
        event,
        *_spread(args),
        to=_target(to, room, False),
        namespace=_here("namespace", namespace, "namespace='/'"),
        timeout=timeout,
    )
    return answered(Answer(reply))


def join_room(
    room: Hashable, sid: str | None = None, namespace: str | None = None, *, replay: bool | str = False
) -> None:
    """Puts the client into a room.  Raises :class:`~truesocket.errors.UnknownSid` where it has left.

    ``replay=True`` tells it first what was said there, as far as ``history`` reaches; an offset: what since then.
    """
    sid, namespace = _here("sid", sid, "sid=..."), _here("namespace", namespace, "namespace='/'")
    _socketio().core.enter(sid, room, namespace=namespace, replay=replay)


def leave_room(room: Hashable, sid: str | None = None, namespace: str | None = None) -> None:
    """Takes the client out of a room; nothing happens where it has left already."""
    server = _socketio().core
    sid, namespace = _here("sid", sid, "sid=..."), _here("namespace", namespace, "namespace='/'")
    with contextlib.suppress(UnknownSid):
        server.leave(sid, room, namespace=namespace)


def close_room(room: Hashable, namespace: str | None = None) -> None:
    """Takes everybody out of a room."""
    _socketio().core.close_room(room, namespace=_here("namespace", namespace, "namespace='/'"))


def rooms(sid: str | None = None, namespace: str | None = None) -> list[Hashable]:
    """The rooms of the client, its own (named by its sid) among them.

    In an ``async def`` view write ``await rooms(...)``.
    """
    server = _socketio().core
    sid, namespace = _here("sid", sid, "sid=..."), _here("namespace", namespace, "namespace='/'")
    if server.bridge.on_loop():
        return _Rooms(server.rooms_now(sid, namespace))
    return cast(list[Hashable], answered(server.rooms(sid, namespace=namespace)))


def disconnect(sid: str | None = None, namespace: str | None = None, silent: bool = False) -> None:
    """Sends the client out of the namespace; nothing happens where it has left already.

    ``silent`` is accepted for compatibility.
    """
    server = _socketio().core
    sid, namespace = _here("sid", sid, "sid=..."), _here("namespace", namespace, "namespace='/'")
    with contextlib.suppress(UnknownSid):
        server.disconnect(sid, namespace=namespace)
