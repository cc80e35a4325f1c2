"""Clients who do nothing wrong while others do: every numbered push must reach them, in order, and without a long gap.

    with bystanders(server.port) as nobody:
        ...                      # somebody misbehaves
        nobody.noticed()         # asserts, and tells the longest gap so far, in seconds

The server is tests/apps/faults_app.py.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator

from tests.support.wire import Gone, PollingPipe, Transport, Wire, get
from truesocket.codec.engineio import PING, PONG, EnginePacket
from truesocket.codec.socketio import PacketType

WAYS: tuple[Transport, ...] = ("websocket", "websocket", "polling", "upgrade")
PATIENCE = 20  # seconds without any push, whatever the machine has to do besides
GAP = 10  # seconds between two pushes that nobody would call a stall of ours on a machine with other work


class Pinging(Wire):
    """A client that keeps its heartbeat in revision 3, too, where the client pings."""

    _pinged = 0.0

    def _next(self, timeout: float) -> EnginePacket:
        while True:
            if self.revision == 3 and hasattr(self, "hello") and time.monotonic() - self._pinged > 0.2:
                self._pinged = time.monotonic()
                self.pipe.send([EnginePacket(PING)])
            if isinstance(self.pipe, PollingPipe):
                self.pipe.fresh_post()
            packet = super()._next(timeout)
            if packet.type != PONG:
                return packet


class Bystander(threading.Thread):
    """One client, reading in a thread of its own."""

    def __init__(self, port: int, way: Transport, revision: int) -> None:
        super().__init__(daemon=True)
        self.who = f"{way}, Engine.IO {revision}"
        self.seen: list[int] = []
        self.arrived: list[float] = []
        self.late: list[float] = []  # seconds from the server's emit to here
        self.error: Exception | None = None
        self.over = False
        self._wire = Pinging(port, revision=revision, transport=way)
        self._wire.join()
        self._wire.call("watch")
        self.start()

    def run(self) -> None:
        try:
            while not self.over:
                packet = self._wire.packet(PATIENCE)
                if packet.type == PacketType.EVENT and isinstance(packet.data, list) and packet.data[0] == "tick":
                    now = time.monotonic()
                    self.late.append(now - packet.data[2])
                    self.arrived.append(now)
                    self.seen.append(packet.data[1])
        except (Gone, OSError, TimeoutError) as error:
            if not self.over:
                self.error = error

    def close(self) -> None:
        self.over = True
        self.join(PATIENCE)
        self._wire.pipe.close()


class Bystanders:
    """All of them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.all = [Bystander(port, way, 4) for way in WAYS] + [Bystander(port, "websocket", 3)]

    def noticed(self, gap: float = GAP) -> float:
        """Asserts that nobody missed anything up to now; the longest time between two pushes."""
        newest: int = get(self._port, "/tick").json
        longest = 0.0
        for each in self.all:
            deadline = time.monotonic() + PATIENCE
            while not (each.seen and each.seen[-1] >= newest):
                assert each.error is None, f"{each.who} was thrown out: {each.error!r}"
                assert time.monotonic() < deadline, f"{each.who} has heard nothing behind {each.seen[-1:]}"
                time.sleep(0.02)
            seen, arrived = list(each.seen), list(each.arrived)
            assert seen == list(range(seen[0], seen[0] + len(seen))), f"{each.who} missed a push, or heard one twice"
            gaps = [later - earlier for earlier, later in itertools.pairwise(arrived)]
            longest = max([longest, *gaps])
        assert longest < gap, f"a push came {longest:.1f} s late"
        return longest

    def close(self) -> None:
        for each in self.all:
            each.over = True
        for each in self.all:
            each.close()


@contextlib.contextmanager
def bystanders(port: int) -> Iterator[Bystanders]:
    """Five of them, by every way in; they are asked once more at the end."""
    everybody = Bystanders(port)
    try:
        yield everybody
        everybody.noticed(gap=float("inf"))
    finally:
        everybody.close()
