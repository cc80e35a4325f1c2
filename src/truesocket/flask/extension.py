"""``SocketIO``: the Flask extension, and an ASGI application.

It takes Flask-SocketIO's arguments, keeps one :class:`~truesocket.core.server.Server`, and serves the Flask pages
beside it: ``python app.py`` with ``socketio.run(app)``, ``truesocket run app:app`` or ``uvicorn app:socketio``.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Hashable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import flask
from a2wsgi import WSGIMiddleware

from truesocket.core.config import Config
from truesocket.core.pool import Pool
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors.asgi import ASGIApp
from truesocket.doors.entrance import ensure_log_output
from truesocket.errors import UnknownOption, UsageError
from truesocket.flask.context import FlaskSurroundings, _skip, _spread
from truesocket.flask.environ import Gate, install_gate, through_wrappers

if TYPE_CHECKING:
    import ssl

__all__ = ["SocketIO"]

_log = logging.getLogger("truesocket")

F = TypeVar("F", bound=Callable[..., object])

#: Flask-SocketIO's names for our options.
_ALIASES = {"resource": "path", "max_http_buffer_size": "max_payload"}

#: Options that had a reason in Flask-SocketIO and have none here.
_OBSOLETE = {
    "async_mode": "there is no mode to choose: handlers run in threads, or on the event loop if they are async def",
    "monitor_clients": "clients are always watched",
    "logger": "use logging.getLogger('truesocket').setLevel(...)",
    "engineio_logger": "use logging.getLogger('truesocket').setLevel(...)",
}

#: The words of Flask-SocketIO for the reasons of a disconnect.
_REASONS = {
    "client namespace disconnect": "client disconnect",
    "server namespace disconnect": "server disconnect",
    "forced server close": "server disconnect",
    "forced close": "server disconnect",
    "server shutting down": "server disconnect",
    "parse error": "transport error",
}


class SocketIO:
    """Real-time push for a Flask application.

    ``SocketIO(app, ping_interval=25, cors_allowed_origins=[...])``, or ``SocketIO()`` and ``init_app(app)`` later; the
    options are those of :class:`~truesocket.core.config.Config`, under Flask-SocketIO's names, too.
    ``manage_session=False`` opens and saves the real session around every event.  Raises
    :class:`~truesocket.errors.UnknownOption` for an option that does not exist.
    """

    def __init__(self, app: flask.Flask | None = None, **options: object) -> None:
        self._app: flask.Flask | None = None
        self._options: dict[str, object] = {}
        self._surroundings = FlaskSurroundings(self._current_app)
        self._pages: Any = None  # a2wsgi types its protocols more narrowly than ASGI does
        self._debugger: Any = None
        self._registered: list[Callable[[Server], object]] = []
        self._make(options)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask, **options: object) -> None:
        """Binds to an application; ``options`` are added to those of the constructor.

        One ``SocketIO`` may serve several applications of a factory (tests): handlers run in the one bound last.
        """
        if options:
            if self.server.running:
                raise UsageError("init_app(): the server runs already; give its options before")
            self._make({**self._options, **options})
        app.extensions["socketio"] = self
        install_gate(app)
        self._app = app
        self.server.json_default = lambda value: _json_default(app, value)

    def _make(self, options: dict[str, object]) -> None:
        """A server with these options; handlers that were registered before are registered again."""
        self._options = options
        settings: dict[str, Any] = dict(options)
        manage_session = settings.pop("manage_session", True)
        for name, alias in _ALIASES.items():
            if name in settings:
                settings.setdefault(alias, settings[name])
                del settings[name]
        for name in settings.keys() & _OBSOLETE.keys():
            del settings[name]
            warnings.warn(f"SocketIO({name}=...) does nothing: {_OBSOLETE[name]}", DeprecationWarning, stacklevel=3)
        known = [*Config.__dataclass_fields__, *_ALIASES, *_OBSOLETE, "manage_session"]
        for name in settings:
            if name not in Config.__dataclass_fields__:
                raise UnknownOption(name, known)
        self.server = Server(surroundings=self._surroundings, **settings)
        self.server.reason_words = _REASONS
        self._surroundings.runner = self.server.runner
        self._surroundings.manage_session = bool(manage_session)
        self._asgi = ASGIApp(self.server, self._page, prepare=self._prepare)
        self.entrance = self._asgi.entrance
        for register in self._registered:
            register(self.server)

    # --- handlers --------------------------------------------------------------------------------------------------

    def on(self, message: str, namespace: str | None = None) -> Callable[[F], F]:
        """Decorator: the handler of an event, of ``connect``, ``disconnect``, or of ``"*"`` for all others."""
        if callable(message):
            raise UsageError(
                "@socketio.on: the event's name is missing; write @socketio.on('name'), or @socketio.event for the"
                " function's own name"
            )

        def decorator(handler: F) -> F:
            self.on_event(message, handler, namespace)
            return handler

        return decorator

    def on_event(self, message: str, handler: Callable[..., object], namespace: str | None = None) -> None:
        """Registers ``handler`` for an event, without a decorator."""

        def register(server: Server) -> object:
            return server.registry.add(message, namespace or "/", handler)

        register(self.server)
        self._registered.append(register)

    @overload
    def event(self, handler: F, /) -> F: ...
    @overload
    def event(self, handler: None = None, /, *, namespace: str | None = None) -> Callable[[F], F]: ...
    def event(self, handler: F | None = None, /, *, namespace: str | None = None) -> F | Callable[[F], F]:
        """Decorator, with or without parentheses: the handler of the event that bears the function's name."""

        def decorator(function: F) -> F:
            self.on_event(function.__name__, function, namespace)
            return function

        return decorator if handler is None else decorator(handler)

    # --- telling and asking ------------------------------------------------------------------------------------------

    def emit(
        self,
        event: str,
        *args: object,
        namespace: str | None = None,
        to: Hashable | Iterable[Hashable] | None = None,
        room: Hashable | Iterable[Hashable] | None = None,
        include_self: bool = True,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., object] | None = None,
        ignore_queue: bool = False,
        broadcast: bool = True,
    ) -> Awaitable[None]:
        """Sends an event to everybody in a namespace, or to the rooms or sids ``to``, from any thread.

        It never waits, and it may be awaited.  ``to=[]`` is nobody.  Raises ``TypeError`` for arguments that JSON
        cannot hold.
        """
        return self.server.emit(
            event,
            *_spread(args),
            to=room if to is None else to,
            namespace=namespace or "/",
            skip=_skip(include_self, skip_sid),
            callback=callback,
        )

    def send(
        self,
        data: object,
        json: bool = False,
        namespace: str | None = None,
        to: Hashable | Iterable[Hashable] | None = None,
        callback: Callable[..., object] | None = None,
        include_self: bool = True,
        skip_sid: str | list[str] | None = None,
        room: Hashable | Iterable[Hashable] | None = None,
    ) -> Awaitable[None]:
        """Sends the event ``message`` (or ``json``); otherwise like :meth:`emit`."""
        return self.emit(
            "json" if json else "message",
            data,
            namespace=namespace,
            to=room if to is None else to,
            callback=callback,
            include_self=include_self,
            skip_sid=skip_sid,
        )

    def call(
        self,
        event: str,
        *args: object,
        namespace: str | None = None,
        to: Hashable | None = None,
        room: Hashable | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event to one client and returns its answer; waits in this thread, ``timeout`` seconds at most.

        In an ``async def`` handler write ``await socketio.call(...)``.  Raises
        :class:`~truesocket.errors.AckTimeout`, at once where the client is gone.
        """
        target = room if to is None else to
        if target is None:
            raise UsageError("call() asks one client: give to=sid")
        reply = self.server.call(event, *_spread(args), to=target, namespace=namespace or "/", timeout=timeout)
        return reply if self.server.bridge.on_loop() else reply.result()

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Takes everybody out of a room."""
        self.server.close_room(room, namespace=namespace or "/")

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """``"websocket"`` or ``"polling"``: what a client really uses at this moment."""
        return self.server.transport(sid, namespace=namespace)

    # --- background work ---------------------------------------------------------------------------------------------

    def start_background_task(self, target: Callable[..., object], *args: object, **kwargs: object) -> threading.Thread:
        """Runs ``target`` in a thread of its own, which does not keep the program from ending."""
        thread = threading.Thread(
            target=_logged, args=(target, args, kwargs), name=f"truesocket-task-{target.__name__}", daemon=True
        )
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> None:
        """``time.sleep``: threads may block here."""
        time.sleep(seconds)

    # --- running -----------------------------------------------------------------------------------------------------

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """The ASGI application: ``uvicorn app:socketio``."""
        await self._asgi(scope, receive, send)

    def run(
        self,
        app: flask.Flask | None = None,
        host: str | None = None,
        port: int | None = None,
        *,
        debug: bool | None = None,
        use_reloader: bool | None = None,
        reloader_options: dict[str, object] | None = None,
        extra_files: Iterable[str] = (),
        log_output: bool | None = None,
        allow_unsafe_werkzeug: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        **server_options: object,
    ) -> None:
        """Serves the application and its WebSockets until a signal ends it; then it returns.

        ``port`` is 5000, or that of ``SERVER_NAME``.  ``debug=True`` brings Flask's error pages and a reloader.
        ``log_output`` logs every HTTP request (as ``debug`` does).  ``server_options`` go to uvicorn.  A port in use
        is one sentence and exit code 1.
        """
        app = app or self._app
        if app is None:
            raise UsageError("run(): give the Flask application, or bind it with SocketIO(app) or init_app(app)")
        if self._app is not app:
            self.init_app(app)
        app.debug = app.debug if debug is None else debug
        ensure_log_output()
        from truesocket.flask import running

        running.run(
            self,
            app,
            host or "127.0.0.1",
            running.port_of(app) if port is None else port,
            reload=app.debug if use_reloader is None else use_reloader,
            extra_files=extra_files,
            access_log=app.debug if log_output is None else log_output,
            ssl_context=ssl_context,
            ssl_certfile=certfile,
            ssl_keyfile=keyfile,
            options=server_options,
        )

    def use_debugger(self) -> None:
        """Flask's interactive error pages, in the debug mode of :meth:`run`."""
        from werkzeug.debug import DebuggedApplication

        self._debugger = DebuggedApplication(self._wsgi_pages, evalex=True)

    # --- what the doors ask ------------------------------------------------------------------------------------------

    def _current_app(self) -> flask.Flask:
        if self._app is None:
            raise UsageError("this SocketIO has no application yet: call socketio.init_app(app)")
        return self._app

    def _prepare(self, handshake: Handshake) -> Callable[[], Handshake] | None:
        """Sends a handshake through the application's WSGI wrappers, if it has any (``ProxyFix``)."""
        app = self._current_app()
        if isinstance(app.wsgi_app, Gate):
            return None
        install_gate(app)
        return lambda: through_wrappers(app, handshake)

    async def _page(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """A page of the Flask application, in a thread of the pages' own pool."""
        if self._pages is None:
            self._pages = WSGIMiddleware(cast(Any, self._wsgi))
            self._pages.executor.shutdown(wait=False)  # its threads would keep the program from ending
            self._pages.executor = Pool("truesocket-http", self.server.config.http_threads)
        if scope["type"] == "http" and any(b"_" in name for name, _ in scope["headers"]):
            # WSGI could not tell X_Forwarded_For from X-Forwarded-For
            scope = {**scope, "headers": [pair for pair in scope["headers"] if b"_" not in pair[0]]}
        started = False

        async def send_on(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._pages(scope, receive, send_on)
        except asyncio.CancelledError:
            if scope["type"] != "http" or self.server.running:
                raise
            if not started:  # the server ends, and this page has taken too long
                await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
                await send({"type": "http.response.body", "body": b""})

    def _wsgi(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["wsgi.multiprocess"] = False
        environ["wsgi.errors"] = sys.stderr
        return (self._debugger or self._wsgi_pages)(environ, start_response)

    def _wsgi_pages(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._current_app()(environ, start_response)


def _json_default(app: flask.Flask, value: object) -> object:
    """What the application's JSON provider writes for types that JSON has not (datetime, Decimal, UUID ...)."""
    default = getattr(app.json, "default", None)
    if default is None:
        raise TypeError(f"{type(value).__name__} is not JSON serializable, and app.json has no default()")
    with app.app_context():
        result: object = default(value)
    return result


def _logged(target: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    try:
        target(*args, **kwargs)
    except Exception:
        _log.exception("the background task %s failed", getattr(target, "__qualname__", target))
