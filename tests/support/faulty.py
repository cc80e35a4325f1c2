"""Clients who do something wrong, and the questions to tests/apps/faults_app.py about what came of it."""

import itertools
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from tests.support.wire import HOST, RawWebSocket, get

PATIENCE = 20  # seconds
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
POLLING = "/socket.io/?EIO=4&transport=polling"
_numbers = itertools.count()
#: What tests have opened, so that the next one begins without it (tests/faults/conftest.py).
opened: list[socket.socket] = []


def new_token() -> str:
    """A name for the clients of one test."""
    return f"t{os.getpid()}-{next(_numbers)}"


def joined(port: int, token: str = "", headers: Any = ()) -> RawWebSocket:
    """A WebSocket client in the main namespace."""
    client = RawWebSocket(port, f"{WEBSOCKET}&token={token}", headers)
    opened.append(client.socket)
    assert str(client.receive()).startswith("0{")
    client.send("40")
    assert str(client.receive()).startswith("40{")
    return client


def connection(port: int, receives: int | None = None) -> socket.socket:
    """A plain TCP connection; `receives` is the size of its buffer for what comes."""
    sock = socket.socket()
    opened.append(sock)
    if receives is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    sock.settimeout(PATIENCE)
    sock.connect((HOST, port))
    return sock


def reset(sock: socket.socket) -> None:
    """Ends a connection with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def stats(port: int, *, settle: bool = False) -> dict[str, float]:
    """What the server has of memory (KiB), files, threads, clients."""
    found: dict[str, float] = get(port, "/stats" + ("?settle=1" if settle else "")).json
    return found


def left(port: int, token: str, count: int) -> list[str]:
    """Why clients left, as their disconnect handlers heard it; waits until it is so many."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found: list[str] = get(port, f"/left/{token}?count={count}").json
        if len(found) >= count or time.monotonic() > deadline:
            return found


def until(condition: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """Waits until it is so."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"it never came true: {what}"
        time.sleep(0.05)


def settled(port: int, before: dict[str, float], *, files: int = 0) -> dict[str, float]:
    """Waits until clients and files are as many as before; what the server has then."""
    names = ("peers", "sockets", "rooms")

    def so() -> bool:
        now = stats(port)
        return all(now[name] <= before[name] for name in names) and now["files"] <= before["files"] + files

    deadline = time.monotonic() + 2 * PATIENCE
    while not so():
        assert time.monotonic() < deadline, f"something is left: {before} -> {stats(port)}"
        time.sleep(0.1)
    return stats(port, settle=True)
