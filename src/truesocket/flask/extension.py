"""``SocketIO``: the Flask extension, and an ASGI application.

It takes Flask-SocketIO's arguments, keeps one :class:`~truesocket.core.server.Server`, and serves the Flask pages
beside it: ``python app.py`` with ``socketio.run(app)``, ``truesocket run app:app`` or ``uvicorn app:socketio``.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, MutableMapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Never, TypeVar, cast, overload

import flask

from truesocket.core.middleware import Middleware
from truesocket.core.patched import refuse_patched_worker
from truesocket.core.ports import Handshake
from truesocket.core.registry import Where
from truesocket.core.server import Server
from truesocket.doors.asgi import ASGIApp
from truesocket.doors.entrance import Entrance, count_workers, ensure_log_output
from truesocket.doors.wsgi import APP, Door
from truesocket.errors import UsageError, WrongValue
from truesocket.flask import background
from truesocket.flask.context import _skip, _spread, answered, owned
from truesocket.flask.environ import Gate, base_environ, install_gate, is_quick, through_wrappers
from truesocket.flask.logins import note_decorated
from truesocket.flask.message_queue import LonelyServer, say_lonely
from truesocket.flask.namespace import Namespace
from truesocket.flask.options import read as options_of
from truesocket.flask.options import refuse_unknown, warn_obsolete, warn_unknown
from truesocket.flask.pages import Pages
from truesocket.flask.python_socketio import Reason, ServerView
from truesocket.flask.sessions import SessionMode
from truesocket.flask.surroundings import FlaskSurroundings
from truesocket.flask.theirs import Answer

if TYPE_CHECKING:
    import ssl

    from truesocket.flask.running import Run
    from truesocket.flask.test_client import SocketIOTestClient

__all__ = ["SocketIO"]

F = TypeVar("F", bound=Callable[..., object])
M = TypeVar("M", bound=Middleware)

#: The arguments of emit().
_EMIT = ("namespace", "to", "room", "include_self", "skip_sid", "callback", "ignore_queue", "broadcast")

#: The arguments of call().
_CALL = ("namespace", "to", "room", "timeout", "ignore_queue")

#: Options that are no settings of the server, and not in ``server_options``.
_NOT_SHOWN = ("manage_session", "session", "path", "resource", "channel")

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
    options are those of :class:`~truesocket.core.config.Config`, under Flask-SocketIO's names, too
    (``docs/reference/options.md``).  ``session`` says which session handlers find: ``"fork"`` (a copy, the
    default), ``"request"`` (``manage_session=False``) or ``"live"``, see :mod:`truesocket.flask.sessions`.  Raises
    :class:`~truesocket.errors.UnknownOption` for an option that does not exist.

    ``core`` is the server itself; ``server`` shows it as python-socketio's, for applications that reach for that.
    """

    #: Why a client left: the words that a disconnect handler is told.
    reason = Reason
    #: Handlers run in threads and may block; there is no other mode.
    async_mode = "threading"
    #: Flask-SocketIO keeps the server of some modes here.
    wsgi_server = None

    def __init__(self, app: flask.Flask | None = None, **options: Any) -> None:
        self._app: flask.Flask | None = None
        self._options: dict[str, object] = {}
        #: By namespace: what :meth:`on_error` has registered.
        self.exception_handlers: dict[str, Callable[[Exception], object]] = {}
        #: What :meth:`on_error_default` has registered.
        self.default_exception_handler: Callable[[Exception], object] | None = None
        self._surroundings = FlaskSurroundings(self._current_app, self)
        self._run: Run | None = None
        self._view: ServerView | None = None
        self._registered: list[Callable[[Server], object]] = []
        self.handlers: list[tuple[str, Callable[..., object], Where]] = []
        self.namespace_handlers: list[Namespace] = []
        warn_obsolete(options, stacklevel=2)
        self._make(options)
        if app is not None or options.get("message_queue"):
            self._bind(app)

    def init_app(self, app: flask.Flask | None, **options: Any) -> None:
        """Binds to an application; ``options`` are added to those of the constructor.

        One ``SocketIO`` may serve several applications of a factory: handlers run in the one that the client came
        through where the door knows it (WSGI), else in the one bound last.  Raises
        :class:`~truesocket.errors.UsageError` where the application has another ``SocketIO`` already.
        """
        warn_obsolete(options, stacklevel=2)
        merged = {**self._options, **options}
        if merged != self._options:
            if self.core.running:
                raise UsageError("init_app(): the server runs already; give its options before")
            self._make(merged)
        self._bind(app)

    def _bind(self, app: flask.Flask | None) -> None:
        self._view = self._view or ServerView(self)
        if app is None:  # a process that only emits
            return
        refuse_patched_worker()
        other = app.extensions.get("socketio")
        if other is not None and other is not self:
            raise UsageError(
                f"the application {app.name!r} has a SocketIO already, and two cannot serve one: use that one"
                " (app.extensions['socketio']), with namespaces where you want things apart"
            )
        app.extensions["socketio"] = self
        gate = install_gate(app)
        self.sockio_mw: Gate = gate
        gate.door = Door(lambda: self.entrance)  # WSGI hosts
        if "gunicorn" in os.environ.get("SERVER_SOFTWARE", ""):
            self.entrance.warn_of_workers(count_workers(sys.argv, os.environ))
        self._app = app
        if isinstance(self.core, LonelyServer):
            say_lonely(self.core.queue)

    def _make(self, options: dict[str, object]) -> None:
        """A server with these options; handlers that were registered before are registered again."""
        refuse_unknown(options)
        chosen = options_of(options, self._current_app, base_environ)
        self._options = dict(options)
        session_mode = chosen.session_mode
        self.manage_session: bool = session_mode is SessionMode.FORK
        make = LonelyServer if chosen.queue else Server
        self.core: Server = make(surroundings=self._surroundings, json_default=self._json_default, **chosen.server)
        if isinstance(self.core, LonelyServer):
            self.core.queue = chosen.queue
        self.core.reason_words = _REASONS
        self._surroundings.runner = self.core.runner
        self._surroundings.session_mode = session_mode
        core = self.core
        self._pages = Pages(self._current_app, lambda: core.running, core.config.http_threads)
        self._asgi = ASGIApp(core, self._pages, prepare=self._prepare)
        self.entrance: Entrance = self._asgi.entrance
        for register in self._registered:
            register(self.core)

    @property
    def server(self) -> ServerView:
        """The server as python-socketio's; ``None`` before there is an application (or a message queue)."""
        return cast(ServerView, self._view)  # applications ask for None, and type checkers need not

    @property
    def server_options(self) -> Mapping[str, object]:
        """The options that were given, to be read."""
        return MappingProxyType({name: value for name, value in self._options.items() if name not in _NOT_SHOWN})

    def app_of(self, handshake: Handshake | None = None) -> flask.Flask:
        """The application that a client came through where the door knows it, else the one bound last."""
        environ = handshake.extra if handshake is not None else None
        app = environ.get(APP) or environ.get("flask.app") if isinstance(environ, dict) else None
        return app if isinstance(app, flask.Flask) else self._current_app()

    def _register(self, register: Callable[[Server], object]) -> None:
        """Registers now, and again when options make another server."""
        register(self.core)
        self._registered.append(register)

    # --- handlers --------------------------------------------------------------------------------------------------

    def on(self, message: str, namespace: Where | None = None) -> Callable[[F], F]:
        """Decorator: the handler of an event, of ``connect``, ``disconnect``, or of ``"*"`` for all others."""
        if callable(message):
            raise UsageError(
                "@socketio.on: the event's name is missing; write @socketio.on('name'), or @socketio.event for the"
                " function's own name"
            )

        def decorator(handler: F) -> F:
            self.on_event(message, handler, namespace)
            note_decorated(handler)
            return handler

        return decorator

    def on_event(self, message: str, handler: Callable[..., object], namespace: Where | None = None) -> None:
        """Registers ``handler`` for an event, without a decorator."""
        where = namespace or "/"
        self._register(lambda core: core.registry.add(message, where, handler))
        self.handlers.append((message, handler, where))

    @overload
    def event(self, handler: F, /) -> F: ...
    @overload
    def event(self, namespace: Where | None = None) -> Callable[[F], F]: ...
    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Decorator, with or without parentheses: the handler of the event that bears the function's name."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])
        return lambda function: self.on(function.__name__, *args, **kwargs)(function)

    def on_namespace(self, namespace_handler: Namespace) -> None:
        """Registers an instance of a :class:`Namespace` class."""
        _check_namespace(namespace_handler)
        namespace_handler._set_socketio(self)
        self._register(lambda core: core.on_namespace(namespace_handler))
        self.namespace_handlers.append(namespace_handler)

    @overload
    def middleware(self, function: M, /) -> M: ...
    @overload
    def middleware(self, *events: str, namespace: Where = "/") -> Callable[[M], M]: ...
    def middleware(self, *events: Any, namespace: Where = "/") -> Any:
        """Decorator: a function ``(event, proceed)`` around handlers (``docs/how-to/middlewares.md``)."""

        def decorator(function: M) -> M:
            self._register(lambda core: core.middleware(*names, namespace=namespace)(function))
            return function

        names = [name for name in events if isinstance(name, str)]
        return decorator if len(names) == len(events) else decorator(*events)

    def on_error(self, namespace: str | None = None) -> Callable[[F], F]:
        """Decorator: the function that gets what a handler of a namespace raised; what it returns is the ack."""
        if callable(namespace):
            raise UsageError("@socketio.on_error needs parentheses: write @socketio.on_error()")

        def decorator(exception_handler: F) -> F:
            self.exception_handlers[namespace or "/"] = _callable(exception_handler)
            return exception_handler

        return decorator

    def on_error_default(self, exception_handler: F) -> F:
        """Decorator: the same for every namespace that has none of its own."""
        self.default_exception_handler = _callable(exception_handler)
        return exception_handler

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
        **unknown: Never,
    ) -> Awaitable[None]:
        """Sends an event to everybody in a namespace, or to the rooms or sids ``to``, from any thread.

        It never waits, and it may be awaited.  ``to=[]`` is nobody.  A tuple is several arguments, a list is one.
        ``callback`` gets each client's answer.  Raises ``TypeError`` for arguments that JSON cannot hold.
        """
        if unknown:
            warn_unknown("socketio.emit()", unknown, _EMIT, stacklevel=2)
        _check_callback(event, callback)
        return self.core.emit(
            event,
            *_spread(args),
            to=room if to is None else to,
            namespace=namespace or "/",
            skip=_skip(include_self, skip_sid),
            callback=owned(callback),
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
        ignore_queue: bool = False,
        broadcast: bool = True,
        **unknown: Never,
    ) -> Awaitable[None]:
        """Sends the event ``message`` (or ``json``); otherwise like :meth:`emit`."""
        if unknown:
            warn_unknown("socketio.send()", unknown, ("json", *_EMIT), stacklevel=2)
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
        **unknown: Never,
    ) -> Any:
        """Sends an event to one client and returns its answer; waits in this thread, ``timeout`` seconds at most.

        In an ``async def`` handler write ``await socketio.call(...)``.  Raises
        :class:`~truesocket.errors.AckTimeout`, at once where the client is gone.
        """
        if unknown:
            warn_unknown("socketio.call()", unknown, _CALL, stacklevel=2)
        target = room if to is None else to
        if target is None:
            raise WrongValue(f"call({event!r}) asks one client: give to=sid")
        reply = self.core.call(event, *_spread(args), to=target, namespace=namespace or "/", timeout=timeout)
        return answered(Answer(reply))

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Takes everybody out of a room."""
        self.core.close_room(room, namespace=namespace or "/")

    def history(
        self, room: Hashable, since: str | None = None, limit: int | None = None, namespace: str | None = None
    ) -> Any:
        """What was said in a room, as far as the option ``history`` reaches: ``[(offset, event, args), ...]``.

        Oldest first, the newest ``limit`` of them, behind the one with the offset ``since``.
        """
        return answered(self.core.history(room, since=since, limit=limit, namespace=namespace or "/"))

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """``"websocket"`` or ``"polling"``: what a client really uses at this moment."""
        return self.core.transport(sid, namespace=namespace)

    def rooms_of(self, sid: str, namespace: str = "/") -> list[Hashable]:
        """The rooms of a client, its own among them.  Raises :class:`~truesocket.errors.UnknownSid`."""
        if self.core.bridge.on_loop():
            return self.core.rooms_now(sid, namespace)
        return self.core.rooms(sid, namespace=namespace).result()

    # --- background work ---------------------------------------------------------------------------------------------

    def start_background_task(self, target: Callable[..., object], *args: object, **kwargs: object) -> threading.Thread:
        """Runs ``target`` in a thread of its own, which does not keep the program from ending."""
        return background.start(target, args, kwargs)

    def sleep(self, seconds: float = 0) -> Awaitable[None]:
        """Sleeps, in a thread, as ``time.sleep`` does; in an ``async def`` handler write ``await socketio.sleep()``."""
        return background.sleep(seconds)

    # --- tests -------------------------------------------------------------------------------------------------------

    def test_client(
        self,
        app: flask.Flask,
        namespace: str | None = None,
        query_string: str | None = None,
        headers: Any = None,
        auth: dict[str, Any] | None = None,
        flask_test_client: Any = None,
    ) -> SocketIOTestClient:
        """A client for the application's tests, in this process.

        ``flask_test_client`` is the client of the pages, whose cookies (a login) this one brings along.
        """
        from truesocket.flask.test_client import SocketIOTestClient

        return SocketIOTestClient(
            app,
            self,
            namespace=namespace,
            query_string=query_string,
            headers=headers,
            auth=auth,
            flask_test_client=flask_test_client,
        )

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
        extra_files: Iterable[str] | None = None,
        log_output: bool | None = None,
        allow_unsafe_werkzeug: bool = False,
        ssl_context: ssl.SSLContext | tuple[str, str] | str | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        **server_options: Any,
    ) -> None:
        """Serves the application and its WebSockets until a signal or :meth:`stop` ends it; then it returns.

        ``port`` is 5000, or that of ``SERVER_NAME``; 0 is any free one.  ``debug=True`` brings Flask's error pages
        and a reloader (``reloader_options``: ``extra_files``, ``exclude_patterns``, ``interval`` in seconds).
        ``log_output`` logs every HTTP request (as ``debug`` does).  TLS: ``certfile`` and ``keyfile`` (PEM), or
        ``ssl_context``, an :class:`ssl.SSLContext`, ``(certfile, keyfile)``, or ``"adhoc"`` for a certificate that
        nobody has signed.  ``server_options`` go to uvicorn.  In a thread other than the main one it leaves signals
        alone.  A port in use, or a certificate that is not there, is one sentence and exit code 1.
        """
        app = app or self._app
        if app is None:
            raise UsageError("run(): give the Flask application, or bind it with SocketIO(app) or init_app(app)")
        if self._run is not None:
            raise UsageError("run(): this SocketIO runs already; call stop() before it runs again")
        if self._app is not app:
            self.init_app(app)
        app.debug = app.debug if debug is None else debug
        ensure_log_output()
        from truesocket.flask import running

        self._run = running.Run(
            host=host or "127.0.0.1",
            port=running.port_of(app) if port is None else port,
            debug=app.debug,
            use_reloader=use_reloader,
            access_log=app.debug if log_output is None else log_output,
            ssl_context=ssl_context,
            extra_files=(extra_files,) if isinstance(extra_files, str) else tuple(extra_files or ()),
            reloader_options=reloader_options or {},
            options={"certfile": certfile, "keyfile": keyfile, **server_options},
        )
        try:
            running.run(self, self._run)
        finally:
            self._run = None

    def stop(self) -> None:
        """Ends :meth:`run`, from a handler, a page, another thread or a signal handler; it returns soon after.

        Clients are told that the server ends, and they come back when there is one again.  Raises
        :class:`~truesocket.errors.UsageError` where :meth:`run` does not serve.
        """
        if self._run is None:
            raise UsageError(
                "stop(): socketio.run() does not serve here; gunicorn, uvicorn and other hosts are ended by a signal"
            )
        self._run.stop()

    def use_debugger(self) -> None:
        """Flask's interactive error pages, in the debug mode of :meth:`run`."""
        self._pages.use_debugger()

    # --- what the doors ask ------------------------------------------------------------------------------------------

    def _current_app(self) -> flask.Flask:
        if self._app is None:
            raise UsageError("this SocketIO has no application yet: call socketio.init_app(app)")
        return self._app

    def _json_default(self, value: object) -> object:
        """What the application's JSON provider writes for types that JSON has not (datetime, Decimal, UUID ...)."""
        if flask.has_app_context() and flask.current_app.extensions.get("socketio") is self:
            return _written(flask.current_app, value)
        app = self._current_app()
        with app.app_context():
            return _written(app, value)

    def _prepare(self, handshake: Handshake) -> Callable[[], Handshake] | None:
        """Sends a handshake through the application's WSGI wrappers, if it has any; what is returned may block."""
        app = self._current_app()
        if handshake.door == "wsgi" or isinstance(app.wsgi_app, Gate):  # it has passed them, or there are none
            return None
        install_gate(app)
        if is_quick(app.wsgi_app):
            through_wrappers(app, handshake)
            return None
        return lambda: through_wrappers(app, handshake)


def _check_namespace(given: object) -> None:
    if not isinstance(given, Namespace):
        hint = "; write () behind its name" if isinstance(given, type) else ""
        raise WrongValue(f"on_namespace({given!r}): give an instance of a subclass of Namespace{hint}")


def _check_callback(event: str, callback: object) -> None:
    if callback is not None and not callable(callback):
        raise UsageError(f"emit({event!r}, callback={callback!r}): the callback must be a function")


def _callable(exception_handler: Any) -> Any:
    if not callable(exception_handler):
        raise WrongValue(f"an exception_handler must be callable, and {exception_handler!r} is not: give a function")
    return exception_handler


def _written(app: flask.Flask, value: object) -> object:
    default = getattr(app.json, "default", None)
    if default is None:
        raise TypeError(f"{type(value).__name__} is not JSON serializable, and app.json has no default()")
    result: object = default(value)
    return result
