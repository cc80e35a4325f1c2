"""Puts the parts together, and the public methods on top.

One :class:`Server` is one set of namespaces, rooms and handlers.  It needs a door to be reachable
(``truesocket.ASGIApp(server)``) and an event loop to live on: that of its first connection, or of the host's lifespan.
Methods that *tell* (emit, join, close ...) never wait and may be called in any thread; methods that *ask* (call, rooms,
count) return a :class:`~truesocket.bridge.Reply`: ``await`` it on the loop, ``.result()`` in a thread.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable
from typing import Any, TypeVar

from truesocket.bridge import Bridge, Reply, loop_thread
from truesocket.codec.serializers import Serializer
from truesocket.core import orphans
from truesocket.core.admission import Admission, Opening
from truesocket.core.call import Answers, Call, CallAll
from truesocket.core.commands import Commands
from truesocket.core.config import Config
from truesocket.core.decorators import Decorators
from truesocket.core.dispatch import Dispatch
from truesocket.core.drain import Drain, longest
from truesocket.core.emitter import Emitter, check_namespace, check_room, room_names
from truesocket.core.fanout import Fanout, Space
from truesocket.core.history import History, Past
from truesocket.core.limits import Limits
from truesocket.core.middleware import Event, Proceed
from truesocket.core.once import Once
from truesocket.core.patched import refuse_patched
from truesocket.core.pool import reserve
from truesocket.core.ports import Broker, Handshake, Observer, Surroundings, Ticker
from truesocket.core.reception import Reception
from truesocket.core.recovery import Recovery
from truesocket.core.returning import Returning, make_recovery
from truesocket.core.runner import Bare, Runner
from truesocket.core.socket import Command, Socket, SocketState, current
from truesocket.core.stats import Counts, Stats
from truesocket.core.watchdog import Watchdog
from truesocket.errors import UnknownSid, UsageError, WrongValue
from truesocket.session.engine import Reason
from truesocket.session.peer import Peer

__all__ = ["Answers", "Event", "Proceed", "Reply", "Server"]

T = TypeVar("T")

#: Seconds for which a client that was away finds the answers to the events that it repeats.
_REPEATS = 300.0


class Server(Decorators):
    """A Socket.IO server.  ``options`` are those of :class:`~truesocket.core.config.Config`.

    ``json_default`` writes what JSON has no form for (Flask: ``app.json.default``).  Raises
    :class:`~truesocket.errors.UnknownOption` for an option that does not exist.
    """

    #: What a client becomes; ``testing/engineio_echo.py`` has another.
    peer_type: type[Peer[Handshake]] = Peer

    def __init__(
        self,
        *,
        surroundings: Surroundings | None = None,
        json_default: Callable[[object], object] | None = None,
        **options: object,
    ) -> None:
        super().__init__()
        self.config: Config = Config.make(options, where="Server()" if surroundings is None else "SocketIO()")
        self.json_default = json_default
        #: Words for reasons that the disconnect handler hears instead of the official server's.
        self.reason_words: dict[str, str] = {}
        self.serializer: Serializer = self.config.make_serializer()
        self.tag: str = secrets.token_urlsafe(4)[:5]
        self.bridge: Bridge = Bridge()
        self.bridge.on_fork = self._forked
        self.runner: Runner = Runner(self.config, self.bridge, surroundings or Bare())
        self.admission: Admission = Admission(self.config, self.tag)
        self.limits: Limits = Limits(self.config)
        self.counts: Counts = Counts()
        #: Told of every client that has come into a namespace, or left it.
        self.observers: list[Observer] = []
        self.dispatch: Dispatch = Dispatch(self)
        self.peers: dict[str, Peer[Handshake]] = {}
        self.by_sid: dict[str, Socket] = {}
        self.spaces: dict[str, Space] = {}
        self.fanout: Fanout = Fanout(self.spaces, self.by_sid, self.serializer, self.bridge.take_next)
        recovery = make_recovery(self.config)
        if recovery is not None:
            self.fanout.record(recovery, lambda: self.now)
        self.recovery: Recovery | None = recovery
        self.returning: Returning | None = Returning(self, recovery) if recovery and self.config.recovery else None
        self.once: Once = Once(_REPEATS, self.config.recovery_clients)
        self.commands: Commands = Commands(self.spaces, self.fanout, self.dispatch.close, recovery)
        self.commands.limit_rooms(self.config.max_rooms, self.counts)
        self.reception: Reception = Reception(self)
        self.broker: Broker | None = None
        self._engine_options = self.config.engine_options()
        self._ticker: Ticker | None = None
        self._watchdog = Watchdog(self.config.block_warning)
        self._second: asyncio.TimerHandle | None = None
        #: The end that has begun.
        self.draining: Drain | None = None

    # --- telling -----------------------------------------------------------------------------------------------

    def to(self, *rooms: Hashable) -> Emitter:
        """An emitter to rooms (a sid is a room): ``server.to("lobby").emit("news", 1)``."""
        return Emitter(self).to(*rooms)

    def except_(self, *rooms: Hashable) -> Emitter:
        """An emitter to everybody but the members of these rooms."""
        return Emitter(self).except_(*rooms)

    def of(self, namespace: str) -> Emitter:
        """An emitter to everybody in a namespace."""
        return Emitter(self).of(namespace)

    @property
    def volatile(self) -> Emitter:
        """An emitter to everybody who can take it at once."""
        return Emitter(self).volatile

    def emit(
        self,
        event: str,
        *args: object,
        to: Hashable | Iterable[Hashable] | None = None,
        namespace: str = "/",
        skip: Hashable | Iterable[Hashable] | None = None,
        volatile: bool = False,
        callback: Callable[..., object] | None = None,
    ) -> Awaitable[None]:
        """Sends an event to everybody in a namespace, or to the rooms (or sids) ``to``, but not to ``skip``.

        ``to=[]`` is nobody.  ``callback`` is called with each recipient's answer.  Raises ``TypeError`` or
        ``ValueError`` for arguments that JSON cannot hold.
        """
        rooms = None if to is None else room_names(to)
        excepted: frozenset[Hashable] = frozenset() if skip is None else frozenset(room_names(skip))
        return Emitter(self, namespace, rooms, excepted, volatile).emit(event, *args, callback=callback)

    def enter(self, sid: str, room: Hashable, *, namespace: str = "/", replay: bool | str = False) -> Awaitable[None]:
        """Puts a client into a room.  Raises :class:`~truesocket.errors.UnknownSid`.

        ``replay=True`` tells it first what was said there, as far as ``history`` reaches; an offset: what since then.
        """
        check_room(room)
        if isinstance(room, str) and room in self.by_sid and room != sid:
            raise WrongValue(f"the room {room!r} is another client's own; its name is a sid: choose another name")
        socket = self.socket(sid, namespace)
        if self.commands.has_too_many(socket, room):
            raise WrongValue(
                f"{sid!r} is in max_rooms={self.config.max_rooms} rooms already: let it leave some, or raise max_rooms"
            )
        if replay is not False:
            self.tell(self._need_history().replay, socket, room, replay if isinstance(replay, str) else None)
        return self.tell(self.commands.enter, socket, room)

    def leave(self, sid: str, room: Hashable, *, namespace: str = "/") -> Awaitable[None]:
        """Takes a client out of a room.  Raises :class:`~truesocket.errors.UnknownSid`."""
        check_room(room)
        return self.tell(self.commands.leave, self.socket(sid, namespace), room)

    def close_room(self, room: Hashable, *, namespace: str = "/") -> Awaitable[None]:
        """Empties a room."""
        check_room(room)
        return self.tell(self.commands.close_room, namespace, room)

    def disconnect(self, sid: str, *, namespace: str = "/") -> Awaitable[None]:
        """Sends a client out of a namespace.  Raises :class:`~truesocket.errors.UnknownSid`."""
        return self.tell(self.dispatch.close, self.socket(sid, namespace))

    def tell(self, command: Command, *args: object, weight: int = 0) -> Awaitable[None]:
        """Puts a command into the FIFO; what a connect handler tells waits until its client is accepted."""
        socket = current.get()
        if socket is not None and socket.state is SocketState.CONNECTING and socket.server is self:
            return self.bridge.post(self.commands.tell_later, socket, command, args, weight=weight)
        return self.bridge.post(command, *args, weight=weight)

    # --- asking ------------------------------------------------------------------------------------------------

    def call(
        self, event: str, *args: object, to: Hashable = None, namespace: str = "/", timeout: float | None = 60
    ) -> Reply[Any]:
        """Sends an event to one client, and asks for its answer: ``None``, one value, or a tuple of several.

        The reply fails with :class:`~truesocket.errors.AckTimeout` after ``timeout`` seconds, or at once where the
        client is not there or leaves.  Of a room the first answer counts; ``server.to(room).call(...)`` has them all.
        """
        if to is None:
            raise UsageError(
                f"call({event!r}): who is asked? Give to=sid for one client; server.to(room).call(...) asks a room, and"
                " server.of('/').call(...) a whole namespace"
            )
        self._check_call(event)
        reply: Reply[Any] = Reply(self.bridge.on_loop)
        call = Call(event, reply, self.runner.later)
        Emitter(self, namespace, room_names(to)).publish(event, args, call.expect)
        self.bridge.ask(call.sent, timeout)  # asked, not told: a question is answered even where the server ends first
        return reply

    def call_all(self, emitter: Emitter, event: str, args: tuple[object, ...], timeout: float | None) -> Reply[Answers]:
        """Asks everybody whom an emitter means: :meth:`Emitter.call`."""
        self._check_call(event)
        reply: Reply[Answers] = Reply(self.bridge.on_loop)
        call = CallAll(reply, self.runner.later)
        emitter.publish(event, args, call.expect)
        self.bridge.ask(call.sent, timeout)
        return reply

    def _check_call(self, event: str) -> None:
        asking = current.get()
        if asking is not None and asking.state is SocketState.CONNECTING and asking.server is self:
            raise UsageError(
                f"call({event!r}) inside a connect handler: nothing is sent before it has accepted the client"
            )

    def ask(self, question: Callable[..., T], *args: object) -> Reply[T]:
        """A question for the loop, behind the commands given before."""
        return self.bridge.ask(question, *args)

    def rooms(self, sid: str, *, namespace: str = "/") -> Reply[list[Hashable]]:
        """The rooms of a client, its own among them.  Raises :class:`~truesocket.errors.UnknownSid`."""
        return self.ask(self.commands.rooms, self.socket(sid, namespace))

    def rooms_now(self, sid: str, namespace: str = "/") -> list[Hashable]:
        """The same on the loop, without waiting: joins that still stand behind a large broadcast are not seen."""
        reply = self.rooms(sid, namespace=namespace)
        return reply.result() if reply.done() else self.commands.rooms(self.socket(sid, namespace))

    def sockets(
        self, room: Hashable | Iterable[Hashable] | None = None, *, namespace: str = "/"
    ) -> Reply[list[Socket]]:
        """The clients in a room (or several), or in the whole namespace."""
        return Emitter(self, namespace, None if room is None else room_names(room)).sockets()

    def history(
        self, room: Hashable, *, since: str | None = None, limit: int | None = None, namespace: str = "/"
    ) -> Reply[list[Past]]:
        """What was said in a room, oldest first, as far as the option ``history`` reaches; the newest ``limit`` events.

        ``since`` is the offset of the last one that is known already.
        """
        check_room(room)
        return self.ask(self._need_history().read, namespace, room, since, limit)

    def _need_history(self) -> History:
        if self.recovery is None or not self.config.history:
            raise UsageError("nothing is kept to be told again: switch it on with history=3600 (seconds)")
        return History(self.recovery, self.fanout, self.serializer)

    def count(self, room: Hashable | Iterable[Hashable] | None = None, *, namespace: str = "/") -> Reply[int]:
        """How many clients are in a room (or in one of several), or in the whole namespace."""
        return Emitter(self, namespace, None if room is None else room_names(room)).count()

    def members(self, room: Hashable | None = None, *, namespace: str = "/") -> Reply[list[str]]:
        """The sids in a room, or in the whole namespace."""
        target = Emitter(self, namespace, None if room is None else room_names(room)).target
        return self.ask(lambda: [socket.sid for socket in self.commands.sockets(target)])

    def socket(self, sid: str, namespace: str | None = None) -> Socket:
        """The client with this sid.  Raises :class:`~truesocket.errors.UnknownSid`; any thread may ask."""
        socket = self.by_sid.get(sid)
        if socket is None or (namespace is not None and socket.namespace != namespace):
            check_namespace(namespace or "/")
            raise UnknownSid(sid, namespace or "/")
        return socket

    def transport(self, sid: str, *, namespace: str | None = None) -> str:
        """``"websocket"`` or ``"polling"``: what this client really uses at this moment."""
        return self.socket(sid, namespace).transport

    def check_orphan(self, socket: Socket) -> None:
        """Called where a handler emits to its own client.

        Raises :class:`~truesocket.errors.Disconnected` once that client has been gone for ``orphan_timeout``.
        """
        if socket.left_at is not None and self._ticker is not None:
            orphans.check(socket, self._ticker.now - socket.left_at, self.config.orphan_timeout, self.runner)

    @property
    def stats(self) -> Stats:
        """What has been counted so far; any thread may look."""
        return self.counts.snapshot([peer.engine.transport for peer in list(self.peers.values())])

    # --- the loop ----------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a loop serves this server."""
        return self.bridge.loop is not None

    @property
    def now(self) -> float:
        """The sessions' clock, in seconds."""
        return self._ticker.now if self._ticker is not None else 0.0

    def start(self, ticker: Callable[[], Ticker]) -> None:
        """Starts to live on the running loop; a door calls it.  Once is enough, twice does no harm.

        Raises :class:`~truesocket.errors.UsageError` where another loop already serves this server.
        """
        loop = asyncio.get_running_loop()
        if self.bridge.loop is loop:
            return
        refuse_patched()
        self.bridge.bind(loop)
        self._ticker = ticker()
        self._ticker.start(loop)
        if self.config.block_warning:
            self._watchdog.start(loop)
        self._every_second(loop)

    def start_in_thread(
        self, begin: Callable[[], None], farewell: Callable[[], Coroutine[object, object, None]]
    ) -> asyncio.AbstractEventLoop:
        """The loop that serves this server; where there is none yet, ``begin`` starts it on the loop thread.

        ``farewell`` runs there when the process ends.  Any thread may call it, as often as it likes.
        """
        loop = self.bridge.loop
        if loop is None or loop.is_closed():
            refuse_patched()  # before there is a thread that would stand still
            loop = loop_thread.run(self._begin_in_thread, begin, farewell)
        return loop

    def _begin_in_thread(
        self, begin: Callable[[], None], farewell: Callable[[], Coroutine[object, object, None]]
    ) -> asyncio.AbstractEventLoop:
        loop = self.bridge.loop
        if loop is None or loop.is_closed():  # else: another thread was faster
            reserve.stand_by()  # for disconnect handlers, when the process ends
            begin()
            within = longest(self.config.drain_seconds, self.config.shutdown_timeout)
            loop_thread.at_end(self, farewell, within)
            loop = self.bridge.loop
        assert loop is not None
        return loop

    def stop_in_thread(self, farewell: Callable[[], None]) -> None:
        """Undoes :meth:`start_in_thread`, if the loop thread serves this server: ``farewell`` runs there."""
        if self.bridge.loop is not None and self.bridge.loop is loop_thread.loop:
            loop_thread.at_end(self, None)
            loop_thread.run(farewell)

    def drain(self) -> Drain | None:
        """Begins the end in order, once, on the loop; :meth:`stop` comes behind it.  ``None`` where no loop serves."""
        if self.draining is None and self.bridge.loop is not None:
            self.draining = Drain(self)
        return self.draining

    def stop(self) -> None:
        """Closes every connection and lets go of the loop."""
        if self.bridge.loop is None:
            return
        if self.draining is not None:
            self.draining.task.cancel()
            self.draining = None
        for peer in list(self.peers.values()):
            peer.close(Reason.SHUTTING_DOWN)
        if self._second is not None:
            self._second.cancel()
        self.reception.finish()
        self._watchdog.stop()
        self.runner.stop()
        if self._ticker is not None:
            self._ticker.stop()
        self.bridge.release()
        self.peers.clear()
        self.limits.addresses.clear()
        self.spaces.clear()
        for socket in list(self.by_sid.values()):
            if socket.state is not SocketState.LEAVING:  # those are forgotten when their disconnect handler ends
                self.forget(socket)

    def _every_second(self, loop: asyncio.AbstractEventLoop) -> None:
        self._second = loop.call_later(1.0, self._every_second, loop)
        self.reception.look(self.now)
        self.admission.look()
        self.once.expire(self.now)
        if self.recovery is not None:
            self.recovery.expire(self.now)

    def _forked(self) -> None:
        """A forked child starts from nothing: its parent's clients are not its own."""
        self.tag = secrets.token_urlsafe(4)[:5]
        self.admission = Admission(self.config, self.tag)
        self.limits = Limits(self.config)
        self.runner.reset()
        for table in (self.peers, self.by_sid, self.spaces):
            table.clear()
        self.reception.clear()
        self._ticker = self._second = self.draining = None

    # --- peers and sockets -----------------------------------------------------------------------------------------

    def new_peer(self, handshake: Handshake, opening: Opening) -> Peer[Handshake]:
        """A client that admission let in; the door opens it."""
        if self._ticker is None:
            raise UsageError("the server does not run: the door must call start() first")
        sid = secrets.token_urlsafe(15) + self.tag
        peer = self.peer_type(
            sid,
            opening.revision,
            handshake,
            self.reception,
            self._ticker,
            self._engine_options,
            base64=opening.base64,
            serializer=self.serializer,
        )
        self.peers[sid] = peer
        self.reception.add(peer, opening.transport, self._ticker.now)
        return peer

    def forget(self, socket: Socket) -> None:
        """A socket is gone: its sid names nobody any more."""
        if self.by_sid.get(socket.sid) is socket:
            del self.by_sid[socket.sid]

    def space(self, namespace: str) -> Space:
        """The members and rooms of a namespace."""
        space = self.spaces.get(namespace)
        if space is None:
            space = self.spaces[namespace] = Space()
        return space
