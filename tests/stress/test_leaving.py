"""Every way of leaving at the same time, over real sockets: `disconnect` runs once for each client that came in.

`tests/core/test_leaving.py` does the same without sockets, many more times.
"""

import json
import random
import threading

import pytest

from tests.conftest import FULL
from tests.support.faulty import WEBSOCKET, left, new_token, reset, stats, until
from tests.support.servers import running
from tests.support.wire import Gone, RawWebSocket, get

APP = "tests/apps/faults_app.py"
ROUNDS = 60 if FULL else 6
CLIENTS = 24


def say(text):
    def way(client: RawWebSocket) -> None:
        client.send(text)

    return way


WAYS = {
    "client namespace disconnect": say("41"),
    "server namespace disconnect": say('42["bye"]'),
    "packet 1": say("1"),
    "garbage": say("4what"),
    "close frame": RawWebSocket.close,
    "reset": lambda client: reset(client.socket),
    "silence": lambda client: None,  # no pong: the heartbeat finds it
}


def one_client(port: int, token: str, dice: random.Random) -> None:
    """Comes in, or is about to, and leaves in one to three ways at once."""
    client = None
    try:
        client = RawWebSocket(port, f"{WEBSOCKET}&token={token}{'&refuse=1' if dice.random() < 0.15 else ''}")
        client.receive()
        client.send("40")
        if dice.random() < 0.7:
            client.receive()
        client.send('42["nap",0.05]')
        for way in dice.sample(sorted(WAYS), dice.randint(1, 3)):
            WAYS[way](client)
    except (Gone, OSError):
        pass
    finally:
        if client is not None:
            (kept if dice.random() < 0.5 else gone).append(client)


kept: list[RawWebSocket] = []  # open until the end
gone: list[RawWebSocket] = []


def close(clients: list[RawWebSocket]) -> None:
    for client in clients:
        client.socket.close()
    clients.clear()


@pytest.mark.parametrize("recovery", [0, 60])
def test_disconnect_runs_exactly_once_whatever_happens(recovery):
    dice = random.Random(recovery)
    options = {"ping_interval": 0.5, "ping_timeout": 0.5, "recovery": recovery}
    with running(APP, env={"OPTIONS": json.dumps(options)}, stops_within=20) as server:
        tokens = []
        for _ in range(ROUNDS):
            token = new_token()
            tokens.append(token)
            seeds = [random.Random(dice.random()) for _ in range(CLIENTS)]
            threads = [threading.Thread(target=one_client, args=(server.port, token, seed)) for seed in seeds]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            close(gone)
        until(lambda: not stats(server.port)["peers"] and not stats(server.port)["sockets"], "everybody is gone")
        for token in tokens:
            came = get(server.port, f"/came/{token}").json
            assert len(left(server.port, token, came)) == came
        assert came, "nobody came in"
        assert "ERROR" not in server.output
    close(kept)
