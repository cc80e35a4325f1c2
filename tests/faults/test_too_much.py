"""Too large, too many, without an end: refused with the code that says so, in bounded memory."""

import gzip
import zlib

import pytest

from tests.support.faulty import POLLING, WEBSOCKET, connection, joined, left, new_token, reset, settled, stats
from tests.support.raw_websocket import BINARY, CONT, PING, RSV1, TEXT, frame, header
from tests.support.servers import HOST
from tests.support.wire import Gone, RawWebSocket, Wire, get

MEGABYTE = 1024  # KiB, as the server counts
LIMIT = 100_000  # max_payload of the server that these share
DEFLATE = (("Sec-WebSocket-Extensions", "permessage-deflate"),)
FILLED = '42["echo","' + "x" * LIMIT + '"]'
NESTED = '42["echo",' + "[" * 300 + "]" * 300 + "]"

#: What is sent on a WebSocket, and the code that it is closed with.
MESSAGES = {
    "a frame": (header(TEXT, LIMIT + 1), 1009),
    "a frame that says it has 2^62 bytes": (header(TEXT, 1 << 62), 1009),
    "a frame that says it has 2^63 bytes": (header(TEXT, 1 << 63), 1002),
    "a message in two fragments": (
        frame(TEXT, b"4" * LIMIT, fin=False) + frame(CONT, b"4"),
        1009,
    ),
    "a ping": (header(PING, 126), 1002),
    "eleven attachments": (frame(TEXT, b'4511-["echo"]'), 1008),
    "a count of attachments with nine digits": (frame(TEXT, b'45999999999-["echo"]'), 1008),
    "attachments where none is due": (frame(BINARY, b"x"), 1008),
    "data nested 300 deep": (frame(TEXT, NESTED.encode()), 1008),
    "an ack id of 200 digits": (frame(TEXT, b"42" + b"9" * 200 + b'["echo"]'), 1008),
}


def close_of(client: RawWebSocket) -> int:
    """The code that the server ends with."""
    while True:
        try:
            client.receive()
        except Gone as gone:
            return gone.code


@pytest.mark.parametrize("what", MESSAGES)
def test_oversized_on_a_websocket(server, nobody, what):
    data, code = MESSAGES[what]
    token = new_token()
    client = joined(server.port, token)
    client.send_frame(data)
    assert close_of(client) == code
    assert len(left(server.port, token, 1)) == 1


def http(port: int, request: bytes) -> bytes:
    """The head of the answer; empty where the connection is simply ended."""
    sock = connection(port)
    try:
        sock.sendall(request)
        return sock.recv(65536)
    except ConnectionError:
        return b""
    finally:
        sock.close()


def upgrade(target: str = WEBSOCKET, more: bytes = b"") -> bytes:
    return (
        (
            f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        ).encode()
        + more
        + b"\r\n"
    )


REQUESTS = {
    "a head of 200 KB": (upgrade(more=b"X-Much: " + b"x" * 200_000 + b"\r\n"), {b"400", b"431", b""}),
    "a head of 2,000 lines": (upgrade(more=b"X-Much: x\r\n" * 2_000), {b"400", b"431", b"101", b""}),
    "a query of 200 KB": (upgrade(WEBSOCKET + "&x=" + "y" * 200_000), {b"400", b"414", b"431", b""}),
    "a query of 5,000 fields": (upgrade(WEBSOCKET + "&x=y" * 5_000), {b"400", b"414", b"431", b"101"}),
    "a sid of 50 KB": (upgrade(WEBSOCKET + "&sid=" + "y" * 50_000), {b"400"}),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_oversized_request(server, nobody, what):
    request, codes = REQUESTS[what]
    before = stats(server.port)
    answer = http(server.port, request)
    assert (answer.split(b" ", 2)[1] if answer else b"") in codes, answer[:200]
    settled(server.port, before)


@pytest.mark.parametrize("chunked", [False, True], ids=["length told", "chunked"])
def test_oversized_post(server, nobody, chunked):
    token = new_token()
    with Wire(server.port, transport="polling", query=f"token={token}") as poller:
        poller.join()
        head = f"POST {POLLING}&sid={poller.engine_sid} HTTP/1.1\r\nHost: {HOST}\r\n"
        if chunked:
            body = b"".join(b"4000\r\n" + b"4" * 0x4000 + b"\r\n" for _ in range(20))
            answer = http(server.port, (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + body)
        else:
            answer = http(server.port, (head + "Content-Length: 10000000\r\n\r\n").encode() + b"4" * 300_000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 413 "), answer[:200]
        assert len(left(server.port, token, 1)) == 1


def test_as_many_namespaces_as_there_are(server, nobody, case):
    before = stats(server.port, settle=True)
    with Wire(server.port) as wire:
        wire.join()
        for number in range(case.count):
            wire.send(f"0/no{number},")
            assert wire.packet().type == 4
        growth = stats(server.port)["rss"] - before["rss"]
    settled(server.port, before)
    assert growth < 10 * MEGABYTE
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)


@pytest.mark.timeout(600)
def test_endless_fragments(server, nobody, case):
    before = stats(server.port, settle=True)
    client = joined(server.port)
    client.send_frame(frame(TEXT, b"", fin=False))
    some = frame(CONT, b"", fin=False) * 1_000
    for _ in range(case.count // 1_000):
        client.send_frame(some)
    client.send_frame(frame(CONT, b'42["x"]', fin=False) + frame(CONT, b"") + frame(TEXT, b'4217["echo"]'))
    assert client.receive() == "4317[]"
    growth = stats(server.port)["rss"] - before["rss"]
    assert growth < 5 * MEGABYTE
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)


@pytest.mark.timeout(600)
def test_ping_flood(server, nobody, case):
    before = stats(server.port, settle=True)
    client = joined(server.port)
    some = frame(PING, b"p" * 125) * 1_000
    for _ in range(case.count // 1_000):
        client.send_frame(some)
    growth = stats(server.port)["rss"] - before["rss"]
    assert growth < 10 * MEGABYTE
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)
    reset(client.socket)
    settled(server.port, before)


def test_deflate_bomb(server, nobody, case):
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeeze.compress(bytes(64 << 20)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < LIMIT
    before = stats(server.port, settle=True)
    token = new_token()
    for _ in range(case.count):
        client = joined(server.port, token, DEFLATE)
        client.send_frame(frame(TEXT, bomb[:-4], bits=RSV1))
        assert close_of(client) == 1009
    assert len(left(server.port, token, case.count)) == case.count
    growth = settled(server.port, before)["rss"] - before["rss"]
    assert growth < 10 * MEGABYTE
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)


def test_gzip_bomb_in_a_post(server, nobody, case):
    bomb = gzip.compress(b"4" * (64 << 20), 9)
    before = stats(server.port, settle=True)
    for _ in range(case.count):
        with Wire(server.port, transport="polling") as poller:
            poller.join()
            target = f"{POLLING}&sid={poller.engine_sid}"
            assert get(server.port, target, [("Content-Encoding", "gzip")], "POST", bomb[: LIMIT - 1]).status == 400
    growth = settled(server.port, before)["rss"] - before["rss"]
    assert growth < 10 * MEGABYTE
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=growth)


def test_invalid_utf8(server, nobody, case):
    token = new_token()
    for number in range(case.count):
        bad = (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")[number % 5]
        if number % 2:
            client = joined(server.port, token)
            client.send_frame(frame(TEXT, b'42["' + bad + b'"]'))
            assert close_of(client) == 1007
        else:
            with Wire(server.port, transport="polling", query=f"token={token}") as poller:
                poller.join()
                body = b'42["' + bad + b'"]'
                assert get(server.port, f"{POLLING}&sid={poller.engine_sid}", (), "POST", body).status == 400
    assert len(left(server.port, token, case.count)) == case.count
    case.measured(longest_gap=nobody.noticed())


def test_a_thousand_packets_in_one_post(server, nobody, case):
    for _ in range(case.count):
        with Wire(server.port, transport="polling") as poller:
            poller.join()
            poller.pipe.post(b"\x1e".join(b'42%d["echo",%d]' % (number, number) for number in range(1_000)))
            answers = [poller.packet() for _ in range(1_000)]
            assert {(answer.id, answer.data[0]) for answer in answers} == {(each, each) for each in range(1_000)}
    case.measured(longest_gap=nobody.noticed())
