"""The core without sockets: peers fed by hand, links that only remember, a clock that a test turns.

async with serving(server) as ticker:
    client = Client(server)
    client.join()
    client.emit("say", "hi")
    await until(lambda: client.events == [["said", "hi"]])
"""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from truesocket.codec import socketio
from truesocket.codec.engineio import EnginePacket
from truesocket.codec.parcel import Bundle, Parcel, Parcels
from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.core.admission import Opening
from truesocket.core.ports import Handshake
from truesocket.core.server import Server
from truesocket.session.engine import Engine, Reason
from truesocket.session.ports import Raw


class FakeTicker:
    """A clock that stands still until a test turns it; `core.ports.Ticker`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lag = 0.0
        self._due: list[tuple[float, Engine]] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """The server has started."""

    def stop(self) -> None:
        """The server has stopped."""

    def wake(self, engine: Engine, at: float) -> None:
        """Asks for a tick."""
        self._due.append((at, engine))

    def turn(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        due = [item for item in self._due if item[0] <= self.now]
        self._due = [item for item in self._due if item[0] > self.now]
        for _, engine in due:
            at = engine.tick()
            if at is not None:
                self._due.append((at, engine))


class RecordingLink:
    """A WebSocket that only remembers what was written; `session.engine.Link`."""

    def __init__(self, revision: int) -> None:
        self.writable = True
        self.raw: Raw | None = None
        self.packets: list[SocketPacket] = []
        self.parcels: list[Parcel] = []
        self.writes: list[tuple[Parcel, ...]] = []  # the same, as they came together
        self.engine_packets: list[EnginePacket] = []
        self.closed: tuple[int, str] | None = None
        self.is_paused = False
        self._revision = revision

    def send(self, parcel: Parcels) -> None:
        """One packet, or some."""
        assert self.writable, "sent to a link that is not writable"
        together = tuple(parcel.parcels) if isinstance(parcel, Bundle) else (parcel,)
        self.writes.append(together)
        for each in together:
            self.parcels.append(each)
            packet = socketio.parse(each.text)
            if packet.attachments:
                packet = packet._replace(data=socketio.reconstruct(packet.data, each.attachments))
            self.packets.append(packet)

    def send_packet(self, packet: EnginePacket) -> None:
        """One packet of the engine's own."""
        self.engine_packets.append(packet)

    def close(self, code: int, reason: str) -> None:
        """The engine says goodbye."""
        self.writable = False
        self.closed = (code, reason)

    def pause(self) -> None:
        """No more reading."""
        self.is_paused = True

    def resume(self) -> None:
        """Reading again."""
        self.is_paused = False


def handshake(query: str = "EIO=4&transport=websocket", **changes: Any) -> Handshake:
    """What a browser on this machine sends."""
    values: dict[str, Any] = {
        "path": "/socket.io/",
        "query": query,
        "headers": [("host", "localhost:5000")],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 5000),
        "scheme": "http",
        "door": "test",
        "transport": "websocket",
        **changes,
    }
    return Handshake(**values)


class Client:
    """One remote peer on a link that remembers."""

    def __init__(self, server: Server, revision: int = 4, *, polling: bool = False) -> None:
        transport = "polling" if polling else "websocket"
        self.link = RecordingLink(revision)
        shake = handshake(f"EIO={revision}&transport={transport}", transport=transport)
        self.peer = server.new_peer(shake, Opening(transport, None, revision, False))
        self.engine = self.peer.engine
        self.peer.open(None if polling else self.link)

    # --- what it does ------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """One Engine.IO message."""
        self.engine.received_on(self.link, text)

    def join(self, namespace: str = "/", auth: object = None) -> None:
        """Asks to join; the answer comes when it comes."""
        data = "" if auth is None else json.dumps(auth)
        self.say("4" + socketio.build(PacketType.CONNECT, namespace, data=data))

    def emit(self, event: str, *args: object, id: int | None = None, namespace: str = "/") -> None:
        """An event."""
        self.say("4" + socketio.build(PacketType.EVENT, namespace, id=id, data=json.dumps([event, *args])))

    def answer(self, packet: SocketPacket, *args: object) -> None:
        """The ack of an event that came."""
        self.say("4" + socketio.build(PacketType.ACK, packet.namespace, id=packet.id, data=json.dumps(args)))

    def leave(self, namespace: str = "/") -> None:
        """Leaves a namespace."""
        self.say("4" + socketio.build(PacketType.DISCONNECT, namespace))

    def vanish(self, reason: str = Reason.TRANSPORT_CLOSE) -> None:
        """The connection is lost."""
        self.engine.lost(self.link, reason)

    # --- what it got -------------------------------------------------------------------------------------------------

    @property
    def packets(self) -> list[SocketPacket]:
        """Everything so far."""
        return self.link.packets

    def of(self, *kinds: PacketType) -> list[SocketPacket]:
        """The packets of some kinds."""
        return [packet for packet in self.packets if packet.type in kinds]

    @property
    def events(self) -> list[Any]:
        """Names and arguments of the events so far."""
        return [packet.data for packet in self.of(PacketType.EVENT, PacketType.BINARY_EVENT)]

    @property
    def acks(self) -> dict[int | None, Any]:
        """The acks so far, by id."""
        return {packet.id: packet.data for packet in self.of(PacketType.ACK, PacketType.BINARY_ACK)}

    def sid(self, namespace: str = "/") -> str:
        """Its sid in a namespace, as the server told it."""
        for packet in self.of(PacketType.CONNECT):
            if packet.namespace == namespace and isinstance(packet.data, dict):
                return str(packet.data["sid"])
        raise AssertionError(f"not connected to {namespace}: {self.packets}")

    async def joined(self, namespace: str = "/", auth: object = None) -> str:
        """Joins, and waits until the server has said yes."""
        self.join(namespace, auth)
        await until(lambda: any(packet.namespace == namespace for packet in self.of(PacketType.CONNECT)))
        return self.sid(namespace)


async def until(condition: Callable[[], object], within: float = 10) -> None:
    """Waits until `condition` holds."""
    deadline = asyncio.get_running_loop().time() + within
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.002)


async def settle() -> None:
    """Gives whatever is under way a moment: for asserting that something does not happen."""
    await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[FakeTicker]:
    """The server lives on this loop."""
    ticker = FakeTicker()
    server.start(lambda: ticker)
    try:
        yield ticker
    finally:
        server.stop()


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine, on an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
