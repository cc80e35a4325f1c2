"""One event's stay in Flask's contexts: from its environ to the teardown functions.

``flask/surroundings.py`` says when each of that happens, and on which thread.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import flask

from truesocket.core.registry import Handler
from truesocket.core.socket import Socket
from truesocket.doors.wsgi import APP
from truesocket.flask.environ import event_environ, kept
from truesocket.flask.quick import Place, Places
from truesocket.flask.sessions import Sessions

__all__ = ["CHECK", "CHECKED", "SOCKET", "Visit", "plain"]

_log = logging.getLogger("truesocket")

#: Where the environ of an event keeps the :class:`~truesocket.core.socket.Socket` of its client.
SOCKET = "truesocket.socket"
#: The attribute of a handler that names a function to be asked before the handler's turn comes: is anybody logged in?
CHECK = "__truesocket_check__"
#: Where the environ of an event keeps what came out: the function, and whether it said yes.
CHECKED = "truesocket.checked"
#: Where a connection keeps its place in the application: ``flask/quick.py``.
_PLACE = "truesocket.place"
#: What Flask says behind a handler.
_LEAVING = (flask.request_tearing_down, flask.appcontext_tearing_down, flask.appcontext_popped)


class Visit:
    """One event's stay in Flask's contexts.  ``enter`` and ``leave`` run in one contextvars context."""

    __slots__ = ("_app", "_base", "_context", "_outer", "_place", "_sessions", "_socket")

    def __init__(
        self,
        app: Callable[[], flask.Flask],
        sessions: Sessions,
        socket: Socket,
        event: str,
        args: tuple[object, ...],
    ) -> None:
        handshake = socket.handshake
        self._base = base = kept(handshake)
        self._app: flask.Flask = base.get(APP) or _remember(base, app)
        self._sessions = sessions
        self._socket = socket
        self._outer: Any = None
        environ = event_environ(handshake, base)
        environ[SOCKET] = socket
        environ["flask.app"] = self._app  # applications that are behind Flask-SocketIO find theirs there
        if _PLACE not in base:
            base[_PLACE] = Places.of(self._app).find(self._app, environ)
        self._place: Place | None = base[_PLACE]
        self._context: Any = (self._place or self._app.request_context)(environ)
        request: Any = self._context.request
        request.sid = socket.sid
        request.namespace = socket.namespace
        request.recovered = socket.recovered
        request.event = {"message": event, "args": args}

    def enters_at_once(self, handler: Handler) -> bool:
        """Whether nothing in front of a handler can take its time."""
        return (
            self._place is not None
            and self._sessions.open_at_once(self._app, self._base)
            and getattr(plain(handler), CHECK, None) is None
            and not flask.appcontext_pushed.receivers
        )

    def leaves_at_once(self) -> bool:
        """Whether nothing behind it can."""
        app = self._app
        return not (
            self._sessions.saves
            or app.teardown_request_funcs
            or app.teardown_appcontext_funcs
            or any(signal.receivers for signal in _LEAVING)
        )

    def enter(self, handler: Handler) -> Exception | None:
        """Pushes the context, opens the session, and asks what the handler wants asked before; returns its failure."""
        context = self._context
        self._sessions.before(context, self._base)
        if flask.has_app_context():  # the program was started inside of one: ``g`` shall be this event's all the same
            self._outer = self._app.app_context()
            self._outer.push()
        try:
            context.push()
            self._sessions.opened(context, self._base)
        except BaseException as error:
            self._teardown(error)
            raise
        check = getattr(plain(handler), CHECK, None)
        if check is not None:
            try:
                flask.request.environ[CHECKED] = (check, bool(check()))
            except Exception as failure:
                return failure
        return None

    def leave(self, error: BaseException | None) -> None:
        """Saves the session unless the handler failed, and runs the teardown functions."""
        try:
            if error is None:
                self._sessions.after(self._app, self._base)
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._teardown(error)

    def _teardown(self, error: BaseException | None) -> None:
        for context in (self._context, self._outer):
            if context is None:
                continue
            try:
                context.pop(error)
            except Exception:
                _log.exception(
                    "a teardown function failed behind an event: namespace %s, sid %s",
                    self._socket.namespace,
                    self._socket.sid,
                )


def _remember(base: dict[str, Any], app: Callable[[], flask.Flask]) -> flask.Flask:
    """The door does not know the application: this connection stays with the one that it begins with."""
    found: flask.Flask = base.setdefault(APP, base.get("flask.app") or app())
    return found


def plain(handler: Handler) -> Callable[..., object]:
    """The function itself, where some of its arguments are given already."""
    function = handler.registered
    while isinstance(function, functools.partial):
        function = function.func
    return function
