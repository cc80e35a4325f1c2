"""A whole session without sockets, driven by bytes: each byte is a step, and what must hold is asserted behind each.

Used by tests/support/fuzzing.py.  Nothing may come out of a session but what its listeners are told; who has ended has
ended once, with a reason of the standard, and is told nothing more.
"""

from tests.support.mutation import MESSAGES, PAYLOADS
from tests.support.recording import RecordingLink
from truesocket.codec import deflate
from truesocket.codec.parcel import Parcel
from truesocket.session.compression import Compression
from truesocket.session.engine import EngineOptions, Link, Reason, State
from truesocket.session.outbox import Overflow
from truesocket.session.peer import Peer
from truesocket.session.websocket import State as SocketState
from truesocket.session.websocket import WebSocket
from truesocket.testing import FakeClock

LIMIT = 10_000
OUTBOX = 2_000
REASONS = {str(value) for name, value in vars(Reason).items() if name.isupper()}
OPTIONS = {
    policy: EngineOptions(max_payload=LIMIT, outbox_bytes=OUTBOX, overflow=policy, ping_interval=5, ping_timeout=3)
    for policy in Overflow
}


class Listener:
    """Lets everybody into every namespace but /no."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.gone_times = 0

    def connect(
        self, peer: Peer[None], namespace: str, query: str, auth: dict[str, object] | None
    ) -> "AnyMember | None":
        assert not self.reasons, "a CONNECT behind the end"
        if namespace == "/no":
            return None
        peer.conversation.accept(namespace, "SID")
        return AnyMember(self)

    def closed(self, peer: Peer[None], reason: str) -> None:
        self.reasons.append(reason)
        peer.conversation.members.clear()

    def passes(self, peer: Peer[None], size: int, is_event: bool) -> bool:
        return True

    def dropped(self, peer: Peer[None]) -> None:
        assert not self.reasons, "dropped behind the end"

    def gone(self, peer: Peer[None]) -> None:
        self.gone_times += 1


class AnyMember:
    """Hears nothing behind the end."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def received_event(self, name: str, args: list[object], id: int | None, size: int) -> None:
        assert not self._listener.reasons, "an event behind the end"

    def received_ack(self, id: int, args: list[object]) -> None:
        assert not self._listener.reasons, "an ack behind the end"

    def left(self) -> None:
        """The client leaves this namespace."""


class Host:
    """What `transports/stream.py` does: WebSocket and engine get to know one another."""

    def __init__(self, peer: Peer[None], link: RecordingLink, compression: Compression | None) -> None:
        self.writable = True
        self.finishes = 0
        self._peer, self._link = peer, link
        self.websocket = WebSocket(self, LIMIT, compression)

    def write(self, data: bytes) -> None:
        assert self.websocket.state is not SocketState.CLOSED

    def received(self, message: str | bytes) -> None:
        assert len(message) <= LIMIT
        if self._link.closed is None:
            self._peer.engine.received_on(self._link, message)

    def finished(self, code: int, reason: str) -> None:
        self.finishes += 1
        self._peer.engine.lost(self._link, Reason.TRANSPORT_CLOSE)


def assert_sound(peer: Peer[None], listener: Listener) -> None:
    """What holds at every moment."""
    state = peer.engine.state
    assert len(listener.reasons) == (state is not State.OPEN)
    assert set(listener.reasons) <= REASONS, listener.reasons
    assert listener.gone_times == (state is State.CLOSED)
    assert len(peer.error) <= 200


def new_peer(
    revision: int, link: Link | None, overflow: Overflow = Overflow.CLOSE
) -> tuple[Peer[None], Listener, FakeClock]:
    """A session that has just been opened."""
    clock, listener = FakeClock(), Listener()
    peer: Peer[None] = Peer("SID", revision, None, listener, clock, OPTIONS[overflow])
    peer.open(link)
    return peer, listener, clock


def drive_websocket(data: bytes) -> None:
    """The first byte chooses revision and compression, the rest is what comes on the wire, whole and in two halves."""
    if not data:
        return
    revision = 3 if data[0] & 1 else 4
    agreed = deflate.negotiate("permessage-deflate", context_takeover=True) if data[0] & 8 else None
    ends = []
    for cut in (len(data), len(data) // 2, 2):
        link = RecordingLink(revision)
        peer, listener, _ = new_peer(revision, link)
        host = Host(peer, link, Compression(agreed, 0) if agreed is not None else None)
        host.websocket.receive(data[1:cut])
        host.websocket.receive(data[cut:])
        assert host.finishes == (host.websocket.state is SocketState.CLOSED)
        assert_sound(peer, listener)
        ends.append((peer.engine.state, peer.error, listener.reasons, link.messages))
    assert ends[0] == ends[1] == ends[2], "where the stream was cut makes a difference"


def drive_peer(data: bytes) -> None:
    """The first byte chooses how the session begins, each further one what happens next."""
    if not data:
        return
    revision, has_link = (3 if data[0] & 1 else 4), bool(data[0] & 2)
    policy = Overflow.DROP_OLDEST if data[0] & 4 else Overflow.CLOSE
    link = RecordingLink(revision) if has_link else None
    peer, listener, clock = new_peer(revision, link, policy)
    life = Life(peer, listener, clock, link)
    for step in data[1:400]:
        life.step(step)
        assert_sound(peer, listener)
    clock.advance(200)
    assert_sound(peer, listener)
    assert peer.engine.state is State.CLOSED or peer.engine.paused, "nobody is heard of any more, and it lives on"


class Life:
    """One session and everything that can happen to it."""

    def __init__(self, peer: Peer[None], listener: Listener, clock: FakeClock, link: RecordingLink | None) -> None:
        self.peer, self.listener, self.clock = peer, listener, clock
        self.links = [link] if link is not None else []
        self.probing: RecordingLink | None = None
        self.answers: list[int] = []

    def step(self, byte: int) -> None:
        """What `byte` stands for: its low four bits choose the kind, the high ones a detail."""
        kind, detail = byte & 15, byte >> 4
        engine, revision = self.peer.engine, self.peer.engine.revision
        match kind:
            case 0 | 1 | 2:
                message = MESSAGES[revision][(detail + 16 * (kind & 1)) % len(MESSAGES[revision])]
                for link in self.links:
                    if link.closed is None:
                        self._say(link, message)
            case 3 | 4:
                body = PAYLOADS[revision][detail % len(PAYLOADS[revision])]
                if engine.state is not State.CLOSED and engine.link is None and engine.post_begins():
                    engine.post(body, binary=body[:1] in b"\x00\x01")
                    if detail < 12:
                        engine.post_ends()
            case 5:
                engine.post_ends()
            case 6:
                engine.poll(lambda packets: self.answers.append(len(packets)))
            case 7:
                self.clock.advance((0.05, 0.1, 1, 2.5, 3, 5, 8, 11)[detail % 8])
            case 8:
                link = RecordingLink(revision)
                if engine.probe(link):
                    self.probing = link
                    self.links.append(link)
            case 9:
                engine.pause() if detail & 1 else engine.resume()
            case 10:
                self._writable(bool(detail & 1))
            case 11 | 12:
                attachments = (b"x" * 100,) * (detail & 3)
                self.peer.send(Parcel('2["e",' + "1" * (detail * 20) + "]", attachments), volatile=detail == 15)
            case 13:
                if detail < 3:
                    self.peer.close()
            case 14:
                if self.links and detail < 4:
                    link = self.links.pop()
                    link.writable = False
                    engine.lost(link, Reason.TRANSPORT_ERROR)
            case _:
                for namespace in list(self.peer.conversation.members)[: detail & 1]:
                    self.peer.conversation.disconnect(namespace)

    def _say(self, link: RecordingLink, message: bytes) -> None:
        try:
            self.peer.engine.received_on(link, message.decode())
        except UnicodeDecodeError:
            self.peer.engine.received_on(link, message)

    def _writable(self, yes: bool) -> None:
        link = self.peer.engine.link
        if isinstance(link, RecordingLink) and link.closed is None:
            link.writable = yes
            if yes:
                self.peer.engine.writable(link)
