"""One envelope to every local member: found once, encoded once per wire variant, written to each.

No task, no queue and no encoding per recipient.  Very large broadcasts give the event loop a turn every ``STEP``
members; the FIFO of commands waits behind them, so that nothing overtakes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from truesocket.codec.serializers import JSON, Serializer
from truesocket.codec.socketio import PacketType
from truesocket.core.ports import Envelope
from truesocket.core.rooms import Rooms
from truesocket.core.socket import Socket, SocketState

__all__ = ["Fanout", "Space"]

#: Members that one turn of the loop writes to.
STEP = 500


class Space:
    """The connected members of one namespace, and their rooms."""

    __slots__ = ("members", "rooms")

    def __init__(self) -> None:
        self.members: dict[str, Socket] = {}
        self.rooms: Rooms[Socket] = Rooms()


class Fanout:
    """Implements :class:`~truesocket.core.ports.Listener`.  ``sockets`` are all sockets by sid."""

    def __init__(self, spaces: dict[str, Space], sockets: dict[str, Socket], serializer: Serializer = JSON) -> None:
        self._serializer = serializer
        self._spaces = spaces
        self._sockets = sockets

    def deliver(self, envelope: Envelope) -> Iterator[None] | None:
        """Sends to every member that the envelope names; returns the rest of the work where it is a lot."""
        members = self._members(envelope)
        if len(members) <= STEP:
            self._send(members, envelope)
            return None
        return self._in_steps(members, envelope)

    def _in_steps(self, members: Sequence[Socket], envelope: Envelope) -> Iterator[None]:
        for start in range(0, len(members), STEP):
            self._send(members[start : start + STEP], envelope)
            yield

    def _send(self, members: Sequence[Socket], envelope: Envelope) -> None:
        if envelope.on_ack is not None:
            self._send_with_ack(members, envelope)
            return
        parcel = envelope.parcel
        volatile = envelope.volatile
        for socket in members:
            if socket.state is SocketState.CONNECTED:
                link = socket.engine.link
                if link is not None and link.writable:
                    link.send(parcel)
                else:
                    socket.engine.send(parcel, volatile)
            else:
                socket.send(parcel, volatile)

    def _send_with_ack(self, members: Sequence[Socket], envelope: Envelope) -> None:
        on_ack = envelope.on_ack
        assert on_ack is not None
        for socket in members:
            waiting = on_ack(socket) if socket.can_answer else None
            if waiting is not None:
                id = socket.expect(waiting)
                socket.send(self._serializer.packet(PacketType.EVENT, envelope.namespace, envelope.written, id))

    def _members(self, envelope: Envelope) -> Sequence[Socket]:
        space = self._spaces.get(envelope.namespace)
        if envelope.rooms is None and not envelope.except_rooms:
            return list(space.members.values()) if space is not None else []
        if envelope.rooms is None:
            found = dict.fromkeys(space.members.values()) if space is not None else {}
        else:
            found = {}
            for room in envelope.rooms:
                found.update(self._in_room(space, envelope.namespace, room))
        if envelope.except_rooms:
            for room in envelope.except_rooms:
                for socket in self._in_room(space, envelope.namespace, room):
                    found.pop(socket, None)
        return list(found)

    def _in_room(self, space: Space | None, namespace: str, room: Hashable) -> dict[Socket, None]:
        found = dict.fromkeys(space.rooms.members(room)) if space is not None else {}
        own = self._sockets.get(room) if isinstance(room, str) else None
        if own is not None and own.namespace == namespace:
            found[own] = None
        return found
