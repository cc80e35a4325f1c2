"""Spoilt transcripts against whole sessions, without sockets: frames in any pieces, payloads, ticks of the clock.

No exception comes out; who has ended has ended once, with a reason of the standard, and hears nothing more.
"""

import random

import pytest

from tests.support.mutation import FULL, MESSAGES, PAYLOADS, chopped, conversation, frame, spoil
from tests.support.recording import RecordingLink
from truesocket.codec import deflate
from truesocket.session.compression import Compression
from truesocket.session.engine import EngineOptions, Reason, State
from truesocket.session.peer import Peer
from truesocket.session.websocket import State as SocketState
from truesocket.session.websocket import WebSocket
from truesocket.testing import FakeClock

COUNT = 50_000 if FULL else 3_000
REASONS = {value for name, value in vars(Reason).items() if name.isupper()}


class Everybody:
    """Lets everybody into every namespace, and answers every event."""

    def __init__(self):
        self.reasons = []
        self.gone_times = 0
        self.heard = 0

    def connect(self, peer, namespace, query, auth):
        peer.conversation.accept(namespace, "SID")
        return Anybody(self)

    def closed(self, peer, reason):
        self.reasons.append(reason)

    def gone(self, peer):
        self.gone_times += 1


class Anybody:
    def __init__(self, listener):
        self._listener = listener

    def received_event(self, name, args, id, size):
        assert not self._listener.reasons, "an event behind the end"
        self._listener.heard += 1

    def received_ack(self, id, args):
        assert not self._listener.reasons, "an ack behind the end"

    def left(self):
        pass


class Host:
    """What `transports/stream.py` does: WebSocket and engine get to know one another."""

    def __init__(self, peer, link, compression=None):
        self.writable = True
        self.written = []
        self.finishes = []
        self._peer, self._link = peer, link
        self.websocket = WebSocket(self, 10_000, compression)

    def write(self, data):
        assert self.websocket.state is not SocketState.CLOSED
        self.written.append(data)

    def received(self, message):
        if self._link.closed is None:
            self._peer.engine.received_on(self._link, message)

    def finished(self, code, reason):
        self.finishes.append((code, reason))
        self._peer.engine.lost(self._link, Reason.TRANSPORT_CLOSE)


def come_in(revision, *, link=True):
    clock = FakeClock()
    listener = Everybody()
    peer = Peer("SID", revision, None, listener, clock, EngineOptions(max_payload=10_000, outbox_bytes=5_000))
    wire = RecordingLink(revision) if link else None
    peer.open(wire)
    return peer, listener, wire, clock


def assert_sound(peer, listener):
    ended = peer.engine.state is not State.OPEN
    assert len(listener.reasons) == ended
    assert set(listener.reasons) <= REASONS
    assert listener.gone_times == (peer.engine.state is State.CLOSED)
    assert len(peer.error) <= 200


@pytest.mark.parametrize("revision", [3, 4])
@pytest.mark.parametrize("compressed", [False, True])
def test_websocket_sessions(revision, compressed):
    rng = random.Random(f"websocket {revision} {compressed}")
    ended = heard = 0
    for _ in range(COUNT):
        peer, listener, link, _ = come_in(revision)
        agreed = deflate.negotiate("permessage-deflate", context_takeover=True)
        host = Host(peer, link, Compression(agreed, 0) if compressed else None)
        stream = b"".join(frame(rng, message) for message in conversation(rng, revision))
        if rng.random() < 0.2:
            stream = spoil(rng, stream)
        for chunk in chopped(rng, stream):
            host.websocket.receive(chunk)
        assert len(host.finishes) == (host.websocket.state is SocketState.CLOSED)
        assert_sound(peer, listener)
        ended += bool(listener.reasons)
        heard += listener.heard
    assert COUNT / 10 < ended < COUNT
    assert heard > COUNT / 100


@pytest.mark.parametrize("revision", [3, 4])
def test_polling_sessions(revision):
    rng = random.Random(f"polling {revision}")
    ended = 0
    for _ in range(COUNT):
        peer, listener, _, clock = come_in(revision, link=False)
        engine = peer.engine
        probing = None
        for _ in range(rng.randrange(1, 10)):
            match rng.randrange(6):
                case 0 | 1:
                    body = spoil(rng, rng.choice(PAYLOADS[revision]), PAYLOADS[revision])
                    engine.post(body, binary=rng.random() < 0.3)
                case 2:
                    engine.poll(lambda packets: None)
                case 3:
                    clock.advance(rng.choice((0.1, 5, 11)))
                case 4:
                    probing = RecordingLink(revision)
                    engine.probe(probing)
                case _ if probing is not None:
                    message = rng.choice(("2probe", "5", spoil(rng, rng.choice(MESSAGES[revision])).decode("latin-1")))
                    engine.received_on(probing, message)
            assert_sound(peer, listener)
        ended += bool(listener.reasons)
    assert COUNT / 10 < ended <= COUNT
