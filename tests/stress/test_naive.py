"""The article's naive page, loaded over and over: each load leaves an endless handler behind."""

import os
import time

import pytest

from tests.support.servers import running
from tests.support.wire import RawWebSocket, Wire
from truesocket.codec.socketio import PacketType

LOADS = 2000 if os.environ.get("TRUESOCKET_TEST_FULL") == "1" else 200


@pytest.mark.timeout(600)
def test_after_many_loads_a_new_client_connects_at_once_and_gets_its_pushes():
    with running("examples/naive_loop/app.py", env={"DEBUG": "0"}, stops_within=20) as server:
        target = "/socket.io/?EIO=4&transport=websocket"
        for number in range(LOADS):
            page = RawWebSocket(server.port, target)
            page.receive()
            page.send("40")
            page.receive()
            page.send('42["client_event",{"data":"I am here"}]')
            assert "server_response" in str(page.receive()), number
            page.close()
        started = time.monotonic()
        with Wire(server.port) as wire:
            wire.join()
            connected = time.monotonic() - started
            wire.emit("client_event", {"data": "hello"})
            for _ in range(3):
                assert wire.event("server_response", timeout=15)
        assert connected < 5, f"the new client waited {connected:.1f} s for its CONNECT"


def test_many_slow_events_of_one_client_hold_up_nobody_else():
    with (
        running("tests/apps/contract_app.py", stops_within=20) as server,
        Wire(server.port) as greedy,
        Wire(server.port) as other,
        Wire(server.port, transport="polling") as poller,
    ):
        for wire in (greedy, other, poller):
            wire.join()
        for number in range(1000):
            greedy.emit("nap", 0.5, id=number)
        greedy_done = 0
        for number in range(100):
            assert other.call("echo", number, timeout=10) == [number]
            if number % 10 == 0:
                assert poller.call("echo", number, timeout=10) == [number]
        with Wire(server.port) as newcomer:
            assert newcomer.join()["sid"]
        while greedy_done < 130:  # two rounds of its 64 threads: it is served, too
            assert greedy.wait_for(PacketType.ACK).data == ["rested"]
            greedy_done += 1
