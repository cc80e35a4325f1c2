"""Puts the parts together, and the public methods on top.

One :class:`Server` is one set of namespaces, rooms and handlers.  It needs a door to be reachable
(``truesocket.ASGIApp(server)``) and an event loop to live on: that of its first connection, or of the host's lifespan.
Methods that *tell* (emit, join, close ...) never wait and may be called in any thread; methods that *ask* (call, rooms,
count) return a :class:`~truesocket.bridge.Reply`: ``await`` it on the loop, ``.result()`` in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from truesocket.bridge import Bridge, Reply
from truesocket.core.admission import Admission, Opening
from truesocket.core.call import Call
from truesocket.core.config import Config
from truesocket.core.dispatch import Dispatch
from truesocket.core.emitter import Emitter, room_names
from truesocket.core.fanout import Fanout, Space
from truesocket.core.newcomers import Newcomers
from truesocket.core.ports import Broker, Handshake, Surroundings, Ticker
from truesocket.core.quiet import Quiet
from truesocket.core.registry import NamespaceHandler, Registry
from truesocket.core.runner import Bare, Runner
from truesocket.core.socket import Ack, Command, Socket, SocketState, current
from truesocket.core.watchdog import Watchdog
from truesocket.errors import Disconnected, UnknownSid, UsageError
from truesocket.session.conversation import Member
from truesocket.session.engine import Reason
from truesocket.session.peer import Peer

__all__ = ["Server"]

_log = logging.getLogger("truesocket")

F = TypeVar("F", bound=Callable[..., object])

#: Seconds after which a handler that still talks to a client who left is mentioned in the log.
_ORPHAN_WARNING = 60.0
#: Seconds behind the upgrade time-out at which a client that is still polling is mentioned in the log.
_POLLING_GRACE = 5.0


class Server:
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
        self.config = Config.make(options, where="Server()" if surroundings is None else "SocketIO()")
        self.json_default = json_default
        #: Words for reasons that the disconnect handler hears instead of the official server's.
        self.reason_words: dict[str, str] = {}
        self.serializer = self.config.make_serializer()
        self.tag = secrets.token_urlsafe(4)[:5]
        self.registry = Registry()
        self.bridge = Bridge()
        self.bridge.on_fork = self._forked
        self.runner = Runner(self.config, self.bridge, surroundings or Bare())
        self.admission = Admission(self.config, self.tag)
        self.dispatch = Dispatch(self)
        self.peers: dict[str, Peer[Handshake]] = {}
        self.sockets: dict[str, Socket] = {}
        self.spaces: dict[str, Space] = {}
        self.fanout = Fanout(self.spaces, self.sockets, self.serializer)
        self.broker: Broker | None = None
        self._engine_options = self.config.engine_options()
        self._ticker: Ticker | None = None
        self._watchdog = Watchdog(self.config.block_warning)
        self._newcomers = Newcomers(
            (self.config.upgrade_timeout + _POLLING_GRACE, self._note_polling),
            (self.config.connect_timeout, self._close_silent),
        )
        self._second: asyncio.TimerHandle | None = None
        self._about_bad_clients = Quiet(_log)
        self._about_polling = Quiet(_log)

    # --- handlers ----------------------------------------------------------------------------------------------

    def on(self, event: str, function: F | None = None, *, namespace: str = "/") -> Callable[[F], F]:
        """Registers the handler of an event: a decorator, or a call with the function as second argument.

        ``"connect"`` gets the auth payload, ``"disconnect"`` the reason, ``"*"`` every event nobody else handles, with
        its name first.  The handler may be ``def`` (runs in a thread, may block) or ``async def`` (runs on the loop).
        """
        if callable(event):
            raise UsageError("@server.on: the event's name is missing; write @server.on('name')")

        def register(handler: F) -> F:
            self.registry.add(event, namespace, handler)
            return handler

        if function is not None:
            register(function)
        return register

    def event(self, function: F) -> F:
        """Registers a function as the handler of the event that bears its name, in the namespace ``/``."""
        self.registry.add(function.__name__, "/", function)
        return function

    def on_namespace(self, namespace: NamespaceHandler) -> None:
        """Registers a Namespace class's instance."""
        self.registry.add_class(namespace)

    # --- telling -----------------------------------------------------------------------------------------------

    def to(self, *rooms: Hashable) -> Emitter:
        """An emitter to rooms (a sid is a room): ``server.to("lobby").emit("news", 1)``."""
        return Emitter(self).to(*rooms)

    def of(self, namespace: str) -> Emitter:
        """An emitter to everybody in a namespace."""
        return Emitter(self, namespace)

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
        emitter = Emitter(
            self,
            namespace,
            None if to is None else room_names(to),
            frozenset() if skip is None else frozenset(room_names(skip)),
            volatile,
        )
        return emitter.emit(event, *args, on_ack=None if callback is None else self._calls_back(callback))

    def enter(self, sid: str, room: Hashable, *, namespace: str = "/") -> Awaitable[None]:
        """Puts a client into a room.  Raises :class:`~truesocket.errors.UnknownSid`."""
        if isinstance(room, str) and room in self.sockets and room != sid:
            raise UsageError(f"the room {room!r} is another client's own; its name is a sid")
        return self.tell(self._enter, self.socket(sid, namespace), room)

    def leave(self, sid: str, room: Hashable, *, namespace: str = "/") -> Awaitable[None]:
        """Takes a client out of a room.  Raises :class:`~truesocket.errors.UnknownSid`."""
        return self.tell(self._leave, self.socket(sid, namespace), room)

    def close_room(self, room: Hashable, *, namespace: str = "/") -> Awaitable[None]:
        """Empties a room."""
        return self.tell(self._close_room, namespace, room)

    def disconnect(self, sid: str, *, namespace: str = "/") -> Awaitable[None]:
        """Sends a client out of a namespace.  Raises :class:`~truesocket.errors.UnknownSid`."""
        return self.tell(self.dispatch.close, self.socket(sid, namespace))

    def tell(self, command: Command, *args: object, weight: int = 0) -> Awaitable[None]:
        """Puts a command into the FIFO; what a connect handler tells waits until its client is accepted."""
        socket = current.get()
        if socket is not None and socket.state is SocketState.CONNECTING and socket.server is self:
            return self.bridge.post(self._tell_later, socket, command, args, weight=weight)
        return self.bridge.post(command, *args, weight=weight)

    # --- asking ------------------------------------------------------------------------------------------------

    def call(
        self, event: str, *args: object, to: Hashable, namespace: str = "/", timeout: float | None = 60
    ) -> Reply[object]:
        """Sends an event and asks for the answer: ``None``, one value, or a tuple of several.

        The reply fails with :class:`~truesocket.errors.AckTimeout` after ``timeout`` seconds, or at once where the
        client is not there or leaves.
        """
        asking = current.get()
        if asking is not None and asking.state is SocketState.CONNECTING:
            raise UsageError("call() inside a connect handler: nothing is sent before it has accepted the client")
        reply: Reply[object] = Reply(self.bridge.on_loop)
        call = Call(event, reply, self.runner.later)
        Emitter(self, namespace, room_names(to)).emit(event, *args, on_ack=call.expect)
        self.bridge.ask(call.sent, timeout)  # asked, not told: a question is answered even where the server ends first
        return reply

    def rooms(self, sid: str, *, namespace: str = "/") -> Reply[list[Hashable]]:
        """The rooms of a client, its own among them.  Raises :class:`~truesocket.errors.UnknownSid`."""
        return self.bridge.ask(self._rooms, self.socket(sid, namespace))

    def rooms_now(self, sid: str, namespace: str = "/") -> list[Hashable]:
        """The same on the loop, without waiting: joins that still stand behind a large broadcast are not seen."""
        reply = self.rooms(sid, namespace=namespace)
        return reply.result() if reply.done() else self._rooms(self.socket(sid, namespace))

    def members(self, room: Hashable | None = None, *, namespace: str = "/") -> Reply[list[str]]:
        """The sids in a room, or in the whole namespace."""
        return self.bridge.ask(self._sids, namespace, room)

    def socket(self, sid: str, namespace: str | None = None) -> Socket:
        """The client with this sid.  Raises :class:`~truesocket.errors.UnknownSid`; any thread may ask."""
        socket = self.sockets.get(sid)
        if socket is None or (namespace is not None and socket.namespace != namespace):
            raise UnknownSid(sid, namespace or "/")
        return socket

    def transport(self, sid: str, *, namespace: str | None = None) -> str:
        """``"websocket"`` or ``"polling"``: what this client really uses at this moment."""
        return self.socket(sid, namespace).transport

    def check_orphan(self, socket: Socket) -> None:
        """Called where a handler emits to its own client.

        Raises :class:`~truesocket.errors.Disconnected` once that client has been gone for ``orphan_timeout``.
        """
        if socket.left_at is None or self._ticker is None:
            return
        age = self._ticker.now - socket.left_at
        if age > self.config.orphan_timeout:
            raise Disconnected(socket.reason or Reason.TRANSPORT_CLOSE)
        if age > _ORPHAN_WARNING and not socket.warned:
            socket.warned = True
            _log.warning(
                "a handler still emits to %s (%s), who left %.0f s ago (%s); it will be ended after %.0f s."
                " End the loop when the client leaves, or use socketio.start_background_task for endless work.",
                socket.sid,
                ", ".join(self.runner.handlers_of(socket)) or "in a thread of its own",
                age,
                socket.reason,
                self.config.orphan_timeout,
            )

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
        self.bridge.bind(loop)
        self._ticker = ticker()
        self._ticker.start(loop)
        if self.config.block_warning:
            self._watchdog.start(loop)
        self._every_second(loop)

    def stop(self) -> None:
        """Closes every connection and lets go of the loop."""
        if self.bridge.loop is None:
            return
        for peer in list(self.peers.values()):
            peer.close(Reason.SHUTTING_DOWN)
        if self._second is not None:
            self._second.cancel()
        for quiet in (self._about_bad_clients, self._about_polling):
            quiet.finish()
        self._newcomers.clear()
        self._watchdog.stop()
        self.runner.stop()
        if self._ticker is not None:
            self._ticker.stop()
        self.bridge.release()
        self.peers.clear()
        self.spaces.clear()
        for socket in list(self.sockets.values()):
            if socket.state is not SocketState.LEAVING:  # those are forgotten when their disconnect handler ends
                self.forget(socket)

    def _every_second(self, loop: asyncio.AbstractEventLoop) -> None:
        self._second = loop.call_later(1.0, self._every_second, loop)
        self._newcomers.look(self.now)
        self._about_bad_clients.look()
        self._about_polling.look()
        self.admission.look()

    def _forked(self) -> None:
        """A forked child starts from nothing: its parent's clients are not its own."""
        self.tag = secrets.token_urlsafe(4)[:5]
        self.admission = Admission(self.config, self.tag)
        self.runner.reset()
        for table in (self.peers, self.sockets, self.spaces):
            table.clear()
        self._newcomers.clear()
        self._ticker = self._second = None

    # --- peers: session.peer.PeerListener ----------------------------------------------------------------------

    def new_peer(self, handshake: Handshake, opening: Opening) -> Peer[Handshake]:
        """A client that admission let in; the door opens it."""
        if self._ticker is None:
            raise UsageError("the server does not run: the door must call start() first")
        sid = secrets.token_urlsafe(15) + self.tag
        peer = self.peer_type(
            sid,
            opening.revision,
            handshake,
            self,
            self._ticker,
            self._engine_options,
            base64=opening.base64,
            serializer=self.serializer,
        )
        self.peers[sid] = peer
        self._newcomers.add(peer, self._ticker.now)
        return peer

    def connect(
        self, peer: Peer[Handshake], namespace: str, query: str, auth: dict[str, object] | None
    ) -> Member | None:
        names = self.config.namespaces
        if namespace not in names and "*" not in names and not self.registry.knows(namespace):
            return None
        if peer.engine.revision == 4:
            sid = secrets.token_urlsafe(15)
        else:  # clients 1.x and 2.x work it out by themselves
            sid = peer.sid if namespace == "/" else f"{namespace}#{peer.sid}"
        socket = Socket(self, self.dispatch, peer, namespace, sid, query, auth)
        self.sockets[sid] = socket
        self.dispatch.connect(socket)
        return socket

    def closed(self, peer: Peer[Handshake], reason: str) -> None:
        if peer.error:
            address = peer.handshake.client[0]
            self._about_bad_clients.say(
                logging.WARNING, "client %s at %s was closed: %s", peer.sid, address, peer.error
            )
        for member in list(peer.conversation.members.values()):
            if isinstance(member, Socket):
                self.dispatch.left(member, reason)
        peer.conversation.members.clear()

    def gone(self, peer: Peer[Handshake]) -> None:
        self.peers.pop(peer.sid, None)

    def forget(self, socket: Socket) -> None:
        """A socket is gone: its sid names nobody any more."""
        if self.sockets.get(socket.sid) is socket:
            del self.sockets[socket.sid]

    def space(self, namespace: str) -> Space:
        """The members and rooms of a namespace."""
        space = self.spaces.get(namespace)
        if space is None:
            space = self.spaces[namespace] = Space()
        return space

    def _close_silent(self, peer: Peer[Handshake]) -> None:
        if not peer.conversation.members:
            peer.close(Reason.FORCED_CLOSE)

    def _note_polling(self, peer: Peer[Handshake]) -> None:
        if peer.sid not in self.peers or peer.engine.transport != "polling":
            return
        config = self.config
        if "websocket" not in config.transports or not config.allow_upgrades:
            return  # the application wants it so
        cause = peer.handshake.note or (
            "it never asked for a WebSocket: the page says transports: ['polling'], or a proxy answers for us"
            " (see docs/how-to/behind-a-proxy.md)"
        )
        address = peer.handshake.client[0]
        self._about_polling.say(logging.INFO, "client %s at %s stays on long-polling: %s", peer.sid, address, cause)

    # --- commands: on the loop, in the order of the FIFO -------------------------------------------------------

    def _tell_later(self, socket: Socket, command: Command, args: tuple[object, ...]) -> Iterator[object] | None:
        if socket.state is SocketState.CONNECTING:
            socket.hold(command, *args)
            return None
        return command(*args)

    def _enter(self, socket: Socket, room: Hashable) -> None:
        if socket.state is SocketState.CONNECTED:
            self.space(socket.namespace).rooms.enter(socket, room)
        elif socket.state is SocketState.CONNECTING:
            socket.hold(self._enter, socket, room)

    def _leave(self, socket: Socket, room: Hashable) -> None:
        if socket.state is SocketState.CONNECTED:
            self.space(socket.namespace).rooms.leave(socket, room)
        elif socket.state is SocketState.CONNECTING:
            socket.hold(self._leave, socket, room)

    def _close_room(self, namespace: str, room: Hashable) -> None:
        space = self.spaces.get(namespace)
        if space is not None:
            space.rooms.close(room)

    def _rooms(self, socket: Socket) -> list[Hashable]:
        if socket.state is SocketState.CONNECTED:
            rooms: Iterable[Hashable] = self.space(socket.namespace).rooms.rooms(socket)
        elif socket.state is SocketState.CONNECTING:
            rooms = self._held_rooms(socket)
        else:
            rooms = socket.rooms_before
        return [socket.sid, *(room for room in rooms if room != socket.sid)]

    def _held_rooms(self, socket: Socket) -> Iterable[Hashable]:
        rooms: dict[Hashable, None] = {}
        for command, args in socket.held or ():
            if command == self._enter:
                rooms[args[1]] = None
            elif command == self._leave:
                rooms.pop(args[1], None)
        return rooms

    def _sids(self, namespace: str, room: Hashable | None) -> list[str]:
        space = self.spaces.get(namespace)
        if space is None:
            return []
        if room is None:
            return list(space.members)
        own = self.sockets.get(room) if isinstance(room, str) else None
        found = [own.sid] if own is not None and own.namespace == namespace else []
        return found + [socket.sid for socket in space.rooms.members(room) if socket is not own]

    def _calls_back(self, callback: Callable[..., object]) -> Callable[[Socket], Ack]:
        def on_ack(socket: Socket) -> Ack:
            return Ack(lambda args: self.dispatch.run_callback(socket, callback, args), lambda: None)

        return on_ack
