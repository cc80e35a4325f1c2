"""How an application registers what it has: handlers, Namespace classes, middlewares, outgoing listeners.

Knows the registry and no clients.  ``core/server.py`` builds on it.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from truesocket.core.emitter import Emitter
from truesocket.core.middleware import Middleware
from truesocket.core.registry import NamespaceHandler, Registry
from truesocket.errors import UsageError

__all__ = ["Decorators"]

_log = logging.getLogger("truesocket")

F = TypeVar("F", bound=Callable[..., object])
M = TypeVar("M", bound=Middleware)
L = TypeVar("L", bound=Callable[[str, tuple[Any, ...], Emitter], object])


class Decorators:
    """The registering half of a server."""

    def __init__(self) -> None:
        self.registry: Registry = Registry()
        self.outgoing_listeners: list[Callable[[str, tuple[Any, ...], Emitter], object]] = []

    @overload
    def on(self, event: str, function: F, *, namespace: str | re.Pattern[str] = "/") -> F: ...
    @overload
    def on(self, event: str, function: None = None, *, namespace: str | re.Pattern[str] = "/") -> Callable[[F], F]: ...
    def on(
        self, event: str, function: F | None = None, *, namespace: str | re.Pattern[str] = "/"
    ) -> F | Callable[[F], F]:
        """Registers the handler of an event: a decorator, or a call with the function as second argument.

        ``"connect"`` gets the auth payload, ``"disconnect"`` the reason, ``"*"`` every event nobody else handles, with
        its name first.  The handler may be ``def`` (runs in a thread, may block) or ``async def`` (runs on the loop).
        One whose first parameter is annotated ``Socket`` gets the client there.  ``namespace`` is a name, ``"*"`` for
        all, or a pattern for all of a form, ``re.compile("/room-[0-9]+")``; ``socket.namespace`` says which one it is.
        """
        if callable(event):
            raise UsageError("@server.on: the event's name is missing; write @server.on('name'), or @server.event")

        def register(handler: F) -> F:
            self.registry.add(event, namespace, handler)
            return handler

        return register if function is None else register(function)

    @overload
    def event(self, function: F, /) -> F: ...
    @overload
    def event(self, function: None = None, /, *, namespace: str | re.Pattern[str] = "/") -> Callable[[F], F]: ...
    def event(self, function: F | None = None, /, *, namespace: str | re.Pattern[str] = "/") -> F | Callable[[F], F]:
        """Decorator, with or without parentheses: the handler of the event that bears the function's name."""

        def register(handler: F) -> F:
            name = getattr(handler, "__name__", None)
            if name is None:
                raise UsageError(f"@server.event: {handler!r} has no name; write server.on('name', ...) instead")
            self.registry.add(name, namespace, handler)
            return handler

        return register if function is None else register(function)

    def on_namespace(self, namespace: NamespaceHandler) -> None:
        """Registers a Namespace class's instance."""
        self.registry.add_class(namespace)

    @overload
    def middleware(self, function: M, /) -> M: ...
    @overload
    def middleware(self, *events: str, namespace: str | re.Pattern[str] = "/") -> Callable[[M], M]: ...
    def middleware(self, *events: str | M, namespace: str | re.Pattern[str] = "/") -> M | Callable[[M], M]:
        """Decorator: a function ``(event, proceed)`` around handlers, see :mod:`truesocket.core.middleware`.

        Without names it stands around every event that clients send; name ``"connect"`` to decide who may come in
        (raise :class:`~truesocket.errors.Refused`), ``"disconnect"``, or single events.  The first one registered is
        the outermost.
        """
        names = [name for name in events if isinstance(name, str)]

        def register(function: M) -> M:
            self.registry.add_middleware(names or ["*"], namespace, function)
            return function

        if len(names) == len(events):
            return register
        [function, *more] = [each for each in events if not isinstance(each, str)]
        if more or names:
            raise UsageError("@server.middleware: give events' names in the parentheses, and the function below them")
        return register(function)

    def outgoing(self, listener: L) -> L:
        """Decorator: ``listener(event, args, emitter)`` sees every emission, once, however many hear it.

        It is called in the thread that emits, before anything is sent: a ``def`` function, and a quick one.
        """
        given: object = listener
        if not callable(given) or inspect.iscoroutinefunction(given):
            raise UsageError(f"@server.outgoing: {listener!r} must be a `def` function: whoever emits does not wait")

        def listen(event: str, args: tuple[Any, ...], emitter: Emitter) -> None:
            try:
                listener(event, args, emitter)
            except Exception:
                _log.exception("an outgoing listener failed on the event %r, which is sent nevertheless", event)

        self.outgoing_listeners.append(listen)
        return listener
