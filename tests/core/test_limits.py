"""Token buckets, counts per address, and what a server does with a client that wants too much."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.loopback import Client, on_loop, serving, settle, until
from truesocket.core.config import Config
from truesocket.core.limits import Addresses, Bucket, Limits, network_of
from truesocket.core.server import Server
from truesocket.errors import UsageError, WrongValue

PIECE = 10_000


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = Bucket(10, 5, now=0)
    assert [bucket.take(0) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take(0.05)
    assert bucket.wait() == pytest.approx(0.05)
    assert bucket.take(0.1)
    assert not bucket.take(0.1)
    assert [bucket.take(100) for _ in range(6)] == [True] * 5 + [False]


def test_more_than_the_burst_passes_when_it_is_full_and_is_paid_off():
    bucket = Bucket(100, 100, now=0)
    assert bucket.take(0, 1000)
    assert not bucket.take(9, 1)
    assert bucket.take(9.2, 1)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 50))), st.floats(0.1, 50), st.floats(1, 50))
def test_no_more_than_burst_and_rate_ever_pass(steps, rate, burst):
    bucket, now, passed = Bucket(rate, burst, now=0), 0.0, 0.0
    for seconds, amount in steps:
        now += seconds
        if bucket.take(now, amount):
            passed += amount
    assert passed <= burst + rate * now + 50 + 1e-6  # one that is larger than the burst passes when it is full


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(address, network):
    assert network_of(address) == network


def test_who_has_no_connection_is_forgotten():
    addresses = Addresses()
    for number in range(3):
        addresses.add(f"2001:db8::{number}")
    assert addresses.count("2001:db8::ffff") == 3
    for number in range(3):
        addresses.remove(f"2001:db8::{number}")
    addresses.remove("2001:db8::1")
    assert len(addresses) == 0


def test_limits_that_are_off_ask_nothing():
    limits = Limits(Config.make({"handshakes_per_second": 0}))
    assert not limits.meters
    assert all(limits.handshake(0) is None for _ in range(20_000))
    assert limits.room(10**6, "192.0.2.1") is None
    limits.enter("192.0.2.1")
    assert len(limits.addresses) == 0


def test_a_storm_of_five_thousand_is_let_in_by_default():
    limits = Limits(Config.make({}))
    assert all(limits.handshake(0) is None for _ in range(5_000))


def test_who_comes_too_fast_hears_when_to_come_back():
    limits = Limits(Config.make({"handshakes_per_second": 0.5, "handshakes_burst": 2}))
    assert [limits.handshake(0) for _ in range(2)] == [None, None]
    refused = limits.handshake(0)
    assert refused is not None
    assert refused.retry_after == 3
    assert limits.handshake(2) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"over_rate": "shout"}, "'warn', 'drop' or 'close'"),
        ({"max_namespaces": 0}, "more than 0"),
        ({"max_connections": -1}, "0 or more"),
        ({"handshakes_burst": 0}, "more than 0"),
        ({"max_callbacks": 0}, "more than 0"),
    ],
)
def test_wrong_values(options, says):
    with pytest.raises(UsageError) as error:
        Config.make(options)
    assert says in str(error.value)


# --- what one client sends --------------------------------------------------------------------------------------------


def counting(**options):
    server = Server(**options)
    heard = []
    server.on("say", heard.append)
    return server, heard


@on_loop
async def test_nothing_is_measured_by_default():
    server, heard = counting()
    async with serving(server):
        client = Client(server)
        await client.joined()
        for number in range(500):
            client.emit("say", number)
        await until(lambda: len(heard) == 500)
        assert client.peer.meter is None


@on_loop
async def test_too_many_events_are_dropped_and_the_client_stays(caplog):
    server, heard = counting(events_per_second=10, events_burst=5)
    async with serving(server) as ticker:
        client = Client(server)
        await client.joined()  # a CONNECT counts, too
        for number in range(10):
            client.emit("say", number, id=number)
        await until(lambda: len(client.acks) == 4)
        assert heard == [0, 1, 2, 3]
        assert server.stats.rate_limited == 6
        ticker.turn(0.2)
        for number in range(10, 20):
            client.emit("say", number)
        await until(lambda: len(heard) == 6)
        await settle()
        assert heard[4:] == [10, 11]
    assert [record.message for record in caplog.records if "sends more" in record.message] == [
        f"client {client.peer.sid} at 127.0.0.1 sends more than it may (events_per_second, bytes_per_second):"
        " over_rate='drop'"
    ]


@on_loop
async def test_a_packet_is_dropped_with_its_attachments():
    server, heard = counting(events_per_second=1, events_burst=2)
    async with serving(server) as ticker:
        client = Client(server)
        await client.joined()
        for number in range(3):
            client.say(f'451-["say",{{"_placeholder":true,"num":0,"n":{number}}}]')
            client.engine.received_on(client.link, b"data")
        await until(lambda: heard)
        ticker.turn(5)
        client.emit("say", "after")
        await until(lambda: len(heard) == 2)
        assert heard == [b"data", "after"]


@on_loop
async def test_too_many_bytes_are_dropped():
    server, heard = counting(bytes_per_second=PIECE, bytes_burst=3 * PIECE)
    async with serving(server):
        client = Client(server)
        await client.joined()
        for number in range(10):
            client.emit("say", str(number) * PIECE)
        await until(lambda: len(heard) == 2)
        await settle()
        assert len(heard) == 2
        assert server.stats.rate_limited == 8


@on_loop
async def test_answers_are_no_events_but_they_have_bytes():
    server, _ = counting(events_per_second=1, events_burst=2)
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        for number in range(20):
            reply = server.call("ask", number, to=sid)
            client.answer(client.packets[-1], number)
            assert await reply == number


@on_loop
async def test_only_told(caplog):
    server, heard = counting(events_per_second=1, events_burst=1, over_rate="warn")
    async with serving(server):
        client = Client(server)
        await client.joined()
        for number in range(5):
            client.emit("say", number)
        await until(lambda: len(heard) == 5)
        assert server.stats.rate_limited == 5
        assert caplog.text.count("sends more than it may") == 1


@on_loop
async def test_closed():
    server, heard = counting(events_per_second=1, events_burst=3, over_rate="close")
    left = []
    server.on("disconnect", left.append)
    async with serving(server):
        client = Client(server)
        await client.joined()
        for number in range(5):
            client.emit("say", number)
        await until(lambda: left)
        assert left == ["rate limit"]
        assert len(heard) <= 2
        assert client.link.closed is not None
        assert server.stats.rate_limited == 1


@on_loop
async def test_who_joins_too_fast_hears_so():
    server, _ = counting(events_per_second=1, events_burst=1, namespaces=["/", "/b"])
    async with serving(server):
        client = Client(server)
        await client.joined()
        client.join("/b")
        assert client.packets[-1].namespace == "/b"
        assert client.packets[-1].data == {"message": "Too many packets"}


# --- namespaces, rooms, callbacks -------------------------------------------------------------------------------------


@on_loop
async def test_namespaces_of_one_client(caplog):
    server = Server(namespaces=["*"], max_namespaces=3)
    async with serving(server):
        client = Client(server)
        for number in range(3):
            await client.joined(f"/n{number}")
        client.join("/n3")
        assert client.packets[-1].data == {"message": "Too many namespaces"}
        assert server.stats.refused == {"namespaces": 1}
        assert "max_namespaces=3" in caplog.text
        client.leave("/n0")
        await client.joined("/n4")


@on_loop
async def test_coming_and_going_is_no_way_round():
    """Each CONNECT runs a handler: a thousand of them would wait for threads."""
    import threading

    go = threading.Event()
    server = Server(namespaces=["/"], max_namespaces=5)
    running = []

    @server.on("connect")
    def connect():
        running.append(1)
        go.wait(10)

    async with serving(server):
        client = Client(server)
        for _ in range(50):
            client.join()
            client.leave()
        await until(lambda: len(running) == 5)
        await settle()
        assert len(running) == 5
        assert client.peer.sockets == 5
        go.set()
        await until(lambda: client.peer.sockets == 0)
        await client.joined()


@on_loop
async def test_names_that_do_not_belong_into_a_log():
    server = Server(namespaces=["*"])
    async with serving(server):
        client = Client(server)
        client.join("/evil\n2026 ERROR all is lost\x1b[2J")
        assert client.packets[-1].data == {"message": "Invalid namespace"}


@on_loop
async def test_rooms_of_one_client():
    server = Server(max_rooms=3)
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        for number in range(3):
            server.enter(sid, number)
        server.enter(sid, 2)
        with pytest.raises(WrongValue, match="max_rooms=3"):
            server.enter(sid, 3)
        await server.to(0).enter(4)
        assert set(await server.rooms(sid)) == {sid, 0, 1, 2}
        assert server.stats.refused == {"rooms": 1}
        server.leave(sid, 0)
        server.enter(sid, 5)
        assert set(await server.rooms(sid)) == {sid, 1, 2, 5}


@on_loop
async def test_callbacks_that_nobody_calls_are_given_up(caplog):
    server = Server(max_callbacks=10)
    called = []
    async with serving(server):
        client = Client(server)
        sid = await client.joined()
        question = server.call("ask", to=sid)
        asked = client.packets[-1]
        for number in range(30):
            server.emit("tell", number, to=sid, callback=lambda *args: called.append(args))
        assert len(server.socket(sid)._acks) == 11
        assert server.stats.callbacks_forgotten == 20
        assert caplog.text.count("max_callbacks=10") == 1
        told = [packet for packet in client.packets if packet.data and "tell" in packet.data]
        client.answer(told[0], "late")
        client.answer(told[-1], "in time")
        await until(lambda: called)
        assert called == [("in time",)]
        client.answer(asked, "yes")
        assert await question == "yes"


# --- a connect handler that does not end ------------------------------------------------------------------------------


@on_loop
async def test_what_waits_for_a_connect_handler_is_bounded(caplog):
    import threading

    go = threading.Event()
    server = Server(max_pending_bytes=100_000)
    left = []
    server.on("connect", lambda: go.wait(10) and None)
    server.on("disconnect", left.append)
    async with serving(server):
        client = Client(server)
        client.join()
        [sid] = server.by_sid
        for _ in range(1_000):
            await server.emit("news", "x" * 1_000, to=sid)
        socket = server.by_sid[sid]
        assert sum(args[0].size for _, args in socket.held) <= 100_000
        assert client.link.closed is not None
        assert server.stats.overloaded == 1
        go.set()
        await until(lambda: left)
        assert left == ["too many pending events"]
        assert caplog.text.count("its connect handler has not ended") == 1


@on_loop
async def test_what_it_sends_meanwhile_is_not_read_without_end():
    import threading

    go = threading.Event()
    server = Server(max_pending_bytes=100_000)
    heard = []
    server.on("connect", lambda: go.wait(10) and None)
    server.on("say", heard.append)
    async with serving(server):
        client = Client(server)
        client.join()
        for _ in range(120):
            if not client.link.is_paused:
                client.emit("say", "x" * 1_000)
        assert client.link.is_paused
        go.set()
        await until(lambda: not client.link.is_paused)
        await until(lambda: 90 < len(heard) < 110)
