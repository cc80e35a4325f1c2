"""Beside Starlette (mounted), Quart (around it) and without any framework."""

import time

import pytest
import requests

from tests.support.servers import running_asgi

HOW = [
    # on uvicorn's fast door only an ASGIApp that is the application itself takes the raw socket
    ("starlette", "uvicorn", "live/socket.io", "a page of Starlette"),
    ("starlette", "uvicorn-fast", "live/socket.io", "a page of Starlette"),
    ("starlette", "hypercorn", "live/socket.io", "a page of Starlette"),
    ("wrapped", "uvicorn-fast", "socket.io", "a page of Quart"),
    ("wrapped", "hypercorn", "socket.io", "a page of Quart"),
    ("alone", "uvicorn-fast", "socket.io", None),
]


@pytest.mark.parametrize(("name", "host", "path", "page"), HOW)
def test_events_and_pages(name, host, path, page, connect):
    with running_asgi(f"tests.apps.frameworks_app:{name}", host) as server:
        for transport in ("websocket", "polling"):
            client = connect(server.url, socketio_path=path, transports=[transport])
            assert client.ask("echo", "hi") == ["hi", "/socket.io/", transport]
            answer = requests.get(server.url, timeout=20)
            if page is None:
                assert answer.status_code == 404
            else:
                assert answer.text == page
                assert client.heard() == [["seen", "quart" if name == "wrapped" else "starlette"]]
            client.leave()


def test_namespaces_by_pattern(connect):
    with running_asgi("tests.apps.namespaces_app:app") as server:
        one, two = (
            connect(server.url, namespaces=[name], transports=["websocket"]) for name in ("/board-1", "/board-2")
        )
        painted = []
        one.client.on("painted", lambda *args: painted.append(args), namespace="/board-1")
        two.client.on("painted", lambda *args: painted.append("never"), namespace="/board-2")
        one.client.call("paint", (3, 4), namespace="/board-1", timeout=20)
        deadline = time.monotonic() + 20
        while not painted:
            assert time.monotonic() < deadline, "nobody was told"
            time.sleep(0.01)
        assert painted == [(3, 4)]
        one.leave()
        two.leave()
