"""Engine.IO, revisions 3 and 4, as it can be seen on the wire: through every door, over every transport.

Sources: the texts of the protocol ("Engine.IO protocol", v3 and v4) and what the official server was seen to send.
Where we differ from it on purpose, the test says so.
"""

import contextlib
import json
import socket as sockets
import struct
import time
import uuid
from urllib.parse import quote

import pytest

from tests.support.servers import HOST, running_asgi
from tests.support.talk import (
    ANY_DOOR,
    PATH,
    Polling,
    Socketed,
    Talk,
    build_payload,
    happened,
    parse_payload,
    raw_request,
    upgrade,
    utf16_length,
)
from tests.support.wire import Gone, RawWebSocket, get

#: What is decided behind the doors, in large tables.
behind_the_doors = pytest.mark.parametrize("door", ANY_DOOR, indirect=True, scope="session")

MESSAGES = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    4: "Forbidden",
    5: "Unsupported protocol version",
}


@pytest.fixture
def polling(server, revision):
    """Opens polling sessions."""
    return lambda query="", **options: Polling(server.port, revision, query, **options)


def joined(polling: Polling) -> Polling:
    """In the default namespace."""
    if polling.revision == 4:
        polling.send("40")
    [reply] = polling.receive()
    assert isinstance(reply, str)
    assert reply.startswith("40")
    return polling


def assert_error(reply, status: int, code: int) -> None:
    assert (reply.status, reply.headers["content-type"]) == (status, "application/json")
    assert set(reply.json) == {"code", "message", "hint"}
    assert (reply.json["code"], reply.json["message"]) == (code, MESSAGES[code])
    assert len(reply.json["hint"]) > 15


# --- request checks -----------------------------------------------------------------------------------------------

# Each row breaks one rule, and others that are looked at behind it.
IN_ORDER = [
    ("PUT", "sid=unknown", [], 0),
    ("GET", "EIO=4", [], 0),
    ("GET", "EIO=4&transport=", [], 0),
    ("PUT", "transport=pigeon&sid=unknown", [("Origin", "http://evil\x7f.example")], 0),
    ("PUT", "transport=webtransport&sid=unknown", [], 0),
    ("PUT", "transport=POLLING&sid=unknown", [], 0),
    ("PUT", "transport=polling&sid=unknown", [("Origin", "http://evil\x7f.example")], 3),
    ("POST", "EIO=4&transport=polling", [("Origin", "http://\x7f.example")], 3),
    ("PUT", "transport=polling&sid=unknown", [], 1),
    ("GET", "transport=websocket&sid=unknown", [], 1),
    ("GET", "transport=polling&sid=", [], 1),
    ("POST", "transport=polling", [], 2),
    ("PUT", "transport=polling", [], 2),
    ("DELETE", "transport=websocket", [], 2),
    ("GET", "transport=websocket", [], 3),
    ("GET", "transport=polling", [("Origin", "http://evil.example")], 4),
    ("GET", "transport=polling", [], 5),
    ("GET", "transport=polling&EIO=5", [], 5),
    ("GET", "transport=polling&EIO=04", [], 5),
    ("GET", "transport=polling&EIO=2", [], 5),
    ("GET", "transport=polling&EIO=", [], 5),
]


@pytest.mark.parametrize(("method", "query", "headers", "code"), IN_ORDER)
def test_request_checks_in_their_order(server, method, query, headers, code):
    """Differs from the official server: a missing EIO is refused (it takes it for 3), and a hint says what to do."""
    reply = raw_request(server.port, method, f"{PATH}?{query}", headers)
    if any("\x7f" in value for _, value in headers) and reply.headers.get("content-type") != "application/json":
        assert reply.status == 400  # an HTTP server that refuses such a header before anybody sees it
    else:
        assert_error(reply, 403 if code == 4 else 400, code)


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("EIO=4&transport=pigeon&sid=unknown", [], 0),
        ("EIO=4&transport=websocket&sid=unknown", [("Origin", "http://evil\x7f.example")], 3),
        ("EIO=4&transport=websocket&sid=unknown", [], 1),
        ("EIO=4&transport=polling", [], 3),
        ("transport=websocket", [("Origin", "http://evil.example")], 4),
        ("EIO=5&transport=websocket", [], 5),
        ("transport=websocket", [], 5),
    ],
)
def test_request_checks_of_a_websocket(server, query, headers, code):
    """Differs from the official server: the answer is that of an HTTP request, JSON and 403, not 400 and bare text."""
    reply = raw_request(server.port, "GET", f"{PATH}?{query}", headers, websocket=True)
    if any("\x7f" in value for _, value in headers) and reply.headers.get("content-type") != "application/json":
        assert reply.status == 400
    else:
        assert_error(reply, 403 if code == 4 else 400, code)


def test_sid_with_the_wrong_transport_is_a_bad_request(polling, server, revision):
    session = polling()
    reply = get(server.port, f"{PATH}?EIO={revision}&transport=websocket&sid={session.sid}")
    assert_error(reply, 400, 3)
    assert "Upgrade" in reply.json["hint"]
    joined(session)  # no harm was done


def test_session_speaks_get_and_post_only(polling, server):
    """Differs from the official server, which answers 500."""
    session = polling()
    assert_error(get(server.port, session.target, method="DELETE"), 400, 2)
    joined(session)


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io"])
def test_path_with_and_without_the_slash_at_the_end(server, revision, path):
    """Differs from the official server, which knows the path with the slash only."""
    assert get(server.port, f"{path}?EIO={revision}&transport=polling").status == 200
    RawWebSocket(server.port, f"{path}?EIO={revision}&transport=websocket").close()
    assert_error(get(server.port, f"{path}?EIO={revision}"), 400, 0)


def test_unknown_parameters_are_ignored_and_kept(talk):
    with talk("&t=PhAx&x=1&welcome=1&y=%C3%BC") as client:
        client.join()
        assert client.text().startswith('42["welcome",')


# --- pages of other origins ---------------------------------------------------------------------------------------

SHOP = ("Origin", "https://shop.example")


def test_preflight_is_answered_204(started, door):
    asking = [SHOP, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")]
    reply = get(started(door, "list").port, f"{PATH}?EIO=4&transport=polling", asking, method="OPTIONS")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert "content-type" in reply.headers["access-control-allow-headers"].lower()
    assert "origin" in reply.headers["vary"].lower()


@behind_the_doors
@pytest.mark.parametrize(
    ("variant", "origin", "let_in"),
    [
        ("list", "https://shop.example", True),
        ("list", "https://a.pages.example", True),
        ("list", "http://shop.example", False),
        ("list", "https://shop.example.evil.example", False),
        ("list", "https://pages.example", False),
        ("star", "https://whoever.example", True),
        ("star", "null", True),
    ],
)
def test_origins(started, door, revision, variant, origin, let_in):
    port = started(door, variant).port
    reply = get(port, f"{PATH}?EIO={revision}&transport=polling", [("Origin", origin)])
    allowed = reply.headers.get("access-control-allow-origin")
    if let_in:
        assert reply.status == 200
        assert allowed in (origin, "*")
        credentials = None if variant == "star" else "true"
        assert reply.headers.get("access-control-allow-credentials") == credentials
    else:
        assert_error(reply, 403, 4)
        assert allowed is None
    if variant == "list":
        target = f"{PATH}?EIO={revision}&transport=websocket"
        with contextlib.nullcontext() if let_in else pytest.raises(Gone) as gone:
            RawWebSocket(port, target, [("Origin", origin)]).close()
        if not let_in:
            assert gone.value.code == 403


def test_errors_can_be_read_by_the_page_that_caused_them(started, door):
    reply = get(started(door, "list").port, f"{PATH}?EIO=4&transport=polling&sid=unknown", [SHOP])
    assert_error(reply, 400, 1)
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"


def test_allow_request_forbids(started, door, revision):
    """Differs from the official server on WebSockets, where it answers 400 for everything."""
    port = started(door, "list").port
    assert_error(get(port, f"{PATH}?EIO={revision}&transport=polling&forbid=1"), 403, 4)
    with pytest.raises(Gone) as gone:
        RawWebSocket(port, f"{PATH}?EIO={revision}&transport=websocket&forbid=1")
    assert gone.value.code == 403


def test_allow_request_is_asked_at_the_handshake_only(started, door, revision):
    session = Polling(started(door, "list").port, revision)
    session.target += "&forbid=1"
    joined(session)


def test_transport_that_is_switched_off(started, door, revision):
    port = started(door, "star").port
    with pytest.raises(Gone) as gone:
        RawWebSocket(port, f"{PATH}?EIO={revision}&transport=websocket")
    assert gone.value.code == 400
    assert Polling(port, revision).hello["upgrades"] == []


def test_upgrades_that_are_switched_off(started, door, revision):
    session = Polling(started(door, "list").port, revision)
    assert session.hello["upgrades"] == []
    with pytest.raises(Gone) as gone:
        Socketed(session.port, revision, f"&sid={session.sid}")
    assert gone.value.code == 400
    joined(session)


# --- opening ------------------------------------------------------------------------------------------------------


def test_opening_by_polling(polling, revision):
    session = polling()
    reply = session.opening
    assert reply.headers["content-type"] == "text/plain; charset=UTF-8"
    assert reply.headers["cache-control"] == "no-store"
    assert session.hello == {
        "sid": session.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 100_000,
    }
    text = "0" + json.dumps(session.hello, separators=(",", ":"))
    expected = text if revision == 4 else f"{len(text)}:{text}"
    assert reply.body.decode().startswith(expected)
    assert list(session.hello) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]


def test_opening_by_websocket(server, revision):
    with contextlib.closing(RawWebSocket(server.port, f"{PATH}?EIO={revision}&transport=websocket")) as opened:
        first = opened.receive()
    assert isinstance(first, str)
    assert first[0] == "0"
    assert json.loads(first[1:]) == {
        "sid": json.loads(first[1:])["sid"],
        "upgrades": [],
        "pingInterval": 25000,
        "pingTimeout": 20000,
        "maxPayload": 100_000,
    }


def test_sids_are_long_and_never_the_same(server, revision):
    sids = {Polling(server.port, revision).sid for _ in range(10)}
    assert len(sids) == 10
    assert min(map(len, sids)) >= 20


# --- polling ------------------------------------------------------------------------------------------------------


def test_post_is_answered_ok(polling):
    reply = joined(polling()).post(build_payload(['42["say",1]'], polling().revision))
    assert (reply.status, reply.body, reply.headers["content-type"]) == (200, b"ok", "text/html")


def test_get_brings_what_comes_while_it_waits(polling):
    session = joined(polling())
    parked = session.park()
    assert parked.waits
    session.send('42["say","ü€😀"]')
    reply = parked.reply()
    assert reply.headers["content-type"] == "text/plain; charset=UTF-8"
    assert reply.headers["cache-control"] == "no-store"
    [packet] = session.packets(reply)
    assert json.loads(packet[2:]) == ["said", "ü€😀"]


def test_lengths_are_utf16_both_ways(server):
    r"""EIO3.  Differs from the official server: what we send is ASCII with \u escapes (1.x decodes twice)."""
    session = joined(Polling(server.port, 3))
    packet = '42["say","€😀"]'
    assert utf16_length(packet) == 15
    assert session.post(f"15:{packet}").body == b"ok"
    assert session.get().body == rb'31:42["said","\u20ac\ud83d\ude00"]'
    assert session.post(f"14:{packet}").status == 400


def test_revision_4_joins_packets_by_a_separator(server):
    session = joined(Polling(server.port, 4))
    assert session.post('42["say",1]\x1e42["say","€😀"]').body == b"ok"
    said = []
    while len(said) < 2:
        said += session.packets(session.get())
    assert said == ['42["said",1]', '42["said","€😀"]']


UNDECODABLE = {
    4: ["", "abc", "4a\x1e", "\x1e", "b!!", "9", "\x00", b"\xff\xfe4", b"4\xc3"],
    3: ["", "abc", "x:4a", "3:4a", "2:", "-1:4", ":", "1:9", "3:b4!", "6:bAAAA=", b"2:4\xff", "99999999999:4", "2:😀"],
}


@behind_the_doors
@pytest.mark.parametrize(
    ("revision", "body"), [(revision, body) for revision, bodies in UNDECODABLE.items() for body in bodies], ids=repr
)
def test_undecodable_payload_ends_that_session_alone(polling, bystander, server, body):
    token = uuid.uuid4().hex
    session = joined(polling(f"&token={token}"))
    parked = session.park()
    assert_error(session.post(body), 400, 3)
    assert session.packets(parked.reply()) in (["6"], ["1"])
    assert_error(session.get(), 400, 1)
    assert happened(server.port, token, 2) == ["/ connect", "/ parse error"]
    bystander()


@behind_the_doors
@pytest.mark.parametrize("packet", ["0", "5", '0{"sid":"x"}'])
def test_packet_that_no_client_sends_ends_the_session(talk, server, packet):
    """Differs from the official server, which drops OPEN and UPGRADE packets."""
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.provoke(packet)
    client.closed()
    assert happened(server.port, token, 2)[1] == "/ parse error"


def test_noop_of_a_client_is_dropped(talk):
    client = talk()
    client.join()
    client.send("6", '42["say",1]')
    assert client.text() == '42["said",1]'


def test_octet_stream_does_not_exist_in_revision_4(server):
    session = joined(Polling(server.port, 4))
    assert_error(session.post(b"\x00\x02\xff40", "application/octet-stream"), 400, 3)
    assert session.get().status == 400


def test_two_gets_at_once_end_the_session(polling, server, bystander, revision):
    token = uuid.uuid4().hex
    session = joined(polling(f"&token={token}"))
    parked = session.park()
    assert_error(session.get(), 400, 3)
    assert parked.reply().body == (b"1" if revision == 4 else b"1:1")
    assert_error(session.get(), 400, 1)
    assert happened(server.port, token, 2)[1] == "/ transport error"
    bystander()


def test_two_posts_at_once_end_the_session(polling, server, bystander):
    token = uuid.uuid4().hex
    session = joined(polling(f"&token={token}"))
    with half_a_post(session) as slow:
        assert_error(session.post(build_payload(['42["say",2]'], session.revision)), 400, 3)
        assert_error(session.get(), 400, 1)
        slow.sendall(b"x" * 90)
        answer = slow.recv(65536)
        assert not answer or answer.startswith(b"HTTP/1.1 400")
    assert happened(server.port, token, 2)[1] == "/ transport error"
    bystander()


def test_post_that_is_broken_off_leaves_room_for_the_next(polling):
    session = joined(polling())
    half_a_post(session).close()
    time.sleep(0.2)
    session.send('42["say",1]')
    assert session.packets(session.get()) == ['42["said",1]']


def half_a_post(session: Polling) -> sockets.socket:
    """A POST that has sent 10 of 100 bytes."""
    connection = sockets.create_connection((HOST, session.port), timeout=10)
    head = f"POST {session.target} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
    connection.sendall(head.encode() + b"x" * 10)
    time.sleep(0.15)
    return connection


def test_post_beyond_max_payload(polling, bystander, server):
    """Differs from the official server, which answers 413 and keeps the session."""
    session = joined(polling())
    reply = session.post(b"4" + b"x" * 100_000)
    assert reply.status == 413
    assert session.packets(session.get()) == ["1"]
    assert session.get().status == 400
    bystander()


def test_post_of_exactly_max_payload(polling):
    session = joined(polling())
    text = '42["say","' + "x" * (100_000 - 12 - (6 if session.revision == 3 else 0)) + '"]'
    body = build_payload([text], session.revision)
    assert len(body) == 100_000
    assert session.post(body).body == b"ok"


def test_get_that_is_abandoned_loses_nothing_that_comes_later(polling):
    session = joined(polling())
    with sockets.create_connection((HOST, session.port), timeout=10) as connection:
        connection.sendall(f"GET {session.target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        time.sleep(0.2)
    time.sleep(0.2)
    session.send('42["say",1]')
    assert session.packets(session.get()) == ['42["said",1]']


def test_thousand_packets_in_one_post_and_never_more_than_sixteen_in_a_reply(polling):
    """python-engineio's clients lose the connection over more than 16."""
    session = joined(polling())
    session.send(*(f'42["say",{number}]' for number in range(1000)))
    said: list[str | bytes] = []
    while len(said) < 1000:
        packets = session.packets(session.get())
        assert 1 <= len(packets) <= 16
        said += packets
    assert said == [f'42["said",{number}]' for number in range(1000)]


def test_what_a_handler_emits_at_once_comes_sixteen_at_a_time(polling):
    session = joined(polling())
    session.send('42["many",100]')
    sizes = []
    while sum(sizes) < 100:
        sizes.append(len(session.packets(session.get())))
    assert max(sizes) <= 16


# --- binary and old ways ----------------------------------------------------------------------------------------------

EVENT = '451-["say",{"_placeholder":true,"num":0}]'
SAID = '451-["said",{"_placeholder":true,"num":0}]'


def test_binary_out_of_revision_3_is_an_octet_stream(server):
    session = joined(Polling(server.port, 3))
    session.send(EVENT, b"\x09")
    reply = session.get()
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.body == b"\x00\x04\x02\xff" + SAID.encode() + b"\x01\x02\xff\x04\x09"


def test_binary_into_revision_3_as_an_octet_stream(server):
    """String lengths are those of the UTF-8 here; data begins with the type 0x04, which counts."""
    session = joined(Polling(server.port, 3))
    text = EVENT.replace('"say",', '"say","€😀",').encode()
    assert len(text) == 51
    assert session.post(b"\x00\x05\x01\xff" + text + b"\x01\x02\xff\x04\x09", "application/octet-stream").body == b"ok"
    said = session.packets(session.get())
    assert json.loads(str(said[0])[4:])[:2] == ["said", "€😀"]
    assert said[1] == b"\x09"


@behind_the_doors
@pytest.mark.parametrize(
    "body",
    [b"", b"\x02\x01\xff4", b"\x00\xff4", b"\x00\x09\xff4", b"\x01\x01\xff\x05", b"\x00\x0b\xff4", b"\x00\x01\xff\xff"],
)
def test_undecodable_octet_stream_of_revision_3(server, body):
    session = joined(Polling(server.port, 3))
    assert_error(session.post(body, "application/octet-stream"), 400, 3)
    assert session.get().status == 400


def test_text_of_revision_3_stays_text(server):
    session = joined(Polling(server.port, 3))
    session.send('42["say",1]')
    reply = session.get()
    assert (reply.headers["content-type"], reply.body) == ("text/plain; charset=UTF-8", b'12:42["said",1]')


def test_b64_is_remembered_from_the_handshake(server):
    session = joined(Polling(server.port, 3, "&b64=1"))
    session.target = session.target.replace("&b64=1", "")
    session.send('42["say",1]', EVENT, b"\x09")
    body = b""
    while len(body) < 60:
        body += session.get().body
    assert body == b'12:42["said",1]42:' + SAID.encode() + b"6:b4CQ=="


def test_binary_of_revision_4_is_base64(server):
    session = joined(Polling(server.port, 4))
    assert session.post(EVENT + "\x1ebCQ==").body == b"ok"
    reply = session.get()
    assert (reply.headers["content-type"], reply.body) == ("text/plain; charset=UTF-8", f"{SAID}\x1ebCQ==".encode())


def test_binary_on_a_websocket(server, revision):
    with Talk(server.port, revision) as client:
        client.join()
        assert client.socketed is not None
        raw = client.socketed.raw
        raw.send(EVENT)
        raw.send(b"\x04\x09" if revision == 3 else b"\x09")
        assert [raw.receive(), raw.receive()] == [SAID, b"\x04\x09" if revision == 3 else b"\x09"]


def test_binary_in_base64_on_a_websocket(server, revision):
    with Talk(server.port, revision) as client:
        client.join()
        client.send(EVENT, "b4CQ==" if revision == 3 else "bCQ==")
        assert [client.receive(), client.receive()] == [SAID, b"\x09"]


def test_jsonp(server, revision):
    """`j=` asks for a script; a POST carries the payload in the form field `d`."""
    target = f"{PATH}?EIO={revision}&transport=polling"
    page = [("Referer", f"http://{HOST}:{server.port}/page")]  # what a browser sends with a script
    reply = get(server.port, f"{target}&j=2", page)
    assert reply.headers["content-type"].startswith("text/javascript")
    assert reply.body.startswith(b"___eio[2](")
    first, *more = parse_payload(unscript(reply.body, 2).encode(), revision)
    sid = json.loads(str(first)[1:])["sid"]

    def form(index: int, packet: str):
        body = b"d=" + quote(build_payload([packet], revision).decode().replace("\\n", "\\\\n")).encode()
        headers = [*page, ("Content-Type", "application/x-www-form-urlencoded")]
        return get(server.port, f"{target}&j={index}&sid={sid}", headers, method="POST", body=body)

    if revision == 4:
        ok = form(3, "40")
        assert (ok.status, ok.body, ok.headers["content-type"]) == (200, b"ok", "text/html")
    if not more:
        more = parse_payload(unscript(get(server.port, f"{target}&j=3&sid={sid}", page).body, 3).encode(), revision)
    assert str(more[0]).startswith("40")
    assert form(4, '42["say","a\\nb\u2028ü"]').body == b"ok"
    reply = get(server.port, f"{target}&j=4&sid={sid}", page)
    assert "\u2028".encode() not in reply.body
    assert json.loads(str(parse_payload(unscript(reply.body, 4).encode(), revision)[0])[2:]) == ["said", "a\nb\u2028ü"]
    assert form(5, EVENT).body == b"ok"
    assert form(6, "b4CQ==" if revision == 3 else "bCQ==").body == b"ok"
    reply = get(server.port, f"{target}&j=6&sid={sid}", page)
    assert parse_payload(unscript(reply.body, 6).encode(), revision) == [SAID, b"\x09"]


def unscript(body: bytes, index: int) -> str:
    """The string in `___eio[index]("...");`."""
    text = body.decode()
    head, tail = f"___eio[{index}](", ");"
    assert text.startswith(head)
    assert text.endswith(tail)
    return str(json.loads(text[len(head) : -len(tail)]))


@behind_the_doors
@pytest.mark.parametrize("index", ["1);alert(1", "x", "", "-1"])
def test_jsonp_lets_nobody_write_a_script(server, index):
    reply = get(server.port, f"{PATH}?EIO=4&transport=polling&j={quote(index)}")
    assert b"alert" not in reply.body


def test_text_that_1x_encodes_twice_is_read_right(server):
    """Differs from the official server, which hands mojibake to the application."""
    session = joined(Polling(server.port, 3))
    packet = '42["say","grüß €😀"]'.encode().decode("latin-1")
    assert session.post(f"{len(packet)}:{packet}").body == b"ok"
    [said] = session.packets(session.get())
    assert json.loads(str(said)[2:]) == ["said", "grüß €😀"]


def test_text_that_2x_encodes_once_is_read_right(server):
    session = joined(Polling(server.port, 3))
    session.send('42["say","grüß"]')
    [said] = session.packets(session.get())
    assert json.loads(str(said)[2:]) == ["said", "grüß"]


# --- heartbeats ---------------------------------------------------------------------------------------------------


def test_intervals_below_a_second_are_announced_exactly(quick, revision):
    hello = Polling(quick.port, revision).hello
    assert (hello["pingInterval"], hello["pingTimeout"]) == (350, 755)


@pytest.mark.parametrize("way", ["websocket", "polling", "upgrade"])
def test_server_pings_in_revision_4(quick, way):
    with Talk(quick.port, 4, way) as client:
        client.join()
        for _ in range(3):
            assert client.text() == "2"
            client.send("3")
        client.send('42["say",1]')
        assert '42["said",1]' in [client.text(), client.text()]


@pytest.mark.parametrize("way", ["websocket", "polling", "upgrade"])
def test_client_pings_in_revision_3(quick, way):
    with Talk(quick.port, 3, way) as client:
        client.join()
        for _ in range(5):
            client.send("2")
            assert client.text() == "3"
            time.sleep(0.3)


def test_ping_of_revision_3_is_answered_with_its_data(server, way):
    """As the text of the protocol has it.  Differs from the official server, which answers without the data."""
    with Talk(server.port, 3, way) as client:
        client.join()
        client.send("2hello")
        assert client.text() == "3hello"


@pytest.mark.parametrize("way", ["websocket", "polling", "upgrade"])
def test_client_that_is_not_heard_of_is_closed(quick, revision, way):
    token = uuid.uuid4().hex
    with Talk(quick.port, revision, way, f"&token={token}") as client:
        client.join()
        client.closed()
    assert happened(quick.port, token, 2) == ["/ connect", "/ ping timeout"]


def test_heartbeat_in_the_wrong_direction_ends_the_session(talk, server, revision):
    token = uuid.uuid4().hex
    client = talk(f"&token={token}")
    client.join()
    client.provoke("2" if revision == 4 else "3")
    client.closed()
    assert happened(server.port, token, 2)[1] == "/ parse error"


# --- upgrade ------------------------------------------------------------------------------------------------------


def test_upgrade(polling, server):
    session = joined(polling())
    parked = session.park()
    probing = Socketed(server.port, session.revision, f"&sid={session.sid}")
    time.sleep(0.1)
    assert parked.waits  # a WebSocket alone changes nothing
    probing.send("2probe")
    assert probing.receive() == "3probe"
    assert session.packets(parked.reply()) == ["6"]
    assert session.packets(session.get()) == ["6"]  # within 100 ms
    session.send('42["say","on polling still"]')
    assert session.packets(session.get()) == ['42["said","on polling still"]']
    session.send('42["say","waits"]')
    time.sleep(0.1)
    probing.send("5")
    assert probing.receive() == '42["said","waits"]'
    probing.send('42["say","on the WebSocket"]')
    assert probing.receive() == '42["said","on the WebSocket"]'
    probing.close()


def test_upgraded_session_is_a_bad_request_over_http(polling):
    session = joined(polling())
    socketed = upgrade(session)
    socketed.send('42["say",1]')
    assert socketed.receive() == '42["said",1]'
    assert_error(session.get(), 400, 3)
    assert_error(session.post(build_payload(['42["say",2]'], session.revision)), 400, 3)
    socketed.send('42["say",3]')
    assert socketed.receive() == '42["said",3]'
    socketed.close()


def test_second_websocket_of_an_upgraded_session_is_accepted_and_closed(polling, server):
    session = joined(polling())
    socketed = upgrade(session)
    second = Socketed(server.port, session.revision, f"&sid={session.sid}")
    second.closed()
    socketed.send('42["say",1]')
    assert socketed.receive() == '42["said",1]'
    socketed.close()


def test_second_websocket_of_a_session_that_upgrades_is_closed(polling, server):
    session = joined(polling())
    first = Socketed(server.port, session.revision, f"&sid={session.sid}")
    first.send("2probe")
    assert first.receive() == "3probe"
    Socketed(server.port, session.revision, f"&sid={session.sid}").closed()
    first.send("5", '42["say",1]')
    assert first.receive() == '42["said",1]'
    first.close()


@behind_the_doors
@pytest.mark.parametrize(
    "sent", [["5"], ["2"], ["2probes"], ['42["say",1]'], ["2probe", "2probe"], ["2probe", "4x"], ["x"], [b"\x00"]]
)
def test_anything_else_from_a_probing_websocket_closes_it_alone(polling, server, sent):
    session = joined(polling())
    probing = Socketed(server.port, session.revision, f"&sid={session.sid}")
    probing.send(*sent)
    probing.closed()
    session.send('42["say","still polling"]')
    assert session.packets(session.get()) == ['42["said","still polling"]']
    socketed = upgrade(session)  # and it may try again
    socketed.send('42["say",1]')
    assert socketed.receive() == '42["said",1]'
    socketed.close()


@pytest.mark.parametrize("sent", [[], ["2probe"]])
def test_upgrade_that_takes_too_long(patient, revision, sent):
    session = joined(Polling(patient.port, revision))
    probing = Socketed(patient.port, revision, f"&sid={session.sid}")
    probing.send(*sent)
    probing.closed()
    session.send('42["say","still polling"]')
    assert session.packets(session.get()) == ['42["said","still polling"]']


def test_probing_websocket_that_is_cut_is_forgotten(polling, server):
    session = joined(polling())
    probing = Socketed(server.port, session.revision, f"&sid={session.sid}")
    probing.send("2probe")
    assert probing.receive() == "3probe"
    probing.close()
    time.sleep(0.1)
    socketed = upgrade(session)
    socketed.send('42["say",1]')
    assert socketed.receive() == '42["said",1]'
    socketed.close()


# --- close --------------------------------------------------------------------------------------------------------


def test_client_closes_by_post(polling, server, revision):
    token = uuid.uuid4().hex
    session = joined(polling(f"&token={token}"))
    parked = session.park()
    session.send("1")
    assert parked.reply().body == (b"6" if revision == 4 else b"1:6")
    assert_error(session.get(), 400, 1)
    assert happened(server.port, token, 2)[1] == "/ transport close"


@pytest.mark.parametrize("how", ["packet", "close frame", "close frame 1001", "cut", "reset"])
def test_client_closes_its_websocket(server, revision, how):
    token = uuid.uuid4().hex
    client = Talk(server.port, revision, "websocket", f"&token={token}")
    client.join()
    assert client.socketed is not None
    raw = client.socketed.raw
    if how == "packet":
        raw.send("1")
        client.socketed.closed()
    elif how == "close frame":
        raw.send_frame(b"\x88\x80abcd")
        client.socketed.closed()
    elif how == "close frame 1001":
        raw.send_frame(b"\x88\x82\x00\x00\x00\x00\x03\xe9")
        assert client.socketed.closed().code == 1001
    elif how == "reset":
        raw.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    client.socketed.close()
    reason = happened(server.port, token, 2)[1]
    assert reason in (("/ transport close", "/ transport error") if how == "reset" else ("/ transport close",))


def test_server_closes_who_joins_nothing(patient, way):
    """EIO4, connect time-out; a parked GET gets a close packet."""
    with Talk(patient.port, 4, way) as client, pytest.raises(Gone):
        client.receive()


def test_server_closes_who_joins_nothing_by_a_close_packet_on_polling(patient):
    session = Polling(patient.port, 4)
    assert session.get().body == b"1"
    assert session.get().status == 400


def test_server_ends(door, revision):
    """Never with a Socket.IO DISCONNECT, after which clients stay away.

    Hosts that frame WebSockets themselves end them before they tell us: the code is theirs, the reason says so.
    """
    token = uuid.uuid4().hex
    own_accident = door == "hypercorn"  # cancelling its own tasks, it logs a traceback
    app = "tests.apps.conformance_app:app"
    with running_asgi(app, door, tracebacks=own_accident) as server, contextlib.ExitStack() as stack:
        ways = ("websocket", "upgrade")
        clients = [stack.enter_context(Talk(server.port, revision, way, f"&token={token}")) for way in ways]
        for client in clients:
            client.join()
        server.process.terminate()
        for client in clients:
            with pytest.raises(Gone) as gone:
                client.receive()
            assert client.socketed is not None
            client.socketed.close()
            assert gone.value.code in ((1000, 1001) if door == "uvicorn-fast" else (1000, 1001, 1006, 1011, 1012))
        server.process.wait(15)
        reasons = [line.partition(" / ")[2] for line in server.output.splitlines() if line.startswith(token)]
        assert reasons[:2] == ["connect", "connect"]
        expected = {"server shutting down"} if door == "uvicorn-fast" else {"server shutting down", "transport close"}
        assert len(reasons) == 4
        assert set(reasons[2:]) <= expected


# --- WebSocket messages -----------------------------------------------------------------------------------------------


@behind_the_doors
@pytest.mark.parametrize("message", ["", "x", "9", "b!", "bAAA", "é"])
def test_undecodable_message_ends_that_session_alone(server, revision, bystander, message):
    token = uuid.uuid4().hex
    with Talk(server.port, revision, "websocket", f"&token={token}") as client:
        client.join()
        client.send(message)
        client.closed()
    assert happened(server.port, token, 2) == ["/ connect", "/ parse error"]
    bystander()


def test_bytes_of_revision_3_begin_with_their_type(server, bystander):
    with Talk(server.port, 3) as client:
        client.join()
        assert client.socketed is not None
        client.socketed.raw.send(b"\x05\x00")
        client.closed()
    bystander()


def test_message_beyond_max_payload(server, revision, bystander):
    with Talk(server.port, revision) as client:
        client.join()
        client.provoke('42["say","' + "x" * 100_000 + '"]')
        assert client.closed().code in (1009, 1006)  # 1006: the reset overtook the close frame
    bystander()


def test_message_of_exactly_max_payload(server, revision):
    with Talk(server.port, revision) as client:
        client.join()
        client.send('42["say","' + "x" * (100_000 - 12) + '"]')
        assert len(client.text()) == 100_001
