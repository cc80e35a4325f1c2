"""Every host, started for real: what the table of docs/reference/hosts.md promises is looked at here.

One start per host serves all the tests of it but those of TLS, reload and workers (test_tls.py and its neighbours);
the last one ends it, with clients on it.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.conftest import FULL
from tests.hosts.conftest import started
from tests.hosts.roster import BY_NAME, HOSTS, Host, No, Yes
from tests.support.servers import HOST, Server
from tests.support.wire import Gone, RawWebSocket, Wire, get
from truesocket.codec.engineio import CLOSE, NOOP, EnginePacket
from truesocket.codec.socketio import PacketType

CROWD = 500 if FULL else 40
STAYS = "does not let its connections become WebSockets: clients stay on long-polling"
FORWARDED = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
    ("Origin", "https://shop.example"),
]


@pytest.fixture(scope="module", params=HOSTS, ids=str)
def host(request) -> Host:
    return request.param


@pytest.fixture(scope="module")
def server(host) -> Iterator[Server]:
    with started(host) as server:
        yield server


@pytest.fixture
def best(host):
    """The best transport that the host has."""
    return "websocket" if isinstance(host.websocket, Yes) else "polling"


def test_log_names_the_door(host, server):
    assert get(server.port, "/page").body == b"version 1"
    with Wire(server.port, transport="polling") as wire:  # a WSGI door opens with the first client
        wire.join()
    server.wait_for_output(f"(door: {host.door})")
    assert server.output.count("truesocket 0.") == 1
    assert "worker processes" not in server.output
    if isinstance(host.websocket, No):
        server.wait_for_output(STAYS)
        assert "long-polling only, this host has no WebSockets (door: wsgi)" in server.output
        assert "transports polling at /socket.io/" in server.output
        assert "WebSockets are real" not in server.output
    else:
        assert STAYS not in server.output
        assert "WebSockets are real" in server.output


def test_websocket(host, server):
    if isinstance(host.websocket, Yes):
        with Wire(server.port) as wire:
            wire.join()
            assert wire.call("echo", "grüß dich 世界 😀", b"\x00\xff") == ["grüß dich 世界 😀", b"\x00\xff"]
            assert wire.call("where")[0]["transport"] == "websocket"
        return
    with pytest.raises(Gone) as gone:
        RawWebSocket(server.port, "/socket.io/?EIO=4&transport=websocket")
    assert 400 <= gone.value.code < 500


def test_change_over_from_polling(host, server, best):
    if best == "polling":
        with Wire(server.port, transport="polling") as wire:
            assert wire.hello["upgrades"] == [], "clients would try in vain"
            wire.join()
            with pytest.raises(Gone):
                RawWebSocket(server.port, f"/socket.io/?EIO=4&transport=websocket&sid={wire.engine_sid}")
            assert wire.call("echo", "goes on") == ["goes on"]
        return
    with Wire(server.port, transport="upgrade") as wire:
        wire.join()
        assert wire.call("where")[0]["transport"] == "websocket"


def test_polling(server):
    with Wire(server.port, transport="polling") as wire:
        wire.join()
        assert wire.call("echo", "grüß dich 世界 😀", b"\x00\xff") == ["grüß dich 世界 😀", b"\x00\xff"]
        assert wire.call("where")[0]["transport"] == "polling"


@pytest.mark.parametrize("place", ["thread", "task", "page", "async"])
def test_push_reaches_everybody_once(server, best, place):
    tag = uuid.uuid4().hex
    with Wire(server.port, transport=best) as one, Wire(server.port, transport="polling") as two:
        one.join()
        two.join()
        assert get(server.port, f"/push/{place}/{tag}").body == b"on its way"
        for wire in (one, two):
            assert wire.event("pushed") == [tag]
            assert wire.call("echo", 1) == [1]
            assert not [packet for packet in wire.waiting if packet.data[0] == "pushed"]


@pytest.mark.parametrize("place", ["/call/", "/call/async/"])
def test_page_asks_a_client(host, server, best, place):
    with Wire(server.port, transport=best) as wire:
        sid = wire.join()["sid"]
        answers = []
        page = threading.Thread(target=lambda: answers.append(get(server.port, place + sid).json))
        page.start()
        question = wire.wait_for(PacketType.EVENT, name="question")
        wire.answer(question, 42)
        page.join(15)
        assert answers == [42]


def test_client_behind_a_proxy_is_the_same_on_every_way(server, best):
    expected = {"remote_addr": "203.0.113.7", "is_secure": True, "host": "shop.example"}
    assert get(server.port, "/where", FORWARDED).json == expected
    for transport in {best, "polling"}:
        with Wire(server.port, transport=transport, headers=FORWARDED) as wire:
            wire.join()
            assert {key: wire.call("where")[0][key] for key in expected} == expected


def test_origin_of_the_page(server, best):
    target = f"/socket.io/?EIO=4&transport={best}"
    own, other = [("Origin", f"http://{HOST}:{server.port}")], [("Origin", "http://evil.example")]
    with Wire(server.port, transport=best, headers=own) as wire:
        assert wire.join()["sid"]
    if best == "polling":
        assert get(server.port, target, other).status == 403
        return
    with pytest.raises(Gone) as gone:
        RawWebSocket(server.port, target, other)
    assert gone.value.code == 403


def test_many_clients_while_pages_answer(server, best):
    tag = uuid.uuid4().hex
    crowd = CROWD if best == "websocket" else min(CROWD, 40)  # two connections each, and waitress takes 100
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.port, transport=best)) for _ in range(crowd)]
        for wire in wires:
            wire.join()
        assert get(server.port, "/page").body == b"version 1"
        wires[0].emit("say", tag, "hello")
        assert wires[0].event("said") == ["hello"]
        assert get(server.port, f"/push/page/{tag}").status == 200
        for wire in wires:
            assert wire.event("pushed", timeout=30) == [tag]


def test_drain(host, server, best):
    """SIGTERM: clients are told soon, and in a way after which they come back; the host ends in time."""
    with Wire(server.port, transport=best) as wire, Wire(server.port, transport="polling") as poller:
        wire.join()
        poller.join()
        seen: list[object] = []

        def wait():
            try:
                seen.extend(poller.pipe.receive(15))
            except (Gone, OSError) as gone:
                seen.append(gone)

        parked = threading.Thread(target=wait)
        parked.start()
        time.sleep(0.3)
        began = time.monotonic()
        server.process.terminate()
        if best == "websocket":
            gone = wire.wait_until_closed(15)
            assert gone.code in host.closes_with, gone
            assert not wire.waiting, "after a DISCONNECT the official client stays away"
        wire.pipe.close()
        parked.join(20)
        assert seen
        told_so = [EnginePacket(CLOSE)], [EnginePacket(NOOP)]  # the next GET finds nobody then
        assert isinstance(seen[0], Gone | OSError) or seen in told_so, seen
        told = time.monotonic() - began
        server.process.wait(15)
        assert told < 8, f"clients heard of it after {told:.1f} s"


@pytest.mark.full
def test_drain_of_hypercorn_in_one_process():
    """Its workers hear of no signal; without them ours is heard, and clients need not wait."""
    with started(BY_NAME["hypercorn"], "--workers", "0") as server, Wire(server.port) as wire:
        wire.join()
        server.process.terminate()
        assert wire.wait_until_closed(15).code in (1000, 1001)
        wire.pipe.close()
        server.process.wait(15)
