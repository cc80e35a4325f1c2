"""``call()``: an event whose answer is awaited, of one client or of everybody who hears it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from truesocket.core.socket import Ack, Socket
from truesocket.errors import AckTimeout

if TYPE_CHECKING:
    from truesocket.bridge import Reply

__all__ = ["Answers", "Call", "CallAll"]

Later = Callable[[float, Callable[[], None]], None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What many clients answered.

    ``given`` has each answer by sid: ``None``, one value, or a tuple of several.  ``missing`` are the sids of those who
    left, or did not answer in time.
    """

    given: dict[str, Any]
    missing: tuple[str, ...]


class Call:
    """One question to one client or to a room; the first answer counts.  Lives on the loop."""

    def __init__(self, event: str, reply: Reply[Any], later: Later) -> None:
        self._event = event
        self._reply = reply
        self._later = later
        self._waiting: list[tuple[Socket, Ack]] = []

    def expect(self, socket: Socket) -> Ack:
        """The ``on_ack`` of the emission: called once per recipient."""
        ack = Ack(self._answered, self._lost)
        self._waiting.append((socket, ack))
        return ack

    def sent(self, timeout: float | None) -> None:
        """The event is on its way; from now on the time runs."""
        if not self._waiting:
            self._reply.fail(AckTimeout(f"call({self._event!r}): nobody is there to answer"))
        elif timeout is not None:
            self._later(timeout, lambda: self._expire(timeout))

    def _answered(self, args: list[object]) -> None:
        self._reply.set(_value(args))
        self._forget()

    def _lost(self) -> None:
        if not any(socket.can_answer and socket.reason is None for socket, _ in self._waiting):
            self._reply.fail(AckTimeout(f"call({self._event!r}): the client left before it answered"))

    def _expire(self, timeout: float) -> None:
        self._reply.fail(AckTimeout(f"call({self._event!r}): no answer within {timeout:g} seconds"))
        self._forget()

    def _forget(self) -> None:
        for socket, ack in self._waiting:
            socket.forget(ack)
        self._waiting.clear()


class CallAll:
    """One question to many; over when each has answered or left, or when the time is.  Lives on the loop."""

    def __init__(self, reply: Reply[Answers], later: Later) -> None:
        self._reply = reply
        self._later = later
        self._waiting: dict[Socket, Ack] = {}
        self._given: dict[str, Any] = {}
        self._missing: list[str] = []
        self._is_sent = False

    def expect(self, socket: Socket) -> Ack:
        """The ``on_ack`` of the emission: called once per recipient."""
        ack = Ack(lambda args: self._answered(socket, args), lambda: self._lost(socket))
        self._waiting[socket] = ack
        return ack

    def sent(self, timeout: float | None) -> None:
        """The event is on its way to all; from now on the time runs."""
        self._is_sent = True
        self._look()
        if timeout is not None and self._waiting:
            self._later(timeout, self._expire)

    def _answered(self, socket: Socket, args: list[object]) -> None:
        if self._waiting.pop(socket, None) is not None:
            self._given[socket.sid] = _value(args)
            self._look()

    def _lost(self, socket: Socket) -> None:
        if self._waiting.pop(socket, None) is not None:
            self._missing.append(socket.sid)
            self._look()

    def _expire(self) -> None:
        for socket, ack in self._waiting.items():
            socket.forget(ack)
            self._missing.append(socket.sid)
        self._waiting.clear()
        self._look()

    def _look(self) -> None:
        if self._is_sent and not self._waiting:
            self._reply.set(Answers(dict(self._given), tuple(self._missing)))


def _value(args: list[object]) -> Any:
    """What a client answered: ``None``, one value, or a tuple of several."""
    return None if not args else args[0] if len(args) == 1 else tuple(args)
