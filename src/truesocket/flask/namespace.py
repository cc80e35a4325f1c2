"""``Namespace``: the handlers of a namespace as the methods of a class.

::

    class Chat(Namespace):
        def on_connect(self, auth): ...
        def on_say(self, text):
            self.emit("said", text)

    socketio.on_namespace(Chat("/chat"))

Methods are found once, when the instance is registered, and their signatures are read then.  A class that has its own
``trigger_event`` gets every event there.  A handler registered with ``@socketio.on`` comes before the method.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import flask

from truesocket.core.registry import RESERVED, Handler, handler
from truesocket.core.socket import Socket, current
from truesocket.errors import UsageError

if TYPE_CHECKING:
    from truesocket.flask.extension import SocketIO
    from truesocket.flask.python_socketio import ServerView

__all__ = ["Namespace", "Triggered"]

_PREFIX = "on_"


class Namespace:
    """The handlers of one namespace; ``Namespace("*")`` is for all that have no class of their own.

    Subclasses may have a method ``error(self, exc)``: it gets what a handler of the class raised and no handler of
    ``on_error`` took, and what it returns is the ack.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace: str = namespace or "/"
        self.socketio: SocketIO = None  # type: ignore[assignment]  # there from on_namespace() on
        self._found: dict[str, Handler] = {}

    def _set_socketio(self, socketio: SocketIO) -> None:
        """Called by ``on_namespace``: reads the handlers' signatures."""
        self.socketio = socketio
        self._found = {}
        if type(self).trigger_event is not Namespace.trigger_event or "trigger_event" in vars(self):
            return  # which events it wants is its own business
        for name in dir(self):
            if name.startswith(_PREFIX):
                self._method(name[len(_PREFIX) :])

    @property
    def server(self) -> ServerView:
        """``socketio.server``."""
        return self._bound().server

    def is_asyncio_based(self) -> bool:
        """``False``: this class serves ``def`` and ``async def`` methods alike."""
        return False

    # --- finding handlers: truesocket.core.registry.NamespaceHandler -----------------------------------------------

    def find(self, event: str) -> Handler | None:
        """The handler of an event."""
        if type(self).trigger_event is Namespace.trigger_event and "trigger_event" not in vars(self):
            return self._method(event)
        return Triggered.handler(self, event)

    def _method(self, event: str) -> Handler | None:
        """The method of an event; what clients ask for and the class has not is not remembered."""
        found = self._found.get(event)
        if found is None:
            method = getattr(self, _PREFIX + event, None)
            if callable(method):
                found = self._found[event] = handler(method, event)
        return found

    def trigger_event(self, event: str, *args: Any) -> Any:
        """Finds and calls the method of an event.  Override it for a dispatch of your own.

        ``args`` are the sid and what the client sent; for ``connect`` the sid, the environ and the auth payload; for
        ``disconnect`` the sid and the reason.  What it returns is the ack.
        """
        found = self._method(event or "")
        if found is None:
            return None
        rest = args[2:] if event == "connect" else args[1:]
        if event in RESERVED:
            rest = found.fit(rest)
        if flask.has_request_context():
            flask.request.event = {"message": event, "args": rest}  # type: ignore[attr-defined]  # ours
        socket = current.get()
        return (found if socket is None else found.bound(socket)).function(*rest)

    # --- what handlers do ------------------------------------------------------------------------------------------

    def emit(
        self,
        event: str,
        data: object = None,
        room: Hashable | Iterable[Hashable] | None = None,
        include_self: bool = True,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        *,
        to: Hashable | Iterable[Hashable] | None = None,
        skip_sid: str | list[str] | None = None,
        ignore_queue: bool = False,
    ) -> Awaitable[None]:
        """Sends an event to everybody in the namespace, or to a room; see :meth:`SocketIO.emit`."""
        return self._bound().emit(
            event,
            data,
            to=room if to is None else to,
            include_self=include_self,
            skip_sid=skip_sid,
            namespace=self._namespace(namespace),
            callback=callback,
        )

    def send(
        self,
        data: object,
        room: Hashable | Iterable[Hashable] | None = None,
        include_self: bool = True,
        namespace: str | None = None,
        callback: Callable[..., object] | None = None,
        *,
        to: Hashable | Iterable[Hashable] | None = None,
        skip_sid: str | list[str] | None = None,
        ignore_queue: bool = False,
    ) -> Awaitable[None]:
        """Sends the event ``message``; otherwise like :meth:`emit`."""
        return self.emit(
            "message",
            data,
            room=room if to is None else to,
            include_self=include_self,
            skip_sid=skip_sid,
            namespace=namespace,
            callback=callback,
        )

    def call(
        self,
        event: str,
        data: object = None,
        to: Hashable | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        ignore_queue: bool = False,
    ) -> Any:
        """Sends an event to one client and returns its answer; see :meth:`SocketIO.call`.

        ``timeout=None`` waits until the client answers or leaves.
        """
        target = sid if to is None else to
        return self._bound().call(event, data, to=target, namespace=self._namespace(namespace), timeout=timeout)

    def close_room(self, room: Hashable, namespace: str | None = None) -> None:
        """Takes everybody out of a room."""
        self._bound().close_room(room, namespace=self._namespace(namespace))

    def enter_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Puts a client into a room."""
        self.server.enter_room(sid, room, namespace=self._namespace(namespace))

    def leave_room(self, sid: str, room: Hashable, namespace: str | None = None) -> None:
        """Takes a client out of a room."""
        self.server.leave_room(sid, room, namespace=self._namespace(namespace))

    def rooms(self, sid: str, namespace: str | None = None) -> list[Hashable]:
        """The rooms of a client, its own among them."""
        return self.server.rooms(sid, namespace=self._namespace(namespace))

    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, object]:
        """A dict for what the application remembers of a client; not Flask's session."""
        return self.server.get_session(sid, namespace=self._namespace(namespace))

    def save_session(self, sid: str, session: dict[str, object], namespace: str | None = None) -> None:
        """Puts another dict in its place."""
        self.server.save_session(sid, session, namespace=self._namespace(namespace))

    def session(self, sid: str, namespace: str | None = None) -> AbstractContextManager[dict[str, object]]:
        """``with self.session(sid) as session:`` saves it behind the block."""
        return self.server.session(sid, namespace=self._namespace(namespace))

    def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Sends a client out of the namespace."""
        self.server.disconnect(sid, namespace=self._namespace(namespace))

    def _bound(self) -> SocketIO:
        if self.socketio is None:
            raise UsageError(f"{type(self).__name__} is not registered: write socketio.on_namespace(...) before")
        return self.socketio

    def _namespace(self, given: str | None) -> str:
        """The namespace given, that of the class, or for ``Namespace("*")`` that of the event."""
        if given or self.namespace != "*":
            return given or self.namespace
        socket = current.get()
        if socket is None:
            raise UsageError("Namespace('*') outside of an event handler: give namespace='/...'")
        return socket.namespace


class Triggered:
    """The ``trigger_event`` of an object, as the handler of one event.  It gets the sid before what the client sent.

    ``__self__`` is that object, as with any bound method.
    """

    def __init__(self, namespace: Any, event: str, is_async: bool) -> None:
        self.__self__ = namespace
        self._event = event
        self._is_async = is_async

    @classmethod
    def handler(cls, namespace: Any, event: str) -> Handler:
        """Any object with a ``trigger_event`` will do, such as a Namespace of python-socketio."""
        found = handler(namespace.trigger_event, event)
        function = cls(namespace, event, found.is_async)
        return replace(found, function=function, least=0, most=None, takes_socket=False)

    def __call__(self, *args: object) -> object:
        return self._on_loop(args) if self._is_async else self._in_thread(args)

    async def _on_loop(self, args: tuple[object, ...]) -> object:
        return await self._trigger(args)  # type: ignore[misc]  # it is async def

    def _in_thread(self, args: tuple[object, ...]) -> object:
        """Where it leads to an ``async def`` method, that runs on the loop meanwhile."""
        result = self._trigger(args)
        loop = _socket().server.bridge.loop
        if not inspect.iscoroutine(result) or loop is None:
            return result
        return asyncio.run_coroutine_threadsafe(result, loop).result()

    def _trigger(self, args: tuple[object, ...]) -> object:
        sid = _socket().sid
        before = (sid, flask.request.environ) if self._event == "connect" else (sid,)
        return self.__self__.trigger_event(self._event, *before, *args)


def _socket() -> Socket:
    socket = current.get()
    assert socket is not None  # handlers run in the surroundings of one
    return socket
