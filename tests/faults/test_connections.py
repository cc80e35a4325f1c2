"""Connections that break, fall silent, dribble, or come all at once: who caused it is gone, and nobody else notices."""

import contextlib
import random
import selectors
import shutil
import socket
import subprocess
import sys
import time

import pytest

from tests.support.bystanders import bystanders
from tests.support.faulty import (
    POLLING,
    WEBSOCKET,
    connection,
    joined,
    left,
    new_token,
    opened,
    reset,
    settled,
    stats,
    until,
)
from tests.support.raw_websocket import TEXT, frame, header
from tests.support.servers import HOST, ROOT
from tests.support.wire import Gone, Wire, get

HEAD = f"GET {WEBSOCKET} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".encode()
POST = f"POST {POLLING}&sid=%s HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000\r\n\r\n"
MEGABYTE = 1024  # KiB, as the server counts


def test_reset_in_mid_frame(server, nobody, case):
    before = stats(server.port)
    token = new_token()
    whole = frame(TEXT, b'42["echo","' + b"x" * 5_000 + b'"]')
    rng = random.Random(1)
    for _ in range(case.count):
        client = joined(server.port, token)
        client.send_frame(whole[: rng.randrange(1, len(whole))])
        reset(client.socket)
    reasons = left(server.port, token, case.count)
    assert len(reasons) == case.count
    assert set(reasons) <= {"transport error", "transport close"}
    settled(server.port, before)
    case.measured(longest_gap=nobody.noticed())


def test_reset_in_mid_request(server, nobody, case):
    before = stats(server.port)
    rng = random.Random(2)
    for number in range(case.count):
        sock = connection(server.port)
        request = HEAD if number % 2 else (POST % "nobody").encode() + b"4" * 500
        sock.sendall(request[: rng.randrange(1, len(request))])
        reset(sock)
    settled(server.port, before)
    case.measured(longest_gap=nobody.noticed())


def test_peer_that_stops_answering(restless, case):
    with bystanders(restless.port) as nobody:
        before = stats(restless.port)
        token = new_token()
        began = time.monotonic()
        silent = [joined(restless.port, token) for _ in range(case.count)]
        assert left(restless.port, token, case.count) == ["ping timeout"] * case.count
        case.measured(found_after=time.monotonic() - began)
        settled(restless.port, before)
        for client in silent:
            client.close()
        case.measured(longest_gap=nobody.noticed())


def test_packets_dropped_on_the_way(restless, case):
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(far_away())
        nobody = stack.enter_context(bystanders(restless.port))
        before = stats(restless.port)
        token = new_token()
        command = ["ip", "netns", "exec", network.name, sys.executable, "-c", FAR_CLIENT]
        command += [network.server, str(restless.port), token, str(case.count)]
        client = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE))
        stack.callback(client.kill)
        assert client.stdout is not None
        assert client.stdout.readline() == b"joined\n"
        network.cut()
        began = time.monotonic()
        assert left(restless.port, token, case.count) == ["ping timeout"] * case.count
        case.measured(found_after=time.monotonic() - began)
        settled(restless.port, before)
        case.measured(longest_gap=nobody.noticed())


FAR_CLIENT = """
import sys, threading
from tests.support import wire
wire.HOST = sys.argv[1]
from tests.support.wire import Wire
wires = [Wire(int(sys.argv[2]), query=f"token={sys.argv[3]}") for _ in range(int(sys.argv[4]))]
for each in wires:
    each.join()
    threading.Thread(target=each.packet, args=(600,), daemon=True).start()
print("joined", flush=True)
threading.Event().wait()
"""


class Network:
    """A pair of virtual cables: one end here, the other in a namespace of its own."""

    def __init__(self, name: str, server: str) -> None:
        self.name = name
        self.server = server

    def cut(self) -> None:
        """From now on every packet is lost, and nobody is told."""
        ip("-n", self.name, "link", "set", f"{self.name}b", "down")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def far_away():
    if shutil.which("ip") is None:
        pytest.skip("needs the program ip (iproute2)")
    name = f"ts{random.randrange(10**6)}"
    subnet = f"10.{random.randrange(200, 250)}.{random.randrange(1, 250)}"
    try:
        ip("netns", "add", name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"may not make a network namespace: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        ip("addr", "add", f"{subnet}.1/24", "dev", f"{name}a")
        ip("link", "set", f"{name}a", "up")
        ip("-n", name, "addr", "add", f"{subnet}.2/24", "dev", f"{name}b")
        ip("-n", name, "link", "set", f"{name}b", "up")
        yield Network(name, f"{subnet}.1")
    finally:
        ip("netns", "del", name)


def test_reader_who_never_reads(server, nobody, case):
    before = stats(server.port, settle=True)
    token = new_token()
    greedy = []
    for _ in range(case.count):
        client = joined(server.port, token)
        client.send('42["flood",400,20000]')
        greedy.append(client)
    assert left(server.port, token, case.count) == ["slow consumer"] * case.count
    after = stats(server.port)
    growth = after["rss"] - before["rss"]
    for client in greedy:
        client.close()
    settled(server.port, before)
    assert growth < (20 + 2 * case.count) * MEGABYTE, f"{growth:.0f} KiB more than before"
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)


def test_poller_who_never_asks(server, nobody, case):
    before = stats(server.port, settle=True)
    token = new_token()
    for _ in range(case.count):
        poller = Wire(server.port, transport="polling", query=f"token={token}")
        poller.join()
        poller.emit("flood", 400, 20_000)
        poller.pipe.close()
    assert left(server.port, token, case.count) == ["slow consumer"] * case.count
    growth = stats(server.port)["rss"] - before["rss"]
    settled(server.port, before)
    assert growth < (20 + 2 * case.count) * MEGABYTE, f"{growth:.0f} KiB more than before"
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)


def dribble(sockets: list[socket.socket], data: bytes, seconds: float) -> None:
    """One byte each, now and then."""
    pause = seconds / len(data)
    for byte in data:
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.sendall(bytes([byte]))
        time.sleep(pause)


def test_frame_of_one_byte_at_a_time(restless, case):
    with bystanders(restless.port) as nobody:
        before = stats(restless.port)
        token = new_token()
        slow = [joined(restless.port, token) for _ in range(case.count)]
        dribble([each.socket for each in slow], header(TEXT, 1_000) + b"x" * 20, 3)
        assert left(restless.port, token, case.count) == ["ping timeout"] * case.count
        for each in slow:
            each.close()
        settled(restless.port, before)
        case.measured(longest_gap=nobody.noticed())


def test_head_of_one_byte_at_a_time(server, nobody, case):
    before = stats(server.port)
    slow = [connection(server.port) for _ in range(case.count)]
    dribble(slow, HEAD[:40], 2)
    case.measured(still_open=stats(server.port)["files"] - before["files"], longest_gap=nobody.noticed())
    for sock in slow:
        sock.close()
    settled(server.port, before)


def test_body_of_one_byte_at_a_time(restless, case):
    with bystanders(restless.port) as nobody:
        before = stats(restless.port)
        token = new_token()
        slow = []
        for _ in range(case.count):
            poller = Wire(restless.port, transport="polling", query=f"token={token}")
            poller.join()
            poller.pipe.close()
            sock = connection(restless.port)
            sock.sendall((POST % poller.engine_sid).encode())
            slow.append(sock)
        dribble(slow, b"4" * 40, 2)
        assert left(restless.port, token, case.count) == ["ping timeout"] * case.count
        for sock in slow:
            sock.close()
        settled(restless.port, before)
        case.measured(longest_gap=nobody.noticed())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of the end of what nobody reads")
def test_leaving_while_not_read(abused, case):
    with bystanders(abused.port) as nobody:
        before = stats(abused.port)
        token = new_token()
        began = time.monotonic()
        for _ in range(case.count):
            client = joined(abused.port, token)
            for _ in range(2_000):
                client.send(f'42["forever","{token}"]')
            client.close()
        assert len(left(abused.port, token, case.count)) == case.count
        took = time.monotonic() - began
        assert took < 20, f"{took:.0f} s: a heartbeat was waited for"
        case.measured(found_after=took, longest_gap=nobody.noticed())
        get(abused.port, f"/release?name={token}")
        until(lambda: stats(abused.port)["sockets"] <= before["sockets"], "the clients are forgotten", 120)


# --- many -------------------------------------------------------------------------------------------------------------


def come_and_go(port: int, token: str, kind: int) -> None:
    """One visit."""
    match kind:
        case 0:
            client = joined(port, token)
            client.send("41")
            client.close()
        case 1:
            client = joined(port, token)
            client.send_frame(frame(8, b"\x03\xe8"))
            client.close()
        case 2:
            client = joined(port, token)
            client.send('42["echo",1]')
            reset(client.socket)
        case 3:
            with Wire(port, transport="polling", query=f"token={token}") as poller:
                poller.join()
                poller.pipe.post(b"1")
        case 4:
            with Wire(port, transport="upgrade", revision=3, query=f"token={token}") as wire:
                wire.join()
                wire.emit("room", f"room {token}", True)
        case 5:
            with Wire(port, query="refuse=1") as wire, contextlib.suppress(Gone):
                wire.join()
        case _:
            with contextlib.suppress(Gone):
                get(port, POLLING.replace("EIO=4", "EIO=9"))


@pytest.mark.timeout(1_800)
def test_connects_and_leaves(server, nobody, case):
    for number in range(100):  # what is made once is made now
        come_and_go(server.port, "warm", number % 7)
    time.sleep(0.5)
    before = stats(server.port, settle=True)
    token = new_token()
    for number in range(case.count):
        come_and_go(server.port, token, number % 7)
    expected = sum(number % 7 < 5 for number in range(case.count))
    assert len(left(server.port, token, expected)) == expected
    after = settled(server.port, before)
    growth = after["rss"] - before["rss"]
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth, files_growth=after["files"] - before["files"])
    assert growth < 8 * MEGABYTE, f"{growth:.0f} KiB are left"


@pytest.mark.timeout(600)
def test_reconnect_storm(server, nobody, case):
    before = stats(server.port)
    token = new_token()
    first = storm(server.port, token, case.count)
    again = storm(server.port, token, case.count)
    assert len(left(server.port, token, 2 * case.count)) == 2 * case.count
    settled(server.port, before)
    case.measured(all_in_after=max(first, again), longest_gap=nobody.noticed(gap=60))


def storm(port: int, token: str, count: int) -> float:
    """So many clients at once: the seconds until everybody is in. Then all are cut."""
    request = HEAD.replace(b"transport=websocket", f"transport=websocket&token={token}".encode())
    request += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            sock = socket.socket()
            opened.append(sock)
            sock.setblocking(False)
            sock.connect_ex((HOST, port))
            selector.register(sock, selectors.EVENT_WRITE, b"")
        missing = count
        while missing:
            ready = selector.select(timeout=60)
            assert ready, f"{missing} of {count} clients were never let in"
            for key, mask in ready:
                sock, got = key.fileobj, key.data
                if mask & selectors.EVENT_WRITE:
                    sock.send(request)
                    selector.modify(sock, selectors.EVENT_READ, b"")
                    continue
                chunk = sock.recv(65536)
                assert chunk, f"a client was thrown out; before that it got {got!r}"
                if b"0{" in got + chunk and b"0{" not in got:
                    sock.send(frame(TEXT, b"40"))
                selector.modify(sock, selectors.EVENT_READ, got + chunk)
                missing -= b"40{" in got + chunk and b"40{" not in got
        took = time.monotonic() - began
        for key in list(selector.get_map().values()):
            key.fileobj.close()
    return took
