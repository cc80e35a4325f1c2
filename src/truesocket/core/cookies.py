"""The cookie that may carry the session's id, for load balancers that stick to it (``cookie=``; off by default)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from truesocket.errors import UsageError

__all__ = ["Cookie"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DEFAULTS: Mapping[str, object] = {"path": "/", "SameSite": "Lax"}
_ATTRIBUTES = {
    "path": "Path",
    "domain": "Domain",
    "samesite": "SameSite",
    "secure": "Secure",
    "httponly": "HttpOnly",
    "max_age": "Max-Age",
    "maxage": "Max-Age",
    "max-age": "Max-Age",
    "expires": "Expires",
}


class Cookie:
    """The option ``cookie``: a name, or a dict with ``name`` and attributes.

    An attribute's value is text, a number, ``True`` (the attribute alone), ``False`` (left out), or a function that
    returns one of these.  Raises :class:`~truesocket.errors.UsageError` for anything else.
    """

    def __init__(self, option: object) -> None:
        if isinstance(option, str):
            option = {"name": option, **_DEFAULTS}
        if not isinstance(option, Mapping) or not isinstance(option.get("name"), str):
            raise UsageError(f"cookie={option!r}: give the cookie's name, or a dict with 'name' and attributes in it")
        self._name: str = option["name"]
        if _TOKEN.fullmatch(self._name) is None:
            raise UsageError(f"cookie: {self._name!r} is no name that a cookie can have")
        self._attributes = {_attribute(key): value for key, value in option.items() if key != "name"}

    def header(self, sid: str) -> tuple[str, str]:
        """The header that sets the cookie to a session's id."""
        parts = [f"{self._name}={sid}"]
        for name, value in self._attributes.items():
            found = value() if callable(value) else value
            if found is True:
                parts.append(name)
            elif found is not False and found is not None:
                parts.append(f"{name}={_clean(str(found))}")
        return "Set-Cookie", "; ".join(parts)


def _attribute(name: object) -> str:
    known = _ATTRIBUTES.get(str(name).lower())
    if known is None:
        raise UsageError(f"cookie: {name!r} is no attribute of a cookie; known are {', '.join(sorted(_ATTRIBUTES))}")
    return known


def _clean(value: str) -> str:
    if any(char in ";\r\n\0" for char in value):
        raise UsageError(f"cookie: {value!r} holds a character that would end the cookie")
    return value
