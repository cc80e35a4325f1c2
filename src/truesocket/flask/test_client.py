"""``SocketIOTestClient``: Flask-SocketIO's test client, on the real core.

::

    client = socketio.test_client(app, flask_test_client=pages)
    client.emit("say", "hi")
    assert client.get_received() == [{"name": "said", "args": ["hi"], "namespace": "/"}]

It is a client in memory (``testing/client.py``) under the names that Flask-SocketIO's users know, and it waits: when a
method returns, the handlers that it caused have ended and what they sent has arrived; what a handler raised is raised
here.  Handlers run as in production, in threads or on the loop, and nothing of the server is replaced.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Coroutine, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import flask
from flask.testing import EnvironBuilder

from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.core.ports import Handshake
from truesocket.errors import Refused, UsageError
from truesocket.flask.environ import _PROBE, install_gate, kept
from truesocket.testing.client import AsyncClient, Event
from truesocket.testing.line import Headers, Query
from truesocket.testing.watch import is_here

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from truesocket.flask.extension import SocketIO

__all__ = ["SocketIOTestClient"]

T = TypeVar("T")

#: Events whose one argument stands for itself in ``get_received``.
_BARE = ("message", "json")
#: Seconds that ``get_received`` waits for handlers that nobody has waited for.
_MOMENT = 5.0


class _Connection(AsyncClient):
    """One connection of a test client; it writes down what comes in the form of Flask-SocketIO."""

    lingers = True

    def __init__(self, owner: SocketIOTestClient, *, headers: Headers, query: Query) -> None:
        super().__init__(owner.socketio, headers=headers, query=query, timeout=owner.timeout)
        self._owner = owner

    def prepared(self, handshake: Handshake) -> None:
        """The handlers of this client run in the application that the test named."""
        kept(handshake)["flask.app"] = self._owner.app

    def packet_came(self, packet: SocketPacket) -> None:
        super().packet_came(packet)
        owner = self._owner
        if packet.type == PacketType.CONNECT:
            owner.connected[packet.namespace] = True
        elif packet.type in (PacketType.DISCONNECT, PacketType.CONNECT_ERROR):
            owner.connected[packet.namespace] = False

    def event_came(self, event: Event) -> None:
        super().event_came(event)
        args: Any = event.args
        if event.name in _BARE:
            args = args[0] if args else None
        self._owner.queue.append({"name": event.name, "args": args, "namespace": event.namespace})

    def line_ended(self, code: int, reason: str) -> None:
        for namespace in self.sids:
            self._owner.connected[namespace] = False
        super().line_ended(code, reason)


class SocketIOTestClient:
    """A client of ``socketio`` for tests; ``socketio.test_client(...)`` makes one.

    ``app`` is the application that handlers run in.  ``query_string``, ``headers`` and ``auth`` are what the client
    connects with; ``flask_test_client`` is a client of the pages, whose cookies it brings along.  A client that is
    refused is not connected (:meth:`is_connected`).
    """

    #: All test clients of the process that somebody still holds, by their ``eio_sid``.
    clients: ClassVar[MutableMapping[str, SocketIOTestClient]] = weakref.WeakValueDictionary()
    #: Seconds that a handler may take before the method that waits for it raises ``TimeoutError`` with its name.
    timeout: float = 60.0

    def __init__(
        self,
        app: flask.Flask,
        socketio: SocketIO,
        namespace: str | None = None,
        query_string: str | Mapping[str, object] | None = None,
        headers: Any = None,
        auth: dict[str, Any] | None = None,
        flask_test_client: FlaskClient | None = None,
    ) -> None:
        self.app = app
        self.socketio = socketio
        self.flask_test_client = flask_test_client
        self.eio_sid: str = ""
        self.queue: list[dict[str, Any]] = []
        self.acks: dict[str, Any] | None = None
        self.connected: dict[str, bool] = {}
        self._connection: _Connection | None = None
        self._others: dict[str, _Connection] = {}  # namespaces that were connected with a handshake of their own
        self.connect(namespace=namespace, query_string=query_string, headers=headers, auth=auth)

    def is_connected(self, namespace: str | None = None) -> bool:
        """Whether the client is in this namespace."""
        self._catch_up()
        return self.connected.get(namespace or "/", False)

    def connect(
        self,
        namespace: str | None = None,
        query_string: str | Mapping[str, object] | None = None,
        headers: Any = None,
        auth: dict[str, Any] | None = None,
    ) -> None:
        """Joins one more namespace, or one that the client has left.

        Raises what the connect handler raised; a refusal is no error, but leaves the client unconnected.
        """
        name = namespace or "/"
        connection = self._connection
        if connection is None or not connection.sids or query_string or headers:
            connection = _Connection(self, headers=self._headers(headers), query=query_string)
        self._run(connection, self._connect(connection, name, auth))
        if self._connection is None or not self._connection.sids:
            self._connection = connection
        elif connection is not self._connection:
            self._others[name] = connection

    def disconnect(self, namespace: str | None = None) -> None:
        """Leaves a namespace.  Raises ``RuntimeError`` where the client is not in it."""
        name, connection = self._connected(namespace)
        del self.connected[name]
        self._run(connection, self._disconnect(connection, name))

    def emit(self, event: str, *args: Any, callback: bool = False, namespace: str | None = None) -> Any:
        """Sends an event, and waits until its handler has ended.  Raises what the handler raised.

        With ``callback=True`` it returns the handler's answer: one value as it is, several (or none) as a list, and
        ``None`` where nobody answered.  Raises ``RuntimeError`` where the client is not connected.
        """
        name, connection = self._connected(namespace)
        answer = self._run(connection, connection.deliver(event, *args, namespace=name, ask=callback))
        if answer is None:
            return None
        self.acks = {"args": answer, "namespace": name}
        return answer[0] if len(answer) == 1 else answer

    def send(self, data: Any, json: bool = False, callback: bool = False, namespace: str | None = None) -> Any:
        """Sends the event ``message`` (or ``json``); otherwise like :meth:`emit`."""
        return self.emit("json" if json else "message", data, callback=callback, namespace=namespace)

    def get_received(self, namespace: str | None = None) -> list[dict[str, Any]]:
        """The events that have come since the last call: ``{"name": ..., "args": [...], "namespace": ...}``.

        ``args`` is a list, but for the events ``message`` and ``json``, where it is their one argument.  Raises
        ``RuntimeError`` where the client is not connected.
        """
        name, _ = self._connected(namespace)
        self._catch_up()
        found = [each for each in self.queue if each["namespace"] == name]
        self.queue[:] = [each for each in self.queue if each["namespace"] != name]
        return found

    # --- inside ------------------------------------------------------------------------------------------------------

    def _connected(self, namespace: str | None) -> tuple[str, _Connection]:
        name = namespace or "/"
        connection = self._others.get(name, self._connection)
        if connection is None or not self.is_connected(name):
            raise RuntimeError("not connected")
        return name, connection

    async def _connect(self, connection: _Connection, namespace: str, auth: dict[str, Any] | None) -> None:
        with connection.watched() as span:
            try:
                await connection.connect(namespace, auth=auth)
            except Refused:
                self.connected[namespace] = False
            else:
                if not self.eio_sid or connection is not self._connection:
                    self.eio_sid = connection.line.peer.sid
                    self.clients[self.eio_sid] = self
            await span.settle(self.timeout)
        span.raise_first()

    async def _disconnect(self, connection: _Connection, namespace: str) -> None:
        with connection.watched() as span:
            await connection.disconnect(namespace)
        span.raise_first()

    def _catch_up(self) -> None:
        """What the test did by itself (``socketio.emit``) has arrived, too."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(TimeoutError):
                self._run(connection, connection.idle(_MOMENT, forgiving=True))

    def _run(self, connection: _Connection, work: Coroutine[Any, Any, T]) -> T:
        if is_here(self.socketio.entrance.server):
            work.close()
            raise UsageError(
                f"a SocketIOTestClient waits for the event loop, and would stop it here ({threading.current_thread()}):"
                " use it in a `def`, or truesocket.testing.AsyncClient with `await`"
            )
        return connection.run_in_thread(work)

    def _headers(self, headers: Any) -> list[tuple[str, str]]:
        """What a page's request would send: the host of the application, ``headers``, and the pages' cookies."""
        path = self.socketio.entrance.server.config.prefix
        builder = EnvironBuilder(self.app, path, headers=headers)
        try:
            environ = builder.get_environ()
        finally:
            builder.close()
        pages = self.flask_test_client
        if pages is not None:
            install_gate(self.app)
            environ[_PROBE] = lambda seen: None  # turns round in front of the application
            given = environ.get("HTTP_COOKIE")
            pages.run_wsgi_app(environ)  # puts the cookies in that belong to this path
            if given and "HTTP_COOKIE" not in environ:
                environ["HTTP_COOKIE"] = given
        return [
            (key[5:].replace("_", "-").lower(), str(value)) for key, value in environ.items() if key.startswith("HTTP_")
        ]
