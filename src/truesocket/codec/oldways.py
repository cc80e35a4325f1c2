"""What only old clients need: JSONP, and the text that Socket.IO 1.x encodes twice.

JSONP carries a polling payload in a script that the page loads, and in a form field that it posts: for browsers that
could not ask another origin in any other way.  ``transports/polling.py`` calls the two functions of it.

A client of Socket.IO 1.x writes text as UTF-8 and lets ``XMLHttpRequest`` do so again; 2.x writes it once.  No field of
the wire tells one from the other, but the bytes do: ``session/engine.py`` asks :func:`undo_double_utf8`.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import parse_qs

from truesocket.errors import PacketError

__all__ = ["build_jsonp", "parse_jsonp", "undo_double_utf8"]

_NEWLINES: Final = re.compile(r"\\\\n|\\n")
"""The client writes a newline as backslash and n, and a backslash with an n as two backslashes and n."""


def build_jsonp(index: str, payload: bytes) -> bytes:
    """The script that hands a text payload to callback number ``index`` (digits; Engine.IO 3, "JSONP polling").

    The string in it is pure ASCII, so U+2028 and U+2029, which end a line in old JavaScript, are escaped, too.
    """
    number = "".join(char for char in index if char.isascii() and char.isdigit())
    return f"___eio[{number}]({json.dumps(payload.decode())});".encode()


def parse_jsonp(body: bytes) -> bytes:
    """The payload in a posted form: the field ``d``.  Raises :class:`PacketError` where there is none."""
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        raise PacketError("a JSONP form that is not UTF-8, or has too many fields") from None
    if "d" not in fields:
        raise PacketError("a JSONP form without the field d")
    return _NEWLINES.sub(lambda found: "\\n" if len(found[0]) == 3 else "\n", fields["d"][0]).encode()


def undo_double_utf8(text: str) -> str | None:
    """The text behind one UTF-8 encoding too many, or ``None`` where ``text`` is not of that kind.

    It is where its characters, taken as bytes, are UTF-8 with at least one character beyond ASCII: mojibake that people
    hardly write.
    """
    if text.isascii():
        return None
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return None
