"""Every way of leaving races every other one: `disconnect` runs exactly once for each client that came in, or never."""

import asyncio
import random
import threading
from collections import Counter

import pytest

from tests.conftest import FULL
from tests.support.loopback import Client, serving, until
from truesocket.core.server import Server
from truesocket.core.socket import Socket
from truesocket.errors import Refused, UnknownSid
from truesocket.session.engine import Reason

ROUNDS = 2_000 if FULL else 150
REASONS = {
    "client namespace disconnect",
    "server namespace disconnect",
    "server shutting down",
    Reason.TRANSPORT_CLOSE,
    Reason.TRANSPORT_ERROR,
    Reason.PING_TIMEOUT,
    Reason.FORCED_CLOSE,
    Reason.PARSE_ERROR,
}
"""Those of the ways below."""


class House:
    """A server whose handlers count, each in a random manner: `def` or `async def`, quick or slow, or refusing."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        recovers = dice.random() < 0.5
        self.server = Server(
            recovery=60.0 if recovers else 0.0,
            always_connect=dice.random() < 0.2,
            drain_seconds=dice.choice([0.0, 0.05]),
        )
        self.lock = threading.Lock()
        self.came: Counter[Socket] = Counter()
        self.refused: Counter[Socket] = Counter()
        self.left: Counter[Socket] = Counter()
        self.reasons: set[str] = set()
        self.events = 0
        if dice.random() < 0.5:
            self.server.on("connect", self.connect)
            self.server.on("disconnect", self.disconnect)
        else:
            self.server.on("connect", self.aconnect)
            self.server.on("disconnect", self.adisconnect)
        self.server.on("work", self.work)
        self.server.on("out", self.out)

    def _came(self, socket: Socket) -> None:
        with self.lock:
            refuses = self.dice.random() < 0.15
            (self.refused if refuses else self.came)[socket] += 1
        if refuses:
            raise Refused("not today")

    def _left(self, socket: Socket, reason: str) -> None:
        with self.lock:
            self.left[socket] += 1
            self.reasons.add(reason)

    def connect(self, socket: Socket) -> None:
        threading.Event().wait(self.dice.choice([0, 0, 0.002]))
        self._came(socket)

    def disconnect(self, socket: Socket, reason: str) -> None:
        threading.Event().wait(self.dice.choice([0, 0, 0.002]))
        self._left(socket, reason)

    async def aconnect(self, socket: Socket) -> None:
        await asyncio.sleep(self.dice.choice([0, 0, 0.002]))
        self._came(socket)

    async def adisconnect(self, socket: Socket, reason: str) -> None:
        await asyncio.sleep(self.dice.choice([0, 0, 0.002]))
        self._left(socket, reason)

    def work(self) -> None:
        threading.Event().wait(0.002)

    def out(self, socket: Socket) -> None:
        socket.disconnect()

    @property
    def is_settled(self) -> bool:
        """Whether those who were let in at once have had their connect handler, too: it may end behind `disconnect`."""
        return not self.server.config.always_connect or set(self.left) <= set(self.came) | set(self.refused)

    def check(self) -> None:
        """Who came in has left once, and nobody else has."""
        for socket, times in self.left.items():
            assert times == 1, f"{times} disconnects of {socket}"
        accepted_anyway = self.refused if self.server.config.always_connect else Counter()
        assert set(self.came) <= set(self.left)
        assert set(self.left) <= set(self.came) | set(accepted_anyway)
        assert max(self.came.values(), default=1) == 1
        assert self.reasons <= REASONS


async def leave(house: House, client: Client, ticker, way: str) -> None:
    """One way out; which of those that race is first is for the machine to say."""
    server = house.server
    if way == "client":
        client.leave()
    elif way == "engine":
        client.engine.received_on(client.link, "1")
    elif way == "lost":
        client.vanish(house.dice.choice([Reason.TRANSPORT_CLOSE, Reason.TRANSPORT_ERROR]))
    elif way == "garbage":
        client.say("4what")
    elif way == "server":
        for socket in list(server.by_sid.values()):
            if socket.peer is client.peer:
                try:
                    server.disconnect(socket.sid)
                except UnknownSid:
                    pass
    elif way == "thread":
        sids = [socket.sid for socket in list(server.by_sid.values()) if socket.peer is client.peer]

        def go() -> None:
            for sid in sids:
                try:
                    server.disconnect(sid)
                except UnknownSid:
                    pass

        thread = threading.Thread(target=go)
        thread.start()
        await asyncio.to_thread(thread.join)
    elif way == "handler":
        client.emit("out")
    elif way == "close":
        client.peer.close()
    elif way == "silence":
        ticker.turn(25.5)  # for everybody: those who answer nothing are given up
        ticker.turn(20.5)


WAYS = ("client", "engine", "lost", "garbage", "server", "thread", "handler", "close", "silence")


async def one_round(seed: int) -> House:
    """Some clients, each with several ways out at the same time; then the server ends, in order or at once."""
    dice = random.Random(seed)
    house = House(dice)
    server = house.server
    async with serving(server) as ticker:
        clients = []
        for _ in range(dice.randint(1, 6)):
            client = Client(server)
            client.join()
            clients.append(client)
            if dice.random() < 0.6:
                await asyncio.sleep(dice.choice([0, 0.001, 0.004]))
        for client in clients:
            for _ in range(dice.randint(0, 3)):
                client.emit("work")
        outs = [(client, way) for client in clients for way in dice.sample(WAYS, dice.randint(0, 3))]
        dice.shuffle(outs)
        tasks = []
        for client, way in outs:
            tasks.append(asyncio.ensure_future(leave(house, client, ticker, way)))
            if dice.random() < 0.3:
                await asyncio.sleep(dice.choice([0, 0.001]))
        comers = []
        if server.returning is not None:  # some come back, also while their old connection is still there
            for client in clients:
                if dice.random() < 0.7:
                    offers = [
                        packet.data
                        for packet in client.packets
                        if isinstance(packet.data, dict) and "pid" in packet.data
                    ]
                    if offers:
                        comer = Client(server)
                        comer.join(auth=offers[0])
                        comers.append(comer)
        ends_in_order = dice.random() < 0.8
        if dice.random() < 0.5:
            await asyncio.gather(*tasks)
        drain = server.drain()
        assert drain is not None
        if ends_in_order:
            await asyncio.wait_for(drain.task, 15)
        await asyncio.gather(*tasks)
        if not ends_in_order:
            await asyncio.wait_for(drain.task, 15)
        await until(lambda: not server.by_sid and house.is_settled)
    return house


@pytest.mark.parametrize("seed", range(4))
def test_disconnect_runs_exactly_once_whatever_happens(seed, caplog):
    reasons = set()
    for number in range(ROUNDS // 4):
        house = asyncio.run(one_round(seed * 1_000_000 + number))
        try:
            house.check()
        except AssertionError as error:
            error.add_note(f"seed {seed * 1_000_000 + number}")
            raise
        reasons |= house.reasons
    assert "this is a bug in truesocket" not in caplog.text
    assert len(reasons) >= 6, f"the ways out do not all happen: {reasons}"
