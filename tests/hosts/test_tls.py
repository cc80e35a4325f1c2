"""TLS that the host itself ends: pages and polling on all of them, and WebSockets where the table says so."""

import pytest

from tests.hosts.conftest import with_tls
from tests.hosts.roster import HOSTS, No, Yes
from tests.support.wire import Gone, RawWebSocket, Wire, get

# The quick run takes one of each kind: our own server, an ASGI host, a WSGI host.
QUICK = {"socketio.run", "hypercorn", "gunicorn gthread"}
SPEAKERS = [
    pytest.param(host, marks=[] if host.name in QUICK else pytest.mark.full, id=host.name)
    for host in HOSTS
    if isinstance(host.tls, Yes)
]


@pytest.mark.parametrize("host", SPEAKERS)
def test_tls(host, pair):
    tls = pair.trusting
    with with_tls(host, pair) as server:
        assert get(server.port, "/where", tls=tls).json["is_secure"] is True
        with Wire(server.port, transport="polling", tls=tls) as wire:
            wire.join()
            assert wire.call("where")[0]["is_secure"] is True
            assert wire.call("echo", "x" * 100_000) == ["x" * 100_000]
        if isinstance(host.tls_websocket, Yes):
            with Wire(server.port, transport="upgrade", tls=tls) as wire:
                wire.join()
                seen = wire.call("where")[0]
                assert (seen["is_secure"], seen["transport"]) == (True, "websocket")
                assert wire.call("echo", "x" * 100_000) == ["x" * 100_000]
        else:
            with pytest.raises(Gone) as gone:
                RawWebSocket(server.port, "/socket.io/?EIO=4&transport=websocket", tls=tls)
            assert 400 <= gone.value.code < 500
            server.wait_for_output("clients stay on long-polling")
        if host.name == "socketio.run":
            assert f"listening on https://127.0.0.1:{server.port}" in server.output


def test_who_speaks_no_tls_has_no_option_for_it():
    for host in HOSTS:
        assert isinstance(host.tls, Yes) == bool(host.tls_arguments or host.tls_env), host
        if isinstance(host.tls, No):
            assert isinstance(host.tls_websocket, No), host
