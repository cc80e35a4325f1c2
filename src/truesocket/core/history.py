"""What was said in a room: read back by the application, or said again to somebody who enters late.

The same journals as recovery's (``core/journal.py``), read by room.  Bounded as they are, by ``history`` in time and by
``recovery_events`` and ``recovery_bytes`` in size; volatile events and those that wanted an ack are not in them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from truesocket.codec import socketio
from truesocket.codec.serializers import Serializer
from truesocket.codec.socketio import PacketType
from truesocket.core.fanout import STEP, Fanout
from truesocket.core.journal import Kept
from truesocket.core.ports import Envelope
from truesocket.core.recovery import Recovery
from truesocket.core.socket import Socket, SocketState

__all__ = ["History", "Past"]


class Past(NamedTuple):
    """An event that was sent: its offset (``since=`` takes it), its name and its arguments."""

    offset: str
    event: str
    args: tuple[object, ...]


class History:
    """Reads ``recovery``'s journals.  Lives on the loop."""

    def __init__(self, recovery: Recovery, fanout: Fanout, serializer: Serializer) -> None:
        self._recovery = recovery
        self._fanout = fanout
        self._serializer = serializer

    def read(self, namespace: str, room: Hashable, since: str | None, limit: int | None) -> list[Past]:
        """The events of a room behind ``since``, oldest first; the newest ``limit`` of them."""
        journal = self._recovery.journal(namespace)
        found = self._find(namespace, room, since)
        if limit is not None:
            found = found[max(0, len(found) - limit) :]
        return [self._past(journal.offset(kept.seq), kept) for kept in found]

    def replay(self, socket: Socket, room: Hashable, since: str | None) -> Iterator[object] | None:
        """Says the same again, to one client who enters."""
        if socket.state is SocketState.CONNECTING:
            socket.hold(self.replay, socket, room, since)
            return None
        return self._in_steps(socket, self._find(socket.namespace, room, since))

    def _in_steps(self, socket: Socket, found: list[Kept]) -> Iterator[object]:
        for number, kept in enumerate(found, 1):
            parcel = self._serializer.packet(PacketType.EVENT, socket.namespace, kept.written)
            envelope = Envelope(socket.namespace, (socket.sid,), frozenset(), parcel, kept.written)
            self._fanout.deliver(envelope)  # numbered anew, so that a client that drops now gets it, too
            if number % STEP == 0:
                yield None

    def _find(self, namespace: str, room: Hashable, since: str | None) -> list[Kept]:
        journal = self._recovery.journal(namespace)
        found = journal.in_room(room)
        if since is None:
            return found
        seq = journal.seq_of(since)
        if seq is None:  # of another run of the server: everything has happened since
            return found
        return [kept for kept in found if kept.seq > seq]

    def _past(self, offset: str, kept: Kept) -> Past:
        parcel = self._serializer.packet(PacketType.EVENT, "/", kept.written)
        message = parcel.text or parcel.attachments[0]
        packet = self._serializer.parse(message, max_attachments=len(parcel.attachments))
        assert packet is not None
        data = packet.data
        if packet.attachments:
            data = socketio.reconstruct(data, parcel.attachments)
        assert isinstance(data, list)
        return Past(offset, str(data[0]), tuple(data[1:]))
