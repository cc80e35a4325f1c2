"""Clients that drop and come back under a stream of numbered events: nothing missing, nothing twice."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.browser_client.test_browser_client import node_command
from tests.conftest import FULL
from tests.support.servers import running

SCRIPT = Path(__file__).parent / "recovery.mjs"
CUTS = 1000 if FULL else 60


@pytest.mark.timeout(400)
@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("kind", ["ours", "official"])
def test_nothing_is_missing_and_nothing_comes_twice(kind, transport):
    assert shutil.which("node"), "no Node.js found: run `make setup`"
    command = node_command()[0][:-1]
    cuts = CUTS if transport == "websocket" else CUTS // 2
    with running("tests/apps/recovery_app.py", "{port}") as server:
        done = subprocess.run(
            [*command, str(SCRIPT), kind, transport, server.url, str(cuts)],
            capture_output=True,
            text=True,
            timeout=380,
            check=False,
        )
        assert done.returncode == 0, done.stderr + server.output
    found = json.loads(done.stdout)
    assert found["last"] > cuts
    assert found["numbers"] == list(range(1, found["last"] + 1))
    assert found["lost"] == 0
    assert found["recovered"] == cuts
    assert found["server"]["recovered"] >= cuts  # more where a connection was cut before the client heard of it
    assert found["server"]["connects"] == found["server"]["recovered"] + 1
    if kind == "ours":
        assert found["answers"] == found["server"]["handled"] == list(range(cuts))
