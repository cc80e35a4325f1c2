"""The Socket.IO talk on one Engine.IO session: connect per namespace, events, acks, attachments.

Protocol revisions 4 (clients 1.x and 2.x, Engine.IO 3) and 5 (clients 3.x and 4.x, Engine.IO 4).  It reads packets and
hands them to a *member*, which is whatever the listener made of a CONNECT (``core/socket.py``); it never looks at
rooms or handlers.

=====================  =====================  ==============================================================
namespace              packet                 what happens
=====================  =====================  ==============================================================
any                    any but DISCONNECT     dropped, where a limit is set and the client is above it
not joined             CONNECT                ``connect(...)`` gives a member, or a reason to refuse
not joined             DISCONNECT             nothing: it crossed our own DISCONNECT or refusal on the way
not joined             any other              revision 5: closed, "parse error": the client talks before it is in;
                                              revision 4: nothing, for the same reason as above
joined                 EVENT, BINARY_EVENT    ``member.received_event(args, id, size)``
joined                 ACK, BINARY_ACK        ``member.received_ack(id, args)``
joined                 DISCONNECT             ``member.left()``
joined                 CONNECT                revision 5: closed; revision 4: nothing (old clients repeat it)
joined                 CONNECT_ERROR          closed, "parse error"
attachments missing    binary message         kept until all are there
attachments missing    text message           closed, "parse error"
none missing           binary message         closed, "parse error"
=====================  =====================  ==============================================================
"""

from __future__ import annotations

from typing import Final, Protocol

from truesocket.codec import socketio
from truesocket.codec.parcel import Parcel
from truesocket.codec.serializers import JSON, Serializer
from truesocket.codec.socketio import PacketType, SocketPacket
from truesocket.errors import PacketError, Refused

__all__ = ["Conversation", "ConversationListener", "Member"]

# every packet is compared with them (see session/websocket.py)
_CONNECT: Final = int(PacketType.CONNECT)
_EVENTS: Final = (int(PacketType.EVENT), int(PacketType.BINARY_EVENT))
_ACKS: Final = (int(PacketType.ACK), int(PacketType.BINARY_ACK))


class Member(Protocol):
    """This client in one namespace."""

    def received_event(self, name: str, args: list[object], id: int | None, size: int) -> None:
        """An event; ``id`` where the client wants an ack, ``size`` the bytes that it holds in memory."""

    def received_ack(self, id: int, args: list[object]) -> None:
        """The answer to an event that we sent with ``id``."""

    def left(self) -> None:
        """The client leaves this namespace, and this one only."""


class ConversationListener(Protocol):
    """Who decides on a CONNECT, and through whom packets leave."""

    def connect(self, namespace: str, query: str, auth: dict[str, object] | None) -> Member | None:
        """A client asks to join; ``None`` where the namespace does not exist.  May raise ``Refused``."""

    def passes(self, size: int, is_event: bool) -> bool:
        """Whether a packet of ``size`` bytes is within the client's limits; asked where ``is_metered`` is set."""

    def send(self, parcel: Parcel) -> None:
        """Sends one packet to the client."""


class Conversation:
    """``revision`` is Engine.IO's (3 or 4): it decides the form of Socket.IO's packets, too."""

    __slots__ = (
        "_awaited",
        "_listener",
        "_max_attachments",
        "_parts",
        "_serializer",
        "_size",
        "is_metered",
        "members",
        "revision",
    )

    def __init__(
        self, revision: int, listener: ConversationListener, serializer: Serializer = JSON, max_attachments: int = 10
    ) -> None:
        self.revision: int = revision
        self._max_attachments = max_attachments
        self.is_metered: bool = False  # whether the listener is asked before a packet is taken
        self._serializer = serializer
        self.members: dict[str, Member] = {}
        self._listener = listener
        self._awaited: SocketPacket | None = None  # a binary packet whose attachments have not all come
        self._parts: list[bytes] | None = None  # what has come of them; a list of its own takes 56 bytes
        self._size = 0

    def start(self) -> None:
        """Revision 4 of the protocol joins ``/`` by itself, without a packet."""
        if self.revision == 3:
            self._connect("/", "", None)

    def receive(self, data: str | bytes) -> None:
        """One Engine.IO message.  Raises :class:`PacketError` where the client broke a rule."""
        if self._awaited is not None:
            if isinstance(data, str):
                raise PacketError("a text packet came where an attachment of the packet before it was due")
            self._attachment(self._awaited, data)
            return
        packet = self._serializer.parse(data, max_attachments=self._max_attachments)
        if packet is None:
            raise PacketError("a binary message came that belongs to no packet")
        if packet.attachments:
            self._awaited = packet
            self._size = len(data)
        else:
            self._packet(packet, len(data))

    def _attachment(self, packet: SocketPacket, data: bytes) -> None:
        parts = self._parts = self._parts or []
        parts.append(data)
        self._size += len(data)
        if len(parts) < packet.attachments:
            return
        self._parts = self._awaited = None
        self._packet(packet._replace(data=socketio.reconstruct(packet.data, parts)), self._size)

    def _packet(self, packet: SocketPacket, size: int) -> None:
        kind = packet.type
        if self.is_metered and kind != PacketType.DISCONNECT and not self._passes(packet, size):
            return
        if kind == _CONNECT:
            self._connect(packet.namespace, packet.query, packet.data if isinstance(packet.data, dict) else None)
            return
        member = self.members.get(packet.namespace)
        if member is None:
            if kind == PacketType.DISCONNECT or self.revision == 3:
                return  # it crossed our own DISCONNECT or refusal on the way
            raise PacketError(f"a packet for the namespace {packet.namespace!r}, which the client has not joined")
        if kind in _EVENTS and isinstance(packet.data, list):
            member.received_event(str(packet.data[0]), packet.data[1:], packet.id, size)
        elif kind in _ACKS and isinstance(packet.data, list):
            if packet.id is not None:
                member.received_ack(packet.id, packet.data)
        elif kind == PacketType.DISCONNECT:
            del self.members[packet.namespace]
            member.left()
        else:
            raise PacketError("a CONNECT_ERROR packet from a client")

    def _passes(self, packet: SocketPacket, size: int) -> bool:
        """Whether the client may say this now; one that asks to join hears that it may not."""
        kind = packet.type
        if self._listener.passes(size, kind not in _ACKS):
            return True
        if kind == PacketType.CONNECT and packet.namespace not in self.members:
            self.refuse(packet.namespace, {"message": "Too many packets"})
        return False

    def _connect(self, namespace: str, query: str, auth: dict[str, object] | None) -> None:
        if namespace in self.members:
            if self.revision == 3:
                return
            raise PacketError(f"a second CONNECT for the namespace {namespace!r}")
        try:
            member = self._listener.connect(namespace, query, auth)
        except Refused as refused:
            self.refuse(namespace, refused.payload)
            return
        if member is None:
            self.refuse(namespace, {"message": "Invalid namespace"})
        else:
            self.members.setdefault(namespace, member)

    # --- what goes out -----------------------------------------------------------------------------------------

    def accept(self, namespace: str, sid: str, recovery: dict[str, str] | None = None) -> None:
        """The CONNECT reply; only revision 5 tells the client its sid, and under which ``pid`` it may come back."""
        written = None if self.revision == 3 else self._serializer.write({"sid": sid, **(recovery or {})})
        self._listener.send(self._serializer.packet(PacketType.CONNECT, namespace, written))

    def refuse(self, namespace: str, payload: dict[str, object]) -> None:
        """CONNECT_ERROR; revision 4 of the protocol has only the data, or the message where there is none.

        Where its packets are bytes it has only the message: the official msgpack parser for clients 2.x throws at
        anything but a text, which ends a Node.js process.
        """
        self.members.pop(namespace, None)
        content: object = payload
        if self.revision == 3 and payload.get("message") != "Invalid namespace":
            content = payload.get("data", payload.get("message"))
        written = self._serializer.write(content)
        if self.revision == 3 and isinstance(written.data, bytes):
            written = self._serializer.write(str(payload.get("message", "")))
        if written.attachments:
            raise TypeError("a refusal cannot carry bytes: Socket.IO's CONNECT_ERROR has no attachments")
        self._listener.send(self._serializer.packet(PacketType.CONNECT_ERROR, namespace, written))

    def disconnect(self, namespace: str) -> None:
        """Sends the client out of a namespace."""
        if self.members.pop(namespace, None) is not None:
            self._listener.send(self._serializer.packet(PacketType.DISCONNECT, namespace))
