"""Which session a handler finds in ``flask.session``, and what becomes of its changes: three ways to choose from.

===========  ==========================================================================================================
``session``  what it means
===========  ==========================================================================================================
"fork"       A copy of the browser's session, made by the first event that has a handler (``connect``, as a rule) and
             shared by all events of the connection.  Events change the copy alone; pages do not see it, and what pages
             change later is not seen here.  The default, and what ``manage_session=True`` means.
"request"    The session that belongs to the cookies of the handshake, opened for every event, and saved behind it if it
             has been modified.  What ``manage_session=False`` means.
"live"       The session as a page has it: opened for every event, and given back to its store behind every event, which
             keeps it from expiring while the client is busy.  Cookies that the store sets are remembered as long as the
             connection lasts.
===========  ==========================================================================================================

"request" and "live" share their changes with the pages where sessions are kept on the server (Flask-Session).  Sessions
in signed cookies (Flask's own) live in the browser, to which nobody can bring a cookie over an open connection:
"request" loses such a change behind the event, "live" keeps it for the connection, and both say so once in the log.
"""

from __future__ import annotations

import functools
import logging
from enum import Enum
from typing import Any, Protocol, cast

import flask
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from truesocket.errors import UsageError, nearest

__all__ = ["SAVED_SESSION", "Fork", "ManagedSession", "Real", "SessionMode", "Sessions", "mode_of", "sessions_for"]

_log = logging.getLogger("truesocket")

#: Where the environ of a connection keeps the copy of its session.
SAVED_SESSION = "saved_session"


class SessionMode(Enum):
    """See the table above."""

    FORK = "fork"
    REQUEST = "request"
    LIVE = "live"


class ManagedSession(dict[str, Any], SessionMixin):
    """The session of one client while it is connected: a copy of the browser's, made at ``connect``."""

    modified = True

    @property
    def accessed(self) -> bool:  # Flask sets it at every access: 200 bytes of __dict__
        """Nobody asks whether a copy has been read."""
        return True

    @accessed.setter
    def accessed(self, value: bool) -> None:
        pass


class Sessions(Protocol):
    """One of the ways.  ``base`` is the environ of the connection, which all its events share."""

    #: Whether a store is asked behind every event.
    saves: bool

    def open_at_once(self, app: flask.Flask, base: dict[str, Any]) -> bool:
        """Whether a handler has its session without a store that may take its time."""

    def before(self, context: Any, base: dict[str, Any]) -> None:
        """In front of the push of a request context."""

    def opened(self, context: object, base: dict[str, Any]) -> None:
        """Behind the push, in front of the handler."""

    def after(self, app: flask.Flask, base: dict[str, Any]) -> None:
        """Behind a handler that has not failed."""


def mode_of(session: object = None, manage_session: object = None) -> SessionMode:
    """The mode that the options ``session`` and ``manage_session`` ask for; raises :class:`UsageError`."""
    managed = None if manage_session is None else SessionMode.FORK if manage_session else SessionMode.REQUEST
    if session is None:
        return managed or SessionMode.FORK
    if isinstance(session, SessionMode):
        mode = session
    else:
        known = [each.value for each in SessionMode]
        if session not in known:
            hint = nearest(session, known) if isinstance(session, str) else ""
            raise UsageError(f"SocketIO(session={session!r}): it is one of {', '.join(map(repr, known))}{hint}")
        mode = SessionMode(session)
    if managed is not None and (managed is SessionMode.FORK) != (mode is SessionMode.FORK):
        raise UsageError(
            f"SocketIO(manage_session={manage_session!r}, session={mode.value!r}) contradict each other: leave"
            " manage_session out"
        )
    return mode


def sessions_for(mode: SessionMode) -> Sessions:
    """What does the work of a mode."""
    return Fork() if mode is SessionMode.FORK else Real(is_live=mode is SessionMode.LIVE)


class Fork:
    """ "fork": a copy for each connection."""

    saves = False

    def open_at_once(self, app: flask.Flask, base: dict[str, Any]) -> bool:
        """From the second event on; and from the first, where the session is in the cookie."""
        return SAVED_SESSION in base or type(app.session_interface) is SecureCookieSessionInterface

    def before(self, context: Any, base: dict[str, Any]) -> None:
        """The copy instead of what Flask would open."""
        saved = base.get(SAVED_SESSION)
        if saved is None and _is_new(context):
            saved = base.setdefault(SAVED_SESSION, ManagedSession())
        if saved is not None:
            _set_session(context, saved)

    def opened(self, context: object, base: dict[str, Any]) -> None:
        """The first event of a connection copies the session that Flask has just opened."""
        if SAVED_SESSION not in base:
            copy = _copied(cast(Any, flask.session)._get_current_object())
            _set_session(context, base.setdefault(SAVED_SESSION, copy))  # two namespaces may connect at once

    def after(self, app: flask.Flask, base: dict[str, Any]) -> None:
        """The copy stays where it is."""


def _is_new(context: Any) -> bool:
    """Whether a client has no session yet: it sends no cookies, and Flask's own sessions are nowhere else.

    Asking Flask takes 17 us, which is much of what a connect handler takes in all.
    """
    app: flask.Flask = context.app
    has_cookies = bool(context.request.environ.get("HTTP_COOKIE"))
    return not has_cookies and bool(app.secret_key) and type(app.session_interface) is SecureCookieSessionInterface


class Real:
    """ "request" and "live": the session that pages have, too."""

    saves = True

    def __init__(self, *, is_live: bool) -> None:
        self._is_live = is_live
        self._told = False

    def open_at_once(self, app: flask.Flask, base: dict[str, Any]) -> bool:
        """The store is asked every time."""
        return False

    def before(self, context: Any, base: dict[str, Any]) -> None:
        """Flask opens it."""

    def opened(self, context: object, base: dict[str, Any]) -> None:
        """Flask has opened it."""

    def after(self, app: flask.Flask, base: dict[str, Any]) -> None:
        """Saves it, as Flask does behind a page."""
        session = cast(Any, flask.session)._get_current_object()
        interface = app.session_interface
        if interface.is_null_session(session) or not (self._is_live or getattr(session, "modified", True)):
            return
        response = app.response_class()
        interface.save_session(app, session, response)
        cookies = [_name_and_value(each) for each in response.headers.getlist("Set-Cookie")]
        if not cookies:
            return
        changed = any(flask.request.cookies.get(name) != value for name, value in cookies)
        if self._is_live:
            before: str = (base if "HTTP_COOKIE" in base else flask.request.environ).get("HTTP_COOKIE", "")
            base["HTTP_COOKIE"] = _with_cookies(before, cookies)
        if changed and not self._told and getattr(session, "modified", True) and _is_lost(app, session):
            self._told = True
            self._tell(cookies[0][0])

    def _tell(self, name: str) -> None:
        _log.warning(
            "an event has changed the session, and its store would now set the cookie %r, which nobody can do over an"
            " open connection: pages will not see the change%s. Keep sessions on the server (Flask-Session), and let a"
            " page begin the session before the client connects. (This is said once.)",
            name,
            ", only this connection does" if self._is_live else ", nor will the next event",
        )


def _copied(session: SessionMixin) -> ManagedSession:
    """A copy whose names are the same objects in all connections: 50 bytes for each."""
    return ManagedSession({_name(key) if type(key) is str else key: value for key, value in session.items()})


@functools.lru_cache(256)
def _name(key: str) -> str:
    return key


def _is_lost(app: flask.Flask, session: SessionMixin) -> bool:
    """Whether the cookies that the browser has lead to another session than the one just saved."""
    again = app.session_interface.open_session(app, flask.request)
    return again is None or dict(again) != dict(session)


def _name_and_value(set_cookie: str) -> tuple[str, str]:
    """The name and the value of a Set-Cookie header (RFC 6265, 4.1.1); a deletion has an empty value."""
    name, _, value = set_cookie.partition(";")[0].partition("=")
    return name.strip(), value.strip()


def _with_cookies(header: str, cookies: list[tuple[str, str]]) -> str:
    """A Cookie header with other values for these cookies (RFC 6265, 4.2.1)."""
    names = {name for name, _ in cookies}
    kept = [each.strip() for each in header.split(";") if each.partition("=")[0].strip() not in names and each.strip()]
    return "; ".join([*kept, *(f"{name}={value}" for name, value in cookies if value)])


def _set_session(context: object, session: SessionMixin) -> None:
    """Flask's contexts keep their session in ``_session`` (3.1.3 and later) or in ``session``."""
    name = "_session" if hasattr(context, "_session") else "session"
    setattr(context, name, session)
