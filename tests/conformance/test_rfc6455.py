"""RFC 6455, "The WebSocket Protocol", section by section, on raw sockets: every test bears the number of its section.

The server is `truesocket.testing.websocket_echo`.  Frames are built and read here by hand, as the RFC draws them.
"""

import base64
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from tests.support.raw_websocket import BINARY, CLOSE, CONT, PING, PONG, TEXT, Raw, frame, header
from tests.support.servers import HOST, Server, running


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with running("truesocket.testing.websocket_echo", "{port}", "--limit", "1000000") as server:
        yield server


@pytest.fixture
def ws(echo) -> Iterator[Raw]:
    with Raw(echo.port) as raw:
        yield raw


def assert_alive(ws: Raw) -> None:
    """And nothing else has come."""
    ws.send(frame(TEXT, b"alive"))
    assert ws.receive() == (TEXT, b"alive")


def assert_fails(ws: Raw, code: int) -> None:
    """A close frame with this code, then the end of the stream (7.1.7)."""
    assert ws.close_code() == code
    ws.assert_end()


# --- 4 opening handshake ----------------------------------------------------------------------------------------------

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def ask(port: int, changes: dict[str, str | None], line: str = "GET / HTTP/1.1") -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer to the handshake; `None` leaves a header out."""
    headers = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    head = "\r\n".join([line, *(f"{name}: {value}" for name, value in headers.items()), "", ""])
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(head.encode())
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
            if data.startswith(b"HTTP/1.1 101") and b"\r\n\r\n" in data:
                break
    top, _, body = data.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body


def test_1_3_accept_is_that_of_the_example(echo):
    status, headers, _ = ask(echo.port, {})
    assert status == 101
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert headers["upgrade"].lower() == "websocket"
    assert headers["connection"].lower() == "upgrade"


def test_4_2_2_no_extension_or_subprotocol_that_was_not_asked_for(echo):
    _, headers, _ = ask(echo.port, {})
    assert "sec-websocket-extensions" not in headers
    assert "sec-websocket-protocol" not in headers


def test_4_2_2_no_extension_or_subprotocol_that_we_do_not_speak(echo):
    status, headers, _ = ask(echo.port, {"Sec-WebSocket-Extensions": "x-magic", "Sec-WebSocket-Protocol": "chat"})
    assert status == 101
    assert "sec-websocket-extensions" not in headers
    assert "sec-websocket-protocol" not in headers


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "h2c, WEBSOCKET"),
        ("Connection", "keep-alive, Upgrade"),
        ("Connection", "upgrade"),
    ],
)
def test_4_2_1_tokens_are_read_in_any_case_and_company(echo, name, value):
    assert ask(echo.port, {name: value})[0] == 101


@pytest.mark.parametrize(
    ("changes", "line", "status"),
    [
        ({}, "POST / HTTP/1.1", 405),
        ({}, "HEAD / HTTP/1.1", 405),
        ({}, "GET / HTTP/1.0", 400),
        ({"Upgrade": None}, "GET / HTTP/1.1", 426),
        ({"Upgrade": "h2c"}, "GET / HTTP/1.1", 426),
        ({"Connection": None}, "GET / HTTP/1.1", 400),
        ({"Connection": "keep-alive"}, "GET / HTTP/1.1", 400),
        ({"Sec-WebSocket-Key": None}, "GET / HTTP/1.1", 400),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, "GET / HTTP/1.1", 400),
        ({"Sec-WebSocket-Key": "not base64 at all!!!!!"}, "GET / HTTP/1.1", 400),
        ({"Sec-WebSocket-Key": base64.b64encode(bytes(17)).decode()}, "GET / HTTP/1.1", 400),
        ({}, "GET /", 400),
        ({}, "nonsense", 400),
    ],
)
def test_4_2_1_what_is_no_handshake_is_refused(echo, changes, line, status):
    found, headers, body = ask(echo.port, changes, line)
    assert found == status
    if line.startswith("GET"):
        assert body  # a sentence that says why
    if status == 405:
        assert headers["allow"] == "GET"


@pytest.mark.parametrize("version", [None, "8", "12", "14", "", "13.0"])
def test_4_4_other_versions_are_told_which_is_spoken(echo, version):
    status, headers, _ = ask(echo.port, {"Sec-WebSocket-Version": version})
    assert status == 426
    assert headers["sec-websocket-version"] == "13"


def test_4_2_frames_right_behind_the_request_are_read(echo):
    with Raw(echo.port, early=frame(TEXT, b"early")) as ws:
        assert ws.receive() == (TEXT, b"early")


def test_4_2_handshake_in_single_bytes(echo):
    with Raw(echo.port, drip=True) as ws:
        assert_alive(ws)


# --- 5.2 base framing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1_000_000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_5_2_every_form_of_the_length(ws, opcode, size):
    payload = b"*" * size
    ws.send(frame(opcode, payload))
    assert ws.receive() == (opcode, payload)


@pytest.mark.parametrize("size", [0, 1, 125])
def test_5_2_sixteen_bits_are_not_for_small_lengths(ws, size):
    ws.send(bytes([0x80 | TEXT, 0xFE]) + size.to_bytes(2, "big") + b"abcd" + bytes(size))
    assert_fails(ws, 1002)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535])
def test_5_2_sixty_four_bits_are_not_for_small_lengths(ws, size):
    ws.send(bytes([0x80 | TEXT, 0xFF]) + size.to_bytes(8, "big"))
    assert_fails(ws, 1002)


def test_5_2_highest_bit_of_a_length_is_zero(ws):
    ws.send(bytes([0x80 | TEXT, 0xFF]) + (1 << 63).to_bytes(8, "big"))
    assert_fails(ws, 1002)


@pytest.mark.parametrize("bits", [0x40, 0x20, 0x10, 0x70])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONT, CLOSE, PING, PONG])
def test_5_2_reserved_bits(ws, bits, opcode):
    ws.send(frame(TEXT, b"before") + frame(opcode, b"", bits=bits))
    assert ws.receive() == (TEXT, b"before")
    assert_fails(ws, 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_5_2_reserved_opcodes(ws, opcode, payload):
    ws.send(frame(opcode, payload))
    assert_fails(ws, 1002)


@pytest.mark.parametrize("cut", [1, 2, 3, 7])
def test_5_2_frames_cut_anywhere(ws, cut):
    stream = frame(TEXT, "grüß 😀".encode()) + frame(PING, b"p") + frame(BINARY, bytes(200))
    for start in range(0, len(stream), cut):
        ws.send(stream[start : start + cut])
    assert ws.receive() == (TEXT, "grüß 😀".encode())
    assert ws.receive() == (PONG, b"p")
    assert ws.receive() == (BINARY, bytes(200))


# --- 5.1, 5.3 masking -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_5_1_unmasked_frame_of_a_client(ws, opcode):
    ws.send(frame(opcode, b"", key=None))
    assert_fails(ws, 1002)


def test_5_1_server_does_not_mask(ws):
    ws.send(frame(TEXT, b"x"))
    assert ws.bytes(3) == b"\x81\x01x"


@pytest.mark.parametrize("key", [bytes(4), b"\xff\xff\xff\xff", b"\x01\x02\x03\x04"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 1023])
def test_5_3_any_masking_key(ws, key, size):
    payload = os.urandom(size)
    ws.send(frame(BINARY, payload, key=key))
    assert ws.receive() == (BINARY, payload)


# --- 5.4 fragmentation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_5_4_fragments_are_joined(ws, opcode):
    ws.send(frame(opcode, b"one ", fin=False) + frame(CONT, b"two ", fin=False) + frame(CONT, b"three"))
    assert ws.receive() == (opcode, b"one two three")


def test_5_4_empty_fragments(ws):
    ws.send(frame(TEXT, b"", fin=False) + frame(CONT, b"", fin=False) + frame(CONT, b""))
    assert ws.receive() == (TEXT, b"")


def test_5_4_fragments_of_one_byte(ws):
    payload = b"fragmented into single bytes"
    ws.send(frame(BINARY, b"", fin=False) + b"".join(frame(CONT, bytes([byte]), fin=False) for byte in payload))
    ws.send(frame(CONT, b""))
    assert ws.receive() == (BINARY, payload)


def test_5_4_control_frames_between_fragments(ws):
    ws.send(frame(TEXT, b"a", fin=False) + frame(PING, b"1") + frame(CONT, b"b", fin=False) + frame(PONG, b"?"))
    assert ws.receive() == (PONG, b"1")  # at once, not behind the message
    ws.send(frame(PING, b"2") + frame(CONT, b"c"))
    assert ws.receive() == (PONG, b"2")
    assert ws.receive() == (TEXT, b"abc")


def test_5_4_close_between_fragments(ws):
    ws.send(frame(TEXT, b"a", fin=False) + frame(CLOSE, b"\x03\xe8"))
    assert_fails(ws, 1000)


@pytest.mark.parametrize("fin", [True, False])
def test_5_4_continuation_of_nothing(ws, fin):
    ws.send(frame(CONT, b"x", fin=fin))
    assert_fails(ws, 1002)


def test_5_4_continuation_behind_a_whole_message(ws):
    ws.send(frame(TEXT, b"whole") + frame(CONT, b"x"))
    assert ws.receive() == (TEXT, b"whole")
    assert_fails(ws, 1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
def test_5_4_new_message_inside_a_fragmented_one(ws, opcode, fin):
    ws.send(frame(TEXT, b"a", fin=False) + frame(opcode, b"b", fin=fin))
    assert_fails(ws, 1002)


# --- 5.5 control frames -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_5_5_control_frames_are_never_fragmented(ws, opcode):
    ws.send(frame(opcode, b"", fin=False))
    assert_fails(ws, 1002)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 65_536])
def test_5_5_control_frames_hold_125_bytes_at_most(ws, opcode, size):
    ws.send(header(opcode, size))
    assert_fails(ws, 1002)


def test_5_5_control_frame_with_125_bytes_in_a_long_form(ws):
    ws.send(bytes([0x80 | PING, 0xFE, 0, 125]) + bytes(129))
    assert_fails(ws, 1002)


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", bytes(125)])
def test_5_5_2_ping_is_answered_with_its_payload(ws, payload):
    ws.send(frame(PING, payload))
    assert ws.receive() == (PONG, payload)


def test_5_5_3_ten_pings_are_answered_in_their_order(ws):
    ws.send(b"".join(frame(PING, str(number).encode()) for number in range(10)))
    assert [ws.receive() for _ in range(10)] == [(PONG, str(number).encode()) for number in range(10)]


def test_5_5_3_unsolicited_pong_is_dropped(ws):
    ws.send(frame(PONG, b"nobody asked") + frame(PONG, b""))
    assert_alive(ws)


# --- 5.5.1, 7 closing -------------------------------------------------------------------------------------------------


def test_5_5_1_close_without_a_code(ws):
    ws.send(frame(CLOSE, b""))
    assert ws.receive() == (CLOSE, b"")
    ws.assert_end()


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_7_4_codes_that_may_be_sent_come_back(ws, code):
    ws.send(frame(CLOSE, code.to_bytes(2, "big")))
    assert_fails(ws, code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
def test_7_4_codes_that_must_not_be_sent(ws, code):
    ws.send(frame(CLOSE, code.to_bytes(2, "big")))
    assert_fails(ws, 1002)


def test_5_5_1_half_a_code(ws):
    ws.send(frame(CLOSE, b"\x03"))
    assert_fails(ws, 1002)


def test_5_5_1_reason_of_123_bytes(ws):
    ws.send(frame(CLOSE, b"\x03\xe8" + b"*" * 123))
    assert_fails(ws, 1000)


def test_5_5_1_reason_that_is_not_utf8(ws):
    ws.send(frame(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"))
    assert_fails(ws, 1007)


def test_5_5_1_nothing_is_answered_behind_the_close(ws):
    ws.send(frame(CLOSE, b"\x03\xe8") + frame(TEXT, b"late") + frame(PING, b"late") + frame(CLOSE, b"\x03\xe8"))
    assert_fails(ws, 1000)


def test_5_5_1_messages_before_the_close_are_answered(ws):
    ws.send(frame(TEXT, b"in time") + frame(PING, b"p") + frame(CLOSE, b"\x03\xe8"))
    assert ws.receive() == (TEXT, b"in time")
    assert ws.receive() == (PONG, b"p")
    assert_fails(ws, 1000)


def test_7_1_1_client_that_goes_without_a_word_harms_nobody(echo):
    with Raw(echo.port) as other:
        for sent in (b"", b"\x81", frame(TEXT, b"x")[:4], frame(TEXT, b"x", fin=False)):
            with Raw(echo.port) as ws:
                ws.send(sent)
        assert_alive(other)


# --- 5.6, 8.1 data ----------------------------------------------------------------------------------------------------

NOT_UTF8 = {
    "a lonely continuation byte": b"\x80",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xc0\x80",
    "overlong, three bytes": b"\xe0\x80\xaf",
    "overlong, four bytes": b"\xf0\x80\x80\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "impossible bytes": b"\xfe\xff",
    "an end too early": b"\xe2\x82",
    "text around it": b"before\xffafter",
}


@pytest.mark.parametrize("payload", NOT_UTF8.values(), ids=NOT_UTF8)
def test_8_1_text_that_is_not_utf8(ws, payload):
    ws.send(frame(TEXT, payload))
    assert_fails(ws, 1007)


@pytest.mark.parametrize("payload", NOT_UTF8.values(), ids=NOT_UTF8)
def test_5_6_binary_may_hold_anything(ws, payload):
    ws.send(frame(BINARY, payload))
    assert ws.receive() == (BINARY, payload)


@pytest.mark.parametrize(
    "text", ["\x00", "κόσμε", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\uffff", "\U00010000", "\U0010ffff", "👨‍👩‍👧"]
)
def test_8_1_text_at_the_edges_of_utf8(ws, text):
    ws.send(frame(TEXT, text.encode()))
    assert ws.receive() == (TEXT, text.encode())


def test_8_1_characters_cut_by_fragments(ws):
    data = "ä€😀".encode()
    ws.send(b"".join(frame(CONT if at else TEXT, data[at : at + 1], fin=False) for at in range(len(data))))
    ws.send(frame(CONT, b""))
    assert ws.receive() == (TEXT, data)


@pytest.mark.parametrize("payload", [payload for name, payload in NOT_UTF8.items() if name != "an end too early"])
def test_8_1_broken_text_fails_fast(ws, payload):
    """With the fragment that breaks it: the message never ends."""
    ws.send(frame(TEXT, b"good ", fin=False) + frame(CONT, payload, fin=False))
    assert_fails(ws, 1007)


def test_8_1_message_that_ends_in_the_middle_of_a_character(ws):
    ws.send(frame(TEXT, b"\xe2", fin=False) + frame(CONT, b"\x82"))
    assert_fails(ws, 1007)


# --- 10.4 limits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1_000_001, 1 << 31, (1 << 63) - 1])
def test_10_4_frame_beyond_the_limit_fails_by_its_header(ws, size):
    ws.send(header(BINARY, size))
    assert_fails(ws, 1009)


def test_10_4_message_in_fragments_beyond_the_limit(ws):
    ws.send(frame(BINARY, bytes(600_000), fin=False))
    ws.send(header(CONT, 400_001) + bytes(400_001))
    assert ws.close_code() == 1009


def test_10_4_message_in_fragments_at_the_limit(ws):
    ws.send(frame(BINARY, bytes(600_000), fin=False) + frame(CONT, bytes(400_000)))
    assert ws.receive() == (BINARY, bytes(1_000_000))


def test_10_4_endless_empty_fragments_cost_nothing(ws):
    """What holds no bytes is kept nowhere."""
    ws.send(frame(BINARY, b"", fin=False) + frame(CONT, b"", fin=False) * 20_000)
    ws.send(frame(CONT, b"end"))
    assert ws.receive() == (BINARY, b"end")


def test_5_5_2_pings_of_a_client_that_never_reads_fill_no_memory(echo):
    """RFC 6455 5.5.3 asks for an answer to the last ping only."""
    with Raw(echo.port) as ws, Raw(echo.port) as other:
        ws.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):  # the server may stop reading, or go on and drop
            for _ in range(400):
                ws.send(frame(PING, bytes(125)) * 500)
        assert_alive(other)
