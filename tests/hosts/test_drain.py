"""What a host leaves us of a drain: whether clients are told one after another (`drain_seconds`)."""

import contextlib
import time

import pytest

from tests.conftest import FULL
from tests.hosts.conftest import started
from tests.hosts.roster import HOSTS, Host, Yes
from tests.support.wire import Gone, Wire

OURS = ("socketio.run", "gunicorn gthread")


def served(wire: Wire) -> bool:
    """Whether this client is still here, and its events are answered."""
    try:
        return wire.call("echo", 1) == [1]
    except (Gone, OSError):
        return False


@pytest.mark.parametrize("host", [host for host in HOSTS if FULL or host.name in OURS], ids=str)
def test_spread(host: Host):
    best = "websocket" if isinstance(host.websocket, Yes) else "polling"
    env = {"SERVER": '{"drain_seconds": 6}'}
    with started(host, env=env, stops_within=30) as server, contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(Wire(server.port, transport=best)) for _ in range(3))
        for wire in (first, second, third):
            wire.join()
        server.process.terminate()
        for wire in (first, second):
            with contextlib.suppress(Gone, OSError):
                wire.wait_until_closed(15)
        assert served(third) is isinstance(host.spread, Yes)
        with contextlib.suppress(Gone, OSError):
            third.wait_until_closed(15)
        for wire in (first, second, third):
            wire.pipe.close()
        deadline = time.monotonic() + 20
        while server.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
