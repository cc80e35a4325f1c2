"""``call()``: an event whose answer is awaited."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from truesocket.core.socket import Ack, Socket
from truesocket.errors import AckTimeout

if TYPE_CHECKING:
    from truesocket.bridge import Reply

__all__ = ["Call"]


class Call:
    """One question to one client or to a room; the first answer counts.  Lives on the loop."""

    def __init__(self, event: str, reply: Reply[object], later: Callable[[float, Callable[[], None]], None]) -> None:
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
        self._reply.set(None if not args else args[0] if len(args) == 1 else tuple(args))
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
