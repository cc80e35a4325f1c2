"""The options of ``SocketIO()`` and ``init_app()``: Flask-SocketIO's names, told apart and turned into our own.

Known ones go to :class:`~truesocket.core.config.Config`, those of Flask's face stay here, those that have lost their
reason are accepted with one warning, and anything else is an error that names the nearest.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import flask

from truesocket.codec.json_module import JsonModule
from truesocket.core.config import Config
from truesocket.core.registry import handler
from truesocket.errors import UnknownOption, UsageError, nearest
from truesocket.flask.sessions import SessionMode, mode_of

__all__ = ["OBSOLETE", "Options", "read", "refuse_unknown", "warn_obsolete", "warn_unknown"]

#: Flask-SocketIO's names for our options; where both are given, ours wins.
ALIASES = {"resource": "path", "max_http_buffer_size": "max_payload"}

#: Options of Flask's face; what is not named in ``Options`` has its use elsewhere.
_OWN = ("manage_session", "session", "json", "message_queue", "channel", "client_manager")

#: The values of our options where nothing is said.
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Config)}

_LOGGING = "use logging.getLogger('truesocket').setLevel(...)"

#: Options that had a reason in Flask-SocketIO and have none here: why, and the values that ask for nothing.
OBSOLETE: dict[str, tuple[str, tuple[object, ...]]] = {
    "async_mode": ("there is no mode to choose: handlers run in threads, async def ones on the event loop", (None,)),
    "monitor_clients": ("clients are always watched", (None, True)),
    "logger": (_LOGGING, (None, False)),
    "engineio_logger": (_LOGGING, (None, False)),
    "binary": ("bytes anywhere in the arguments are sent as they are", (None,)),
    "policy_server": ("no browser has Flash any more", (None, False)),
}

#: Options of Flask-SocketIO whose own default is ``None``: given as ``None`` they are not given.
_NONE_IS_NOTHING = (
    "path",
    "resource",
    "transports",
    "namespaces",
    "cookie",
    "json",
    "message_queue",
    "channel",
    "client_manager",
    "session",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the options of a ``SocketIO`` come to.

    ``server`` is for :class:`~truesocket.core.server.Server`.  ``queue`` names the message queue that somebody wants,
    without its password; empty where nobody does.
    """

    server: dict[str, Any]
    session_mode: SessionMode
    queue: str


def refuse_unknown(options: Iterable[str], where: str = "SocketIO()") -> None:
    """Raises :class:`~truesocket.errors.UnknownOption` for an option that does not exist."""
    known = [*_DEFAULTS, *ALIASES, *OBSOLETE, *_OWN]
    for name in options:
        if name not in known:
            raise UnknownOption(name, known, where=where)


def warn_obsolete(options: Mapping[str, object], stacklevel: int) -> None:
    """One warning for all options of a call that do nothing."""
    found = [name for name, value in options.items() if name in OBSOLETE and value not in OBSOLETE[name][1]]
    if found:
        reasons = "; ".join(f"{name}=...: {OBSOLETE[name][0]}" for name in found)
        text = f"SocketIO({', '.join(found)}) does nothing: {reasons}"
        warnings.warn(text, DeprecationWarning, stacklevel=stacklevel + 1)


def warn_unknown(where: str, names: Iterable[str], known: Iterable[str], stacklevel: int) -> None:
    """A warning that names the keyword arguments of a call that nobody knows."""
    known = list(known)
    for name in names:
        hint = nearest(name, known)
        warnings.warn(f"{where} has no argument {name!r}, and ignores it{hint}", UserWarning, stacklevel=stacklevel + 1)


def read(
    options: Mapping[str, object],
    app: Callable[[], flask.Flask],
    environ: Callable[[Any], object],
) -> Options:
    """Turns the options into what they mean.

    ``app`` gives the application whose JSON is meant by ``json=flask.json``; ``environ`` that of a handshake.
    """
    given = {name: value for name, value in options.items() if value is not None or name not in _NONE_IS_NOTHING}
    own = {name: given.pop(name) for name in (*_OWN, *OBSOLETE) if name in given}
    settings: dict[str, Any] = {ALIASES.get(name, name): value for name, value in given.items() if name in ALIASES}
    settings |= {name: value for name, value in given.items() if name not in ALIASES}
    _interval(settings)
    _serializer(settings, own.get("json"), app)
    allowed = settings.get("cors_allowed_origins")
    if callable(allowed):
        settings["cors_allowed_origins"] = _origins(allowed, environ)
    mode = mode_of(own.get("session"), own.get("manage_session"))
    return Options(settings, session_mode=mode, queue=_queue(own))


def _interval(settings: dict[str, Any]) -> None:
    """``ping_interval=(25, 5)``: the client is told both, and the server's pings come at the interval."""
    interval = settings.get("ping_interval")
    if isinstance(interval, tuple | list):
        if len(interval) != 2:
            raise UsageError(f"SocketIO(): ping_interval={interval!r}; give seconds, or (seconds, seconds of grace)")
        settings["ping_interval"] = interval[0]
        timeout = settings.get("ping_timeout", _DEFAULTS["ping_timeout"])
        settings["ping_timeout"] = timeout + interval[1]


def _serializer(settings: dict[str, Any], json: object, app: Callable[[], flask.Flask]) -> None:
    chosen = settings.get("serializer", "default")
    if chosen in ("pickle", "cbor"):
        raise UsageError(f"SocketIO(): serializer={chosen!r} does not exist; choose 'default' or 'msgpack'")
    if isinstance(chosen, type) and hasattr(chosen, "encode") and hasattr(chosen, "decode"):
        raise UsageError(
            f"SocketIO(): serializer={chosen.__name__} is a Packet class of python-socketio; give an object with the"
            " methods of truesocket.codec.serializers.Serializer, or 'msgpack'"
        )
    if json is None:
        return
    if chosen != "default":
        raise UsageError(f"SocketIO(): json= and serializer={chosen!r} exclude each other; leave one of them out")
    if json is flask.json:
        settings["serializer"] = JsonModule(_FlaskJson(app), is_ready=False)  # there may be no application yet
    else:
        settings["serializer"] = JsonModule(json)


class _FlaskJson:
    """``flask.json`` for threads that have no application: it asks for the provider of the current one."""

    def __init__(self, app: Callable[[], flask.Flask]) -> None:
        self._app = app

    def dumps(self, value: object) -> str:
        if flask.has_app_context():
            return flask.json.dumps(value)
        with self._app().app_context():
            return flask.json.dumps(value)

    def loads(self, text: str) -> object:
        if flask.has_app_context():
            return flask.json.loads(text)
        with self._app().app_context():
            return flask.json.loads(text)


def _origins(allowed: Callable[..., object], environ: Callable[[Any], object]) -> Callable[..., object]:
    """A function of the origin and the environ becomes one of the origin and the handshake."""
    if handler(allowed).least < 2:
        return allowed

    @functools.wraps(allowed)
    def ask(origin: str, handshake: Any) -> object:
        return allowed(origin, environ(handshake))

    return ask


def _queue(own: Mapping[str, Any]) -> str:
    """The queue that is asked for, fit to be shown; python-socketio's plain ``Manager`` is none."""
    manager = own.get("client_manager")
    if manager is not None:
        kind = type(manager).__name__
        return "" if kind == "Manager" else f"client_manager={kind}"
    url = own.get("message_queue")
    return f"message_queue={_without_password(str(url))!r}" if url else ""


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{'...@' if at else ''}{place if login or at else rest}"
