"""Limits on a real server: what is too much is refused, and nobody else notices."""

import contextlib
import socket
import time

import pytest

from tests.support.bystanders import bystanders
from tests.support.faulty import connection, joined, new_token, settled, stats, until
from tests.support.servers import running
from tests.support.wire import Wire, get

APP = "tests/apps/faults_app.py"
MEGABYTE = 1024  # KiB, as the server counts
SIZE = 20_000


@pytest.mark.timeout(300)
def test_a_thread_that_emits_faster_than_its_client_reads(case):
    options = '{"overflow": "drop_oldest", "outbox_bytes": 1000000}'
    with running(APP, env={"OPTIONS": options}, stops_within=20) as server, bystanders(server.port) as nobody:
        lazy = joined(server.port)
        room = new_token()
        lazy.send(f'42["room","{room}",true]')
        assert "in room" in lazy.receive()
        before = stats(server.port, settle=True)
        most = get(server.port, f"/emit?count={case.count}&size={SIZE}&to={room}").json
        growth = max(most, stats(server.port)["rss"]) - before["rss"]
        # what may wait: the FIFO of commands (64 MB), the outbox (1 MB), the buffers of the connection
        assert growth < 120 * MEGABYTE, f"{growth:.0f} KiB more than before"
        numbers = []
        while not numbers or numbers[-1] != case.count - 1:
            text = str(lazy.receive())
            if text.startswith('42["news",'):
                numbers.append(int(text[len('42["news",') : 40].partition(",")[0]))
            elif text == "2":
                lazy.send("3")
        assert numbers == sorted(set(numbers))
        assert len(numbers) < case.count
        case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)
        assert server.output.count("events for it are dropped from now on (overflow='drop_oldest')") == 1
        lazy.close()


@pytest.mark.timeout(300)
def test_clients_above_their_rate(case):
    options = '{"events_per_second": 50, "over_rate": "drop"}'
    with running(APP, env={"OPTIONS": options}, stops_within=20) as server, bystanders(server.port) as nobody:
        with Wire(server.port) as loud:
            loud.join()
            for number in range(case.count):
                loud.emit("echo", number)
            until(lambda: "sends more than it may" in server.output, "the log names it")
            time.sleep(3)  # its bucket is full again
            assert loud.call("echo", "quiet now", timeout=20) == ["quiet now"]
        case.measured(longest_gap=nobody.noticed())
        assert server.output.count("sends more than it may") == 1


@pytest.mark.timeout(300)
def test_heads_that_never_end(case):
    options = '{"header_timeout": 1}'
    with running(APP, env={"OPTIONS": options}, stops_within=20) as server, bystanders(server.port) as nobody:
        before = stats(server.port)
        slow = [connection(server.port) for _ in range(case.count)]
        waiting = set(slow)
        deadline = time.monotonic() + 20
        for sock in slow:
            sock.setblocking(False)
            sock.send(b"GET /tick HTTP/1.1\r\n")
        while waiting and time.monotonic() < deadline:
            waiting -= {sock for sock in waiting if is_closed(sock)}
            time.sleep(0.1)
        assert not waiting, f"{len(waiting)} of {case.count} are still open"
        settled(server.port, before, files=2)
        case.measured(longest_gap=nobody.noticed())


def is_closed(sock: socket.socket) -> bool:
    """One more byte of its head, or what the server says to it."""
    with contextlib.suppress(BlockingIOError):
        try:
            sock.send(b"x")
            while sock.recv(4096):
                pass
        except ConnectionError:
            return True
        return True
    return False
