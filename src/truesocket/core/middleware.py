"""Middlewares: functions around handlers, for one event or for all, in one namespace or in all.

::

    @server.middleware("connect", namespace="/admin")
    def only_admins(event, proceed):
        if not is_admin(event.socket.auth):
            raise Refused("admins only")
        return proceed()

A middleware is an onion's skin: what stands before ``proceed()`` happens before the handler, what stands behind it
after; without ``proceed()`` the handler never runs, and what the middleware returns is the client's answer.  One shape
does for stopping an event, changing its arguments (``event.args = ...``) and looking at its result.

It runs in the handler's place: inside of Flask's contexts, in the handler's thread or task, in the order of the events.
Both kinds mix.  Where all are ``def``, the whole onion is one call in one thread.  Else it is a task on the loop, each
``def`` among its skins runs in a thread, and one that waits in ``proceed()`` lends its thread to those further inside.
Where no middleware is registered, nothing of this runs.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import queue
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from truesocket.core.pool import here
from truesocket.core.registry import RESERVED, Handler
from truesocket.core.socket import Socket

if TYPE_CHECKING:
    from truesocket.core.runner import Runner

__all__ = ["Event", "Middleware", "Proceed", "wrapped"]

#: What a middleware calls to go on: returns the handler's result, in an ``async def`` to be awaited.
Proceed = Callable[[], Any]


@dataclass(slots=True)
class Event:
    """What a middleware sees: an event, also ``connect`` (``args`` are the auth payload) and ``disconnect``.

    Assign ``args`` another tuple, and the handler gets that.
    """

    name: str
    args: tuple[Any, ...]
    socket: Socket

    @property
    def namespace(self) -> str:
        """The namespace that it came in."""
        return self.socket.namespace


#: ``def`` or ``async def``, of an event and of what goes on with it.
Middleware = Callable[[Event, Proceed], object]


def wrapped(runner: Runner, skins: Sequence[Handler], found: Handler, socket: Socket, name: str) -> Handler:
    """The handler of one event with its middlewares around it; called with the event's arguments as the handler is."""
    chain = _Chain(runner, skins, found, Event(name, (), socket))
    is_async = found.is_async or any(skin.is_async for skin in skins)
    return replace(
        found,
        function=chain.run if is_async else chain.call,
        is_async=is_async,
        least=0,
        most=None,
        takes_socket=False,
        inner=found.function,
    )


class _Helping:
    """The thread of a ``def`` middleware that waits for what is inside it, and works for it meanwhile."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    def submit(self, function: Callable[..., object], *args: object) -> concurrent.futures.Future[object]:
        """Runs a function in the waiting thread."""
        future: concurrent.futures.Future[object] = concurrent.futures.Future()

        def work() -> None:
            try:
                future.set_result(function(*args))
            except BaseException as error:  # whatever it is, it belongs to whoever waits for the result
                future.set_exception(error)

        self._work.put(work)
        return future

    def until(self, done: concurrent.futures.Future[Any]) -> Any:
        """Works until ``done``, and returns its result."""
        done.add_done_callback(lambda _: self._work.put(None))
        while (work := self._work.get()) is not None:
            work()
        return done.result()


class _Chain:
    """One event on its way through its middlewares."""

    __slots__ = ("_all_def_from", "_event", "_found", "_helping", "_runner", "_skins")

    def __init__(self, runner: Runner, skins: Sequence[Handler], found: Handler, event: Event) -> None:
        self._runner = runner
        self._skins = skins
        self._found = found
        self._event = event
        self._helping: _Helping | None = None
        kinds = [*(skin.is_async for skin in skins), found.is_async]
        self._all_def_from = max((index + 1 for index, is_async in enumerate(kinds) if is_async), default=0)

    # --- all are def: in one thread ----------------------------------------------------------------------------

    def call(self, *args: object) -> object:
        """The whole onion."""
        self._take(args)
        return self._call(0)

    def _call(self, index: int) -> object:
        if index == len(self._skins):
            return self._innermost()
        return self._skins[index].function(self._event, lambda: self._call(index + 1))

    # --- some are async def: on the loop -----------------------------------------------------------------------

    async def run(self, *args: object) -> object:
        """The whole onion."""
        self._take(args)
        return await self._run(0)

    async def _run(self, index: int) -> object:
        if index >= self._all_def_from:
            return await self._in_thread(lambda: self._call(index))
        if index == len(self._skins):
            return await self._innermost()
        skin = self._skins[index]
        if skin.is_async:
            result: Any = skin.function(self._event, lambda: self._run(index + 1))
            return await result
        proceed = self._waiting(index + 1, asyncio.get_running_loop())
        return await self._in_thread(lambda: skin.function(self._event, proceed))

    def _waiting(self, index: int, loop: asyncio.AbstractEventLoop) -> Proceed:
        """``proceed()`` of a ``def`` middleware with an ``async def`` inside it."""

        def proceed() -> Any:
            outer, helping = self._helping, _Helping()
            self._helping = helping
            try:
                result, error = helping.until(asyncio.run_coroutine_threadsafe(_caught(self._run(index)), loop))
            finally:
                self._helping = outer
            if error is not None:
                raise error
            return result

        return proceed

    async def _in_thread(self, function: Callable[[], object]) -> object:
        """Runs ``function`` in the thread that waits for us, else in one of the pool."""
        pool = self._runner.control if self._event.name in RESERVED else self._runner.events
        context = contextvars.copy_context()
        return await asyncio.wrap_future((self._helping or pool).submit(context.run, self._noted, function))

    def _noted(self, function: Callable[[], object]) -> object:
        worker = here.worker
        if worker is not None:  # so that a thread that is held for long is named in the log
            worker.since = time.monotonic()
            worker.busy_with = self._found.where
            worker.socket = self._event.socket
        try:
            return function()
        except StopIteration as error:  # no future can carry it (as in PEP 479)
            raise RuntimeError("a handler or middleware raised StopIteration") from error

    # --- the handler -------------------------------------------------------------------------------------------

    def _take(self, args: tuple[object, ...]) -> None:
        self._event.args = args[1:] if self._found.serves == "*" else args

    def _innermost(self) -> Any:
        """Calls the handler, with whatever the arguments have become."""
        event, found = self._event, self._found
        args = tuple(event.args)
        if event.name in RESERVED:
            args = found.fit(args)
        elif found.serves == "*":
            args = (event.name, *args)
        return found.invoke(event.socket, args)


async def _caught(inside: Coroutine[object, object, object]) -> tuple[object, BaseException | None]:
    """Result and error as values: a task that raises SystemExit would end the loop."""
    try:
        return await inside, None
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        return None, error
