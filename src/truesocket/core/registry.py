"""Which handler hears which event: ``on()``, ``event()``, catch-alls, patterns, Namespace classes and middlewares.

A handler's signature is read once, here, when it is registered.  Nothing is found out by calling it and catching
``TypeError``: a ``TypeError`` inside an application's handler is the application's own.  A handler whose first
parameter is annotated with :class:`~truesocket.core.socket.Socket` is given the client there, before the event's own
arguments.

Order of the search, as in Flask-SocketIO: the namespace's own handler of the event, its catch-all, the same two of
every pattern that the namespace's whole name matches (the first registered first), the event's handler for every
namespace, the catch-all of every namespace, the Namespace class, the Namespace class for every namespace.
``"*"`` never hears ``connect`` and ``disconnect``.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from truesocket.core.socket import Socket
from truesocket.errors import UsageError

__all__ = ["RESERVED", "Handler", "NamespaceHandler", "Registry", "Where", "handler"]

#: A namespace's name, ``"*"`` for every namespace, or a pattern that a namespace's whole name must match.
Where = str | re.Pattern[str]

#: Events that the server itself raises.
RESERVED = frozenset({"connect", "disconnect"})
_NEVER = frozenset({"connect_error", "disconnecting", "newListener", "removeListener"})


@dataclass(frozen=True, slots=True)
class Handler:
    """A callable with what its signature said.

    ``most`` is the number of positional arguments that it takes at most (``None``: any), ``least`` at least; the
    client, where it ``takes_socket`` first, is not counted.  ``serves`` is the event it was registered for, ``"*"`` for
    a catch-all.
    """

    function: Callable[..., object]
    is_async: bool
    least: int
    most: int | None
    where: str
    serves: str = ""
    takes_socket: bool = False
    inner: Callable[..., object] | None = None

    @property
    def registered(self) -> Callable[..., object]:
        """What was registered, inside of the middlewares that ``function`` may be."""
        return self.inner or self.function

    def invoke(self, socket: Socket, args: tuple[object, ...]) -> object:
        """Calls it; what takes its socket has it in front.  An ``async def`` handler gives its coroutine."""
        return self.function(socket, *args) if self.takes_socket else self.function(*args)

    def bound(self, socket: Socket) -> Handler:
        """The handler of one client's event: what takes its socket has it."""
        if not self.takes_socket:
            return self
        return replace(self, function=functools.partial(self.function, socket), takes_socket=False)

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
    least, most, takes_socket = _positional(function)
    code = getattr(inspect.unwrap(getattr(target, "__func__", target)), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    name = getattr(plain, "__qualname__", type(plain).__qualname__)
    return Handler(function, is_async, least, most, f"{name}{place}", serves, takes_socket)


def _positional(function: Callable[..., object]) -> tuple[int, int | None, bool]:
    """How many positional arguments at least and at most, and whether the socket stands before them."""
    try:
        parameters = list(_signature(function).parameters.values())
    except (TypeError, ValueError):  # a builtin without a signature takes what comes
        return 0, None, False
    takes_socket = bool(parameters) and _is_socket(parameters[0], function)
    least = most = 0
    for parameter in parameters[takes_socket:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            return least, None, takes_socket
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            most += 1
            least += parameter.default is parameter.empty
    return least, most, takes_socket


def _signature(function: Callable[..., object]) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # names that only type checkers import are not there to be looked up
        import annotationlib

        return inspect.signature(function, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(function)


def _is_socket(parameter: inspect.Parameter, function: Callable[..., object]) -> bool:
    """Whether the parameter is annotated ``Socket``, also where annotations are text and their names not imported."""
    if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
        return False
    annotation: Any = parameter.annotation
    if annotation is Socket:
        return True
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", "")
    if not name:
        return False
    plain: Any = inspect.unwrap(function)
    while isinstance(plain, functools.partial):
        plain = inspect.unwrap(plain.func)
    found: Any = _look_up(name, getattr(getattr(plain, "__func__", plain), "__globals__", {}))
    return found is Socket if found is not None else name.rpartition(".")[2] == "Socket"


def _look_up(name: str, names: dict[str, Any]) -> object:
    """What a dotted name in an annotation stands for; ``None`` where nobody has imported it."""
    first, *rest = name.strip("'\" ").split(".")
    found: object = names.get(first)
    for part in rest:
        found = getattr(found, part, None)
    return found


class NamespaceHandler(Protocol):
    """A Namespace class: one object that finds the handlers of a namespace among its own methods."""

    namespace: str

    def find(self, event: str) -> Handler | None:
        """The handler of an event, or ``None``."""


class _Around(NamedTuple):
    """A middleware: around which events, in which namespaces."""

    events: frozenset[str]
    where: Where
    middleware: Handler


class Registry:
    """The handlers and middlewares of one server."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._patterns: dict[re.Pattern[str], dict[str, Handler]] = {}
        self._classes: dict[str, NamespaceHandler] = {}
        self.middlewares: list[_Around] = []

    def add(self, event: str, namespace: Where, function: Callable[..., object]) -> Handler:
        """Registers ``function``; a second handler of the same event replaces the first."""
        check_event(event)
        check_where(namespace)
        found = handler(function, event)
        if isinstance(namespace, re.Pattern):
            self._patterns.setdefault(namespace, {})[event] = found
        else:
            self._handlers.setdefault(namespace, {})[event] = found
        return found

    def add_class(self, namespace: NamespaceHandler) -> None:
        """Registers a Namespace class's instance."""
        self._classes[namespace.namespace] = namespace

    def add_middleware(self, events: Iterable[str], namespace: Where, function: Callable[..., object]) -> None:
        """Puts ``function`` around events (``"*"``: all that clients send); the first one added is the outermost."""
        check_where(namespace)
        named = frozenset(events)
        for event in named:
            check_event(event)
        found = handler(function)
        if found.least > 2 or (found.most is not None and found.most < 2):
            raise UsageError(f"a middleware takes two arguments, as in `def {found.where.split()[0]}(event, proceed)`")
        self.middlewares.append(_Around(named, namespace, found))

    def around(self, namespace: str, event: str) -> list[Handler]:
        """The middlewares around an event, the outermost first."""
        name = event if event in RESERVED else "*"
        return [
            around.middleware
            for around in self.middlewares
            if (event in around.events or name in around.events) and _covers(around.where, namespace)
        ]

    def knows(self, namespace: str) -> bool:
        """Whether anybody has registered something for this namespace."""
        if not {namespace, "*"}.isdisjoint(self._handlers.keys() | self._classes.keys()):
            return True
        return any(pattern.fullmatch(namespace) for pattern in self._patterns)

    def find(self, namespace: str, event: str) -> Handler | None:
        """The handler of an event; ``handler.serves`` is ``"*"`` where it wants the event's name as first argument."""
        found = _in_table(self._handlers.get(namespace), event)
        if found is None and self._patterns:
            for pattern, handlers in self._patterns.items():
                if pattern.fullmatch(namespace):
                    found = _in_table(handlers, event)
                    if found is not None:
                        return found
        if found is None:
            found = _in_table(self._handlers.get("*"), event)
        return found if found is not None else self._find_in_class(namespace, event)

    def _find_in_class(self, namespace: str, event: str) -> Handler | None:
        for space in (namespace, "*"):
            instance = self._classes.get(space)
            found = instance.find(event) if instance is not None else None
            if found is not None:
                return replace(found, serves=event)
        return None


def _in_table(handlers: dict[str, Handler] | None, event: str) -> Handler | None:
    if handlers is None:
        return None
    found = handlers.get(event)
    if found is None and event not in RESERVED:
        found = handlers.get("*")
    return found


def _covers(where: Where, namespace: str) -> bool:
    if isinstance(where, re.Pattern):
        return where.fullmatch(namespace) is not None
    return where in ("*", namespace)


def check_event(event: object) -> None:
    """Raises :class:`UsageError` for what cannot be an event's name."""
    if not isinstance(event, str) or not event:
        raise UsageError(
            f"@on({event!r}): the event's name is missing; write @socketio.on('name') with the name in quotes"
        )
    if event in _NEVER:
        raise UsageError(f"{event!r} is a name that Socket.IO keeps for itself; choose another")


def check_where(namespace: object) -> None:
    """Raises :class:`UsageError` for what names no namespaces."""
    if isinstance(namespace, re.Pattern):
        if not isinstance(namespace.pattern, str):
            raise UsageError(f"namespace={namespace!r}: names are text; write the pattern without the b before it")
    elif not isinstance(namespace, str) or not (namespace == "*" or namespace.startswith("/")):
        raise UsageError(
            f"namespace={namespace!r} must begin with a slash, as in '/chat'; '*' is every namespace, and"
            " re.compile(r'/room-\\d+') every namespace of that form"
        )
