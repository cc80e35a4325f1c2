"""The browser clients that the server serves below its own path: ours, and another one that the application names.

``/socket.io/truesocket.js`` is always there.  With ``serve_client=`` (a file, or a folder such as
``node_modules/socket.io-client``) ``/socket.io/socket.io.js`` and its siblings are there, too.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from truesocket.browser import Asset, asset
from truesocket.errors import UsageError
from truesocket.transports.polling import HttpReply

__all__ = ["Static"]

#: The official names: ``socket.io.js``, ``socket.io.min.js``, ``socket.io.esm.min.js`` ..., and their maps.
_NAME = re.compile(r"socket\.io(\.[a-z]+){0,2}\.js(\.map)?")

#: Where npm packages of the official client keep their files, old and new.
_FOLDERS = ("", "dist", "client-dist", "socket.io-client/dist", "socket.io-client")


class Static:
    """Answers requests for files.  Raises :class:`UsageError` where ``serve_client`` is neither a file nor a folder."""

    def __init__(self, serve_client: str | None) -> None:
        self._file: Path | None = None
        self._folders: list[Path] = []
        if serve_client is None:
            return
        path = Path(serve_client)
        if path.is_file():
            self._file = path
        elif path.is_dir():
            self._folders = [path / name for name in _FOLDERS]
        else:
            raise UsageError(
                f"serve_client={serve_client!r}: there is no such file or folder; name socket.io.js or a folder that"
                " holds it, for example 'node_modules/socket.io-client' after `npm install socket.io-client`"
            )

    def reply(self, name: str, method: str, if_none_match: str) -> HttpReply:
        """The file ``name``; 304 where the browser has it already, 404 where there is none."""
        found = asset(name) or self._client(name)
        if found is None or method not in ("GET", "HEAD"):
            return HttpReply(404, b"Not Found")
        headers = (("ETag", found.etag), ("Cache-Control", "public, max-age=0"), ("Access-Control-Allow-Origin", "*"))
        if found.etag in if_none_match or if_none_match.strip() == "*":
            return HttpReply(304, b"", found.content_type, headers)
        if method == "HEAD":
            return HttpReply(200, b"", found.content_type, (*headers, ("Content-Length", str(len(found.body)))))
        return HttpReply(200, found.body, found.content_type, headers)

    def _client(self, name: str) -> Asset | None:
        """A file of the official client; nothing but its own names is ever looked for on the disk."""
        if _NAME.fullmatch(name) is None:
            return None
        if self._file is not None:
            return _load(self._file) if name == "socket.io.js" else None
        for folder in self._folders:
            if (folder / name).is_file():
                return _load(folder / name)
        return None


def _load(path: Path) -> Asset:
    body = path.read_bytes()
    kind = "application/json" if path.suffix == ".map" else "text/javascript; charset=utf-8"
    return Asset(body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
