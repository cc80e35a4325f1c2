"""The client that the server itself serves, so that a page needs nothing from anywhere else.

There is one source, ``truesocket.js``, a classic script whose last line says ``globalThis.io = truesocket;``.  Three
files come out of it and its neighbour:

=================  =======================================================  ==================================
name               for                                                      is
=================  =======================================================  ==================================
truesocket.js      ``<script src="/socket.io/truesocket.js"></script>``     the source, byte for byte
truesocket.mjs     ``import { io } from "/socket.io/truesocket.mjs"``       the source with another last line
truesocket.d.ts    TypeScript and editors                                   the neighbour, byte for byte
=================  =======================================================  ==================================

:func:`asset` knows no HTTP: the server's doors call it, and answer ``If-None-Match`` with the ``etag``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Asset", "asset"]

_HERE = Path(__file__).parent
_SCRIPT = "text/javascript; charset=utf-8"
_CONTENT_TYPES = {
    "truesocket.js": _SCRIPT,
    "truesocket.mjs": _SCRIPT,
    "truesocket.d.ts": "text/plain; charset=utf-8",
}

_CLASSIC_END = b"\nglobalThis.io = truesocket;\n"
_MODULE_END = b"\nexport const { io, connect, Manager, Socket, protocol } = truesocket; export default io;\n"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it goes to a browser."""

    body: bytes
    content_type: str
    etag: str
    """A strong entity tag made from the content, with its quotes (RFC 9110, 8.8.3)."""


def asset(name: str) -> Asset | None:
    """The file of that name, or ``None`` if the browser's side has no such file.

    Nothing but the names in the table above is ever looked for on the disk.
    """
    return _load(name) if name in _CONTENT_TYPES else None


@cache
def _load(name: str) -> Asset:
    body = _module() if name == "truesocket.mjs" else (_HERE / name).read_bytes()
    return Asset(body, _CONTENT_TYPES[name], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _module() -> bytes:
    """The ES module: exports in the place of the global, and so the same line numbers in both forms."""
    source = (_HERE / "truesocket.js").read_bytes()
    if not source.endswith(_CLASSIC_END):
        raise RuntimeError("truesocket.js must end in the line `globalThis.io = truesocket;`")
    return source.removesuffix(_CLASSIC_END) + _MODULE_END
