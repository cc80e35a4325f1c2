"""``SocketIO(json=...)``: JSON written and read by a module of the application's choice, on one server.

The module has ``dumps`` and ``loads`` like the standard library's.  What it is not: the packet around the JSON and its
attachments stay Socket.IO's own (``codec/socketio.py``), and no other server of the process hears of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truesocket.codec import jsons, socketio
from truesocket.codec.serializers import Default, Json, Written
from truesocket.codec.socketio import SocketPacket
from truesocket.errors import PacketError, UsageError

__all__ = ["JsonModule"]


class JsonModule(Json):
    """The usual form of packets with another JSON library in it.

    Types that JSON has not are the module's own business: ``app.json.default`` is not asked.  A module that
    ``is_ready`` is told to write without spaces, if it can.  Raises :class:`~truesocket.errors.UsageError` for a module
    without ``dumps`` and ``loads``.
    """

    def __init__(self, module: Any, *, is_ready: bool = True) -> None:
        dumps, loads = getattr(module, "dumps", None), getattr(module, "loads", None)
        if not callable(dumps) or not callable(loads):
            raise UsageError(f"json={module!r}: give a module or an object with the functions dumps() and loads()")
        self._dumps: Callable[..., Any] = dumps
        self._loads: Callable[[str], object] = loads
        self._options = {"separators": (",", ":")} if is_ready and _takes_separators(dumps) else {}

    def write(self, value: object, default: Default | None = None) -> Written:
        """Raises what the module's ``dumps`` raises."""
        attachments: list[bytes] = []
        try:
            text = self._dumps(_detached(value, attachments), **self._options)
        except RecursionError:
            raise ValueError("the value is nested too deep, or contains itself; JSON needs an end") from None
        return Written(text if isinstance(text, str) else bytes(text).decode(), tuple(attachments))

    def parse(self, message: str | bytes, *, max_attachments: int) -> SocketPacket | None:
        """See :func:`truesocket.codec.socketio.parse`."""
        if isinstance(message, bytes):
            return None
        return socketio.parse(message, max_attachments=max_attachments, loads=self._read)

    def _read(self, text: str) -> object:
        try:
            value = self._loads(text)
        except Exception as error:  # whatever the module raises, the text came from outside
            raise PacketError(f"JSON cannot be read: {error}") from error
        if len(text) > 2 * jsons.MAX_DEPTH:  # else it cannot be that deep
            jsons.check_depth(value)
        return value


def _takes_separators(dumps: Callable[..., object]) -> bool:
    """Whether it writes without spaces if told so, as the standard library's does."""
    try:
        dumps([], separators=(",", ":"))
    except TypeError:
        return False
    return True


def _detached(value: object, attachments: list[bytes]) -> object:
    """``value`` with placeholders for the bytes in it; where there are none, ``value`` itself."""
    if isinstance(value, bytes | bytearray | memoryview):
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if not isinstance(value, dict | list | tuple):
        return value
    before = len(attachments)
    changed: object
    if isinstance(value, dict):
        changed = {key: _detached(item, attachments) for key, item in value.items()}
    else:
        changed = [_detached(item, attachments) for item in value]
    return changed if len(attachments) > before else value
