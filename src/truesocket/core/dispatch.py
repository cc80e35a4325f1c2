"""What a peer reports: found its handler, run, answered.  And the life of a socket from CONNECT to gone.

Everything here runs on the loop, but for the ``_..._done`` methods: they run where the handler ran (a pool thread, or
the loop) and come back through the FIFO of commands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from truesocket.codec.parcel import Parcel
from truesocket.codec.socketio import PacketType
from truesocket.core.fanout import STEP
from truesocket.core.journal import Kept
from truesocket.core.middleware import wrapped
from truesocket.core.once import Ledger, Verdict
from truesocket.core.ports import Observer
from truesocket.core.registry import RESERVED, Handler, handler
from truesocket.core.runner import Job, Lane
from truesocket.core.socket import Ack, Socket, SocketState
from truesocket.errors import Disconnected, Refused, UnknownSid, UsageError

if TYPE_CHECKING:
    from truesocket.core.server import Server

__all__ = ["Dispatch"]

_log = logging.getLogger("truesocket")

# every event asks for them (see session/websocket.py)
_CONNECTED: Final = SocketState.CONNECTED
_ACK: Final = int(PacketType.ACK)
_BROKEN_CONNECT = "The server failed while it looked at the connection"


def _nothing() -> None:
    """Handles a connect or disconnect that only middlewares look at."""


_NOBODY = handler(_nothing)


class Dispatch:
    """Implements :class:`~truesocket.core.socket.SocketListener`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    # --- connect -----------------------------------------------------------------------------------------------

    def connect(self, socket: Socket) -> None:
        """A client asks to join a namespace that exists."""
        server = self._server
        found = self._find(socket, "connect")
        if found is None or server.config.always_connect:
            server.bridge.post(self._accept, socket)
        if found is not None:
            args = found.fit((socket.auth,))
            server.runner.run_control(Job(found, socket, "connect", args, self._connect_done))

    def _find(self, socket: Socket, name: str) -> Handler | None:
        """Who handles an event of this client: its handler, with the middlewares around it if there are any."""
        registry = self._server.registry
        found = registry.find(socket.namespace, name)
        if registry.middlewares:
            skins = registry.around(socket.namespace, name)
            if skins and found is None and name in RESERVED:  # there is a connection even where nobody handles it
                found = replace(_NOBODY, where=skins[0].where)
            if skins and found is not None:
                return wrapped(self._server.runner, skins, found, socket, name)
        return found

    def _connect_done(self, job: Job, result: object, error: BaseException | None) -> None:
        refusal: dict[str, object] | None = None
        if isinstance(error, Refused):
            refusal = error.payload
        elif error is not None:
            _log_failure(job, error)
            refusal = {"message": _BROKEN_CONNECT}
        elif result is False:
            refusal = Refused().payload
        if refusal is None:
            self._server.bridge.post(self._accept, job.socket)
        else:
            self._server.bridge.post(self._refuse, job.socket, refusal)

    def _accept(self, socket: Socket) -> Iterator[object] | None:
        if socket.state is not SocketState.CONNECTING:
            return None  # always_connect had accepted it before
        socket.state = SocketState.CONNECTED
        self._server.space(socket.namespace).members[socket.sid] = socket
        self._observed(lambda observer: observer.connected(socket))
        returning, memory = self._server.returning, socket.memory
        missed = returning.accepted(socket) if returning is not None and memory is not None else []
        if socket.reason is None:  # else it left while its connect handler ran, and may have come again
            offer = None if memory is None else memory.offer
            socket.peer.conversation.accept(socket.namespace, socket.sid, offer)
        if socket.held or missed:
            return self._catch_up(socket, missed)
        self._accepted(socket)
        return None

    def _observed(self, tell: Callable[[Observer], None]) -> None:
        """Tells those who watch; one that fails hinders nobody."""
        for observer in self._server.observers:
            try:
                tell(observer)
            except Exception:
                _log.exception("the observer %r failed", observer)

    def _catch_up(self, socket: Socket, missed: Sequence[Kept]) -> Iterator[object]:
        """What it missed, then what was held, in their order; very much of it takes its steps."""
        for start in range(0, len(missed), STEP):
            for kept in missed[start : start + STEP]:
                socket.engine.send(kept.marked)
            yield None
        for command, args in socket.held or ():  # grows while we are at it: what arrives meanwhile waits behind
            rest = command(*args)
            if rest is not None:
                yield from rest
        self._accepted(socket)

    def _accepted(self, socket: Socket) -> None:
        socket.held = None
        socket.engine.resume()
        if socket.reason is not None:
            self.left(socket, socket.reason)

    def _refuse(self, socket: Socket, payload: dict[str, object]) -> None:
        self._server.counts.refused["connect"] += 1
        if socket.state is not SocketState.CONNECTING:  # always_connect
            self.close(socket)
            return
        socket.held = None
        if self._server.returning is not None:
            self._server.returning.refused(socket)
        if socket.reason is None:
            socket.reason = "refused"
            try:
                socket.peer.conversation.refuse(socket.namespace, payload)
            except (TypeError, ValueError):
                _log.exception("what the connect handler of %s refused with cannot be sent", socket.namespace)
                socket.peer.conversation.refuse(socket.namespace, Refused().payload)
            socket.engine.resume()
        socket.lose_acks()
        self._gone(socket)

    # --- events ------------------------------------------------------------------------------------------------

    def event(self, socket: Socket, name: str, args: list[object], id: int | None, size: int) -> None:
        """The client sent an event; its handler starts behind those of the events before it."""
        found = self._find(socket, name)
        if found is None or socket.state is not _CONNECTED:
            return
        if id is not None and socket.answers is not None and not self._is_new(socket, socket.answers, id):
            return
        given = (name, *args) if found.serves == "*" else tuple(args)
        done = self._event_done if id is None else _Answer(self, id)
        lane = socket.lane
        if lane is None:
            lane = socket.lane = Lane(self._server.runner, socket.engine)
        lane.push(Job(found, socket, name, given, done, size))

    def _is_new(self, socket: Socket, answers: Ledger, id: int) -> bool:
        """Whether an event that the client may repeat has not come before; the answer to one that has is repeated."""
        verdict, answer = answers.look(id)
        if answer is not None:
            self._server.bridge.post(socket.send, answer)
        return verdict is Verdict.RUN

    def _event_done(self, job: Job, result: object, error: BaseException | None) -> None:
        if error is not None:
            _log_failure(job, error)

    def answer(self, job: Job, id: int, result: object, error: BaseException | None) -> None:
        """A handler has ended whose client waits for an ack."""
        answers = job.socket.answers
        if error is not None:
            _log_failure(job, error)
            if answers is not None:
                self._server.bridge.post(answers.failed, id)
            return
        args = result if isinstance(result, tuple) else () if result is None else (result,)
        serializer = self._server.serializer
        try:
            written = serializer.write(list(args), self._server.json_default)
        except Exception as problem:  # also what an application's json default raises
            _log_failure(job, problem, "returned what JSON cannot hold")
            if answers is not None:
                self._server.bridge.post(answers.failed, id)
            return
        parcel = serializer.packet(_ACK, job.socket.namespace, written, id)
        if answers is None:
            self._server.bridge.post(job.socket.send, parcel, weight=parcel.size)
        else:
            self._server.bridge.post(self._send_answer, answers, id, parcel, weight=parcel.size)

    def _send_answer(self, answers: Ledger, id: int, parcel: Parcel) -> None:
        """To the client's newest connection, whichever brought the event."""
        answers.answered(id, parcel)
        if isinstance(answers.owner, Socket):
            answers.owner.send(parcel)

    def run_callback(self, socket: Socket, callback: Callable[..., object], args: list[object]) -> None:
        """The answer to an ``emit(..., callback=)`` has come."""
        job = Job(handler(callback, "ack"), socket, "ack", tuple(args), self._event_done)
        self._server.runner.run_control(job)

    def calls_back(self, callback: Callable[..., object]) -> Callable[[Socket], Ack]:
        """Who waits for the answers to an ``emit(..., callback=)``, for each recipient."""
        if not callable(callback):
            raise UsageError(f"emit(callback={callback!r}): a callback is a function, which gets the client's answer")

        def on_ack(socket: Socket) -> Ack:
            return Ack(lambda args: self.run_callback(socket, callback, args), None)

        return on_ack

    # --- disconnect --------------------------------------------------------------------------------------------

    def close(self, socket: Socket, reason: str = "server namespace disconnect") -> None:
        """The application sends the client out of the namespace."""
        if socket.state is SocketState.CONNECTED:
            socket.peer.conversation.disconnect(socket.namespace)
            self.left(socket, reason)
        elif socket.state is SocketState.CONNECTING:
            socket.hold(self.close, socket, reason)

    def left(self, socket: Socket, reason: str) -> None:
        """The client is out, whoever wanted it; the disconnect handler runs once."""
        server = self._server
        if socket.state is SocketState.CONNECTING:
            socket.reason = reason  # connect runs to its end first
            return
        if socket.state is not SocketState.CONNECTED:
            return
        space = server.space(socket.namespace)
        socket.rooms_before = frozenset(space.rooms.rooms(socket))
        socket.state = SocketState.LEAVING
        socket.reason = reason
        socket.left_at = server.now
        if server.returning is not None:
            server.returning.left(socket, reason)
        if socket.answers is not None:
            server.once.seen(socket.answers, server.now)
        self._observed(lambda observer: observer.disconnected(socket, reason))
        space.members.pop(socket.sid, None)
        space.rooms.leave_all(socket)
        if not space.members:  # of a namespace that a pattern made, there may be any number
            server.spaces.pop(socket.namespace, None)
        socket.lose_acks()
        if socket.lane is None:
            self._run_disconnect(socket)
        else:
            socket.lane.depart(lambda: self._run_disconnect(socket))

    def _run_disconnect(self, socket: Socket) -> None:
        found = self._find(socket, "disconnect")
        if found is None:
            self._gone(socket)
            return
        reason = self._server.reason_words.get(socket.reason or "", socket.reason)
        args = found.fit((reason,))
        self._server.runner.run_control(Job(found, socket, "disconnect", args, self._disconnect_done))

    def _disconnect_done(self, job: Job, result: object, error: BaseException | None) -> None:
        if error is not None:
            _log_failure(job, error)
        job.socket.state = SocketState.GONE
        self._server.bridge.post(self._gone, job.socket)
        if not self._server.running:  # the loop has ended meanwhile, and nobody else will do it
            self._gone(job.socket)

    def _gone(self, socket: Socket) -> None:
        socket.state = SocketState.GONE
        socket.uncount()
        self._server.forget(socket)
        successor, socket.successor = socket.successor, None
        if successor is not None:
            successor()


class _Answer:
    """``done`` of a job whose client waits for the ack ``id``."""

    __slots__ = ("_dispatch", "_id")

    def __init__(self, dispatch: Dispatch, id: int) -> None:
        self._dispatch = dispatch
        self._id = id

    def __call__(self, job: Job, result: object, error: BaseException | None) -> None:
        self._dispatch.answer(job, self._id, result, error)


def _log_failure(job: Job, error: BaseException, what: str = "failed") -> None:
    """One record per failure, with everything that finds the place."""
    if isinstance(error, Disconnected):
        _log.info("%s of %s ended: its client left (%s)", job.handler.where, job.socket.sid, error.reason)
        return
    left = job.socket.reason
    if isinstance(error, UnknownSid) and error.sid == job.socket.sid and left is not None:
        _log.info("%s of %s ended: its client has just left (%s)", job.handler.where, job.socket.sid, left)
        return
    if isinstance(error, asyncio.CancelledError) and not job.socket.server.running:
        _log.info("%s of %s was ended with the server", job.handler.where, job.socket.sid)
        return
    _log.error(
        "handler %s %s: event %r, namespace %s, sid %s",
        job.handler.where,
        what,
        job.event,
        job.socket.namespace,
        job.socket.sid,
        exc_info=error,
    )
