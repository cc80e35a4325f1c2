"""``login_required``: events and whole namespaces for those who are logged in.

::

    @socketio.on("connect")
    @login_required                      # refuses: the client hears connect_error
    def connect(): ...

    @socketio.on("pay")
    @login_required                      # is not run; the ack is {"error": "login required", "code": 401}
    async def pay(amount): ...

    @login_required                      # connect and every event of the namespace
    class Chat(Namespace): ...

    @login_required(check=lambda: "user" in session)     # without Flask-Login
    def say(text): ...

It stands below ``@socketio.on``, next to the function.  ``disconnect`` handlers always run: what a client leaves behind
is to be cleared up, whoever it is by then.

Who is logged in is looked up for each event, before its turn comes, in a thread.  Who logs out while connected stays
connected, and what becomes of the next event depends on the session that handlers find (``flask/sessions.py``): with
"live" or "request" and sessions on the server it is turned away; a "fork" still has the login that it was made with, so
there the page that logs out should also send the client away, with ``disconnect(sid, namespace)``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

import flask

from truesocket.core.registry import handler
from truesocket.core.socket import Socket
from truesocket.errors import Refused, UsageError
from truesocket.flask.namespace import Namespace
from truesocket.flask.visit import CHECK, CHECKED, SOCKET

__all__ = ["login_required", "note_decorated"]

_log = logging.getLogger("truesocket")

C = TypeVar("C", bound=Callable[..., Any])

Check = Callable[[], object]

_MESSAGE = "login required"
_CODE = 401  # Unauthorized (RFC 9110, 15.5.2)

#: Functions that ``@socketio.on`` has registered: too late to guard them.
_decorated: weakref.WeakSet[Callable[..., object]] = weakref.WeakSet()


@overload
def login_required(what: C, /) -> C: ...
@overload
def login_required(what: None = None, /, *, check: Check | None = None) -> Callable[[C], C]: ...
def login_required(what: C | None = None, /, *, check: Check | None = None) -> C | Callable[[C], C]:
    """Decorator for handlers, ``def`` or ``async def``, and for Namespace classes: logged in only.

    ``check`` says whether somebody is; without it Flask-Login's ``current_user`` does.  It runs in a thread, within the
    event's context, and may block.
    """
    if what is None:
        return lambda thing: _guard(thing, check or _has_user)
    return _guard(what, _has_user)


def _has_user() -> object:
    """What Flask-Login says."""
    try:
        flask_login = importlib.import_module("flask_login")
    except ModuleNotFoundError:
        flask_login = None
    if flask_login is None or not hasattr(flask.current_app, "login_manager"):
        raise UsageError(
            "login_required asks Flask-Login, which this application does not use: set up its LoginManager, or say who"
            " is logged in: login_required(check=lambda: 'user' in session)"
        )
    return flask_login.current_user.is_authenticated


def note_decorated(function: Callable[..., object]) -> None:
    """``@socketio.on`` stands above this function."""
    try:
        _decorated.add(function)
    except TypeError:  # some callables have no weak references; nobody guards those with a decorator
        pass


def _guard(what: C, check: Check) -> C:
    if isinstance(what, type):
        return cast(C, _guard_class(what, check))
    if not callable(what):
        raise UsageError(f"login_required guards a handler or a Namespace class, not {what!r}")
    if what in _decorated:
        raise UsageError(
            f"login_required stands above @socketio.on and would guard nothing: write it below, next to"
            f" {getattr(what, '__name__', 'the function')}()"
        )
    return cast(C, _guarded(what, check))


def _guarded(function: Callable[..., Any], check: Check) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        verdict = _verdict(check)
        return function(*args, **kwargs) if (check() if verdict is None else verdict) else _turn_away()

    @functools.wraps(function)
    async def call_later(*args: Any, **kwargs: Any) -> Any:
        verdict = _verdict(check)
        if verdict is None:
            socket: Socket = flask.request.environ[SOCKET]
            verdict = bool(await socket.server.runner.in_thread(check))
        return await function(*args, **kwargs) if verdict else _turn_away()

    guarded: Callable[..., Any] = call_later if handler(function).is_async else call
    setattr(guarded, CHECK, check)
    return guarded


def _verdict(check: Check) -> bool | None:
    """What came out where it has been checked already, before the handler's turn (``flask/surroundings.py``)."""
    if _event() == "disconnect":
        return True
    checked, verdict = flask.request.environ.get(CHECKED, (None, None))
    return verdict if checked is check else None


def _event() -> str:
    event: dict[str, Any] = getattr(flask.request, "event", {})
    return str(event.get("message"))


def _turn_away() -> dict[str, object]:
    """Refuses a connection; of an event, the answer to it."""
    if _event() == "connect":
        raise Refused(_MESSAGE, {"code": _CODE})
    socket: Socket = flask.request.environ[SOCKET]
    _log.info(
        "event %r was not handled, nobody is logged in: namespace %s, sid %s", _event(), socket.namespace, socket.sid
    )
    return {"error": _MESSAGE, "code": _CODE}


# --- classes -----------------------------------------------------------------------------------------------------


def _guard_class(cls: type, check: Check) -> type:
    """Guards ``connect`` and every event of a Namespace class."""
    trigger = getattr(cls, "trigger_event", None)
    if trigger is None:
        raise UsageError(f"login_required guards a Namespace class, and {cls.__name__} is none")
    if trigger is not Namespace.trigger_event:
        setattr(cls, "trigger_event", _guarded(trigger, check))  # noqa: B010 - types know no such assignment
        return cls
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        if name.startswith("on_") and name != "on_disconnect" and callable(getattr(cls, name)):
            setattr(cls, name, _guarded_method(method, check))
    if not hasattr(cls, "on_connect"):
        setattr(cls, "on_connect", _guarded(lambda self: None, check))  # noqa: B010
    return cls


def _guarded_method(method: Any, check: Check) -> Any:
    if isinstance(method, staticmethod | classmethod):
        return type(method)(_guarded(method.__func__, check))
    return _guarded(method, check)
