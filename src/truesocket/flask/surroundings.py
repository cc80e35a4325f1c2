"""Flask around a handler: the request context, the session, the error handlers, the teardown.

Every event gets a request context of its own, made from the handshake's environ, with ``request.sid``,
``request.namespace`` and ``request.event`` set; ``teardown_request`` and ``teardown_appcontext`` run behind it,
``before_request`` and ``after_request`` do not.  All of that happens in the handler's thread, so that a session store
or a teardown function that takes its time delays nobody.  Around an ``async def`` handler it happens in the pool, in
the context that the handler then runs in; what cannot take its time happens on the loop itself: no function and no
signal's receiver waits to be called, nobody asks for a login, and no store has the session.

::

    enter (context, session) ──> begin ──> handler ──> error handler, if it raised ──> save session ──> teardown

What a teardown function raises is logged and changes nothing else: neither the answer of the handler nor the record of
its own failure.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, cast

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from truesocket.core.registry import Handler
from truesocket.core.registry import handler as read
from truesocket.core.runner import Runner
from truesocket.core.socket import Socket
from truesocket.errors import Refused
from truesocket.flask.sessions import SessionMode, sessions_for
from truesocket.flask.visit import SOCKET, Visit, plain

__all__ = ["Face", "FlaskSurroundings", "owned", "refusal"]

_log = logging.getLogger("truesocket")

#: The attribute of a callback that says whose context it runs in.
_OWNER = "__truesocket_owner__"

ErrorHandler = Callable[..., object]


class Face(Protocol):
    """What the surroundings ask of the ``SocketIO``: its error handlers."""

    @property
    def exception_handlers(self) -> Mapping[str, ErrorHandler]:
        """By namespace."""

    @property
    def default_exception_handler(self) -> ErrorHandler | None:
        """For every other namespace."""


class FlaskSurroundings:
    """Implements :class:`~truesocket.core.ports.Surroundings`.

    ``app`` gives the application for clients of whom the door does not say through which one they came, ``face`` the
    error handlers.
    """

    begins_at_once = False

    def __init__(self, app: Callable[[], flask.Flask], face: Face | None = None) -> None:
        self._app = app
        self._face = face
        self.runner: Runner | None = None
        self.session_mode = SessionMode.FORK

    @property
    def session_mode(self) -> SessionMode:
        """Which session a handler finds."""
        return self._session_mode

    @session_mode.setter
    def session_mode(self, mode: SessionMode) -> None:
        self._session_mode = mode
        self._sessions = sessions_for(mode)

    def _visit(self, socket: Socket, event: str, args: tuple[object, ...]) -> Visit:
        return Visit(self._app, self._sessions, socket, event, args)

    def call(
        self, handler: Handler, socket: Socket, event: str, args: tuple[object, ...], begin: Callable[[], object]
    ) -> object:
        visit = self._visit(_owner(handler, socket, event), _shown(handler, event), args)
        failure = visit.enter(handler)
        error: BaseException | None = None
        try:
            try:
                if failure is not None:
                    raise failure
                begin()
                return handler.invoke(socket, args)
            except Exception as caught:
                return self._rescue(handler, socket, event, caught)
        except BaseException as caught:
            error = caught
            raise
        finally:
            visit.leave(error)

    async def acall(
        self,
        handler: Handler,
        socket: Socket,
        event: str,
        args: tuple[object, ...],
        begin: Callable[[], Awaitable[object]],
    ) -> object:
        visit = self._visit(_owner(handler, socket, event), _shown(handler, event), args)
        if visit.enters_at_once(handler) and visit.leaves_at_once():
            return await self._here(visit, handler, socket, event, args, begin)
        runner = self.runner
        assert runner is not None
        inside = contextvars.copy_context()
        if visit.enters_at_once(handler):
            failure = inside.run(visit.enter, handler)
        else:
            failure = await runner.in_thread(inside.run, visit.enter, handler)
        error: BaseException | None = None
        try:
            try:
                if failure is not None:
                    raise failure
                await begin()
                return await _task(inside, handler.invoke(socket, args))
            except Exception as caught:
                return await self._rescue_later(inside, handler, socket, event, caught)
        except BaseException as caught:
            error = caught
            raise
        finally:
            if visit.leaves_at_once():
                inside.run(visit.leave, error)
            else:
                await asyncio.shield(runner.in_thread(inside.run, visit.leave, error))

    async def _here(
        self,
        visit: Visit,
        handler: Handler,
        socket: Socket,
        event: str,
        args: tuple[object, ...],
        begin: Callable[[], Awaitable[object]],
    ) -> object:
        """All of it in the task that we are in, whose context is nobody else's (180 us become 14)."""
        visit.enter(handler)
        error: BaseException | None = None
        try:
            try:
                await begin()
                return await cast(Any, handler.invoke(socket, args))
            except Exception as caught:
                return await self._rescue_later(contextvars.copy_context(), handler, socket, event, caught)
        except BaseException as caught:
            error = caught
            raise
        finally:
            visit.leave(error)

    # --- what a handler raises ---------------------------------------------------------------------------------

    def _rescue(self, handler: Handler, socket: Socket, event: str, error: Exception) -> object:
        """In a thread: the error handlers one after another, until one of them does not raise."""
        for rescue in self._rescuers(handler, socket, event, error):
            try:
                answer = self._on_loop(rescue, error) if rescue.is_async else rescue.function(error)
            except Exception as another:
                error = another
            else:
                return _rescued(event, answer)
        raise _raised(event, error)

    async def _rescue_later(
        self, inside: contextvars.Context, handler: Handler, socket: Socket, event: str, error: Exception
    ) -> object:
        """The same on the loop."""
        runner = self.runner
        assert runner is not None
        for rescue in self._rescuers(handler, socket, event, error):
            try:
                if rescue.is_async:
                    answer = await _task(inside, rescue.function(error))
                else:
                    answer = await runner.in_thread(inside.run, rescue.function, error)
            except Exception as another:
                error = another
            else:
                return _rescued(event, answer)
        raise _raised(event, error)

    def _rescuers(self, handler: Handler, socket: Socket, event: str, error: Exception) -> list[Handler]:
        """The error handlers for what ``handler`` raised: of the namespace or the default one, then of its class.

        None where it is no error at all, but a connect handler that refuses.
        """
        if event == "connect" and refusal(error) is not None:
            return []
        found: list[ErrorHandler | None] = [_class_error(handler)]
        if self._face is not None:
            face = self._face
            found.insert(0, face.exception_handlers.get(socket.namespace, face.default_exception_handler))
        return [read(each) for each in found if each is not None]

    def _on_loop(self, rescue: Handler, error: Exception) -> object:
        """An ``async def`` error handler of a ``def`` handler: runs on the loop, in this thread's context."""
        assert self.runner is not None
        loop = self.runner.bridge.loop
        if loop is None:
            raise error
        return asyncio.run_coroutine_threadsafe(cast(Any, rescue.function(error)), loop).result()


def _shown(handler: Handler, event: str) -> str:
    """The name in ``request.event``: a catch-all finds ``"*"`` there, the event is its first argument"""
    return "*" if handler.serves == "*" else event


def _task(inside: contextvars.Context, coroutine: object) -> asyncio.Task[object]:
    """An ``async def`` handler, started in the context that its surroundings were set up in."""
    return asyncio.get_running_loop().create_task(cast(Any, coroutine), context=inside)


def _class_error(handler: Handler) -> ErrorHandler | None:
    """The method ``error`` of the Namespace whose method the handler is."""
    instance = getattr(plain(handler), "__self__", None)
    if not isinstance(getattr(instance, "namespace", None), str):
        return None
    found = getattr(instance, "error", None)
    return cast(ErrorHandler, found) if callable(found) else None


def _raised(event: str, error: Exception) -> Exception:
    """What nobody has taken; in a connect handler as a refusal where it is one."""
    refused = refusal(error) if event == "connect" else None
    if refused is None or refused is error:
        return error
    refused.__cause__ = error
    return refused


def _rescued(event: str, answer: object) -> object:
    """What the error handler returned is the ack.  A client whose connect handler failed is not let in by that."""
    return False if event == "connect" else answer


def refusal(error: Exception) -> Refused | None:
    """What a connect handler refuses with, or ``None`` for an ordinary failure.

    Ours, any HTTP error (``abort(401)``) and python-socketio's ``ConnectionRefusedError``, where an application has
    imported that.  Python's own ``ConnectionRefusedError`` is a failure: a database that is down.
    """
    if isinstance(error, Refused):
        return error
    if isinstance(error, HTTPException):
        code = error.code or getattr(error.response, "status_code", None) or 403
        return Refused(error.description or HTTP_STATUS_CODES.get(code, "Refused"), {"code": code})
    theirs = getattr(sys.modules.get("socketio.exceptions"), "ConnectionRefusedError", None)
    if isinstance(theirs, type) and isinstance(error, theirs):
        return Refused(*error.args)
    return None


# --- callbacks ---------------------------------------------------------------------------------------------------


def owned(callback: Callable[..., object] | None) -> Callable[..., object] | None:
    """A callback that runs in the context of the client whose event is being handled, not of the one who answers."""
    socket = flask.request.environ.get(SOCKET) if callback is not None and flask.has_request_context() else None
    if callback is None or socket is None:
        return callback

    @functools.wraps(callback)
    def call_back(*args: object) -> object:
        return callback(*args)

    @functools.wraps(callback)
    async def call_back_later(*args: object) -> object:
        return await cast(Any, callback(*args))

    wrapper: Callable[..., object] = call_back_later if read(callback).is_async else call_back
    setattr(wrapper, _OWNER, socket)
    return wrapper


def _owner(handler: Handler, socket: Socket, event: str) -> Socket:
    """Whose context a handler gets."""
    return cast(Socket, getattr(plain(handler), _OWNER, socket)) if event == "ack" else socket
