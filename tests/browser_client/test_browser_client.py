"""truesocket.js under Node's own test runner, against our server."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import running

TESTS = Path(__file__).parent / "test_client.mjs"
NODE_WITH_WEBSOCKET = 22
NODE_WITH_FLAG = 20


def node_command():
    """Node, with the global WebSocket that browsers have; before version 22 it stands behind a flag."""
    node = shutil.which("node")
    if node is None:
        pytest.fail("no Node.js found: run `make setup`", pytrace=False)
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    major = int(version.removeprefix("v").split(".")[0])
    flags = ["--experimental-websocket"] if NODE_WITH_FLAG <= major < NODE_WITH_WEBSOCKET else []
    return [node, *flags, "--test"], major >= NODE_WITH_FLAG


def test_browser_client():
    """Every test of test_client.mjs passes, and none is left out where Node has what it needs."""
    command, complete = node_command()
    with running("tests.apps.browser_client_app") as server:
        done = subprocess.run(
            [*command, "--test-reporter=tap", str(TESTS)],
            env={**os.environ, "TRUESOCKET_URL": server.url},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=110,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    if complete:
        assert "\n# skipped 0\n" in done.stdout, done.stdout
