"""Pages of other origins (cross-site WebSocket hijacking): every door, every way in, one table."""

import socket
from collections.abc import Iterator
from typing import get_args

import pytest

from tests.doors.test_contract import DOORS, running
from tests.support.servers import HOST, Host, Server
from tests.support.wire import Wire, get

KEY = (("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
UPGRADE = (("Connection", "Upgrade"), ("Upgrade", "websocket"), *KEY)
FORBIDDEN = 403


@pytest.fixture(scope="module", params=DOORS)
def door(request) -> Iterator[Server]:
    with running(request.param) as server:
        yield server


@pytest.fixture(params=[3, 4], ids=["eio3", "eio4"])
def revision(request) -> int:
    return request.param


#: What a page says of its origin, with the server's port in it, and whether it may come in.
ORIGINS = {
    "no page": ("", True),
    "our own": ("http://{host}:{port}", True),
    "our own behind TLS": ("https://{host}:{port}", True),
    "another site": ("https://evil.example", False),
    "another port": ("http://{host}:1", False),
    "our name in another's": ("http://{host}.evil.example:{port}", False),
    "our name as a user's": ("http://{host}:{port}@evil.example", False),
    "our name behind a slash": ("http://evil.example/{host}:{port}", False),
    "a page without an origin": ("null", False),
    "no origin at all": ("evil", False),
}


def status(door: Server, way: str, revision: int, headers, sid: str = "") -> int:
    target = f"/socket.io/?EIO={revision}&transport={way}" + (f"&sid={sid}" if sid else "")
    if way == "polling":
        return get(door.port, target, headers).status
    return opening(door.port, target, (*UPGRADE, *headers))


def opening(port: int, target: str, headers) -> int:
    """The status of the answer to a request for a WebSocket."""
    lines = [f"GET {target} HTTP/1.1", f"Host: {HOST}:{port}", *(f"{name}: {value}" for name, value in headers)]
    with socket.create_connection((HOST, port), 10) as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(sock.recv(65536).split(b" ", 2)[1])


@pytest.mark.parametrize("way", ["polling", "websocket"])
@pytest.mark.parametrize("origin", ORIGINS)
def test_who_may_open_a_session(door, way, revision, origin):
    text, comes_in = ORIGINS[origin]
    headers = [("Origin", text.format(host=HOST, port=door.port))] if text else []
    found = status(door, way, revision, headers)
    assert found == ((101 if way == "websocket" else 200) if comes_in else FORBIDDEN)


@pytest.mark.parametrize("way", ["polling", "websocket"])
def test_who_may_go_on_with_one(door, way, revision):
    """Whoever has learnt a sid is still the wrong page."""
    with Wire(door.port, revision=revision, transport="polling") as victim:
        victim.join()
        evil = [("Origin", "https://evil.example")]
        assert status(door, way, revision, evil, victim.engine_sid) == FORBIDDEN
        target = f"/socket.io/?EIO={revision}&transport=polling&sid={victim.engine_sid}"
        assert get(door.port, target, evil, method="POST", body=b"41").status == FORBIDDEN
        assert victim.call("echo", "still here") == ["still here"]


def test_a_script_from_another_site(door, revision):
    """JSONP: a page may load it with the user's cookies, and no browser sends an Origin with it."""
    target = f"/socket.io/?EIO={revision}&transport=polling&j=0"
    assert get(door.port, target).status == FORBIDDEN  # `referrerpolicy="no-referrer"` is the page's own choice
    assert get(door.port, target, [("Referer", "https://evil.example/page")]).status == FORBIDDEN
    assert get(door.port, target, [("Referer", f"http://{HOST}.evil.example/")]).status == FORBIDDEN
    assert get(door.port, target, [("Referer", f"http://{HOST}:{door.port}@evil.example/")]).status == FORBIDDEN
    assert get(door.port, target, [("Sec-Fetch-Site", "cross-site")]).status == FORBIDDEN
    assert get(door.port, target, [("Sec-Fetch-Site", "same-origin")]).status == 200
    assert get(door.port, target, [("Referer", f"http://{HOST}:{door.port}/page?x=1")]).status == 200


def test_who_is_refused_may_not_read_why(door):
    reply = get(door.port, "/socket.io/?EIO=4&transport=polling", [("Origin", "https://evil.example")])
    assert reply.status == FORBIDDEN
    assert reply.json["code"] == 4
    assert "access-control-allow-origin" not in reply.headers
    preflight = get(
        door.port, "/socket.io/?EIO=4&transport=polling", [("Origin", "https://evil.example")], method="OPTIONS"
    )
    assert "access-control-allow-origin" not in preflight.headers


def test_every_door_is_in_the_table():
    assert set(get_args(Host)) < set(DOORS)
