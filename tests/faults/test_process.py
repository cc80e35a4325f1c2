"""What happens to the process as a whole: signals, limits, clocks."""

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time

import pytest

import truesocket
from tests.support.bystanders import bystanders
from tests.support.faulty import connection, joined, left, new_token, opened, stats, until
from tests.support.servers import HOST, ROOT, running
from tests.support.wire import Gone, RawWebSocket, Wire, get

APP = "tests/apps/faults_app.py"
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the signals and limits of Linux")


def events_until_the_end(client: RawWebSocket) -> tuple[list[str], Gone]:
    """Everything that comes, and how it ends."""
    found: list[str] = []
    while True:
        try:
            found.append(str(client.receive()))
        except Gone as gone:
            return found, gone


def test_sigterm_in_the_middle_of_a_broadcast(case):
    with running(APP, stops_within=20) as server:
        clients = [joined(server.port) for _ in range(case.count)]
        get(server.port, "/broadcast?count=20000&size=1000")
        assert '"news"' in str(clients[0].receive())
        began, ended = time.monotonic(), []
        server.process.send_signal(signal.SIGTERM)
        waiter = threading.Thread(target=lambda: (server.process.wait(), ended.append(time.monotonic())))
        waiter.start()  # it may be over long before we have read everything
        for client in clients:
            found, gone = events_until_the_end(client)
            numbers = [int(re.findall(r"\d+", text)[1]) for text in found if '"news"' in text]
            start = numbers[0] if numbers else 0
            assert numbers == list(range(start, start + len(numbers))), "an event is missing"
            assert "41" not in found, "after a DISCONNECT official clients stay away"
            assert gone.code in (1000, 1001, 1005, 1006), gone
        waiter.join(20)
        case.measured(ended_after=ended[0] - began)


def test_sigterm_and_a_slow_reader(case):
    """What the server has taken on goes out before it ends."""
    with running(APP, env={"OPTIONS": '{"outbox_bytes": 20000000}'}, stops_within=20) as server:
        sock = connection(server.port, receives=4096)
        client = RawWebSocket.__new__(RawWebSocket)
        talk_on(client, sock, server.port)
        count = 400  # what the system does not buffer waits in the server
        before = stats(server.port)["rss"]
        client.send(f'42["flood",{count},20000]')
        until(lambda: stats(server.port)["rss"] - before > 2_000, "something waits in the server")
        time.sleep(0.5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        server.process.send_signal(signal.SIGTERM)
        found, gone = events_until_the_end(client)
        numbers = [json.loads(text[2:])[1] for text in found if '"drop"' in text]
        assert numbers == list(range(count)), "what waited for it is lost"
        assert gone.code in (1000, 1001), gone
        server.process.wait(20)


def talk_on(client: RawWebSocket, sock: socket.socket, port: int) -> None:
    """A WebSocket client on a socket of our making, in the main namespace."""
    original = socket.create_connection
    socket.create_connection = lambda *_, **__: sock
    try:
        client.__init__(port, "/socket.io/?EIO=4&transport=websocket")
    finally:
        socket.create_connection = original
    assert str(client.receive()).startswith("0{")
    client.send("40")
    assert str(client.receive()).startswith("40{")


@linux
def test_out_of_file_descriptors(case):
    with running(APP, env={"FILES": "100"}, stops_within=20) as server, bystanders(server.port) as nobody:
        probe = joined(server.port)
        crowd = []
        for _ in range(case.count):
            sock = socket.socket()
            opened.append(sock)
            sock.setblocking(False)
            sock.connect_ex((HOST, server.port))
            crowd.append(sock)
        time.sleep(1)
        cpu = cpu_of(server.process.pid)
        time.sleep(3)
        spent = cpu_of(server.process.pid) - cpu
        probe.send('421["echo",1]')
        assert probe.receive() == "431[1]"
        for sock in crowd:
            sock.close()
        until(lambda: can_come_in(server.port), "a new client comes in again")
        case.measured(longest_gap=nobody.noticed(), cpu_seconds_while_full=spent)
        assert spent < 2, f"{spent:.1f} s of CPU in 3 s: it spins"


def cpu_of(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def can_come_in(port: int) -> bool:
    try:
        with Wire(port) as wire:
            wire.join()
            return wire.call("echo", 2) == [2]
    except (OSError, Gone):
        return False


def test_clock_on_the_wall_jumps(restless, case):
    token = new_token()
    with bystanders(restless.port) as nobody, Wire(restless.port, query=f"token={token}") as wire:
        wire.join()
        for number in range(case.count):
            get(restless.port, f"/jump?by={(3600, -86400, 86400, -3600)[number % 4]}")
            with contextlib.suppress(TimeoutError):
                wire.packet(1.5)  # answers pings meanwhile
            assert wire.call("echo", number) == [number]
        case.measured(longest_gap=nobody.noticed())
        assert left(restless.port, token, 0) == []


def test_no_clock_on_the_wall_decides_anything():
    """Whoever reads the date is named here: demos and certificates, never a deadline."""
    allowed = {"demo/app.py", "doors/tls.py"}
    source = ROOT / "src" / "truesocket"
    assert truesocket.__file__.startswith(str(source))
    wall = re.compile(r"\btime\.time(_ns)?\(|\bdatetime\.(now|utcnow|today)\(|\bfrom time import\b.*\btime\b(?!_)")
    found = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if wall.search(path.read_text())}
    assert found <= allowed


@linux
def test_stopped_and_continued(restless, case):
    token = new_token()
    with bystanders(restless.port) as nobody, Wire(restless.port, query=f"token={token}") as wire:
        wire.join()
        for number in range(case.count):
            os.kill(restless.process.pid, signal.SIGSTOP)
            time.sleep(3)
            os.kill(restless.process.pid, signal.SIGCONT)
            with contextlib.suppress(TimeoutError):
                wire.packet(2)
            assert wire.call("echo", number) == [number]
        case.measured(longest_gap=nobody.noticed(gap=20))
        assert left(restless.port, token, 0) == []
