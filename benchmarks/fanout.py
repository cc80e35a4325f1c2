"""Fans one event out to many WebSocket clients and reports the server's CPU time per delivery.

    python benchmarks/fanout.py [--clients 1000] [--events 200] [--size 100] [--rounds 3]

A server process (``benchmarks/fanout_server.py``: a Flask application under ``socketio.run``) broadcasts ``--events``
events of about ``--size`` bytes; this process holds the clients, checks that every one got every event, and asks the
server what CPU time it spent.  The pace is set by the clients, so that a slow reader never shows as a fast server: the
next event goes out when everybody has the one before (``--burst`` sends several at a time).
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def fetch(port: int, path: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        found: dict[str, float] = json.load(answer)
        return found


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            fetch(port, "/cpu")
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit("the server did not start")


def masked(text: bytes) -> bytes:
    """A client's text frame, with a mask of zeros."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


def connect(port: int) -> socket.socket:
    """One client, in the namespace ``/``."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % port
    )
    data = b""
    while b"0{" not in data:
        data += sock.recv(65536)
    sock.sendall(masked(b"40"))
    while b'40{"sid"' not in data:
        data += sock.recv(65536)
    sock.setblocking(False)
    return sock


def drain(selector: selectors.BaseSelector, clients: int, expected: int) -> None:
    """Reads until every client has ``expected`` bytes more."""
    missing: dict[int, int] = {}
    done = 0
    while done < clients:
        ready = selector.select(timeout=30)
        if not ready:
            raise SystemExit(f"only {done} of {clients} clients got their events")
        for key, _ in ready:
            size = len(key.fileobj.recv(1 << 20))  # type: ignore[union-attr]
            if size == 0:
                raise SystemExit("the server closed a client")
            left = missing.get(key.fd, expected) - size
            missing[key.fd] = left
            if left == 0:
                done += 1
            elif left < 0:
                raise SystemExit("a client got more than was sent")


def measure(port: int, selector: selectors.BaseSelector, args: argparse.Namespace) -> tuple[float, float]:
    """One round: (server CPU per delivery in microseconds, deliveries per second)."""
    probe = fetch(port, f"/frame?size={args.size}")
    frame = int(probe["bytes"])
    before = fetch(port, "/cpu")["seconds"]
    idle = fetch(port, "/cpu")["seconds"] - before  # what asking costs
    began = time.perf_counter()
    start = fetch(port, "/cpu")["seconds"]
    trigger = socket.create_connection(("127.0.0.1", port))
    for _ in range(args.events // args.burst):
        request = f"GET /emit?n={args.burst}&size={args.size} HTTP/1.1\r\nHost: x\r\n\r\n"
        trigger.sendall(request.encode())
        drain(selector, args.clients, frame * args.burst)
        trigger.recv(65536)
    seconds = fetch(port, "/cpu")["seconds"] - start - idle
    trigger.close()
    deliveries = args.events // args.burst * args.burst * args.clients
    return seconds / deliveries * 1e6, deliveries / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--events", type=int, default=200)
    parser.add_argument("--burst", type=int, default=1, help="events that are sent at a time")
    parser.add_argument("--size", type=int, default=100, help="bytes of text in an event")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    port = free_port()
    server = subprocess.Popen([sys.executable, str(HERE / "fanout_server.py"), str(port)])
    try:
        wait_for(port)
        empty = fetch(port, "/cpu")
        selector = selectors.DefaultSelector()
        began = fetch(port, "/cpu")["seconds"]
        for _ in range(args.clients):
            selector.register(connect(port), selectors.EVENT_READ)
        full = fetch(port, "/cpu")
        print(f"connect: {(full['seconds'] - began) / args.clients * 1e6:.0f} us of server CPU per client")
        if full["rss"]:
            print(f"memory:  {(full['rss'] - empty['rss']) / args.clients:.1f} KiB per idle client")
        measure(port, selector, args)  # warm-up
        rounds = [measure(port, selector, args) for _ in range(args.rounds)]
        costs = [cost for cost, _ in rounds]
        print(
            f"fan-out: {statistics.median(costs):.1f} us of server CPU per delivery"
            f" ({min(costs):.1f} to {max(costs):.1f} in {args.rounds} rounds), {args.clients} clients,"
            f" {args.size} bytes, {statistics.median(rate for _, rate in rounds):,.0f} deliveries a second"
        )
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    main()
