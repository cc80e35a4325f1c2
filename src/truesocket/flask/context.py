"""Flask around a handler: the request context, the session, and the functions that find their way through it.

Every event gets a request context of its own, made from the handshake's environ, with ``request.sid``,
``request.namespace`` and ``request.event`` set; ``teardown_request`` and ``teardown_appcontext`` run behind it,
``before_request`` and ``after_request`` do not.  All of that happens in the handler's thread, so that a session store
or a teardown function that takes its time delays nobody.  Around an ``async def`` handler it happens in the pool, in
the context that the handler then runs in.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, cast

import flask
from flask.sessions import SessionMixin

from truesocket.core.emitter import room_names
from truesocket.core.ports import Handshake
from truesocket.core.registry import Handler
from truesocket.core.runner import Runner
from truesocket.core.socket import Socket
from truesocket.errors import UsageError
from truesocket.flask.environ import environ_of

if TYPE_CHECKING:
    from truesocket.flask.extension import SocketIO

__all__ = [
    "FlaskSurroundings",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "rooms",
    "send",
]

_SOCKET = "truesocket.socket"


class ManagedSession(dict[str, Any], SessionMixin):
    """The session of one client while it is connected: a copy of the browser's, made at ``connect``."""

    modified = True
    accessed = True


class FlaskSurroundings:
    """Implements :class:`~truesocket.core.ports.Surroundings`.

    ``app`` gives the Flask application, ``manage_session`` says whether the session is copied at connect (and shared
    by the events of one client) or opened and saved around every event.
    """

    def __init__(self, app: Callable[[], flask.Flask]) -> None:
        self._app = app
        self.manage_session = True
        self.runner: Runner | None = None
        self._latest: dict[Socket, asyncio.Event] = {}  # whether the latest async def handler of a client has begun

    def call(self, handler: Handler, socket: Socket, event: str, args: tuple[object, ...]) -> object:
        app = self._app()
        context = self._context(app, socket, event, args)
        with context:
            self._opened(context, socket)
            result = handler.function(*args)
            self._saved(app)
            return result

    async def acall(self, handler: Handler, socket: Socket, event: str, args: tuple[object, ...]) -> object:
        runner = self.runner
        assert runner is not None
        app = self._app()
        inside = contextvars.copy_context()
        before, began = self._latest.get(socket), asyncio.Event()
        self._latest[socket] = began
        try:
            context = await runner.in_thread(inside.run, self._enter, app, socket, event, args)
            error: BaseException | None = None
            try:
                if before is not None:
                    await before.wait()  # threads overtake each other, and handlers begin in the order of their events
                coroutine = cast(Any, handler.function(*args))
                task = asyncio.get_running_loop().create_task(coroutine, context=inside)
                began.set()
                return await task
            except BaseException as caught:
                error = caught
                raise
            finally:
                began.set()
                await asyncio.shield(runner.in_thread(inside.run, self._leave, app, context, error))
        finally:
            began.set()
            if self._latest.get(socket) is began:
                del self._latest[socket]

    def _enter(self, app: flask.Flask, socket: Socket, event: str, args: tuple[object, ...]) -> Any:
        context = self._context(app, socket, event, args)
        context.push()
        self._opened(context, socket)
        return context

    def _leave(self, app: flask.Flask, context: Any, error: BaseException | None) -> None:
        if error is None:
            self._saved(app)
        context.pop(error)

    def _context(self, app: flask.Flask, socket: Socket, event: str, args: tuple[object, ...]) -> Any:
        environ = base_environ(socket.handshake).copy()
        environ[_SOCKET] = socket
        context = app.request_context(environ)
        request = cast(Any, context.request)
        request.sid = socket.sid
        request.namespace = socket.namespace
        request.event = {"message": event, "args": args}
        if self.manage_session and isinstance(socket.extra, ManagedSession):
            _set_session(context, socket.extra)
        return context

    def _opened(self, context: object, socket: Socket) -> None:
        """Behind the push: the first event of a client keeps the session that Flask has just opened."""
        if self.manage_session and not isinstance(socket.extra, ManagedSession):
            socket.extra = ManagedSession(flask.session)
            _set_session(context, socket.extra)

    def _saved(self, app: flask.Flask) -> None:
        """Saves a session that is not ours to keep, as Flask does behind a page."""
        if self.manage_session:
            return
        session = cast(Any, flask.session)._get_current_object()
        if session.modified:
            app.session_interface.save_session(app, session, app.response_class())


def base_environ(handshake: Handshake) -> dict[str, Any]:
    """The environ of a connection, made when it is first needed."""
    if not isinstance(handshake.extra, dict):
        handshake.extra = environ_of(handshake)
    return handshake.extra


def _set_session(context: object, session: SessionMixin) -> None:
    """Flask's contexts keep their session in ``_session`` (3.1.3 and later) or in ``session``."""
    name = "_session" if hasattr(context, "_session") else "session"
    setattr(context, name, session)


# --- the functions ---------------------------------------------------------------------------------------------


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
    socket = flask.request.environ.get(_SOCKET) if flask.has_request_context() else None
    if isinstance(socket, Socket) and socket.left_at is not None:
        socketio.server.check_orphan(socket)


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
) -> None:
    """Sends an event to the client whose event is being handled, to the rooms or sids ``to``, or to everybody.

    ``callback`` gets the client's answer.  ``include_self=False`` leaves out the sender, ``skip_sid`` others.  It never
    waits: the bytes leave while the handler goes on.  Outside of a handler give ``namespace`` and ``to`` or
    ``broadcast=True``.  Raises ``TypeError`` for arguments that JSON cannot hold.
    """
    socketio = _socketio()
    target = _target(to, room, broadcast)
    skip = _skip(include_self, skip_sid)
    _check_orphan(socketio)
    socketio.server.emit(
        event,
        *_spread(args),
        to=target,
        namespace=_here("namespace", namespace, "namespace='/'"),
        skip=skip,
        callback=callback,
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
) -> None:
    """Sends the event ``message`` (or ``json``); otherwise like :func:`emit`."""
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
) -> Any:
    """Sends an event to a client and returns its answer: ``None``, one value, or a tuple of several.

    Waits in the handler's thread; in an ``async def`` handler write ``await call(...)``.  ``timeout`` in seconds.
    Raises :class:`~truesocket.errors.AckTimeout` when nobody answers in time, at once where the client has left.
    """
    server = _socketio().server
    reply = server.call(
        event,
        *_spread(args),
        to=_target(to, room, False),
        namespace=_here("namespace", namespace, "namespace='/'"),
        timeout=timeout,
    )
    return reply if server.bridge.on_loop() else reply.result()


def join_room(room: Hashable, sid: str | None = None, namespace: str | None = None) -> None:
    """Puts the client into a room.  Raises :class:`~truesocket.errors.UnknownSid` where it has left."""
    server = _socketio().server
    server.enter(_here("sid", sid, "sid=..."), room, namespace=_here("namespace", namespace, "namespace='/'"))


def leave_room(room: Hashable, sid: str | None = None, namespace: str | None = None) -> None:
    """Takes the client out of a room."""
    server = _socketio().server
    server.leave(_here("sid", sid, "sid=..."), room, namespace=_here("namespace", namespace, "namespace='/'"))


def close_room(room: Hashable, namespace: str | None = None) -> None:
    """Takes everybody out of a room."""
    _socketio().server.close_room(room, namespace=_here("namespace", namespace, "namespace='/'"))


def rooms(sid: str | None = None, namespace: str | None = None) -> list[Hashable]:
    """The rooms of the client, its own (named by its sid) among them."""
    server = _socketio().server
    sid, namespace = _here("sid", sid, "sid=..."), _here("namespace", namespace, "namespace='/'")
    return (
        server.rooms_now(sid, namespace) if server.bridge.on_loop() else server.rooms(sid, namespace=namespace).result()
    )


def disconnect(sid: str | None = None, namespace: str | None = None, silent: bool = False) -> None:
    """Sends the client out of the namespace.  ``silent`` is accepted for compatibility."""
    server = _socketio().server
    server.disconnect(_here("sid", sid, "sid=..."), namespace=_here("namespace", namespace, "namespace='/'"))
