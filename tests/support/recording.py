"""Listeners that remember what they were told, and WebSockets that write into a list."""

from truesocket.codec.engineio import EnginePacket, build_message
from truesocket.codec.parcel import Parcels
from truesocket.session.engine import Engine, Link
from truesocket.session.ports import Raw


class RecordingLink:
    """A :class:`truesocket.session.engine.Link` in memory; ``messages`` is what the client would have got."""

    def __init__(self, revision: int = 4) -> None:
        self.revision = revision
        self.writable = True
        self.raw: Raw | None = None
        self.messages: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self.reading = True

    def send(self, parcel: Parcels) -> None:
        assert self.writable
        self.messages += parcel.messages(self.revision)

    def send_packet(self, packet: EnginePacket) -> None:
        assert self.closed is None
        self.messages.append(build_message(packet, self.revision))

    def close(self, code: int, reason: str) -> None:
        self.writable = False
        if self.closed is None:
            self.closed = (code, reason)

    def pause(self) -> None:
        self.reading = False

    def resume(self) -> None:
        self.reading = True

    def take(self) -> list[str | bytes]:
        """What has come since the last look."""
        taken, self.messages = self.messages, []
        return taken


class RecordingReceiver:
    """Hears a WebSocket (``EngineListener`` and ``transports.stream.Receiver`` in one) and writes everything down."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    # EngineListener

    def received(self, data: str | bytes) -> None:
        self.heard.append(("received", data))

    def closed(self, reason: str) -> None:
        self.heard.append(("closed", reason))

    def dropped(self) -> None:
        self.heard.append(("dropped",))

    def gone(self) -> None:
        self.heard.append(("gone",))

    # Receiver

    def received_on(self, link: Link, message: str | bytes) -> None:
        self.heard.append(("received", message))

    def writable(self, link: Link) -> None:
        self.heard.append(("writable",))

    def lost(self, link: Link, reason: str) -> None:
        self.heard.append(("lost", reason))

    def named(self, name: str) -> list[object]:
        """The arguments of every report of this name."""
        return [entry[1] if len(entry) == 2 else entry[1:] for entry in self.heard if entry[0] == name]


class Polls:
    """The client's side of long-polling: every GET's answer, in order, as a list of messages."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.answers: list[list[str | bytes]] = []

    def get(self) -> bool:
        """One GET, ``False`` where it is refused."""
        return self.engine.poll(self._answer)

    def _answer(self, packets: list[EnginePacket]) -> None:
        self.answers.append([build_message(packet, self.engine.revision) for packet in packets])

    def take(self) -> list[list[str | bytes]]:
        """The answers since the last look."""
        taken, self.answers = self.answers, []
        return taken
