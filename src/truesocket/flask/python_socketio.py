"""``socketio.server``: what applications of Flask-SocketIO reach for there, under python-socketio's names.

A view, and nothing more: it has no state, and every method ends in the ``SocketIO`` or in its core.  The server itself,
with methods and arguments of its own, is ``socketio.core`` (:class:`~truesocket.core.server.Server`); the two have
methods of the same names with other arguments (``emit(event, data)`` here, ``emit(event, *args)`` there), so one class
could not be both.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from truesocket.core.registry import Handler, handler
from truesocket.core.socket import Socket, current
from truesocket.errors import UnknownSid, UsageError, WrongValue
from truesocket.flask.environ import base_environ
from truesocket.flask.namespace import Namespace, Triggered
from truesocket.flask.options import warn_unknown

if TYPE_CHECKING:
    import threading

    from truesocket.core.server import Server
    from truesocket.flask.extension import SocketIO

__all__ = ["EngineView", "Environs", "ManagerView", "Reason", "ServerView"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])


class Reason:
    """Why a client left: what a disconnect handler is told."""

    SERVER_DISCONNECT = "server disconnect"
    CLIENT_DISCONNECT = "client disconnect"
    PING_TIMEOUT = "ping timeout"
    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"


class ServerView:
    """``socketio.server``."""

    reason = Reason

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio
        self.environ: Environs = Environs(socketio)
        self.eio: EngineView = EngineView(socketio)
        self.manager: ManagerView = ManagerView(socketio)
        self.logger: logging.Logger = logging.getLogger("truesocket")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"socketio.server has no {name!r}: it shows what applications use of python-socketio's Server; the server"
            " itself is socketio.core"
        )

    @property
    def _core(self) -> Server:
        return self._socketio.core

    # --- what it is --------------------------------------------------------------------------------------------------

    @property
    def async_mode(self) -> str:
        """``"threading"``, in which handlers may block."""
        return self._socketio.async_mode

    @property
    def async_handlers(self) -> bool:
        """The option."""
        return self._core.config.async_handlers

    @property
    def always_connect(self) -> bool:
        """The option."""
        return self._core.config.always_connect

    @property
    def namespaces(self) -> list[str] | str:
        """The option."""
        names = list(self._core.config.namespaces)
        return "*" if names == ["*"] else names

    @property
    def handlers(self) -> dict[str, dict[str, Callable[..., object]]]:
        """The functions by event, by namespace: a copy."""
        found: dict[str, dict[str, Callable[..., object]]] = {}
        for event, function, namespace in self._socketio.handlers:
            if isinstance(namespace, str):
                found.setdefault(namespace, {})[event] = function
        return found

    @property
    def namespace_handlers(self) -> dict[str, Namespace]:
        """The Namespace classes' instances by namespace: a copy."""
        return {each.namespace: each for each in self._socketio.namespace_handlers}

    def is_asyncio_based(self) -> bool:
        """``False``: its methods need no ``await``."""
        return False

    # --- handlers ----------------------------------------------------------------------------------------------------

    def on(
        self, event: str, handler: Callable[..., object] | None = None, namespace: str | None = None
    ) -> Callable[[F], F]:
        """Registers a handler that is given the sid before what the client sent, as python-socketio's are.

        ``connect`` gets the sid, the environ and the auth payload, ``disconnect`` the sid and the reason.
        """
        if not isinstance(event, str):
            raise UsageError("@socketio.server.on: the event's name is missing; write on('name') with the name in it")

        def register(function: F) -> F:
            self._socketio.on_event(event, _with_sid(function, event, namespace or "/"), namespace)
            return function

        if handler is not None:
            register(handler)
        return register

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Decorator: the same, for the event that bears the function's name."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])
        return lambda function: self.on(function.__name__, *args, **kwargs)(function)

    def register_namespace(self, namespace_handler: Any) -> None:
        """Registers a Namespace, our own or one of python-socketio."""
        if isinstance(namespace_handler, Namespace):
            self._socketio.on_namespace(namespace_handler)
            return
        if not callable(getattr(namespace_handler, "trigger_event", None)):
            raise WrongValue(f"{namespace_handler!r} is no Namespace: give an instance of a subclass of Namespace")
        take = getattr(namespace_handler, "_set_server", None)
        if callable(take):
            take(self)
        self._socketio._register(lambda core: core.on_namespace(_Foreign(namespace_handler)))

    # --- telling and asking ------------------------------------------------------------------------------------------

    def emit(
        self,
        event: str,
        data: object = None,
        to: Hashable | Iterable[Hashable] | None = None,
        room: Hashable | Iterable[Hashable] | None = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        ignore_queue: bool = False,
        **unknown: Any,
    ) -> Awaitable[None]:
        """Sends an event to everybody in a namespace or to rooms.  A tuple is several arguments."""
        warn_unknown("socketio.server.emit()", unknown, ("to", "room", "skip_sid", "namespace", "callback"), 2)
        return self._socketio.emit(
            event, data, to=room if to is None else to, skip_sid=skip_sid, namespace=namespace, callback=callback
        )

    def send(
        self,
        data: object,
        to: Hashable | Iterable[Hashable] | None = None,
        room: Hashable | Iterable[Hashable] | None = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        ignore_queue: bool = False,
    ) -> Awaitable[None]:
        """Sends the event ``message``; otherwise like :meth:`emit`."""
        return self.emit("message", data, to, room, skip_sid, namespace, callback)

    def call(
        self,
        event: str,
        data: object = None,
        to: Hashable | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event to one client and returns its answer; see :meth:`SocketIO.call`."""
        return self._socketio.call(event, data, to=sid if to is None else to, namespace=namespace, timeout=timeout)

    def enter_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Puts a client into a room.  Raises :class:`~truesocket.errors.UnknownSid`."""
        self._core.enter(sid, room, namespace=namespace or "/")

    def leave_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Takes a client out of a room; nothing happens where there is no such client."""
        if self._connected(sid, namespace):
            self._core.leave(sid, room, namespace=namespace or "/")

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Takes everybody out of a room."""
        self._socketio.close_room(room, namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[Hashable]:
        """The rooms of a client, its own among them."""
        return self._socketio.rooms_of(sid, namespace or "/")

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Sends a client out of a namespace; nothing happens where there is no such client."""
        if self._connected(sid, namespace):
            self._core.disconnect(sid, namespace=namespace or "/")

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """``"websocket"`` or ``"polling"``."""
        return self._core.transport(sid, namespace=namespace or "/")

    def _connected(self, sid: str, namespace: str | None) -> bool:
        socket = self._core.by_sid.get(sid)
        return socket is not None and socket.namespace == (namespace or "/")

    # --- what is known of a client -----------------------------------------------------------------------------------

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The WSGI environ that a client came in with; ``None`` where there is no such client."""
        return self.environ[sid] if self._connected(sid, namespace) else None

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, object]:
        """A dict for what the application remembers of a client; not Flask's session."""
        return self._core.socket(sid, namespace or "/").data

    def save_session(self, sid: str, session: Mapping[str, object], namespace: str | None = None) -> None:
        """Puts another dict in its place."""
        data = self._core.socket(sid, namespace or "/").data
        found = dict(session)  # it may be the very same dict
        data.clear()
        data.update(found)

    @contextmanager
    def session(self, sid: str, namespace: str | None = None) -> Iterator[dict[str, object]]:
        """``with socketio.server.session(sid) as session:`` saves it behind the block."""
        session = self.get_session(sid, namespace)
        yield session
        self.save_session(sid, session, namespace)

    # --- the process -------------------------------------------------------------------------------------------------

    def start_background_task(self, target: Callable[..., object], *args: object, **kwargs: object) -> threading.Thread:
        """See :meth:`SocketIO.start_background_task`."""
        return self._socketio.start_background_task(target, *args, **kwargs)

    def sleep(self, seconds: float = 0) -> Awaitable[None]:
        """See :meth:`SocketIO.sleep`."""
        return self._socketio.sleep(seconds)

    def shutdown(self) -> None:
        """Closes every connection.  The host server goes on; new clients may come."""
        core = self._core

        def close() -> None:
            for peer in list(core.peers.values()):
                peer.close("server shutting down")

        core.bridge.post(close)

    def handle_request(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """The WSGI way in: that of the application, which knows what is ours."""
        return self._socketio.app_of().wsgi_app(environ, start_response)

    def instrument(
        self,
        auth: object = None,
        mode: str = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: int = 2,
    ) -> None:
        """Warns that there is no dashboard for the Socket.IO Admin UI in this release, and does nothing else."""
        text = "socketio.server.instrument(): this release has no dashboard; the server runs without it"
        warnings.warn(text, UserWarning, stacklevel=2)


class Environs(Mapping[str, "dict[str, Any]"]):
    """``socketio.server.environ``: the WSGI environ of each connection, by Engine.IO sid; a Socket.IO sid will do, too.

    ``saved_session`` in it is the Flask session of the connection, from its first event on.
    """

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio

    def __getitem__(self, sid: str) -> dict[str, Any]:
        core = self._socketio.core
        socket = core.by_sid.get(sid)
        peer = core.peers.get(sid) if socket is None else socket.peer
        if peer is None:
            raise KeyError(sid)
        environ = base_environ(peer.handshake)
        environ.setdefault("flask.app", self._socketio.app_of(peer.handshake))
        return environ

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._socketio.core.peers))

    def __len__(self) -> int:
        return len(self._socketio.core.peers)


#: What can be read from ``socketio.server.eio``: the name there, and ours.
_ENGINE = {
    "allow_upgrades": "allow_upgrades",
    "async_handlers": "async_handlers",
    "compression_threshold": "compression_threshold",
    "cookie": "cookie",
    "cors_allowed_origins": "cors_allowed_origins",
    "cors_credentials": "cors_credentials",
    "http_compression": "http_compression",
    "max_http_buffer_size": "max_payload",
    "ping_interval": "ping_interval",
    "ping_timeout": "ping_timeout",
    "transports": "transports",
}


class EngineView:
    """``socketio.server.eio``: the settings of the Engine.IO layer, to be read."""

    reason = Reason
    #: Extra seconds between pings: python-socketio's option of two values is added to ``ping_timeout`` here.
    ping_interval_grace_period = 0

    def __init__(self, socketio: SocketIO) -> None:
        object.__setattr__(self, "_socketio", socketio)

    def __getattr__(self, name: str) -> Any:
        ours = _ENGINE.get(name)
        if ours is None:
            raise AttributeError(
                f"socketio.server.eio has no {name!r}: it shows what applications use of python-engineio's Server"
            )
        value = getattr(self._socketio.core.config, ours)
        return list(value) if isinstance(value, tuple) else value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"socketio.server.eio.{name} is read-only: give SocketIO({name}=...) its value")

    @property
    def async_mode(self) -> str:
        """``"threading"``."""
        return str(self._socketio.async_mode)

    @property
    def sockets(self) -> dict[str, Any]:
        """The connections by Engine.IO sid: a copy."""
        return dict(self._socketio.core.peers)

    def disconnect(self, sid: str) -> None:
        """Closes a connection, with all its namespaces; nothing happens where there is no such Engine.IO sid."""
        peer = self._socketio.core.peers.get(sid)
        if peer is not None:
            self._socketio.core.bridge.post(peer.close)

    def transport(self, sid: str) -> str:
        """``"websocket"`` or ``"polling"``, of an Engine.IO sid."""
        peer = self._socketio.core.peers.get(sid)
        if peer is None:
            raise UnknownSid(sid, "/")
        return str(peer.engine.transport)


class ManagerView:
    """``socketio.server.manager``: who is where, in this process."""

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio

    def _ask(self, question: Callable[[], T]) -> T:
        bridge = self._socketio.core.bridge
        if bridge.on_loop():
            return question()
        return bridge.ask(question).result()

    @property
    def rooms(self) -> dict[str, dict[Hashable, dict[str, str]]]:
        """A copy: the Engine.IO sids by Socket.IO sid, by room, by namespace.  The room ``None`` is everybody."""
        return self._ask(lambda: {name: self._rooms(name) for name in list(self._socketio.core.spaces)})

    def get_namespaces(self) -> list[str]:
        """The namespaces that somebody has been in."""
        return self._ask(lambda: list(self._socketio.core.spaces))

    def get_participants(self, namespace: str, room: Hashable | list[Hashable]) -> Iterator[tuple[str, str]]:
        """The Socket.IO sid and the Engine.IO sid of everybody in a room, or in several; ``None`` is everybody."""
        wanted = list(room) if isinstance(room, list | tuple | set | frozenset) else [room]
        return iter(self._ask(lambda: self._participants(namespace, wanted)))

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether there is such a client in that namespace."""
        return self._ask(lambda: sid in getattr(self._socketio.core.spaces.get(namespace), "members", ()))

    def get_rooms(self, sid: str, namespace: str) -> list[Hashable]:
        """The rooms of a client, its own among them."""
        return self._socketio.rooms_of(sid, namespace)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The Engine.IO sid of a client."""
        socket = self._socketio.core.by_sid.get(sid)
        return socket.peer.sid if socket is not None and socket.namespace == namespace else None

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The Socket.IO sid that a connection has in a namespace."""
        peer = self._socketio.core.peers.get(eio_sid)
        member = peer.conversation.members.get(namespace) if peer is not None else None
        return member.sid if isinstance(member, Socket) else None

    def _rooms(self, namespace: str) -> dict[Hashable, dict[str, str]]:
        space = self._socketio.core.spaces[namespace]
        found: dict[Hashable, dict[str, str]] = {None: {sid: each.peer.sid for sid, each in space.members.items()}}
        for sid, socket in space.members.items():
            for room in (sid, *space.rooms.rooms(socket)):
                found.setdefault(room, {})[sid] = socket.peer.sid
        return found

    def _participants(self, namespace: str, rooms: list[Hashable]) -> list[tuple[str, str]]:
        space = self._socketio.core.spaces.get(namespace)
        if space is None:
            return []
        found: dict[str, str] = {}
        for room in rooms:
            sockets = list(space.members.values()) if room is None else list(space.rooms.members(room))
            own = space.members.get(room) if isinstance(room, str) else None
            for socket in [*sockets, own] if own is not None else sockets:
                found[socket.sid] = socket.peer.sid
        return list(found.items())


class _Foreign:
    """A Namespace of python-socketio, which finds its methods itself."""

    def __init__(self, instance: Any) -> None:
        self.namespace = str(instance.namespace)
        self._instance = instance

    def find(self, event: str) -> Handler | None:
        return Triggered.handler(self._instance, event)


def _with_sid(function: Callable[..., object], event: str, namespace: str) -> Callable[..., object]:
    """``function`` as a handler of ours: it gets the name and the namespace of a ``"*"``, the sid, and the rest."""
    found = handler(function, event)

    def args_of(socket: Socket, given: tuple[object, ...]) -> tuple[object, ...]:
        name, rest = (given[:1], given[1:]) if event == "*" else ((), given)
        before = [*name, *([socket.namespace] if namespace == "*" else []), socket.sid]
        if event == "connect":
            before.append(base_environ(socket.handshake))
        return found.fit((*before, *rest)) if event in ("connect", "disconnect") else (*before, *rest)

    if found.is_async:

        async def run_later(*given: object) -> object:
            result: object = await function(*args_of(_client(), given))  # type: ignore[misc]  # it is async def
            return result

        return _named(run_later, function)

    def run(*given: object) -> object:
        return function(*args_of(_client(), given))

    return _named(run, function)


def _named(wrapper: Callable[..., object], function: Callable[..., object]) -> Callable[..., object]:
    """The name of the application's function for the log, but not its signature."""
    for name in ("__name__", "__qualname__", "__module__"):
        if hasattr(function, name):
            setattr(wrapper, name, getattr(function, name))
    return wrapper


def _client() -> Socket:
    socket = current.get()
    assert socket is not None  # handlers run in the surroundings of one
    return socket
