"""One envelope to every local member: found once, encoded once per wire variant, written to each.

No task, no queue and no encoding per recipient.  Envelopes that wait behind one another in the FIFO of commands and go
to the same rooms are written together: 20 events in a burst to 1,000 clients cost a tenth of 20 alone.  Very large
broadcasts give the event loop a turn every ``STEP`` members; the FIFO waits behind them, so that nothing overtakes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Final, cast

from truesocket.codec.parcel import Bundle, Parcel
from truesocket.codec.serializers import JSON, Serializer
from truesocket.codec.socketio import PacketType
from truesocket.core.journal import Kept
from truesocket.core.ports import Envelope
from truesocket.core.recovery import Recovery
from truesocket.core.rooms import Rooms
from truesocket.core.socket import Command, Socket, SocketState
from truesocket.core.turns import undisturbed

__all__ = ["Fanout", "Space"]

_Send = Callable[[Sequence[Socket], Envelope], None]
#: Takes the next command out of the FIFO, where it fits (:meth:`truesocket.bridge.Bridge.take_next`).
TakeNext = Callable[[Command, Callable[..., bool]], tuple[object, ...] | None]

#: Members that one turn of the loop writes to.
STEP = 500
#: Bytes that are written together at most; what asyncio keeps for a client before it asks us to stop.
_TOGETHER = 65_536
_CONNECTED: Final = SocketState.CONNECTED  # every delivery asks (see session/websocket.py)


class Space:
    """The connected members of one namespace, and their rooms."""

    __slots__ = ("members", "rooms")

    def __init__(self) -> None:
        self.members: dict[str, Socket] = {}
        self.rooms: Rooms[Socket] = Rooms()


class Fanout:
    """Implements :class:`~truesocket.core.ports.Listener`.  ``sockets`` are all sockets by sid."""

    def __init__(
        self,
        spaces: dict[str, Space],
        sockets: dict[str, Socket],
        serializer: Serializer = JSON,
        take_next: TakeNext = lambda command, fits: None,
    ) -> None:
        self._serializer = serializer
        self._take_next = take_next
        self._spaces = spaces
        self._sockets = sockets
        self._recovery: Recovery | None = None
        self._now: Callable[[], float] = lambda: 0.0

    def record(self, recovery: Recovery, now: Callable[[], float]) -> None:
        """Every event is written down from now on; ``now`` in seconds."""
        self._recovery = recovery
        self._now = now

    def deliver(self, envelope: Envelope) -> Iterator[None] | None:
        """Sends to every member that the envelope names; returns the rest of the work where it is a lot."""
        members = self.members(envelope.namespace, envelope.rooms, envelope.except_rooms)
        if envelope.on_ack is not None:
            send = self._send_with_ack
        elif self._recovery is not None:
            send = partial(self._send_marked, self._mark(self._recovery, envelope))
        else:
            send = partial(self._send, self._together(envelope))
        if len(members) <= STEP:
            with undisturbed:
                send(members, envelope)
            return None
        return self._in_steps(send, members, envelope)

    def _in_steps(self, send: _Send, members: Sequence[Socket], envelope: Envelope) -> Iterator[None]:
        for start in range(0, len(members), STEP):
            with undisturbed:
                send(members[start : start + STEP], envelope)
            yield

    def _together(self, envelope: Envelope) -> list[Parcel]:
        """Its packet, and those of the envelopes right behind it that go to the same clients."""
        parcels = [envelope.parcel]
        if envelope.volatile:
            return parcels  # each is dropped, or not, by itself
        size = envelope.parcel.size

        def fits(following: Envelope) -> bool:
            return (
                size + following.parcel.size <= _TOGETHER
                and following.rooms == envelope.rooms
                and following.except_rooms == envelope.except_rooms
                and following.namespace == envelope.namespace
                and following.on_ack is None
                and not following.volatile
            )

        while (taken := self._take_next(self.deliver, fits)) is not None:
            (following,) = cast(tuple[Envelope], taken)
            parcels.append(following.parcel)
            size += following.parcel.size
        return parcels

    def _send(self, parcels: list[Parcel], members: Sequence[Socket], envelope: Envelope) -> None:
        together = parcels[0] if len(parcels) == 1 else Bundle(parcels)
        revision, data = 0, b""
        for socket in members:
            engine = socket.engine
            link = engine.link
            if socket.state is not _CONNECTED or link is None or not link.writable:
                for parcel in parcels:
                    socket.send(parcel, envelope.volatile)
            elif link.raw is None:
                link.send(together)
            else:  # two calls less than `send`: 0.9 of the CPU per delivery to 10,000 clients
                if engine.revision != revision:
                    revision, data = engine.revision, together.frames(engine.revision)
                link.raw.write(data)

    def _mark(self, recovery: Recovery, envelope: Envelope) -> Parcel:
        """The packet with the offset that it has from now on; what is volatile has that of the event before it."""
        journal = recovery.journal(envelope.namespace)
        seq = journal.seq + (not envelope.volatile)
        written = self._serializer.append(envelope.written, journal.offset(seq))
        marked = self._serializer.packet(PacketType.EVENT, envelope.namespace, written)
        if not envelope.volatile:
            rooms, excepted = envelope.rooms, envelope.except_rooms
            recovery.keep(journal, Kept(seq, self._now(), rooms, excepted, envelope.written, marked))
        return marked

    def _send_marked(self, marked: Parcel, members: Sequence[Socket], envelope: Envelope) -> None:
        for socket in members:
            if socket.claim is not None and socket.state is SocketState.CONNECTING and not envelope.volatile:
                continue  # it gets what is kept when it is let in
            socket.send(envelope.parcel if socket.memory is None else marked, envelope.volatile)

    def _send_with_ack(self, members: Sequence[Socket], envelope: Envelope) -> None:
        on_ack = envelope.on_ack
        assert on_ack is not None
        for socket in members:
            waiting = on_ack(socket) if socket.can_answer else None
            if waiting is not None:
                id = socket.expect(waiting)
                socket.send(self._serializer.packet(PacketType.EVENT, envelope.namespace, envelope.written, id))

    def members(
        self, namespace: str, rooms: tuple[Hashable, ...] | None, except_rooms: frozenset[Hashable]
    ) -> Sequence[Socket]:
        """Who is in a namespace, or in the rooms, but in none of ``except_rooms``; nobody twice."""
        space = self._spaces.get(namespace)
        if rooms is None and not except_rooms:
            return list(space.members.values()) if space is not None else []
        if rooms is None:
            found = dict.fromkeys(space.members.values()) if space is not None else {}
        else:
            if len(rooms) == 1 and not except_rooms:
                return list(self._in_room(space, namespace, rooms[0]))
            found = {}
            for room in rooms:
                found.update(self._in_room(space, namespace, room))
        for room in except_rooms:
            for socket in self._in_room(space, namespace, room):
                found.pop(socket, None)
        return list(found)

    def _in_room(self, space: Space | None, namespace: str, room: Hashable) -> dict[Socket, None]:
        found = dict.fromkeys(space.rooms.members(room)) if space is not None else {}
        own = self._sockets.get(room) if isinstance(room, str) else None
        if own is not None and own.namespace == namespace:
            found[own] = None
        return found
