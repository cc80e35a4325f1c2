r"""The JSON library (orjson), and what becomes of values that JSON has not.

What it is: the one place where Python values turn into JSON text and back.  What it is not: Socket.IO's rules about
those values are in :mod:`truesocket.codec.socketio`, which calls ``loads``; ``dumps`` is called in the thread of
whoever emits, so that its errors surface there.

``default`` is a function such as Flask's ``app.json.default``: it gets what JSON has not, and returns something that
JSON has.  Written are:

===========================  ==================================================================================
value                        JSON
===========================  ==================================================================================
int keys                     the digits: ``{1: 2}`` -> ``{"1":2}``
bool, None, float keys       as JavaScript would: ``"true"``, ``"null"``, ``"1.5"``
datetime, UUID, Enum keys    as their values below, ``default`` is not asked; any other key is a ``TypeError``
integers over 64 bits        exact digits; they come *in* as floats, as in every browser
NaN, Infinity                ``null``, as ``JSON.stringify`` does; they are refused when they come in
lone surrogates              ``\udXXX``, as ``JSON.stringify`` does, and so they come in
str and int subclasses       as str and int (``markupsafe.Markup``, ``IntEnum``)
float and tuple subclasses   as float and array (numpy's ``float64``, ``namedtuple``)
Enum                         its value
datetime, date, time         ``default``, or ISO 8601 without one
dataclass                    ``default``, or an object of its attributes without one; none that begins with ``_``
UUID                         its text, ``default`` is not asked
Decimal                      ``default``, or its text without one
bytes, bytearray,            an attachment, and ``{"_placeholder":true,"num":n}`` in its place
memoryview
tuple                        array
set, frozenset               ``default``, else a ``TypeError``: sort it into a list first
anything else                ``default``, else a ``TypeError`` that names the type and its place
nested over 254 deep, or     ``ValueError``; what comes *in* nested deeper is refused, too
inside itself
===========================  ==================================================================================

Three passes, each tried only if the one before it gave up: orjson alone; orjson with a hook that collects attachments
and asks ``default``; a walk in Python for what orjson refuses, which also finds the place for the error text.
``default`` may be asked twice for one value.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Final, NoReturn
from uuid import UUID

import orjson

from truesocket.errors import PacketError

__all__ = ["LIBRARY", "MAX_DEPTH", "Default", "check_depth", "dumps", "loads"]

Default = Callable[[object], object]
"""Turns a value that JSON has not into one that it has; raises ``TypeError`` if it cannot."""

LIBRARY: Final = f"orjson {orjson.__version__}"
"""Name and version for the start-up line."""

_NATIVE: Final = orjson.OPT_NON_STR_KEYS
_WITH_DEFAULT: Final = _NATIVE | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_SURROGATE: Final = re.compile(r"\\u[dD]")
MAX_DEPTH: Final = 254
"""How deep orjson nests, and so how deep the walk does."""
_HINT: Final = "convert it first, or give SocketIO(json=...) or app.json.default a way to write it"


def dumps(value: object, default: Default | None = None) -> tuple[str, tuple[bytes, ...]]:
    """JSON text of ``value`` and the attachments its placeholders number.

    Raises ``TypeError`` for what neither JSON nor ``default`` can write, naming its type and place; ``ValueError`` for
    what is nested too deep or contains itself; and whatever else ``default`` raises.
    """
    options = _NATIVE if default is None else _WITH_DEFAULT
    try:
        return orjson.dumps(value, None, options).decode(), ()
    except orjson.JSONEncodeError:
        pass
    attachments: list[bytes] = []

    def hook(item: object) -> object:
        if isinstance(item, (bytes, bytearray, memoryview)):
            return _attach(item, attachments)
        return _convert(item, default)

    try:
        return orjson.dumps(value, hook, options).decode(), tuple(attachments)
    except orjson.JSONEncodeError:
        return _dumps_by_walk(value, default)


def _attach(item: bytes | bytearray | memoryview, attachments: list[bytes]) -> dict[str, object]:
    """Set ``item`` aside; its placeholder (Socket.IO protocol 5, "Sending and receiving binary data")."""
    attachments.append(bytes(item))
    return {"_placeholder": True, "num": len(attachments) - 1}


def _convert(item: object, default: Default | None) -> object:
    """A value that orjson knows, or may know, for one that it does not; ``TypeError`` if there is none."""
    if isinstance(item, float):
        return float(item)
    if isinstance(item, tuple):
        return tuple(item)
    if default is not None:
        return default(item)
    if isinstance(item, Decimal):
        return str(item)
    if isinstance(item, (set, frozenset)):
        raise TypeError(f"{type(item).__name__} is not JSON serializable, it has no order: write sorted(...)")
    raise TypeError(f"{type(item).__name__} is not JSON serializable")


def _dumps_by_walk(value: object, default: Default | None) -> tuple[str, tuple[bytes, ...]]:
    walk = _Walk(default)
    try:
        text = json.dumps(walk.plain(value), separators=(",", ":"), allow_nan=False)
    except RecursionError:
        walk.give_up()
    return text, tuple(walk.attachments)


class _Walk:
    """The slow pass: a copy of the value out of nothing but dict, list, str, int, float, bool and None."""

    __slots__ = ("_default", "_trail", "attachments")

    def __init__(self, default: Default | None) -> None:
        self.attachments: list[bytes] = []
        self._default = default
        self._trail: list[str] = []

    def plain(self, value: object) -> object:
        """``value`` as the standard library's ``json`` can write it."""
        if isinstance(value, Enum):
            return self._inside("", value.value)
        if value is None or isinstance(value, (str, int)):
            return value
        if isinstance(value, float):
            return float(value) if isfinite(value) else None
        if isinstance(value, (bytes, bytearray, memoryview)):
            return _attach(value, self.attachments)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, (list, tuple)):
            return [self._inside(f"[{index}]", item) for index, item in enumerate(value)]
        return self._foreign(value)

    def give_up(self) -> NoReturn:
        """Raise the error for values without a bottom."""
        raise ValueError(
            f"the value is nested more than {MAX_DEPTH} deep, or contains itself; JSON needs an end: send less of it"
        )

    def _inside(self, step: str, value: object) -> object:
        if len(self._trail) >= MAX_DEPTH:
            self.give_up()
        self._trail.append(step)
        plain = self.plain(value)
        self._trail.pop()
        return plain

    def _object(self, value: Mapping[object, object]) -> dict[str, object]:
        return {self._key(key): self._inside(f"[{key!r}]", item) for key, item in value.items()}

    def _key(self, key: object) -> str:
        if isinstance(key, Enum):
            return self._key(key.value)
        if isinstance(key, str):
            return key
        if isinstance(key, int) and not isinstance(key, bool):
            return str(int(key))
        try:
            text = orjson.dumps({key: None}, None, _NATIVE)
        except TypeError:
            self._refuse(f"a key of type {type(key).__name__} is not JSON serializable")
        (name,) = orjson.loads(text)
        return str(name)

    def _foreign(self, value: object) -> object:
        """What JSON has not."""
        if isinstance(value, UUID) or (self._default is None and isinstance(value, (date, time))):
            return self._scalar(value)
        if self._default is None and dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = vars(value) if hasattr(value, "__dict__") else [field.name for field in dataclasses.fields(value)]
            return self._object({name: getattr(value, name) for name in names if not name.startswith("_")})
        try:
            converted = _convert(value, self._default)
        except TypeError as error:
            self._refuse(str(error), error)
        return self._inside("", converted)

    def _scalar(self, value: object) -> object:
        """What orjson writes as a string of its own making."""
        try:
            return str(orjson.loads(orjson.dumps(value)))
        except TypeError as error:
            self._refuse(str(error))

    def _refuse(self, why: str, cause: BaseException | None = None) -> NoReturn:
        place = "".join(self._trail)
        raise TypeError(f"{why}{f', at {place}' if place else ''}; {_HINT}") from cause


def loads(text: str | bytes) -> object:
    """The value of one JSON text.

    Raises ``PacketError`` for what is not JSON (RFC 8259), NaN and Infinity included, and for what is nested deeper
    than we could write it again.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        try:
            value = _second_opinion(text)
        except (ValueError, RecursionError):
            raise PacketError(f"JSON cannot be read: {error.msg}") from error
    if len(text) > 2 * MAX_DEPTH and _brackets(text) > MAX_DEPTH:  # else it cannot be that deep
        check_depth(value)
    return value


def _brackets(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def check_depth(value: object) -> None:
    """Raises ``PacketError`` for a received value that is nested deeper than we could write it again."""
    try:
        orjson.dumps(value, _stand_in, _NATIVE)  # says so quickest: it gives up at this very depth
    except orjson.JSONEncodeError:
        _walk_down(value)  # or there is something else that it does not write, such as a lone surrogate


def _stand_in(item: object) -> None:
    """For whatever has no form in JSON: only the depth counts here."""


def _walk_down(value: object) -> None:
    level: list[dict[object, object] | list[object]] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_DEPTH):
        level = [
            item
            for each in level
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
    raise PacketError(f"the data is nested more than {MAX_DEPTH} deep")


def _second_opinion(text: str | bytes) -> object:
    """What the standard library says: it reads the one thing that browsers send and orjson refuses, lone surrogates."""
    decoded = text if isinstance(text, str) else text.decode()
    if _SURROGATE.search(decoded) is None:
        raise ValueError("nothing in it that the standard library would read better")
    return json.loads(decoded, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_refuse_constant)


def _parse_int(digits: str) -> int | float:
    """As orjson does: beyond 64 bits, a float."""
    if len(digits) > 20:
        return _parse_float(digits)
    number = int(digits)
    return number if -(1 << 63) <= number < 1 << 64 else float(number)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise ValueError("a number is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
