"""One WebSocket, the server's side: every row of the module's table, bytes cut at every place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truesocket.codec import frames
from truesocket.codec.frames import Opcode
from truesocket.session.websocket import State, WebSocket
from truesocket.testing import chopped, splits

KEY = b"\x01\x02\x03\x04"
LIMIT = 1000


class Listener:
    def __init__(self):
        self.writable = True
        self.heard = []

    def write(self, data):
        frame = frames.parse(data, limit=1 << 20, masked=False)
        assert frame.end == len(data)
        what = frames.parse_close(frame.payload) if frame.opcode == Opcode.CLOSE else frame.payload
        self.heard.append(("wrote", Opcode(frame.opcode).name, what))

    def received(self, message):
        self.heard.append(("received", message))

    def finished(self, code, reason):
        self.heard.append(("finished", code, reason))


def client(opcode, payload=b"", fin=True, key=KEY):
    return frames.build(opcode, payload, fin=fin, key=key)


def close_frame(code, reason=""):
    return client(Opcode.CLOSE, frames.build_close(code, reason))


def hear(*chunks, limit=LIMIT):
    listener = Listener()
    websocket = WebSocket(listener, limit)
    for chunk in chunks:
        websocket.receive(chunk)
    return listener.heard, websocket


HELLO = client(Opcode.TEXT, "grüß".encode())
TALK = (
    HELLO
    + client(Opcode.TEXT, "a€".encode()[:2], fin=False)  # cut in the middle of a character
    + client(Opcode.PING, b"now")
    + client(Opcode.CONTINUATION, b"", fin=False)
    + client(Opcode.CONTINUATION, "a€".encode()[2:])
    + client(Opcode.PONG, b"?")
    + client(Opcode.BINARY, b"\x00" * 300)
    + client(Opcode.BINARY, b"\x01", fin=False)
    + client(Opcode.CONTINUATION, b"\x02")
    + close_frame(1001, "bye")
)
HEARD = [
    ("received", "grüß"),
    ("wrote", "PONG", b"now"),
    ("received", "a€"),
    ("received", b"\x00" * 300),
    ("received", b"\x01\x02"),
    ("wrote", "CLOSE", (1001, "")),
    ("finished", 1001, "bye"),
]


def test_a_whole_talk_cut_at_every_place():
    for chunks in splits(TALK):
        assert hear(*chunks)[0] == HEARD


@given(st.lists(st.integers(0, len(TALK)), max_size=40))
def test_a_whole_talk_cut_anywhere(places):
    heard, websocket = hear(*chopped(TALK, places))
    assert heard == HEARD
    assert websocket.state is State.CLOSED


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=10))
def test_garbage_never_raises_and_ends_at_most_once(data, places):
    heard, websocket = hear(*chopped(data, places))
    assert heard == hear(data)[0]
    ends = [entry for entry in heard if entry[0] == "finished"]
    assert len(ends) == (websocket.state is State.CLOSED)


def test_a_close_without_a_code_is_answered_without_one():
    assert hear(client(Opcode.CLOSE))[0] == [("wrote", "CLOSE", (1005, "")), ("finished", 1005, "")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (client(Opcode.TEXT, b"\xff"), 1007),
        (client(Opcode.TEXT, b"\xff", fin=False), 1007),
        (client(Opcode.TEXT, b"\xe2", fin=False) + client(Opcode.CONTINUATION, b""), 1007),
        (client(Opcode.CONTINUATION, b"x"), 1002),
        (client(Opcode.TEXT, b"a", fin=False) + client(Opcode.TEXT, b"b"), 1002),
        (client(Opcode.TEXT, b"a", key=None), 1002),
        (client(Opcode.CLOSE, b"\x03"), 1002),
        (client(Opcode.CLOSE, b"\x03\xed"), 1002),
        (client(Opcode.CLOSE, b"\x03\xe8\xff"), 1007),
        (b"\xf1\x80", 1002),
        (client(Opcode.TEXT, b"x" * (LIMIT + 1)), 1009),
        (client(Opcode.BINARY, b"x" * LIMIT, fin=False) + client(Opcode.CONTINUATION, b"x", fin=False), 1009),
    ],
)
def test_a_broken_rule_closes_with_its_code(data, code):
    heard, websocket = hear(data, HELLO)
    assert [entry[:2] for entry in heard] == [("wrote", "CLOSE"), ("finished", code)]
    assert heard[0][2][0] == code
    assert heard[0][2][1]  # it says why
    assert websocket.state is State.CLOSED


def test_the_limit_itself_is_allowed():
    data = client(Opcode.BINARY, b"x" * (LIMIT - 1), fin=False) + client(Opcode.CONTINUATION, b"x")
    assert hear(client(Opcode.BINARY, b"x" * LIMIT) + data)[0] == [("received", b"x" * LIMIT)] * 2


def test_after_our_goodbye_only_the_answer_counts():
    listener = Listener()
    websocket = WebSocket(listener, LIMIT)
    websocket.receive(client(Opcode.TEXT, b"half", fin=False))
    websocket.close(1001, "going")
    websocket.close(1000, "again")
    assert websocket.state is State.CLOSING
    websocket.receive(client(Opcode.CONTINUATION, b"x") + HELLO + client(Opcode.PING, b"p"))
    assert listener.heard == [("wrote", "CLOSE", (1001, "going"))]
    websocket.receive(close_frame(1001))
    websocket.receive(close_frame(1001) + HELLO)
    assert listener.heard[1:] == [("finished", 1001, "")]
    assert websocket.state is State.CLOSED


def test_a_broken_rule_after_our_goodbye_ends_it():
    listener = Listener()
    websocket = WebSocket(listener, LIMIT)
    websocket.close()
    websocket.receive(b"\xf1\x80")
    assert [entry[:2] for entry in listener.heard] == [("wrote", "CLOSE"), ("finished", 1002)]


def test_closed_in_the_middle_of_a_chunk_drops_the_rest():
    listener = Listener()
    websocket = WebSocket(listener, LIMIT)

    def received(message):
        listener.heard.append(("received", message))
        websocket.close()

    listener.received = received
    websocket.receive(HELLO + HELLO + close_frame(1000) + HELLO)
    assert [entry[0] for entry in listener.heard] == ["received", "wrote", "finished"]


def test_pings_of_a_client_that_does_not_read_are_not_answered():
    listener = Listener()
    websocket = WebSocket(listener, LIMIT)
    listener.writable = False
    websocket.receive(client(Opcode.PING, b"1") * 1000)
    assert listener.heard == []
    listener.writable = True
    websocket.receive(client(Opcode.PING, b"2"))
    assert listener.heard == [("wrote", "PONG", b"2")]
