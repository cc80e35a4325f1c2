"""python-socketio's time-out, where an application has imported it.

An application of Flask-SocketIO writes ``except socketio.exceptions.TimeoutError`` around ``call()``.  Where
python-socketio is not installed the alias has that name, and it is our own error.  Where it is installed it is
python-socketio's class, of which ours knows nothing: then the Flask face raises an error that is of both kinds.
Nothing is imported here: whoever catches an exception has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TypeVar

from truesocket.core.server import Reply
from truesocket.errors import AckTimeout

__all__ = ["Answer", "as_timeout"]

T = TypeVar("T")


def as_timeout(error: AckTimeout) -> AckTimeout:
    """The same error, which ``except socketio.exceptions.TimeoutError`` catches as well."""
    theirs = getattr(sys.modules.get("socketio.exceptions"), "TimeoutError", None)
    if not isinstance(theirs, type) or not issubclass(theirs, Exception) or isinstance(error, theirs):
        return error
    return _both(theirs)(*error.args)


_classes: dict[type[Exception], type[AckTimeout]] = {}


def _both(theirs: type[Exception]) -> type[AckTimeout]:
    """A class that is ours and theirs, and looks like ours; there is one."""
    attributes = {"__module__": AckTimeout.__module__}
    return _classes.setdefault(theirs, type("AckTimeout", (AckTimeout, theirs), attributes))


class Answer(Reply[T]):
    """The answer that ``call()`` waits for: its time-out is of both kinds."""

    __slots__ = ()

    def __init__(self, reply: Reply[T]) -> None:
        self._future = reply._future
        self._on_loop = reply._on_loop

    def result(self, timeout: float | None = None) -> T:
        """See :meth:`truesocket.bridge.Reply.result`."""
        try:
            return super().result(timeout)
        except AckTimeout as error:
            raise as_timeout(error) from None

    def __await__(self) -> Generator[object, None, T]:
        try:
            return (yield from super().__await__())
        except AckTimeout as error:
            raise as_timeout(error) from None
