"""Engine and conversation together: bytes in, bytes out, in the words of the official server's transcripts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import RecordingLink
from truesocket.codec import frames
from truesocket.codec.engineio import build_payload, needs_binary_payload
from truesocket.codec.frames import Opcode
from truesocket.codec.parcel import Parcel
from truesocket.session.engine import EngineOptions, Reason, State
from truesocket.session.peer import Peer
from truesocket.session.websocket import WebSocket
from truesocket.testing import FakeClock, chopped


class Member:
    """Answers the event ``echo`` as the transcripts want it, and remembers the rest."""

    def __init__(self, peer, namespace):
        self.peer, self.namespace = peer, namespace
        self.heard = []

    def received_event(self, name, args, id, size):
        self.heard.append((name, args, id))
        if name == "echo":
            self.peer.send(Parcel('2["back","€😀"]'))
            if id is not None:
                ack = '["ok",{"_placeholder":true,"num":0}]'
                self.peer.send(Parcel(f"61-{id}{ack}", (b"\x09",)))

    def received_ack(self, id, args):
        self.heard.append(("ack", id, args))

    def left(self):
        self.heard.append("left")


class Core:
    """A :class:`PeerListener` that knows two namespaces, and lets nobody into ``/admin`` without a token."""

    def __init__(self):
        self.members = []
        self.heard = []
        self.is_patient = True  # with one who is metered
        self.later = []  # what a connect handler decides, behind the packets that came together

    def connect(self, peer, namespace, query, auth):
        if namespace not in ("/", "/admin"):
            return None
        member = Member(peer, namespace)
        self.members.append(member)
        if namespace == "/admin" and "token" not in query and not auth:
            self.later.append(lambda: peer.conversation.refuse(namespace, {"message": "no", "data": {"k": 1}}))
        else:
            peer.conversation.accept(namespace, "S")
        return member

    def closed(self, peer, reason):
        self.heard.append((reason, peer.error))

    def passes(self, peer, size, is_event):
        self.heard.append(("passes?", size, is_event))
        return self.is_patient

    def dropped(self, peer):
        self.heard.append("dropped")

    def gone(self, peer):
        self.heard.append("gone")


def come_in(revision, link=None, *, is_base64=False, **options):
    core, clock = Core(), FakeClock()
    peer = Peer("E", revision, "handshake", core, clock, EngineOptions(**options), base64=is_base64)
    peer.open(link)
    return peer, core


class Wire:
    """A long-polling client that reads and writes bytes."""

    def __init__(self, revision, *, is_base64=False):
        self.peer, self.core = come_in(revision, is_base64=is_base64)
        self.bodies = []

    def get(self):
        """The body of one GET, ``None`` where it is refused or parked."""
        self.bodies.append(None)
        place = len(self.bodies) - 1

        def answer(packets):
            engine = self.peer.engine
            binary = engine.revision == 3 and not engine.base64 and needs_binary_payload(packets)
            self.bodies[place] = build_payload(packets, engine.revision, binary=binary)

        self.peer.engine.poll(answer)
        return self.bodies[place]

    def post(self, body):
        good = self.peer.engine.post(body.encode(), binary=False)
        while self.core.later:
            self.core.later.pop()()
        return good


# --- golden transcripts (protocol.md 4.4) -------------------------------------------------------------------------


def test_golden_revision_3_handshake():
    wire = Wire(3)
    body = wire.get().decode()
    length, _, rest = body.partition(":")
    hello, rest = rest[: int(length)], rest[int(length) :]
    assert list(json.loads(hello[1:])) == ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"]
    assert rest == "2:40"
    assert wire.peer.sid == "E"
    assert wire.peer.handshake == "handshake"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("1:2", "1:3"),
        ("8:40/admin", '16:44/admin,{"k":1}'),
        ("17:40/admin?token=x,", "9:40/admin,"),
        ("7:40/nope", '39:44/nope,{"message":"Invalid namespace"}'),
    ],
)
def test_golden_revision_3_answers(said, answer):
    wire = Wire(3)
    wire.get()
    length, _, packet = said.partition(":")
    assert wire.post(f"{len(packet)}:{packet}" if int(length) != len(packet) else said)
    assert wire.get() == answer.encode()


def test_golden_revision_3_binary():
    wire = Wire(3)
    wire.get()
    wire.post('11:427["echo"]')
    # A client 1.x decodes UTF-8 twice: text beyond ASCII is escaped, also in a binary payload.
    text = '42["back","\\u20ac\\ud83d\\ude00"]'
    binary = '461-7["ok",{"_placeholder":true,"num":0}]'
    expected = bytes([0, *map(int, str(len(text))), 255]) + text.encode()
    expected += bytes([0, *map(int, str(len(binary))), 255]) + binary.encode() + bytes([1, 2, 255, 4, 9])
    assert wire.get() == expected


def test_golden_revision_3_base64():
    wire = Wire(3, is_base64=True)
    wire.get()
    wire.post('11:420["echo"]')
    text = '42["back","\\u20ac\\ud83d\\ude00"]'
    assert wire.get().decode() == f'{len(text)}:{text}41:461-0["ok",{{"_placeholder":true,"num":0}}]6:b4CQ=='


def test_golden_revision_3_parse_error():
    wire = Wire(3)
    wire.get()
    wire.get()
    assert not wire.post("3:abc")
    assert wire.bodies[1] == b"1:6"
    assert wire.get() is None
    assert [entry[0] if entry != "gone" else entry for entry in wire.core.heard] == [Reason.PARSE_ERROR, "gone"]


def test_golden_revision_4():
    wire = Wire(4)
    assert wire.get().startswith(b'0{"sid":"E","upgrades":["websocket"]')
    assert wire.post("40")
    assert wire.get() == b'40{"sid":"S"}'
    assert wire.post("40/admin,")
    assert wire.get() == b'44/admin,{"message":"no","data":{"k":1}}'
    assert wire.post('40/admin,{"token":1}\x1e40/nope,')
    assert wire.get().decode().split("\x1e") == ['40/admin,{"sid":"S"}', '44/nope,{"message":"Invalid namespace"}']
    assert wire.post('421["echo"]')
    assert wire.get().decode().split("\x1e") == [
        '42["back","€😀"]',
        '461-1["ok",{"_placeholder":true,"num":0}]',
        "bCQ==",
    ]


# --- the same over a WebSocket, cut anywhere ----------------------------------------------------------------------


class Socket:
    """A whole connection in memory: frames of a client -> WebSocket -> peer, and back."""

    def __init__(self, revision):
        self.link = RecordingLink(revision)
        self.peer, self.core = come_in(revision, self.link)
        self.writable = True
        self.websocket = WebSocket(self, 10_000)

    def write(self, data):
        self.written = data

    def received(self, message):
        self.peer.engine.received_on(self.link, message)

    def finished(self, code, reason):
        self.peer.engine.lost(self.link, Reason.TRANSPORT_ERROR)


SAID = {
    4: ["40", '42["say",1]', '451-["f",{"_placeholder":true,"num":0}]', b"\x00\x01", '43["late"]', '427["echo"]'],
    3: ['42["say",1]', '451-["f",{"_placeholder":true,"num":0}]', b"\x04\x00\x01", "2", '427["echo"]'],
}
GOT = {
    4: ['40{"sid":"S"}', '42["back","€😀"]', '461-7["ok",{"_placeholder":true,"num":0}]', b"\x09"],
    3: ["40", "3", '42["back","€😀"]', '461-7["ok",{"_placeholder":true,"num":0}]', b"\x04\x09"],
}


def in_frames(messages):
    return b"".join(
        frames.build(Opcode.TEXT, message.encode(), key=b"abcd")
        if isinstance(message, str)
        else frames.build(Opcode.BINARY, message, key=b"abcd")
        for message in messages
    )


@pytest.mark.parametrize("revision", [3, 4])
@given(places=st.lists(st.integers(0, 150), max_size=30))
def test_a_talk_over_a_websocket_cut_anywhere(revision, places):
    socket = Socket(revision)
    for chunk in chopped(in_frames(SAID[revision]), places):
        socket.websocket.receive(chunk)
    assert socket.link.messages[1:] == GOT[revision]
    assert socket.core.members[0].heard == [("say", [1], None), ("f", [b"\x00\x01"], None), ("echo", [], 7)]
    assert socket.core.heard == []


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (['42["early"]'], "not joined"),
        (["40", "40"], "second CONNECT"),
        (["40", '42["connect"]'], "reserved"),
        (["40", b"\x00"], "binary message"),
        (["x"], "type"),
        (["2"], "direction"),
    ],
)
def test_who_breaks_a_rule_is_closed_and_the_log_knows_why(said, hint):
    socket = Socket(4)
    socket.websocket.receive(in_frames([*said, '42["late"]']))
    code, reason = socket.link.closed
    assert code == 1008
    assert hint in reason
    assert socket.core.heard == [(Reason.PARSE_ERROR, reason), "gone"]
    assert [member.heard for member in socket.core.members] == [[]] * len(socket.core.members)


def test_a_lost_websocket():
    socket = Socket(4)
    socket.websocket.receive(in_frames(["40"]) + b"\xff\xff")
    assert socket.core.heard == [(Reason.TRANSPORT_ERROR, ""), "gone"]
    assert socket.written[2:4] == (1002).to_bytes(2, "big")


# --- the root's own rules -----------------------------------------------------------------------------------------


def test_close_and_volatile():
    link = RecordingLink()
    peer, core = come_in(4, link)
    peer.send(Parcel("2[1]"), volatile=True)
    link.writable = False
    peer.send(Parcel("2[2]"), volatile=True)
    peer.close("mine")
    assert link.messages[1:] == ["42[1]"]
    assert core.heard == [("mine", ""), "gone"]
    peer.received("late")
    assert core.heard == [("mine", ""), "gone"]


def test_who_is_closed_while_joining_has_left():
    """The CONNECT reply itself can be too much for a client that never reads: its member must not stay behind."""
    peer, core = come_in(4, outbox_bytes=10)
    assert peer.engine.post(b"40", binary=False)
    assert peer.engine.state is State.CLOSED
    assert core.heard == [(Reason.SLOW, ""), "gone"]
    assert core.members[0].heard == ["left"]
