"""What every door must do, for every transport and both revisions: one suite, run through all of them."""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import get_args

import pytest

from tests.support.servers import Host, Server, running_asgi, running_wsgi
from tests.support.wire import Gone, PollingPipe, RawWebSocket, WebSocketPipe, Wire, get
from truesocket.codec import frames
from truesocket.codec.engineio import CLOSE, EnginePacket
from truesocket.codec.socketio import PacketType

DOORS: tuple[str, ...] = (*get_args(Host), "gunicorn-gthread", "werkzeug")
APP = "tests.apps.contract_app"


def running(door, env=None) -> contextlib.AbstractContextManager[Server]:
    if door in get_args(Host):
        return running_asgi(f"{APP}:socketio", door, env=env)
    return running_wsgi(f"{APP}:app", door, env=env)


@pytest.fixture(scope="module", params=DOORS)
def door(request) -> Iterator[Server]:
    with running(request.param) as server:
        yield server


@pytest.fixture(params=[3, 4], ids=["eio3", "eio4"])
def revision(request) -> int:
    return request.param


@pytest.fixture(params=["websocket", "polling", "upgrade"])
def transport(request) -> str:
    return request.param


@pytest.fixture
def open_wire(door, revision, transport):
    wires = []

    def open_(**options) -> Wire:
        wire = Wire(door.port, **{"revision": revision, "transport": transport, **options})
        wires.append(wire)
        return wire

    yield open_
    for wire in wires:
        wire.pipe.close()


def happened(door: Server, token: str, count: int) -> list[str]:
    return get(door.port, f"/history/{token}?count={count}").json


def test_hello_tells_the_parameters(door, revision, transport, open_wire):
    wire = open_wire()
    assert wire.hello["pingInterval"] == 25000
    assert wire.hello["pingTimeout"] == 20000
    assert wire.hello["maxPayload"] == 100_000
    assert wire.hello["upgrades"] == ([] if transport == "websocket" else ["websocket"])


def test_connect_reply_comes_before_what_the_handler_emitted(revision, open_wire):
    wire = open_wire()
    if revision == 4:
        wire.send('0{"name":"Ada"}')
    first, second = wire.packet(), wire.packet()
    assert first.type == PacketType.CONNECT
    assert second.type == PacketType.EVENT
    assert second.data[0] == "welcome"
    if revision == 4:
        assert second.data[1] == {"sid": first.data["sid"], "auth": {"name": "Ada"}}
        assert first.data["sid"] != wire.engine_sid
    else:
        assert first.data is None
        assert second.data[1]["sid"] == wire.engine_sid


def test_event_and_ack(open_wire):
    wire = open_wire()
    wire.join()
    assert wire.call("echo", 1, "zwei", {"drei": [3.5, None, True]}) == [1, "zwei", {"drei": [3.5, None, True]}]
    assert wire.event("echoed") == [1, "zwei", {"drei": [3.5, None, True]}]
    assert wire.call("echo") == []


def test_text_beyond_ascii_both_ways(open_wire):
    wire = open_wire()
    wire.join()
    assert wire.call("echo", "grüß dich 世界 😀") == ["grüß dich 世界 😀"]


def test_binary_both_ways(open_wire):
    wire = open_wire()
    wire.join()
    blob = bytes(range(256)) * 10
    assert wire.call("echo", blob, {"deep": [b"\x00\xff"]}) == [blob, {"deep": [b"\x00\xff"]}]
    assert wire.event("echoed") == [blob, {"deep": [b"\x00\xff"]}]


def test_namespace_beside_the_default_one(open_wire):
    wire = open_wire()
    wire.join()
    wire.join("/admin")
    assert wire.call("echo", "here", namespace="/admin") == ["here"]
    assert wire.event("echoed", namespace="/admin") == ["here"]


def test_namespace_that_does_not_exist_is_refused(open_wire):
    wire = open_wire()
    wire.join()
    with pytest.raises(Gone) as gone:
        wire.join("/nope")
    assert json.loads(gone.value.text) == {"message": "Invalid namespace"}
    assert wire.call("echo", "still here") == ["still here"]


def test_push_reaches_everybody_once(open_wire):
    one, two = open_wire(), open_wire()
    one.join()
    two.join()
    tag = uuid.uuid4().hex
    one.emit("push_all", tag)
    for wire in (one, two):
        assert wire.event("pushed") == [{"tag": tag, "text": "grüß dich 世界 😀"}]
        assert wire.call("echo", 1) == [1]
        assert not [packet for packet in wire.waiting if packet.data[0] == "pushed"]


def test_server_disconnects_from_the_namespace(door, open_wire):
    token = uuid.uuid4().hex
    wire = open_wire(query=f"token={token}")
    wire.join()
    wire.emit("leave")
    assert wire.wait_for(PacketType.DISCONNECT).namespace == "/"
    assert happened(door, token, 2) == ["/ connect", "/ disconnect: server disconnect"]


def test_client_leaves_one_namespace(door, open_wire):
    token = uuid.uuid4().hex
    wire = open_wire(query=f"token={token}")
    wire.join()
    wire.join("/admin")
    wire.leave("/admin")
    assert happened(door, token, 3) == ["/ connect", "/admin connect", "/admin disconnect: client disconnect"]
    assert wire.call("echo", "still in /") == ["still in /"]


def test_client_says_goodbye(door, open_wire):
    token = uuid.uuid4().hex
    wire = open_wire(query=f"token={token}")
    wire.join()
    wire.join("/admin")
    wire.pipe.send([EnginePacket(CLOSE)])
    seen = happened(door, token, 4)
    assert seen[:2] == ["/ connect", "/admin connect"]
    assert sorted(seen[2:]) == ["/ disconnect: transport close", "/admin disconnect: transport close"]


def test_client_goes_without_a_word(door, open_wire, transport):
    if transport == "polling":
        pytest.skip("who polls is missed when the heartbeat is due, in 45 s")
    token = uuid.uuid4().hex
    wire = open_wire(query=f"token={token}")
    wire.join()
    wire.pipe.close()
    assert happened(door, token, 2)[1] in ("/ disconnect: transport close", "/ disconnect: transport error")


def test_refused_with_message_and_data(revision, open_wire):
    wire = open_wire(query="refuse=1")
    with pytest.raises(Gone) as gone:
        wire.join()
    payload = json.loads(gone.value.text)
    assert payload == ({"message": "not you", "data": {"code": 42}} if revision == 4 else {"code": 42})


@pytest.mark.parametrize("text", ["9", "2[}", '2["connect"]', "51-[]", '2["echo",1]x'])
def test_malformed_packet_closes_that_session_alone(door, open_wire, text):
    other, wire = open_wire(), open_wire()
    other.join()
    wire.join()
    if isinstance(wire.pipe, PollingPipe):
        with contextlib.suppress(Gone):  # the POST is answered 400, or ok and then nothing
            wire.send(text)
    else:
        wire.send(text)
        assert wire.wait_until_closed().code in (1008, 1006)
    if isinstance(wire.pipe, PollingPipe):
        with pytest.raises(Gone) as gone:
            wire.pipe.receive(5)
        assert gone.value.code == 400
    assert other.call("echo", "unharmed") == ["unharmed"]


def test_malformed_engine_packet_closes_that_session_alone(open_wire):
    other, wire = open_wire(), open_wire()
    other.join()
    wire.join()
    if isinstance(wire.pipe, PollingPipe):
        with pytest.raises(Gone) as gone:
            wire.pipe.post(b"abc")
        assert gone.value.code == 400
        with pytest.raises(Gone) as gone:
            wire.pipe.receive(5)
        assert gone.value.code == 400
    else:
        assert isinstance(wire.pipe, WebSocketPipe)
        wire.pipe.websocket.send("abc")
        assert wire.wait_until_closed().code in (1008, 1006)
    assert other.call("echo", "unharmed") == ["unharmed"]


def test_message_beyond_the_limit_closes_that_session_alone(open_wire):
    other, wire = open_wire(), open_wire()
    other.join()
    wire.join()
    try:
        wire.emit("echo", "x" * 100_001)
        code = wire.wait_until_closed().code
    except Gone as gone:
        code = gone.code
    assert code in (1009, 413, 1006, 0)
    assert other.call("echo", "unharmed") == ["unharmed"]


def test_page_on_the_same_port(door):
    reply = get(door.port, "/page")
    assert (reply.status, reply.body) == (200, b"a page")
    assert get(door.port, "/nothing-here").status == 404


def test_slow_pages_do_not_stall_sockets(door, revision):
    """And slow handlers do not stall pages."""
    pages = [threading.Thread(target=get, args=(door.port, "/slow?seconds=1.5")) for _ in range(20)]
    with Wire(door.port, revision=revision) as wire, Wire(door.port, revision=revision, transport="polling") as poller:
        wire.join()
        poller.join()
        for page in pages:
            page.start()
        for number in range(30):
            wire.emit("nap", 1, id=1000 + number)
        answered = 0
        while any(page.is_alive() for page in pages):
            assert poller.call("echo", answered) == [answered]
            assert wire.call("echo", answered) == [answered]
            assert get(door.port, "/page").body == b"a page"
            answered += 1
        assert answered > 3, "sockets answered hardly anything while pages were slow"
        assert wire.wait_for(PacketType.ACK, id=1000).data == ["rested"]


def test_what_flask_knows_of_the_client(open_wire, transport):
    token = uuid.uuid4().hex
    headers = [("User-Agent", "a test"), ("Cookie", "who=Ada; x=1")]
    wire = open_wire(query=f"token={token}", headers=headers)
    wire.join()
    [seen] = wire.call("where")
    assert seen["remote_addr"] == "127.0.0.1"
    assert seen["is_secure"] is False
    assert (seen["agent"], seen["cookie"], seen["args"]) == ("a test", "Ada", token)
    assert seen["transport"] == ("polling" if transport == "polling" else "websocket")


# --- requests that may not come in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "method", "status", "code"),
    [
        ("EIO=4", "GET", 400, 0),
        ("EIO=4&transport=pigeon", "GET", 400, 0),
        ("EIO=4&transport=polling&sid=unknown", "GET", 400, 1),
        ("EIO=4&transport=polling", "POST", 400, 2),
        ("EIO=4&transport=websocket", "GET", 400, 3),
        ("EIO=5&transport=polling", "GET", 400, 5),
        ("transport=polling", "GET", 400, 5),
    ],
)
def test_error_codes_of_engine_io(door, query, method, status, code):
    reply = get(door.port, f"/socket.io/?{query}", method=method, body=b"" if method == "POST" else None)
    assert reply.status == status
    assert reply.json["code"] == code
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["hint"]


def test_polling_after_the_upgrade_is_refused(door, revision):
    with Wire(door.port, revision=revision, transport="upgrade") as wire:
        wire.join()
        reply = get(door.port, f"/socket.io/?EIO={revision}&transport=polling&sid={wire.engine_sid}")
        assert (reply.status, reply.json["code"]) == (400, 3)
        assert wire.call("echo", "unharmed") == ["unharmed"]


def test_second_websocket_of_a_session_is_closed(door, revision):
    with Wire(door.port, revision=revision, transport="websocket") as wire:
        wire.join()
        target = f"/socket.io/?EIO={revision}&transport=websocket&sid={wire.engine_sid}"
        with contextlib.closing(RawWebSocket(door.port, target)) as second, pytest.raises(Gone):
            second.receive(5)
        assert wire.call("echo", "unharmed") == ["unharmed"]


def test_websocket_with_an_unknown_sid_is_refused(door):
    with pytest.raises(Gone) as gone:
        RawWebSocket(door.port, "/socket.io/?EIO=4&transport=websocket&sid=unknown")
    assert gone.value.code in (400, 403)


def test_websocket_request_that_says_polling_is_refused(door):
    with Wire(door.port, transport="polling") as wire:
        for query in ("transport=polling", f"transport=polling&sid={wire.engine_sid}"):
            with pytest.raises(Gone) as gone:
                RawWebSocket(door.port, f"/socket.io/?EIO=4&{query}")
            assert gone.value.code in (400, 403)


def test_path_with_and_without_the_slash(door):
    assert get(door.port, "/socket.io?EIO=4&transport=polling").status == 200
    assert get(door.port, "/socket.iox?EIO=4&transport=polling").status == 404
    with Wire(door.port, path="/socket.io") as wire:
        assert wire.join()["sid"]


def test_two_gets_at_once_end_the_session(door, revision):
    with Wire(door.port, revision=revision, transport="polling") as wire:
        wire.join()
        wire.event("welcome")
        first: list[EnginePacket] = []
        parked = threading.Thread(target=lambda: first.extend(wire.pipe.receive(10)))
        parked.start()
        time.sleep(0.3)
        target = f"/socket.io/?EIO={revision}&transport=polling&sid={wire.engine_sid}"
        assert get(door.port, target).status == 400
        parked.join()
        assert first == [EnginePacket(CLOSE)]
        assert get(door.port, target).status == 400


def test_broken_frame_closes_that_connection_alone(door):
    with Wire(door.port) as other, Wire(door.port) as wire:
        other.join()
        wire.join()
        assert isinstance(wire.pipe, WebSocketPipe)
        wire.pipe.websocket.send_frame(frames.build(3, b"reserved opcode", key=b"abcd"))
        assert wire.wait_until_closed().code in (1002, 1006)
        assert other.call("echo", "unharmed") == ["unharmed"]


def test_pages_may_keep_their_own_origin(door):
    host = f"127.0.0.1:{door.port}"
    good, bad = [("Origin", f"http://{host}")], [("Origin", "http://evil.example")]
    target = "/socket.io/?EIO=4&transport="
    reply = get(door.port, target + "polling", good)
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] == good[0][1]
    RawWebSocket(door.port, target + "websocket", good).close()
    refused = get(door.port, target + "polling", bad)
    assert (refused.status, refused.json["code"]) == (403, 4)
    assert "access-control-allow-origin" not in refused.headers
    with pytest.raises(Gone) as gone:
        RawWebSocket(door.port, target + "websocket", bad)
    assert gone.value.code == 403
    assert "cors_allowed_origins=['http://evil.example']" in door.output


# --- behind a proxy ---------------------------------------------------------------------------------------------------

FORWARDED = [
    ("X-Forwarded-For", "203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
    ("Origin", "https://shop.example"),
]


@pytest.fixture(scope="module", params=[(door, fix) for door in DOORS for fix in ("", "1")], ids=str)
def proxied(request) -> Iterator[Server]:
    door, fix = request.param
    with running(door, env={"PROXYFIX": fix}) as server:
        yield server


def test_client_is_the_same_behind_a_proxy_for_handlers_and_pages(proxied, transport):
    expected = {"remote_addr": "203.0.113.7", "is_secure": True, "host": "shop.example"}
    with Wire(proxied.port, transport=transport, headers=FORWARDED) as wire:
        wire.join()
        [seen] = wire.call("where")
        assert {key: seen[key] for key in expected} == expected
    page = get(proxied.port, "/where", FORWARDED).json
    assert {key: page[key] for key in expected} == expected


def test_forged_headers_with_underscores_mean_nothing(proxied, transport):
    forged = [*FORWARDED, ("X_Forwarded_For", "6.6.6.6"), ("X_Forwarded_Host", "evil.example")]
    with Wire(proxied.port, transport=transport, headers=forged) as wire:
        wire.join()
        [seen] = wire.call("where")
        assert (seen["remote_addr"], seen["host"]) == ("203.0.113.7", "shop.example")


def test_origin_is_that_of_the_outside_behind_a_proxy(proxied):
    inside = [*FORWARDED[:3], ("Origin", f"http://127.0.0.1:{proxied.port}")]
    target = "/socket.io/?EIO=4&transport="
    assert get(proxied.port, target + "polling", inside).status == 403
    with pytest.raises(Gone) as gone:
        RawWebSocket(proxied.port, target + "websocket", inside)
    assert gone.value.code == 403
