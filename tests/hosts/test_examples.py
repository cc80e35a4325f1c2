"""The article's two servers on a WSGI host: the endless loop in a handler, and the thread that pushes to everybody."""

import contextlib

import pytest

from tests.support.servers import HOST, ROOT, running
from tests.support.wire import Wire, get

GTHREAD = ("--worker-class", "gthread", "--threads", "4", "--keep-alive", "75", "--bind", HOST + ":{port}", "app:app")
CLIENTS = 10  # more than threads


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_endless_loops_of_many_clients(transport):
    with running("gunicorn", *GTHREAD, cwd=ROOT / "examples/naive_loop") as server, contextlib.ExitStack() as stack:
        assert get(server.port, "/").status == 200
        wires = [stack.enter_context(Wire(server.port, transport=transport)) for _ in range(CLIENTS)]
        for number, wire in enumerate(wires):
            wire.join()
            wire.emit("client_event", {"data": number})
        for number, wire in enumerate(wires):
            for _ in range(2):
                assert wire.event("server_response") == [{"data": number}]
        assert get(server.port, "/").status == 200, "the loops hold the pages up"


def test_background_push():
    with (
        running("gunicorn", *GTHREAD, cwd=ROOT / "examples/background_push") as server,
        contextlib.ExitStack() as stack,
    ):
        kinds = ("websocket", "polling", "upgrade")
        wires = [stack.enter_context(Wire(server.port, transport=each)) for each in kinds]
        for wire in wires:
            wire.join("/test_conn")
            wire.emit("connect_event", {"data": "hello"}, namespace="/test_conn")
            assert wire.event("server_response", namespace="/test_conn") == [{"data": "hello"}]
        wires[0].emit("client_event", {}, namespace="/test_conn")
        for wire in wires:
            assert wire.event("server_response", namespace="/test_conn") == [{"data": "test"}]
        assert get(server.port, "/").status == 200
