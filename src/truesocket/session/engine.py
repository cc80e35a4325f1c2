"""One Engine.IO session, revision 3 or 4: open, heartbeat, polling turns, upgrade, close.

It knows packets and the two ways they travel (turns of long-polling, a WebSocket called a *link*) and nothing of
Socket.IO; its heartbeat is ``session/pulse.py``.  ``session/peer.py`` puts it together with a conversation;
``transports/`` drive it.

=========  ==============================  ===================================================================
state      what happens                    what follows
=========  ==============================  ===================================================================
OPEN       message on the link / in POST   ``received(data)``
OPEN       ping, revision 3                pong
OPEN       pong, revision 4                the next ping is due one interval from now
OPEN       paused, revision 4              pings go on, no pong is missed
OPEN       paused, revision 3              closed after half the ping time-out, "too many pending events"
OPEN       ping (4), pong (3)              closed, "parse error": the heartbeat goes the other way round
OPEN       a link asks to take over        it may, unless there is one or one is asking already
OPEN       ``2probe`` from that link       ``3probe``; a parked GET is sent home with a noop, every 100 ms
OPEN       ``5`` from that link            the link takes over, what waited goes out on it
OPEN       anything else from it, or 10 s  that link is closed; polling goes on
OPEN       nothing heard for too long      closed, "ping timeout"
OPEN       ``1`` / link lost / garbage     closed, "transport close" / the loss's own reason / "parse error"
OPEN       a GET beside a parked GET       the parked one gets a ``1``; closed, "transport error"
OPEN       a POST beside another           closed, "transport error"
OPEN       more waits than may             closed, "slow consumer", or old events are dropped (``overflow``)
OPEN       ``close()`` on polling          CLOSING: the next GET fetches what waits and a ``1``
OPEN       ``close()`` on a link           closed; CLOSING first where something waits for a slow reader
CLOSING    GET                             answered with what waits and ``1``; CLOSED
CLOSING    the link takes bytes again      what waits goes out, then the link is closed; CLOSED
CLOSING    30 s without a GET, or in all   CLOSED
CLOSED     anything                        dropped
=========  ==============================  ===================================================================

Source: Engine.IO protocol revisions 3 and 4; names of the reasons as the official server has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from truesocket.codec import engineio
from truesocket.codec.engineio import CLOSE, MESSAGE, NOOP, PING, PONG, UPGRADE, EnginePacket
from truesocket.codec.oldways import undo_double_utf8
from truesocket.codec.parcel import Parcel
from truesocket.errors import PacketError, ProtocolError
from truesocket.session.ended import NOBODY, NOWHERE
from truesocket.session.outbox import Outbox, Overflow, Unit
from truesocket.session.ports import Clock, EngineListener, EngineOptions, Link, Reason, State
from truesocket.session.pulse import Pulse

__all__ = ["Clock", "Engine", "EngineListener", "EngineOptions", "Link", "Reason", "State"]

#: python-engineio's clients lose the connection over a payload of more packets (protocol.md 4.6).
_PACKETS_PER_PAYLOAD = 16
#: Seconds that a closed session waits for the GET that tells the client so, or for its slow reader.
_CLOSE_TIMEOUT = 30.0
#: Characters of an error that are kept, for the log.
_LONGEST_ERROR = 200
_OPEN: Final = State.OPEN  # every packet asks (see session/websocket.py)
#: Seconds between two noops to a client that is changing over to its WebSocket.
_NOOP_INTERVAL = 0.1


class Engine(Pulse):
    """One session.  ``base64``: a revision-3 client that asked for text-only payloads at its handshake."""

    __slots__ = (
        "_answer",
        "_candidate",
        "_encodes_twice",
        "_goodbye",
        "_listener",
        "_noop_at",
        "_outbox",
        "_posting",
        "_upgrade_until",
        "base64",
        "error",
        "link",
        "sid",
        "state",
    )

    def __init__(
        self,
        sid: str,
        revision: int,
        listener: EngineListener,
        clock: Clock,
        options: EngineOptions,
        *,
        base64: bool = False,
    ) -> None:
        super().__init__(revision, clock, options)
        self.sid: str = sid
        self.base64: bool = base64
        self._encodes_twice: bool | None = None  # a client of Socket.IO 1.x; None: not known yet
        self.error: str = ""  # what the client did wrong, for the log
        self._goodbye = ""  # why we are closing
        self._posting = False  # whether a POST is under way
        self.state: State = State.OPEN
        self.link: Link | None = None
        self._listener = listener
        self._outbox: Outbox | None = None  # made when first needed: most WebSocket clients never need one
        self._answer: Callable[[list[EnginePacket]], None] | None = None  # the parked GET
        self._candidate: Link | None = None  # the WebSocket that is probing
        self._upgrade_until = 0.0
        self._noop_at: float | None = None  # None: no probe has come yet

    # --- opening -----------------------------------------------------------------------------------------------

    def open(self, link: Link | None, *, upgrades: bool = True) -> None:
        """Says hello on ``link``, or to the first GET where it is ``None``.

        ``upgrades=False`` offers no WebSocket: the host has none.
        """
        self.link = link
        offer = ["websocket"] if link is None and upgrades and self._options.upgrades else []
        hello = EnginePacket(
            engineio.OPEN,
            engineio.build_open(
                self.sid,
                offer,
                self._options.ping_interval,
                self._options.ping_timeout,
                self._options.max_payload,
            ),
        )
        self._send_packet(hello)
        self._clock.wake(self, self._deadline())

    @property
    def transport(self) -> str:
        """``"websocket"`` or ``"polling"``."""
        return "polling" if self.link is None else "websocket"

    @property
    def max_payload(self) -> int:
        """The largest message or payload taken, in bytes."""
        return self._options.max_payload

    @property
    def waiting(self) -> int:
        """Bytes that wait for a client that reads slowly, beside those on their way in the system's buffers."""
        return self._outbox.size if self._outbox is not None else 0

    # --- what arrives ------------------------------------------------------------------------------------------

    def received_on(self, link: Link, message: str | bytes) -> None:
        """One whole WebSocket message, on our link or on the one that is probing."""
        if link is not self.link:
            if link is self._candidate:
                self._probe(link, message)
            return
        try:
            self._packet(engineio.parse_message(message, self.revision))
        except ProtocolError as error:
            self.fail(error)

    def post_begins(self) -> bool:
        """A POST begins to arrive; ``False`` where another one is still under way, which ends the session."""
        if self._posting:
            self._end(Reason.TRANSPORT_ERROR)
            return False
        self._posting = True
        return True

    def post_ends(self) -> None:
        """It has been answered, or broken off."""
        self._posting = False

    def post(self, body: bytes, *, binary: bool) -> bool:
        """The payload of one POST; ``False`` where nobody could read it (the session is closed then)."""
        try:
            packets = engineio.parse_payload(body, self.revision, binary=binary)
        except ProtocolError as error:
            self.fail(error)
            return False
        for packet in packets:
            plain = self.revision == 4 or binary  # 1.x encodes the text of a binary payload once
            self._packet(packet if plain else self._read_twice(packet))
        return not self.error

    def _read_twice(self, packet: EnginePacket) -> EnginePacket:
        """Undoes the second encoding of Socket.IO 1.x; the first text beyond ASCII tells whether the client is one."""
        if self._encodes_twice is False or isinstance(packet.data, bytes) or packet.data.isascii():
            return packet
        text = undo_double_utf8(packet.data)
        if self._encodes_twice is None:
            self._encodes_twice = text is not None
        return packet if text is None else EnginePacket(packet.type, text)

    def poll(self, answer: Callable[[list[EnginePacket]], None]) -> bool:
        """One GET: ``answer(packets)`` is called now or when there is something to tell.

        ``False`` where this GET is the caller's to refuse: the session is over or has its WebSocket, or another GET is
        parked.  That one gets a close, and the session ends (Engine.IO: one poll at a time).
        """
        if self.state is State.CLOSED or self.link is not None:
            return False
        if self._answer is not None:
            self._end(Reason.TRANSPORT_ERROR)
            return False
        self._answer = answer
        if self._outbox:
            self._flush_poll()
        return True

    def poll_lost(self, answer: Callable[[list[EnginePacket]], None]) -> None:
        """The client of this parked GET went away; what comes now waits for its next one."""
        if self._answer is answer:
            self._answer = None

    def send_home(self) -> None:
        """Answers the parked GET with a noop, if there is one: its host cannot hold it any longer."""
        self._reply([EnginePacket(NOOP)])

    def probe(self, link: Link) -> bool:
        """A WebSocket asks to take over; ``False`` where it may not (already upgraded or upgrading, or no upgrades)."""
        if self.state is not State.OPEN or self.link is not None or self._candidate is not None:
            return False
        if not self._options.upgrades:
            return False
        self._candidate = link
        self._upgrade_until = self._clock.now + self._options.upgrade_timeout
        self._clock.wake(self, self._upgrade_until)
        return True

    def lost(self, link: Link, reason: str) -> None:
        """A WebSocket is gone.  Only our own ends the session; a probing one is forgotten."""
        if link is self._candidate:
            self._forget_candidate()
        elif link is self.link:
            self._finish(reason)

    # --- what goes out -----------------------------------------------------------------------------------------

    def send(self, parcel: Parcel, volatile: bool = False) -> None:
        """One Socket.IO packet: onto the link, to the parked GET, or into the outbox.

        ``volatile`` parcels are dropped where they would have to wait, but for the policy that drops them later.
        """
        link = self.link
        if link is not None and link.writable:
            link.send(parcel)
        elif self.state is not State.OPEN:
            return
        elif not volatile or self._answer is not None:
            self._queue(parcel)
        elif self._options.overflow is Overflow.DROP_VOLATILE:
            self._queue_volatile(parcel)

    def send_message(self, data: str | bytes) -> None:
        """The content of one message packet, for applications of Engine.IO alone."""
        self._send_packet(EnginePacket(MESSAGE, data))

    def writable(self, link: Link) -> None:
        """Our link takes bytes again: what waited goes out."""
        if link is self.link:
            self._flush_link(link)

    def close(self, reason: str = Reason.FORCED_CLOSE) -> None:
        """Ends the session from our side, once; what waits still goes out, to a poll or to a slow reader."""
        if self.state is not State.OPEN:
            return
        link = self.link
        if link is not None and not self._outbox:
            self._end(reason)
            return
        self.state = State.CLOSING
        self._goodbye = reason
        self._heard = self._clock.now
        self._clock.wake(self, self._heard + _CLOSE_TIMEOUT)
        self._forget_candidate(close=True)
        self._listener.closed(reason)
        if link is not None:
            link.resume()  # what still comes is dropped, but we hear if the client goes
            return
        self._waiting().append(EnginePacket(CLOSE))
        if self._answer is not None:
            self._flush_poll()

    # --- back-pressure -----------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Reads no more from this client: its handlers do not keep up.  Its pong deadline is suspended."""
        if self._paused_at is not None or self.state is not State.OPEN:
            return
        self._pauses()
        if self.link is not None:
            self.link.pause()
        self._clock.wake(self, self._deadline())

    def resume(self) -> None:
        """Reads again; the time of the pause does not count."""
        if self._paused_at is not None:
            self._resumes()
            if self.link is not None:
                self.link.resume()

    # --- time --------------------------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Does what is due and returns when to look again; ``None`` once closed."""
        now = self._clock.now
        if self.state is State.CLOSED:
            return None
        if self.state is State.CLOSING:
            if now >= self._heard + _CLOSE_TIMEOUT:
                self._end(self._goodbye)
                return None
            return self._heard + _CLOSE_TIMEOUT
        if self._candidate is not None:
            self._tick_upgrade(now)
        if self._is_silent(now):
            self._end(Reason.PING_TIMEOUT)
        elif self._is_pause_over(now):
            self.close(Reason.TOO_MANY_PENDING)
        elif self._is_ping_due():
            self._pinged()
            self._send_packet(EnginePacket(PING))
        return self._deadline() if self._is_open() else None

    def _is_open(self) -> bool:
        return self.state is State.OPEN

    def _deadline(self) -> float:
        """When something is due next."""
        at = self._next_beat()
        if self._candidate is None:
            return at
        return min(at, self._upgrade_until if self._noop_at is None else self._noop_at)

    def _tick_upgrade(self, now: float) -> None:
        if now >= self._upgrade_until:
            self._forget_candidate(close=True)
        elif self._noop_at is not None and now >= self._noop_at:
            self._noop_at = now + _NOOP_INTERVAL
            self._reply([EnginePacket(NOOP)])

    # --- packets -----------------------------------------------------------------------------------------------

    def _packet(self, packet: EnginePacket) -> None:
        if self.state is not _OPEN:
            return
        if self.revision == 3:
            self._heard = self._clock.now
        kind = packet.type
        if kind == MESSAGE:
            self._listener.received(packet.data)
        elif kind == PING and self.revision == 3:
            self._send_packet(EnginePacket(PONG, packet.data))
        elif kind == PONG and self.revision == 4:
            if self._ponged() and self._deadline() < self._alive_until():  # earlier than the tick that is planned
                self._clock.wake(self, self._deadline())
        elif kind == CLOSE:
            self._reply([EnginePacket(NOOP)])
            self._end(Reason.TRANSPORT_CLOSE)
        elif kind in (PING, PONG):
            self.fail(PacketError(f"a heartbeat {kind!r} in the wrong direction for Engine.IO {self.revision}"))
        elif kind != NOOP:
            self.fail(PacketError(f"an Engine.IO packet of type {kind!r}, which a client does not send here"))

    def _probe(self, link: Link, message: str | bytes) -> None:
        """The little dance of the upgrade: ``2probe`` / ``3probe``, then ``5``."""
        if message == "2probe" and self._noop_at is None:
            link.send_packet(EnginePacket(PONG, "probe"))
            self._reply([EnginePacket(NOOP)])
            self._noop_at = self._clock.now + _NOOP_INTERVAL
            self._clock.wake(self, self._noop_at)
        elif message == UPGRADE and self._noop_at is not None:
            self._forget_candidate()
            self.link = link
            if self._paused_at is not None:
                link.pause()
            self._reply([EnginePacket(NOOP)])
            self._flush_link(link)
        else:
            self._forget_candidate(close=True)

    def _forget_candidate(self, close: bool = False) -> None:
        link, self._candidate = self._candidate, None
        self._noop_at = None
        if close and link is not None:
            link.close(1000, "upgrade failed")

    def _send_packet(self, packet: EnginePacket) -> None:
        """Our own packets do not wait, but for those that a client can call for as often as it likes."""
        link = self.link
        if link is None or (packet.type in (PONG, MESSAGE) and not link.writable):
            self._queue(packet)
        else:
            link.send_packet(packet)

    # --- waiting and flushing ----------------------------------------------------------------------------------

    def _waiting(self) -> Outbox:
        if self._outbox is None:
            self._outbox = Outbox(self._options.outbox_bytes)
        return self._outbox

    def _queue(self, unit: Unit) -> None:
        outbox = self._waiting()
        while not outbox.put(unit):
            if not self._make_room(outbox):
                self._end(Reason.SLOW)
                return
            self._listener.dropped()
        if self._answer is not None:
            self._flush_poll()

    def _queue_volatile(self, parcel: Parcel) -> None:
        """It waits like any other, but nobody is closed because of it."""
        outbox = self._waiting()
        while not outbox.put(parcel, volatile=True):
            self._listener.dropped()
            if not outbox.drop_volatile():
                return

    def _make_room(self, outbox: Outbox) -> bool:
        """Forgets one event, if the policy allows it."""
        policy = self._options.overflow
        if policy is Overflow.DROP_OLDEST:
            return outbox.drop_oldest()
        return policy is Overflow.DROP_VOLATILE and outbox.drop_volatile()

    def _flush_poll(self) -> None:
        outbox = self._waiting()
        self._reply(outbox.packets(self.revision, _PACKETS_PER_PAYLOAD, self._options.max_payload))
        if self.state is State.CLOSING and not outbox:
            self._finish("")

    def _reply(self, packets: list[EnginePacket]) -> None:
        """Answers the parked GET, if there is one."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(packets)

    def _flush_link(self, link: Link) -> None:
        outbox = self._outbox
        while outbox and link.writable and self.link is link:
            unit = outbox.take()
            if isinstance(unit, EnginePacket):
                link.send_packet(unit)
            else:
                link.send(unit)
        if self.state is State.CLOSING and not outbox:
            self._end(self._goodbye)

    # --- the end -----------------------------------------------------------------------------------------------

    def fail(self, error: ProtocolError) -> None:
        """The client broke a rule: the session ends, with WebSocket close code 1008 or the error's own."""
        self.error = self.error or str(error)[:_LONGEST_ERROR]  # it may quote what came
        self._reply([EnginePacket(NOOP)])
        self._end(Reason.PARSE_ERROR, error.close_code if error.close_code != 1002 else 1008, str(error))

    def _end(self, reason: str, code: int = 1000, text: str = "") -> None:
        """Over, at once, for both sides: the link is closed, a parked GET is told."""
        if self.state is not State.CLOSED and self.link is not None:
            self.link.close(code, text or reason)
        self._finish(reason)

    def _finish(self, reason: str) -> None:
        if self.state is State.CLOSED:
            return
        was_open = self.state is State.OPEN
        self.state = State.CLOSED
        self._reply([EnginePacket(CLOSE)])
        self._forget_candidate(close=True)
        if was_open:
            self._listener.closed(reason)
        self._outbox = None
        listener, self._listener = self._listener, NOBODY  # the clock holds us a while longer, but nobody else
        if self.link is not None:
            self.link = NOWHERE
        listener.gone()
