"""Clients that come back, on the whole core with links that only remember."""

import threading

import pytest

from tests.support.loopback import Client, FakeTicker, on_loop, serving, settle, until
from truesocket.codec.socketio import PacketType
from truesocket.core.returning import Credentials
from truesocket.core.server import Server
from truesocket.core.socket import Socket
from truesocket.errors import AckTimeout, Refused, UsageError
from truesocket.session.engine import Reason

KEY = "0123456789abcdef0123456789abcdef"


def make(**options):
    return Server(**{"recovery": 60.0, **options})


def offer(client, namespace="/"):
    """What the CONNECT reply said of coming back."""
    return next(packet.data for packet in client.of(PacketType.CONNECT) if packet.namespace == namespace)


class Browser:
    """A client that comes back as the official one does: it names its pid and the offset of the last event."""

    def __init__(self, server, namespace="/"):
        self.server = server
        self.namespace = namespace
        self.pid = self.offset = None
        self.events = []
        self.recovered = False
        self.client = None

    async def come(self, **auth):
        self.client = Client(self.server)
        claims = {"pid": self.pid, "offset": self.offset} if self.pid else {}
        await self.client.joined(self.namespace, {**claims, **auth})
        reply = offer(self.client, self.namespace)
        self.recovered = reply.get("pid") == self.pid
        self.pid = reply.get("pid")
        return reply["sid"]

    def read(self):
        """Takes what has come; an event without an ack ends with its offset."""
        for packet in self.client.of(PacketType.EVENT):
            *event, offset = packet.data
            self.offset = offset
            self.events.append(event)
        self.client.packets.clear()
        return self.events

    def lose(self, reason=Reason.TRANSPORT_CLOSE):
        self.client.vanish(reason)


@on_loop
async def test_sid_rooms_data_and_every_missed_event():
    server = make()
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        server.enter(sid, "lobby")
        server.socket(sid).data["name"] = "Ada"
        server.emit("all", 1)
        server.emit("lobby", 2, to="lobby")
        server.emit("you", 3, to=sid)
        assert browser.read() == [["all", 1], ["lobby", 2], ["you", 3]]
        server.emit("lost on the way", 4)
        browser.lose()
        server.emit("lobby", 5, to="lobby")
        server.emit("others", 6, to="elsewhere")
        server.emit("you", 7, to=sid)
        server.emit("all but you", 8, skip=sid)
        assert await browser.come() == sid
        assert browser.recovered
        assert browser.read()[3:] == [["lost on the way", 4], ["lobby", 5], ["you", 7]]
        assert server.rooms_now(sid) == [sid, "lobby"]
        assert server.socket(sid).data == {"name": "Ada"}
        assert server.socket(sid).recovered
        server.emit("live", 9, to="lobby")
        await until(lambda: browser.read()[6:] == [["live", 9]])


@on_loop
async def test_before_the_first_event():
    server = make()
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        browser.lose()
        server.emit("first", 1)
        assert await browser.come() == sid
        assert browser.read() == [["first", 1]]


@on_loop
async def test_the_connect_handler_decides_again_with_the_new_request():
    server = make()
    heard = []

    @server.on("connect")
    def connect(socket: Socket, auth):
        heard.append((socket.recovered, auth))
        if auth == {"token": "expired"}:
            raise Refused("no more")

    async with serving(server):
        browser = Browser(server)
        sid = await browser.come(token="good")
        browser.lose()
        client = Client(server)
        client.join(auth={"pid": browser.pid, "token": "expired"})
        await until(lambda: client.of(PacketType.CONNECT_ERROR))
        assert await browser.come(token="good") != sid
        assert not browser.recovered
    assert heard == [(False, {"token": "good"}), (True, {"token": "expired"}), (False, {"token": "good"})]


@on_loop
async def test_left_and_joined_in_this_order_and_never_two_of_one_sid():
    server = make()
    diary = []
    gate = threading.Event()

    @server.on("connect")
    def connect(socket: Socket):
        diary.append(f"joined {socket.recovered}")

    @server.on("disconnect")
    def disconnect(reason):
        gate.wait(10)
        diary.append(f"left: {reason}")

    async with serving(server):
        browser = Browser(server)
        await browser.come()
        browser.lose()
        server.emit("meanwhile", 1)
        client = Client(server)
        client.join(auth={"pid": browser.pid})
        server.emit("meanwhile", 2)
        await settle()
        assert client.packets == []
        gate.set()
        await until(lambda: len(client.events) == 2)
        assert [event[:2] for event in client.events] == [["meanwhile", 1], ["meanwhile", 2]]
        assert diary == ["joined False", "left: transport close", "joined True"]


@on_loop
async def test_a_disconnect_handler_that_does_not_end_keeps_nobody_out(monkeypatch, caplog):
    monkeypatch.setattr("truesocket.core.returning._PATIENCE", 0.05)
    server = make()
    gate = threading.Event()
    server.on("disconnect", lambda: gate.wait(10))
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        browser.lose()
        assert await browser.come() != sid
        assert not browser.recovered
        assert "has not ended after" in caplog.text
        server.emit("news", 1)
        assert browser.read() == [["news", 1]]
        gate.set()


@on_loop
async def test_a_client_is_back_before_we_notice_that_it_was_gone():
    server = make()
    reasons = []
    server.on("disconnect", reasons.append)
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        server.emit("into a dead connection", 1)
        dead = browser.client
        assert await browser.come() == sid
        assert browser.read() == [["into a dead connection", 1]]
        assert dead.link.closed is not None
        assert reasons == ["transport close"]
        assert server.members().result() == [sid]


@on_loop
async def test_who_left_on_purpose_does_not_come_back():
    server = make()
    async with serving(server):
        for leave in (lambda b, sid: b.client.leave(), lambda b, sid: server.disconnect(sid)):
            browser = Browser(server)
            sid = await browser.come()
            leave(browser, sid)
            assert await browser.come() != sid
            assert not browser.recovered


@on_loop
async def test_events_with_an_ack_and_volatile_ones_are_not_kept():
    server = make()
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        server.emit("kept", 1)
        server.emit("volatile", 2, volatile=True)
        assert browser.read() == [["kept", 1], ["volatile", 2]]
        first = browser.offset
        browser.lose()
        reply = server.call("ask", to=sid)
        server.emit("volatile", 3, volatile=True)
        server.emit("kept", 4)
        await browser.come()
        assert browser.read()[2:] == [["kept", 4]]
        assert browser.offset != first
        with pytest.raises(AckTimeout):
            await reply


@on_loop
async def test_an_event_with_an_ack_carries_no_offset():
    server = make()
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        reply = server.call("ask", "me", to=sid)
        packet = browser.client.of(PacketType.EVENT)[0]
        assert packet.data == ["ask", "me"]
        browser.client.answer(packet, "yes")
        assert await reply == "yes"


@on_loop
async def test_old_clients_hear_no_offsets():
    server = make()
    async with serving(server):
        old, new = Client(server, 3), Browser(server)
        await new.come()
        server.emit("news", 1)
        assert old.events == [["news", 1]]
        assert new.client.events[0][:2] == ["news", 1]
        assert len(new.client.events[0]) == 3


@on_loop
async def test_switched_off_it_costs_nothing_and_auth_is_the_applications_own():
    server = Server()
    auths = []
    server.on("connect", auths.append)
    async with serving(server):
        client = Client(server)
        await client.joined(auth={"pid": "mine", "offset": 1})
        assert set(offer(client)) == {"sid"}
        server.emit("news", 1)
        assert client.events == [["news", 1]]
    assert auths == [{"pid": "mine", "offset": 1}]


@on_loop
async def test_too_late():
    server = make(recovery=60.0)
    async with serving(server) as ticker:
        assert isinstance(ticker, FakeTicker)
        browser = Browser(server)
        sid = await browser.come()
        browser.lose()
        await settle()
        ticker.turn(61.0)
        assert await browser.come() != sid


@on_loop
async def test_an_event_sent_long_before_the_break_was_noticed_is_still_there():
    server = make(recovery=60.0, ping_interval=25.0, ping_timeout=20.0)
    async with serving(server) as ticker:
        browser = Browser(server)
        sid = await browser.come()
        server.emit("into a dead connection", 1)
        ticker.turn(25.0)  # a ping
        ticker.turn(20.1)
        assert browser.client.link.closed is not None
        await settle()
        ticker.turn(59.0)
        assert await browser.come() == sid
        assert browser.read() == [["into a dead connection", 1]]


@on_loop
async def test_a_thousand_breaks_under_a_stream_of_events():
    server = make()
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        server.enter(sid, "lobby")
        number = 0
        for turn in range(1000):
            for _ in range(turn % 5):
                number += 1
                server.emit("n", number, to="lobby" if number % 2 else None)
            if turn % 3:
                browser.read()
            browser.lose()
            number += 1
            server.emit("n", number, to="lobby")
            assert await browser.come() == sid, turn
        assert [event[1] for event in browser.read()] == list(range(1, number + 1))


@on_loop
async def test_very_much_was_missed():
    server = make(ping_timeout=20.0)
    async with serving(server):
        browser = Browser(server)
        await browser.come()
        browser.lose()
        for number in range(2500):
            server.emit("n", number)
        await browser.come()
        server.emit("n", 2500)
        await until(lambda: len(browser.client.events) == 2501)
        assert [event[1] for event in browser.read()] == list(range(2501))


@on_loop
async def test_a_client_that_leaves_while_it_comes_back():
    server = make()
    gate = threading.Event()
    gate.set()
    diary = []

    @server.on("connect")
    def connect(socket: Socket):
        gate.wait(10)
        diary.append("connect")

    server.on("disconnect", lambda: diary.append("disconnect"))
    async with serving(server):
        browser = Browser(server)
        sid = await browser.come()
        browser.lose()
        await until(lambda: len(diary) == 2)
        server.emit("missed", 1)
        gate.clear()
        impatient = Client(server)
        impatient.join(auth={"pid": browser.pid})
        await settle()
        impatient.vanish()
        gate.set()
        await until(lambda: len(diary) == 4)
        assert await browser.come() == sid
        assert browser.recovered
        assert browser.read() == [["missed", 1]]


@on_loop
async def test_namespaces_that_nobody_is_in_any_more_take_no_room():
    server = make(namespaces=["*"])
    async with serving(server) as ticker:
        for number in range(50):
            client = Client(server)
            await client.joined(f"/room-{number}")
            server.emit("hello", namespace=f"/room-{number}")
            client.vanish()
        await settle()
        assert len(server.recovery._journals) == 50
        del client
        ticker.turn(200.0)
        server.recovery.expire(server.now)
        assert len(server.recovery._journals) == 0


def test_credentials():
    assert Credentials.of(None, recovery=True) == (None, None, None, None)
    assert Credentials.of({"a": 1}, recovery=True) == (None, None, None, {"a": 1})
    assert Credentials.of({"pid": "p", "offset": "o", "a": 1}, recovery=True) == ("p", "o", None, {"a": 1})
    assert Credentials.of({"pid": "p"}, recovery=True) == ("p", None, None, None)
    assert Credentials.of({"pid": "p", "retry_key": "k"}, recovery=False) == (None, None, "k", {"pid": "p"})


def test_a_serializer_without_append_cannot_recover():
    class Own:
        write = packet = parse = staticmethod(lambda *args: None)

    with pytest.raises(UsageError, match="append"):
        Server(recovery=60.0, serializer=Own())
    Server(serializer=Own())


# --- events that a client repeats -----------------------------------------------------------------------------------


@on_loop
async def test_a_repeated_event_is_handled_once_and_answered_each_time():
    server = Server()
    calls = []

    @server.on("pay")
    def pay(amount):
        calls.append(amount)
        return f"paid {amount}"

    async with serving(server):
        client = Client(server)
        await client.joined(auth={"retry_key": KEY})
        client.emit("pay", 5, id=1)
        await until(lambda: 1 in client.acks)
        client.emit("pay", 5, id=1)
        await until(lambda: len(client.of(PacketType.ACK)) == 2)
        client.vanish()
        again = Client(server)
        await again.joined(auth={"retry_key": KEY})
        again.emit("pay", 5, id=1)
        await until(lambda: again.acks.get(1) == ["paid 5"])
        again.emit("pay", 7, id=2)
        await until(lambda: again.acks.get(2) == ["paid 7"])
    assert calls == [5, 7]


@on_loop
async def test_the_answer_reaches_the_connection_that_the_client_has_by_then():
    server = Server()
    gate = threading.Event()
    calls = []

    @server.on("slow")
    def slow():
        calls.append(1)
        gate.wait(10)
        return "done"

    async with serving(server):
        client = Client(server)
        await client.joined(auth={"retry_key": KEY})
        client.emit("slow", id=3)
        await until(lambda: calls)
        client.vanish()
        again = Client(server)
        await again.joined(auth={"retry_key": KEY})
        again.emit("slow", id=3)
        await settle()
        gate.set()
        await until(lambda: again.acks.get(3) == ["done"])
        await settle()
        assert len(again.of(PacketType.ACK)) == 1
    assert calls == [1]


@on_loop
async def test_a_handler_that_failed_runs_again():
    server = Server()
    calls = []

    @server.on("pay")
    def pay():
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the bank is closed")
        return "paid"

    async with serving(server):
        client = Client(server)
        await client.joined(auth={"retry_key": KEY})
        client.emit("pay", id=1)
        await until(lambda: calls)
        await settle()
        client.emit("pay", id=1)
        await until(lambda: client.acks.get(1) == ["paid"])


@on_loop
async def test_without_a_key_ids_may_come_again():
    server = Server()
    calls = []
    server.on("pay", lambda: calls.append(1))
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.emit("pay", id=1)
        client.emit("pay", id=1)
        await until(lambda: len(calls) == 2)
