"""Real clients that drop and come back under a stream of numbered events: nothing missing, nothing twice."""

import json
import subprocess

import pytest

from tests.browser_client.test_browser_client import node_command
from tests.support.servers import ROOT, running

SCRIPT = ROOT / "tests" / "clients" / "recovery.mjs"
CLIENTS = {
    f"{name} on {transport}": (kind, transport)
    for kind, name in (("official", "the official client 4.8"), ("ours", "our client"))
    for transport in ("websocket", "polling")
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("what", CLIENTS)
def test_drops_and_comes_back(what, case):
    """Our client repeats an event of its own, too, until it is answered: it is handled once."""
    kind, transport = CLIENTS[what]
    command = [*node_command()[0][:-1], str(SCRIPT), kind, transport]
    with running("tests/apps/recovery_app.py", "{port}") as server:
        done = subprocess.run(
            [*command, server.url, str(case.count)], capture_output=True, text=True, timeout=880, check=False
        )
        assert done.returncode == 0, done.stderr + server.output
    found = json.loads(done.stdout)
    case.measured(recovered=found["recovered"], events=len(found["numbers"]))
    assert found["last"] > case.count
    assert found["numbers"] == list(range(1, found["last"] + 1))
    assert found["lost"] == 0
    assert found["recovered"] == case.count
    assert found["server"]["recovered"] >= case.count  # more where a connection was cut before the client heard of it
    assert found["server"]["connects"] == found["server"]["recovered"] + 1
    if kind == "ours":
        assert found["answers"] == found["server"]["handled"] == list(range(case.count))
