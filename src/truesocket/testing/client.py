"""Clients for an application's own tests: they speak the real protocol to a server in this process, without sockets.

::

    with Client(socketio, auth={"token": "x"}) as ada:            async with AsyncClient(server) as ada:
        assert ada.call("echo", 1) == 1                               assert await ada.call("echo", 1) == 1
        ada.emit("say", "hi")                                         await ada.emit("say", "hi")
        assert ada.receive("said").args == ["hi"]                     assert (await ada.receive("said")).args == ["hi"]

Everything is as in production but the wire: admission, the connect handler, rooms, middlewares, threads for ``def``
handlers and the loop for ``async def`` ones.  A :class:`Client` may be used in any thread but the server's own; where
no host serves the server, a loop on a thread of its own does.  An :class:`AsyncClient` lives on the test's own loop,
and so does the server then.  When the last client has left, a server that ran for them alone stops.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.doors.entrance import Entrance
from truesocket.errors import AckTimeout, Refused, UsageError
from truesocket.testing.line import Headers, Line, Query, make_handshake
from truesocket.testing.watch import Span, is_here, start_here, start_in_thread, watch_of

__all__ = ["AsyncClient", "Client", "Event", "entrance_of"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

#: Seconds between two looks at whether a handler has failed.
_LOOK_AGAIN = 0.001
_EVENTS = (PacketType.EVENT, PacketType.BINARY_EVENT)
_ACKS = (PacketType.ACK, PacketType.BINARY_ACK)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that the server sent.  ``id`` is ``None`` where it wants no answer."""

    name: str
    args: list[Any]
    namespace: str = "/"
    id: int | None = None


def entrance_of(app: object) -> Entrance:
    """The way in to what a test gives us: a Server, an ASGIApp, a SocketIO, or a Flask application that has one."""
    if isinstance(app, Server):
        return Entrance(app)
    found = getattr(app, "extensions", {}).get("socketio", app)
    entrance = getattr(found, "entrance", None)
    if isinstance(entrance, Entrance):
        return entrance
    raise UsageError(
        f"a test client needs a truesocket.Server, an ASGIApp, a SocketIO or a Flask application that has one, not"
        f" {type(app).__name__}"
    )


class AsyncClient:
    """A client on the running loop, which serves the server, too.

    ``app`` is a :class:`~truesocket.Server`, an :class:`~truesocket.ASGIApp` or Flask's ``SocketIO``.  ``namespace`` is
    the one that :meth:`connect` joins and that methods mean where they are given no other.  ``headers`` and ``query``
    go with the first request, ``auth`` with every CONNECT.  ``revision`` is Engine.IO's: 4, or 3 for clients 1.x and
    2.x.  ``timeout`` (seconds) is how long to wait for what must come.  ``async with`` connects and closes.
    """

    #: Whether nobody needs to close it: then it ends no server, and the next test may take the server over.
    lingers = False

    def __init__(
        self,
        app: object,
        *,
        namespace: str = "/",
        auth: dict[str, object] | None = None,
        headers: Headers = None,
        query: Query = None,
        revision: int = 4,
        timeout: float = 5.0,
    ) -> None:
        self.namespace = namespace
        self.timeout = timeout
        #: Every event that has come, in its order.
        self.events: list[Event] = []
        #: What handlers raised that ran for this client; refusals are none.
        self.errors: list[BaseException] = []
        #: The sid in each namespace that this client is in.
        self.sids: dict[str, str] = {}
        #: Why the server closed the connection: (WebSocket close code, reason).
        self.closed: tuple[int, str] | None = None
        self._entrance = entrance_of(app)
        self._auth = auth
        self._headers = headers
        self._query = query
        self._revision = revision
        self._line: Line | None = None
        self._inbox: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._joining: dict[str, asyncio.Future[str]] = {}
        self._asked: dict[int, asyncio.Future[list[Any]]] = {}
        self._answers: dict[tuple[str, str], Callable[..., object]] = {}
        self._next_id = 0
        self._started = False

    # --- coming and going --------------------------------------------------------------------------------------------

    async def connect(
        self, namespace: str | None = None, *, auth: dict[str, object] | None = None, query: Query = None
    ) -> str:
        """Joins a namespace, opening the connection where there is none; returns the sid there.

        Raises :class:`~truesocket.errors.Refused`, with message and data, where the server says no, and what the
        connect handler raised where it failed.
        """
        name = self._name(namespace)
        if name in self.sids:
            raise UsageError(f"this client is connected to {name!r}; make one more for a second connection")
        joined = self._joining[name] = asyncio.get_running_loop().create_future()
        try:
            with self.watched() as span:
                return await self._join(name, joined, span, self._auth if auth is None else auth, query)
        finally:
            del self._joining[name]
            joined.cancel()

    async def _join(
        self, name: str, joined: asyncio.Future[str], span: Span, auth: dict[str, object] | None, query: Query
    ) -> str:
        line = self._line
        if line is None or not line.is_open:
            line = await self._open(query)
        if self._revision == 4 or name != "/":
            line.say(PacketType.CONNECT, name, None if auth is None else line.write(auth))
        try:
            return await self._wait(joined, f"no answer to CONNECT {name}")
        except Refused:
            await span.settle(self.timeout)
            for error in span.errors_of(line.peer):
                raise error from None
            if not self.sids:
                self._cut()
            raise

    async def disconnect(self, namespace: str | None = None) -> None:
        """Leaves a namespace, and waits until the disconnect handler has ended."""
        name = self._name(namespace)
        line = self._joined(name)
        with self.watched() as span:
            line.say(PacketType.DISCONNECT, name)
            del self.sids[name]
            await span.settle(self.timeout)

    async def close(self) -> None:
        """Breaks the connection, and waits until the disconnect handlers have ended; twice does no harm."""
        if self._line is not None:
            with self.watched() as span:
                self._line.cut()
                with contextlib.suppress(TimeoutError):
                    await span.settle(self.timeout)
        self._cut()

    async def __aenter__(self) -> AsyncClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def sid(self) -> str:
        """The sid in this client's own namespace."""
        self._joined(self.namespace)
        return self.sids[self.namespace]

    @property
    def connected(self) -> bool:
        """Whether it is in its own namespace."""
        return self.namespace in self.sids

    # --- talking -----------------------------------------------------------------------------------------------------

    async def emit(self, event: str, *args: object, namespace: str | None = None) -> None:
        """Sends an event; bytes among the arguments become attachments.  The handler runs when it runs."""
        name = self._name(namespace)
        line = self._joined(name)
        line.say(PacketType.EVENT, name, line.write([event, *args]))

    async def deliver(
        self, event: str, *args: object, namespace: str | None = None, ask: bool = False
    ) -> list[Any] | None:
        """Sends an event and waits until its handler, and every handler that this caused, has ended.

        Returns the server's answer as a list if ``ask`` says so and it has answered.  Raises what a handler raised.
        """
        name = self._name(namespace)
        line = self._joined(name)
        written = line.write([event, *args])
        with self.watched() as span:
            id, answer = self._expect() if ask else (None, None)
            line.say(PacketType.EVENT, name, written, id)
            try:
                await span.settle(self.timeout)
            finally:
                if id is not None:
                    del self._asked[id]
        span.raise_first()
        return answer.result() if answer is not None and answer.done() else None

    async def call(self, event: str, *args: object, namespace: str | None = None, timeout: float | None = None) -> Any:
        """Sends an event and returns the server's answer: ``None``, one value, or a tuple of several.

        Raises what the handler raised, or :class:`~truesocket.errors.AckTimeout` where no answer comes in time.
        """
        values = await self.ask(event, *args, namespace=namespace, timeout=timeout)
        return None if not values else values[0] if len(values) == 1 else tuple(values)

    async def ask(
        self, event: str, *args: object, namespace: str | None = None, timeout: float | None = None
    ) -> list[Any]:
        """The same, with the answer as the list that went over the wire."""
        name = self._name(namespace)
        line = self._joined(name)
        timeout = self.timeout if timeout is None else timeout
        written = line.write([event, *args])
        with self.watched() as span:
            id, answer = self._expect()
            line.say(PacketType.EVENT, name, written, id)
            failing = asyncio.ensure_future(self._failed(span, line))
            try:
                await asyncio.wait(
                    (answer, failing), timeout=timeout or self.timeout, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                failing.cancel()
                del self._asked[id]
            if answer.done():
                return answer.result()
            for error in span.errors_of(line.peer):
                raise error
        raise AckTimeout(f"no answer to {event!r} within {timeout:g} seconds; has it a handler?")

    async def receive(
        self, event: str | None = None, *, namespace: str | None = None, timeout: float | None = None
    ) -> Event:
        """The next event that has not been received, or the next of this name; it waits for one to come.

        Events of other names stay where they are.  Raises ``TimeoutError``, with what has come instead.
        """
        name = self._name(namespace)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self.timeout if timeout is None else timeout)
        while True:
            for found in self._inbox:
                if found.namespace == name and event in (None, found.name):
                    self._inbox.remove(found)
                    return found
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), deadline - loop.time())
            except TimeoutError:
                came = ", ".join(f"{each.name} in {each.namespace}" for each in self._inbox) or "nothing"
                what = "no event" if event is None else f"no event {event!r}"
                raise TimeoutError(f"{what} came in {name}; what came: {came}") from None

    def received(self, namespace: str | None = None) -> list[Event]:
        """The events that have come and have not been received, now received; it does not wait."""
        name = self._name(namespace)
        found = [event for event in self._inbox if event.namespace == name]
        self._inbox = deque(event for event in self._inbox if event.namespace != name)
        return found

    def on(self, event: str, function: F, *, namespace: str | None = None) -> F:
        """Answers the server's questions (``call()``, ``callback=``): the result of ``function(*args)`` is the ack.

        A tuple is several values, ``None`` none.  Without a function for it, an event is not answered.
        """
        self._answers[self._name(namespace), event] = function
        return function

    async def answer(self, event: Event, *values: object) -> None:
        """Answers an event that was received."""
        if event.id is None:
            raise UsageError(f"the server wants no answer to {event.name!r}")
        line = self._joined(event.namespace)
        line.say(PacketType.ACK, event.namespace, line.write(list(values)), event.id)

    async def idle(self, timeout: float | None = None, *, forgiving: bool = False) -> None:
        """Waits until no handler of the server runs, and everything that was sent has arrived.

        Background tasks are not waited for, nor, if ``forgiving``, handlers that somebody has waited for in vain.
        Raises ``TimeoutError`` with the names of the handlers that still run.
        """
        watch = watch_of(self._entrance.server)
        await Span(watch, everything=True, forgiving=forgiving).settle(self.timeout if timeout is None else timeout)

    # --- what the line reports ---------------------------------------------------------------------------------------

    def packet_came(self, packet: SocketPacket) -> None:
        """See :class:`~truesocket.testing.line.LineListener`."""
        joining = self._joining.get(packet.namespace)
        if packet.type == PacketType.CONNECT:
            self.sids[packet.namespace] = self._told_sid(packet)
            if joining is not None and not joining.done():
                joining.set_result(self.sids[packet.namespace])
        elif packet.type == PacketType.CONNECT_ERROR:
            if joining is not None and not joining.done():
                joining.set_exception(_refused(packet.data))
        elif packet.type == PacketType.DISCONNECT:
            self.sids.pop(packet.namespace, None)
        elif packet.type in _EVENTS and isinstance(packet.data, list):
            self.event_came(Event(str(packet.data[0]), packet.data[1:], packet.namespace, packet.id))
        elif packet.type in _ACKS and packet.id in self._asked and isinstance(packet.data, list):
            self._asked[packet.id].set_result(packet.data)

    def handler_failed(self, error: BaseException) -> None:
        """See :class:`~truesocket.testing.line.LineListener`; called where the handler ran."""
        self.errors.append(error)

    def line_ended(self, code: int, reason: str) -> None:
        """See :class:`~truesocket.testing.line.LineListener`."""
        self.closed = (code, reason)
        self.sids.clear()
        self._arrived.set()
        for joining in self._joining.values():
            if not joining.done():
                joining.set_exception(Refused(f"the server closed the connection: {reason}", {"code": code}))
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(AckTimeout(f"the server closed the connection before it answered: {reason}"))

    def event_came(self, event: Event) -> None:
        """An event has come."""
        self.events.append(event)
        self._inbox.append(event)
        self._arrived.set()
        function = self._answers.get((event.namespace, event.name))
        line = self._line
        if event.id is not None and function is not None and line is not None:
            result = function(*event.args)
            values = result if isinstance(result, tuple) else () if result is None else (result,)
            written = line.write(list(values))
            line.say_soon(lambda: line.say(PacketType.ACK, event.namespace, written, event.id))

    def _told_sid(self, packet: SocketPacket) -> str:
        if isinstance(packet.data, dict) and "sid" in packet.data:
            return str(packet.data["sid"])
        assert self._line is not None
        own = self._line.peer.sid  # revision 3 tells none: clients work it out
        return own if packet.namespace == "/" else f"{packet.namespace}#{own}"

    # --- inside ------------------------------------------------------------------------------------------------------

    def run_in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """For blocking clients: runs ``work`` on the loop that serves the server, started on a thread if need be."""
        loop, started = start_in_thread(self._entrance.server)
        self._started = self._started or started
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    async def _open(self, query: Query) -> Line:
        server = self._entrance.server
        self._cut()
        started = start_here(server) or self._started
        line = Line(self._entrance, self, self._revision)
        self._line = line
        self.closed = None
        watch_of(server).add(line, started=started)
        try:
            handshake = make_handshake(self._entrance, self._revision, self._headers, query or self._query)
            await line.open(handshake, self.prepared)
        except BaseException:
            self._cut()
            raise
        return line

    def _cut(self) -> None:
        """The connection is over, and the server with its last client."""
        line, self._line = self._line, None
        self.sids.clear()
        if line is not None:
            line.cut()
            watch_of(self._entrance.server).remove(line, stop=not self.lingers)

    def prepared(self, handshake: Handshake) -> None:
        """The handshake as handlers will see it, behind proxies and wrappers; for subclasses that add to it."""

    @property
    def line(self) -> Line:
        """The connection."""
        if self._line is None:
            raise UsageError("this client is not connected; call connect() first")
        return self._line

    def watched(self) -> contextlib.AbstractContextManager[Span]:
        """The handlers that are called meanwhile (``testing/watch.py``)."""
        return watch_of(self._entrance.server).span()

    def _expect(self) -> tuple[int, asyncio.Future[list[Any]]]:
        """An ack id, and the answer that will come with it."""
        id, self._next_id = self._next_id, self._next_id + 1
        answer = self._asked[id] = asyncio.get_running_loop().create_future()
        return id, answer

    async def _failed(self, span: Span, line: Line) -> None:
        """Until a handler of ours has failed in this span."""
        while not span.errors_of(line.peer):
            await asyncio.sleep(_LOOK_AGAIN)

    async def _wait(self, future: asyncio.Future[T], what: str) -> T:
        try:
            return await asyncio.wait_for(future, self.timeout)
        except TimeoutError:
            raise TimeoutError(f"{what} within {self.timeout:g} seconds") from None

    def _name(self, namespace: str | None) -> str:
        return self.namespace if namespace is None else namespace

    def _joined(self, namespace: str) -> Line:
        if self._line is None or namespace not in self.sids:
            raise UsageError(f"this client is not connected to {namespace!r}; call connect({namespace!r}) first")
        return self._line


def _refused(data: object) -> Refused:
    """What a CONNECT_ERROR says; revision 4 of the protocol has the data alone, or the message."""
    if not isinstance(data, dict):
        return Refused(data)
    if "message" not in data:
        return Refused("", data)
    return Refused(data["message"], data["data"]) if "data" in data else Refused(data["message"])


class Client:
    """The same for tests that are plain functions: every method waits in the calling thread.

    Arguments and methods are those of :class:`AsyncClient`.  ``with`` connects and closes.
    """

    def __init__(
        self,
        app: object,
        *,
        namespace: str = "/",
        auth: dict[str, object] | None = None,
        headers: Headers = None,
        query: Query = None,
        revision: int = 4,
        timeout: float = 5.0,
    ) -> None:
        self._inner = AsyncClient(
            app, namespace=namespace, auth=auth, headers=headers, query=query, revision=revision, timeout=timeout
        )
        self._server = entrance_of(app).server

    def connect(
        self, namespace: str | None = None, *, auth: dict[str, object] | None = None, query: Query = None
    ) -> str:
        """See :meth:`AsyncClient.connect`."""
        return self._run(self._inner.connect(namespace, auth=auth, query=query))

    def disconnect(self, namespace: str | None = None) -> None:
        """See :meth:`AsyncClient.disconnect`."""
        self._run(self._inner.disconnect(namespace))

    def close(self) -> None:
        """See :meth:`AsyncClient.close`."""
        if self._server.running:
            self._run(self._inner.close())

    def __enter__(self) -> Client:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def emit(self, event: str, *args: object, namespace: str | None = None) -> None:
        """See :meth:`AsyncClient.emit`."""
        self._run(self._inner.emit(event, *args, namespace=namespace))

    def call(self, event: str, *args: object, namespace: str | None = None, timeout: float | None = None) -> Any:
        """See :meth:`AsyncClient.call`."""
        return self._run(self._inner.call(event, *args, namespace=namespace, timeout=timeout))

    def ask(self, event: str, *args: object, namespace: str | None = None, timeout: float | None = None) -> list[Any]:
        """See :meth:`AsyncClient.ask`."""
        return self._run(self._inner.ask(event, *args, namespace=namespace, timeout=timeout))

    def receive(self, event: str | None = None, *, namespace: str | None = None, timeout: float | None = None) -> Event:
        """See :meth:`AsyncClient.receive`."""
        return self._run(self._inner.receive(event, namespace=namespace, timeout=timeout))

    def received(self, namespace: str | None = None) -> list[Event]:
        """See :meth:`AsyncClient.received`."""

        async def take() -> list[Event]:
            return self._inner.received(namespace)

        return self._run(take())

    def on(self, event: str, function: F, *, namespace: str | None = None) -> F:
        """See :meth:`AsyncClient.on`; the function runs on the server's loop and must be quick."""
        return self._inner.on(event, function, namespace=namespace)

    def answer(self, event: Event, *values: object) -> None:
        """See :meth:`AsyncClient.answer`."""
        self._run(self._inner.answer(event, *values))

    def idle(self, timeout: float | None = None) -> None:
        """See :meth:`AsyncClient.idle`."""
        self._run(self._inner.idle(timeout))

    @property
    def namespace(self) -> str:
        """The namespace that methods mean where they are given no other."""
        return self._inner.namespace

    @property
    def events(self) -> list[Event]:
        """Every event that has come, in its order."""
        return self._inner.events

    @property
    def errors(self) -> list[BaseException]:
        """What handlers raised that ran for this client."""
        return self._inner.errors

    @property
    def closed(self) -> tuple[int, str] | None:
        """Why the server closed the connection: (WebSocket close code, reason)."""
        return self._inner.closed

    @property
    def sids(self) -> dict[str, str]:
        """The sid in each namespace that this client is in."""
        return self._inner.sids

    @property
    def sid(self) -> str:
        """The sid in this client's own namespace."""
        return self._inner.sid

    @property
    def connected(self) -> bool:
        """Whether it is in its own namespace."""
        return self._inner.connected

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs ``work`` on the loop that serves the server, and waits for it here."""
        if is_here(self._server):
            work.close()
            raise UsageError("Client waits, and would block the event loop it waits for; use AsyncClient with `await`")
        return self._inner.run_in_thread(work)
