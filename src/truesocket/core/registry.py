"""Which handler hears which event: ``on()``, ``event()``, catch-alls and Namespace classes.

A handler's signature is read once, here, when it is registered.  Nothing is found out by calling it and catching
``TypeError``: a ``TypeError`` inside an application's handler is the application's own.

Order of the search, as in Flask-SocketIO: the namespace's own handler of the event, its catch-all, the event's handler
for every namespace, the catch-all of every namespace, the Namespace class, the Namespace class for every namespace.
``"*"`` never hears ``connect`` and ``disconnect``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from truesocket.errors import UsageError

__all__ = ["RESERVED", "Handler", "NamespaceHandler", "Registry", "handler"]

#: Events that the server itself raises.
RESERVED = frozenset({"connect", "disconnect"})
_NEVER = frozenset({"connect_error", "disconnecting", "newListener", "removeListener"})


@dataclass(frozen=True, slots=True)
class Handler:
    """A callable with what its signature said.

    ``most`` is the number of positional arguments that it takes at most (``None``: any), ``least`` at least.
    ``serves`` is the event it was registered for, ``"*"`` for a catch-all.
    """

    function: Callable[..., object]
    is_async: bool
    least: int
    most: int | None
    where: str
    serves: str = ""

    def fit(self, args: tuple[object, ...]) -> tuple[object, ...]:
        """``args`` cut to what a handler of ``connect`` or ``disconnect`` wants: both may leave their argument out."""
        return args if self.most is None else args[: self.most]


def handler(function: Callable[..., object], serves: str = "") -> Handler:
    """Reads a callable's signature.  Raises :class:`UsageError` for what cannot be called."""
    if not callable(function):
        raise UsageError(f"a handler must be a function, not {function!r}")
    plain = function
    while isinstance(plain, functools.partial):
        plain = plain.func
    plain = inspect.unwrap(plain)
    target = plain if inspect.isroutine(plain) else getattr(plain, "__call__", plain)  # noqa: B004 - its signature
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(target)
    least, most = _positional(function)
    code = getattr(inspect.unwrap(getattr(target, "__func__", target)), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    name = getattr(plain, "__qualname__", type(plain).__qualname__)
    return Handler(function, is_async, least, most, f"{name}{place}", serves)


def _positional(function: Callable[..., object]) -> tuple[int, int | None]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature takes what comes
        return 0, None
    least = most = 0
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return least, None
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += parameter.default is parameter.empty
    return least, most


class NamespaceHandler(Protocol):
    """A Namespace class: one object that finds the handlers of a namespace among its own methods."""

    namespace: str

    def find(self, event: str) -> Handler | None:
        """The handler of an event, or ``None``."""


class Registry:
    """The handlers of one server."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._classes: dict[str, NamespaceHandler] = {}

    def add(self, event: str, namespace: str, function: Callable[..., object]) -> Handler:
        """Registers ``function``; a second handler of the same event replaces the first."""
        if callable(event) or not event:
            raise UsageError(
                f"@on({event!r}): the event's name is missing; write @socketio.on('name') with the name in quotes"
            )
        if event in _NEVER:
            raise UsageError(f"{event!r} is a name that Socket.IO keeps for itself; choose another")
        if namespace != "*" and not str(namespace).startswith("/"):
            raise UsageError(f"namespace={namespace!r} must begin with a slash, as in '/chat'")
        found = handler(function, event)
        self._handlers.setdefault(namespace, {})[event] = found
        return found

    def add_class(self, namespace: NamespaceHandler) -> None:
        """Registers a Namespace class's instance."""
        self._classes[namespace.namespace] = namespace

    def knows(self, namespace: str) -> bool:
        """Whether anybody has registered something for this namespace."""
        return not {namespace, "*"}.isdisjoint(self._handlers.keys() | self._classes.keys())

    def find(self, namespace: str, event: str) -> Handler | None:
        """The handler of an event; ``handler.serves`` is ``"*"`` where it wants the event's name as first argument."""
        for space in (namespace, "*"):
            handlers = self._handlers.get(space)
            if handlers is None:
                continue
            found = handlers.get(event)
            if found is None and event not in RESERVED:
                found = handlers.get("*")
            if found is not None:
                return found
        for space in (namespace, "*"):
            instance = self._classes.get(space)
            found = instance.find(event) if instance is not None else None
            if found is not None:
                return replace(found, serves=event)
        return None
