"""The official client comes back by itself when it was sent away because too many came at once."""

import subprocess

import pytest

from tests.support.flasking import served
from tests.support.servers import HOST, ROOT
from truesocket import ASGIApp, Server

COUNT = 6


@pytest.mark.parametrize("transports", [["polling", "websocket"], ["websocket"]], ids=["default", "websocket"])
def test_who_was_sent_away_comes_back(transports):
    server = Server(handshakes_per_second=2, handshakes_burst=2)
    with served(ASGIApp(server)) as port:
        command = ["node", "tests/clients/limited.mjs", f"http://{HOST}:{port}", str(COUNT), *transports]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        refused = [int(line) for line in done.stdout.split()]
    assert len(refused) == COUNT
    assert sum(refused) >= COUNT - 2
    assert server.stats.refused["handshakes"] >= COUNT - 2
