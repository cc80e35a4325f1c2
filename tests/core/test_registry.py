"""Which handler hears which event, and what its signature says."""

import functools
import inspect
import re
from typing import TYPE_CHECKING

import pytest

import truesocket
from truesocket import Socket
from truesocket.core.registry import Handler, Registry, handler
from truesocket.errors import UsageError

if TYPE_CHECKING:
    import truesocket as chat


def plain(data, more=None): ...


async def coroutine(data): ...


class Callable:
    def __call__(self, data): ...

    def method(self, data, *rest): ...

    async def async_method(self): ...


class AsyncCallable:
    async def __call__(self, data): ...


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@pytest.mark.parametrize(
    ("function", "is_async", "least", "most"),
    [
        (plain, False, 1, 2),
        (coroutine, True, 1, 1),
        (lambda: None, False, 0, 0),
        (lambda *args: None, False, 0, None),
        (lambda a, *args: None, False, 1, None),
        (lambda a, /, b, *, c=1, **rest: None, False, 2, 2),
        (Callable(), False, 1, 1),
        (Callable().method, False, 1, None),
        (Callable().async_method, True, 0, 0),
        (AsyncCallable(), True, 1, 1),
        (functools.partial(plain, 1), False, 0, 1),
        (functools.partial(coroutine, 1), True, 0, 0),
        (wrapped(plain), False, 1, 2),
        (wrapped(coroutine), True, 1, 1),
    ],
)
def test_a_signature_is_read_once(function, is_async, least, most):
    found = handler(function, "say")
    assert found.function is function
    assert (found.is_async, found.least, found.most, found.serves) == (is_async, least, most, "say")


def test_a_builtin_without_a_signature_takes_what_comes():
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(iter)
    found = handler(iter)
    assert (found.least, found.most, found.where) == (0, None, "iter")


@pytest.mark.parametrize("function", [plain, functools.partial(plain, 1), wrapped(plain)])
def test_a_handler_is_named_by_file_and_line(function):
    line = inspect.getsourcelines(plain)[1]
    assert handler(function).where == f"plain ({__file__}:{line})"


@pytest.mark.parametrize(
    ("function", "name"),
    [(Callable().method, "Callable.method"), (Callable(), "Callable"), (AsyncCallable(), "AsyncCallable")],
)
def test_methods_and_callable_objects_are_named_too(function, name):
    where = handler(function).where
    assert where.startswith(f"{name} ({__file__}:")


@pytest.mark.parametrize("thing", [None, "say", 7])
def test_what_cannot_be_called_is_refused(thing):
    with pytest.raises(UsageError, match="must be a function"):
        handler(thing)


@pytest.mark.parametrize(
    ("function", "given", "fitted"),
    [(lambda: None, (1,), ()), (plain, (1, 2, 3), (1, 2)), (lambda *args: None, (1, 2), (1, 2))],
)
def test_fit(function, given, fitted):
    assert handler(function).fit(given) == fitted


# --- the client as first argument -------------------------------------------------------------------------------------


class Hall:
    """Stands for an application's own module, under which the name is imported."""

    Socket = Socket


class Library:
    """Has a Socket of its own."""

    class Socket: ...


def of_the_same_name(socket: "Library.Socket", data): ...


def really_of_the_same_name(socket: Library.Socket, data): ...


class Taker:
    def __call__(self, socket: Socket, data): ...

    def method(self, socket: Socket, data, more=None): ...


def typed(socket: Socket, data): ...


def quoted(socket: "Socket", data): ...


def dotted(socket: "truesocket.Socket", data): ...


def elsewhere(socket: "Hall.Socket", data): ...


def only_for_type_checkers(socket: "chat.Socket", data): ...


def of_another_library(socket: "inspect.Parameter", data): ...


def in_the_second_place(data, socket: Socket): ...


def by_keyword(*, socket: Socket): ...


async def typed_async(socket: Socket, *args): ...


@pytest.mark.parametrize(
    ("function", "takes", "least", "most"),
    [
        (typed, True, 1, 1),
        (quoted, True, 1, 1),
        (dotted, True, 1, 1),
        (elsewhere, True, 1, 1),
        (only_for_type_checkers, True, 1, 1),
        (of_another_library, False, 2, 2),
        (of_the_same_name, False, 2, 2),
        (really_of_the_same_name, False, 2, 2),
        (in_the_second_place, False, 2, 2),
        (by_keyword, False, 0, 0),
        (plain, False, 1, 2),
        (typed_async, True, 0, None),
        (Taker(), True, 1, 1),
        (Taker().method, True, 1, 2),
        (wrapped(typed), True, 1, 1),
        (functools.partial(typed, data=1), True, 0, 0),
        (functools.partial(typed, None), False, 1, 1),
    ],
)
def test_who_takes_the_socket(function, takes, least, most):
    found = handler(function)
    if isinstance(function, functools.partial) and takes:
        least = most = found.most  # a keyword given before stays a parameter
    assert (found.takes_socket, found.least, found.most) == (takes, least, most)


def test_bound_to_a_client():
    found = handler(lambda *args: args)
    assert found.bound(None) is found
    taker = handler(typed)
    bound = taker.bound("the socket")
    assert (bound.function.args, bound.takes_socket, bound.where) == (("the socket",), False, taker.where)


# --- finding ----------------------------------------------------------------------------------------------------------


class Namespace:
    """A Namespace class that hears what it was told to hear."""

    def __init__(self, namespace, *events):
        self.namespace = namespace
        self.handlers = {event: handler(lambda: None) for event in events}

    def find(self, event):
        return self.handlers.get(event)


PATTERN = re.compile("/c.*")
LATER = re.compile("/ch.*")
ORDER = [
    ("/chat", "say"),
    ("/chat", "*"),
    (PATTERN, "say"),
    (PATTERN, "*"),
    (LATER, "say"),
    ("*", "say"),
    ("*", "*"),
    ("class", "/chat"),
    ("class", "*"),
]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_the_order_of_the_search(first):
    """Of everything that could hear it, the first in the order does; so with the first ones missing."""
    registry = Registry()
    functions = []
    registry._patterns = {PATTERN: {}, LATER: {}}  # the order in which patterns came
    for kind, what in reversed(ORDER[first:]):
        if kind == "class":
            namespace = Namespace(what, "say")
            registry.add_class(namespace)
            functions.append(namespace.handlers["say"].function)
        else:
            functions.append(registry.add(what, kind, lambda *args: None).function)
    found = registry.find("/chat", "say")
    assert found is not None
    assert found.function is functions[-1]
    assert found.serves == ("*" if ORDER[first][1] == "*" and ORDER[first][0] != "class" else "say")


def test_nobody_hears_it():
    registry = Registry()
    registry.add("say", "/chat", plain)
    registry.add_class(Namespace("/chat", "other"))
    assert registry.find("/chat", "sing") is None
    assert registry.find("/", "say") is None


@pytest.mark.parametrize("event", ["connect", "disconnect"])
def test_catch_alls_do_not_hear_the_servers_own_events(event):
    registry = Registry()
    registry.add("*", "/", plain)
    registry.add("*", "*", plain)
    assert registry.find("/", event) is None
    found = registry.add(event, "*", plain)
    assert registry.find("/", event) is found


def test_a_second_handler_replaces_the_first():
    registry = Registry()
    registry.add("say", "/", plain)
    second = registry.add("say", "/", coroutine)
    assert registry.find("/", "say") is second
    assert isinstance(second, Handler)


def test_known_namespaces():
    registry = Registry()
    assert not registry.knows("/")
    registry.add("say", "/chat", plain)
    registry.add_class(Namespace("/class"))
    assert registry.knows("/chat")
    assert registry.knows("/class")
    assert not registry.knows("/")
    registry.add("say", "*", plain)
    assert registry.knows("/anything")


@pytest.mark.parametrize("event", [plain, ""])
def test_a_decorator_without_its_name(event):
    with pytest.raises(UsageError, match="name is missing"):
        Registry().add(event, "/", plain)


@pytest.mark.parametrize("event", ["connect_error", "disconnecting", "newListener", "removeListener"])
def test_reserved_names(event):
    with pytest.raises(UsageError, match="keeps for itself"):
        Registry().add(event, "/", plain)


def test_a_pattern_matches_whole_names():
    registry = Registry()
    registry.add("say", re.compile(r"/room-\d+"), plain)
    registry.add("connect", re.compile(r"/room-\d+"), plain)
    for name, known in {
        "/room-1": True,
        "/room-22": True,
        "/room-": False,
        "/room-1/x": False,
        "x/room-1": False,
    }.items():
        assert registry.knows(name) is known
        assert (registry.find(name, "say") is not None) is known
        assert (registry.find(name, "connect") is not None) is known
    assert registry.find("/room-1", "disconnect") is None


def test_a_pattern_of_bytes():
    with pytest.raises(UsageError, match="without the b"):
        Registry().add("say", re.compile(rb"/room"), plain)


@pytest.mark.parametrize("namespace", ["chat", "", None, 5, ["/a", "/b"]])
def test_a_namespace_begins_with_a_slash(namespace):
    with pytest.raises(UsageError, match="slash"):
        Registry().add("say", namespace, plain)
