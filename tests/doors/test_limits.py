"""Too many connections, through every transport: refused with a code, a hint and Retry-After; clients come back."""

import json
import logging
import time

import pytest

from tests.doors.test_origins import opening
from tests.support.flasking import served
from tests.support.servers import HOST
from tests.support.wire import Gone, Wire, get
from truesocket import ASGIApp, Server

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
PATIENCE = 10
WAYS = pytest.mark.parametrize("way", ["polling", "websocket", "asgi websocket"])


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hosted(server, way):
    return served(ASGIApp(server), **({"ws": "websockets-sansio"} if way.startswith("asgi") else {}))


def status(port, way, headers=()):
    upgrade = (
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    )
    if way == "polling":
        return get(port, POLLING, headers).status
    return opening(port, WEBSOCKET, (*upgrade, *headers))


@WAYS
def test_a_full_server(way, caplog):
    server = Server(max_connections=2)
    with hosted(server, way) as port:
        with Wire(port) as one, Wire(port, transport="polling") as two:
            one.join()
            two.join()
            assert status(port, way) == 503
            assert status(port, way) == 503
            assert server.stats.refused == {"connections": 2}
            assert server.stats.connections == {"websocket": 1, "polling": 1}
            one.emit("still", "here")  # who is in stays in
            two.upgrade()
        until(lambda: not server.peers)
        assert status(port, way) in (101, 200)
    assert "max_connections: 2 clients are here" in caplog.text


def test_what_a_client_hears():
    server = Server(max_connections=1, cors_allowed_origins=["https://page.example"])
    with served(ASGIApp(server)) as port, Wire(port):
        reply = get(port, POLLING, [("Origin", "https://page.example")])
        assert reply.status == 503
        assert reply.json["code"] == 6
        assert reply.json["message"] == "Server full"
        assert "come back" in reply.json["hint"]
        assert int(reply.headers["retry-after"]) > 0
        assert reply.headers["access-control-allow-origin"] == "https://page.example"


@WAYS
def test_one_address(way, caplog):
    server = Server(max_connections_per_address=1, trusted_proxies=["127.0.0.1"])
    with hosted(server, way) as port:
        with Wire(port, headers=[("X-Forwarded-For", "192.0.2.1")]), Wire(port) as direct:
            direct.join()
            assert status(port, way, [("X-Forwarded-For", "192.0.2.1")]) == 429
            assert status(port, way, [("X-Forwarded-For", "evil, 192.0.2.1")]) == 429
            assert status(port, way) == 429
            assert status(port, way, [("X-Forwarded-For", "192.0.2.2")]) in (101, 200)
        until(lambda: len(server.limits.addresses) <= 1)
        assert status(port, way, [("X-Forwarded-For", "192.0.2.1")]) in (101, 200)
        assert server.stats.refused == {"address": 3}
    assert "name it in trusted_proxies" in caplog.text


@WAYS
def test_too_many_at_once(way, caplog):
    asked = []
    server = Server(handshakes_per_second=0.01, handshakes_burst=2, allow_request=lambda _: bool(asked.append(1) or 1))
    with caplog.at_level(logging.WARNING), hosted(server, way) as port:
        found = [status(port, way) for _ in range(30)]
        assert found[2:] == [503] * 28
        assert len(asked) == 2  # the application is not asked for those who are refused
        assert server.stats.refused == {"handshakes": 28}
    assert caplog.text.count("a client was sent away") <= 20


def test_a_client_that_is_here_needs_no_handshake():
    server = Server(handshakes_per_second=0.01, handshakes_burst=1)
    heard = []
    server.on("say", heard.append)
    with served(ASGIApp(server)) as port, Wire(port, transport="polling") as wire:
        wire.join()
        for number in range(5):
            wire.emit("say", number)
        wire.upgrade()
        until(lambda: heard == [0, 1, 2, 3, 4])


def test_what_is_counted():
    server = Server(cors_allowed_origins=["https://page.example"], allow_request=lambda shake: "no" not in shake.query)
    server.on("connect", lambda auth: auth != {"no": 1})
    with served(ASGIApp(server)) as port:
        with Wire(port) as wire, Wire(port, transport="polling"):
            wire.join()
            assert server.stats.connections == {"websocket": 1, "polling": 1}
        get(port, POLLING, [("Origin", "https://evil.example")])
        get(port, POLLING + "&no=1")
        get(port, POLLING + "&sid=unknown")
        with Wire(port) as wire, pytest.raises(Gone):
            wire.join(auth={"no": 1})
        with Wire(port) as wire:
            wire.send("9")
            wire.wait_until_closed()
        until(lambda: server.stats.connections == {"websocket": 0, "polling": 1})  # who polls is missed later
        stats = server.stats
        assert stats.opened == {"websocket": 3, "polling": 1}
        assert stats.refused == {"origin": 1, "allow_request": 1, "request": 1, "connect": 1}
        assert stats.parse_errors == 1
        with pytest.raises(AttributeError):
            stats.parse_errors = 2
        with pytest.raises(TypeError):
            stats.refused["origin"] = 0


# --- what answers and log lines tell ----------------------------------------------------------------------------------

SECRETS = ("s3cret-cookie", "s3cret-token", "s3cret-query")
NASTY = "evil\x1b[2J\x9b31m\u2028"


def test_nothing_leaks_and_nobody_writes_our_log(caplog):
    """Whatever a stranger sends: no path, token or cookie in an answer, no control character in a log line."""
    server = Server(namespaces=["*"], max_payload=2_000)

    @server.on("boom")
    def boom(*args):
        raise RuntimeError("broken inside")

    headers = [
        ("Cookie", f"session={SECRETS[0]}"),
        ("Authorization", f"Bearer {SECRETS[1]}"),
        ("User-Agent", "evil \x9b31m"),
        ("X-Forwarded-For", "evil \x9b31m agent"),
    ]
    answers = []
    with caplog.at_level(logging.DEBUG, logger="truesocket"), served(ASGIApp(server)) as port:
        for target in (
            POLLING + "&sid=" + SECRETS[2],
            POLLING.replace("4", "9") + "&x=" + SECRETS[2],
            POLLING.replace("polling", "%1b[2J%0aERROR"),
            "/socket.io/../../etc/passwd",
            "/socket.io/%2e%2e/%2e%2e/etc/passwd",
        ):
            answers.append(get(port, target, headers).body)
        answers.append(get(port, POLLING, [*headers, ("Origin", "http://evil \x9b31m")]).body)
        for text in ("40/" + NASTY + ",", "42" + NASTY, '42["boom"]', "0" + NASTY, NASTY, "45" + "9" * 20 + "-[]"):
            with Wire(port, headers=headers) as wire:
                wire.join(auth={"token": SECRETS[1]})
                wire.send(text) if not text.startswith("0") else wire.pipe.send([])
                answers.append(json.dumps(str(gone_of(wire))).encode())
        with Wire(port, headers=headers) as wire:
            wire.join("/" + "fine")
            wire.emit("boom", SECRETS[1], namespace="/fine")
            wire.stays_silent(0.2)
    lines = [record.getMessage() for record in caplog.records]
    assert lines
    for line in lines:
        assert line.isprintable(), line
        assert not any(secret in line for secret in SECRETS), line
    for answer in answers:
        text = answer.decode()
        assert not any(secret in text for secret in (*SECRETS, "truesocket/", "site-packages", "Traceback", HOST)), text
        assert b"\x1b" not in answer


def gone_of(wire) -> object:
    try:
        return wire.packet(0.3)
    except TimeoutError:
        return None
    except Gone as gone:
        return gone.text
