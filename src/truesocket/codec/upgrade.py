"""The opening handshake of a WebSocket (RFC 6455, section 4): HTTP heads in, a 101 head or a refusal out.

What it is: the text of the handshake, for the server and, in ``request``, for our own test clients.  What it is not: an
HTTP server, bodies and keep-alive are the host's; and who may come in at all is asked in ``core/admission.py``.  The
doors call this.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Iterable
from hashlib import sha1
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import unquote

from truesocket.errors import UpgradeError

__all__ = ["MAX_HEAD", "Head", "accept", "answer", "check", "parse_head", "refusal", "request"]

MAX_HEAD: Final = 65_536
"""The longest request head in bytes, blank line included."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BLANK_LINE: Final = b"\r\n\r\n"
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rf"({_TOKEN}) ([\x21-\x7e\x80-\xff]+) HTTP/([0-9]\.[0-9])")
_HEADER_NAME: Final = re.compile(_TOKEN)
_UNSAFE: Final = re.compile(r"[\x00\r\n]")
_AUTHORITY: Final = re.compile(r"\A[A-Za-z][A-Za-z0-9+.\-]*://[^/?]*")
_WHITE_SPACE: Final = " \t"
_UNREADABLE: Final = "a header line of the request cannot be read"
_SWITCHING: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#: Names that most heads have, as they are written and in lower case: known ones need no look at their characters.
_NAMES: Final = {
    written: name.lower()
    for name in (
        *("Host", "Upgrade", "Connection", "Origin", "Cookie", "User-Agent", "Accept", "Pragma", "Cache-Control"),
        *("Accept-Encoding", "Accept-Language", "Referer", "DNT", "Priority", "Authorization", "X-Real-IP"),
        *("Sec-WebSocket-Version", "Sec-WebSocket-Key", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"),
        *("Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-GPC"),
        *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"),
    )
    for written in (name, name.lower())
}
#: Values that most heads have: one text for all clients, where each would keep 60 bytes and more of its own.
_VALUES: Final = {
    value: value
    for value in (
        *("websocket", "Upgrade", "upgrade", "keep-alive, Upgrade", "13", "no-cache", "*/*", "empty", "same-origin"),
        *("gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd", "permessage-deflate"),
        *("permessage-deflate; client_max_window_bits", "same-site", "cross-site", "1", "1.1"),
    )
}


class Head(NamedTuple):
    """The head of an HTTP request.

    ``target`` is as it was sent, ``path`` its percent-decoded path, ``query`` what stands behind ``?``, not decoded;
    ``version`` is ``"1.1"`` or ``"1.0"``; header names are lower-case, values latin-1 text without white space
    around; ``end`` is the offset of the first byte behind the blank line.
    """

    method: str
    target: str
    path: str
    query: str
    version: str
    headers: list[tuple[str, str]]
    end: int = 0

    def get(self, name: str, default: str = "") -> str:
        """The value of header ``name`` (lower-case); several are joined by ``", "`` (RFC 9110, 5.3)."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else default


def parse_head(data: bytes | bytearray) -> Head | None:
    """The request head at the begin of ``data``, or ``None`` if its blank line has not arrived.

    Raises ``UpgradeError`` with status 400 for what is no HTTP/1 head (RFC 9112, 2 to 5) and 431 for more than
    ``MAX_HEAD`` bytes without an end.
    """
    end = data.find(_BLANK_LINE, 0, MAX_HEAD)
    if end < 0:
        if len(data) >= MAX_HEAD:
            raise UpgradeError(f"the request head is longer than {MAX_HEAD} bytes", http_status=431)
        return None
    text = data[:end].decode("latin-1")
    request_line, *header_lines = text.split("\r\n")
    match = _REQUEST_LINE.fullmatch(request_line)
    if match is None:
        raise UpgradeError("the request line is not HTTP/1")
    line_ends = len(header_lines)
    if "\0" in text or text.count("\r") != line_ends or text.count("\n") != line_ends:
        raise UpgradeError(_UNREADABLE)
    method, target, version = match.groups()
    path, _, query = (target if target[0] == "/" else _AUTHORITY.sub("", target)).partition("?")
    headers = [_parse_header(line) for line in header_lines]
    return Head(
        method, target, unquote(path) or "/", query, _VALUES.get(version, version), headers, end + len(_BLANK_LINE)
    )


def _parse_header(line: str) -> tuple[str, str]:
    written, colon, value = line.partition(":")
    name = _NAMES.get(written)
    if name is None:
        if _HEADER_NAME.fullmatch(written) is None:
            raise UpgradeError(_UNREADABLE)
        name = written.lower()
    if not colon:
        raise UpgradeError(_UNREADABLE)
    value = value.strip(_WHITE_SPACE)
    return name, _VALUES.get(value, value)


def check(method: str, version: str, get: Callable[[str], str]) -> str:
    """Verify a request for a WebSocket (RFC 6455, 4.2.1) and return its key.

    ``version`` is ``"1.1"`` or ``"HTTP/1.1"``; ``get`` gives the value of a header by its lower-case name, or ``""``.

    Raises ``UpgradeError`` with the status and the headers for the refusal: 405 for another method than GET, 426 for no
    wish to upgrade or another version than 13, 400 for the rest.
    """
    if method != "GET":
        raise UpgradeError(f"a WebSocket is opened by GET, not {method}", http_status=405, headers=(("Allow", "GET"),))
    if version.removeprefix("HTTP/") != "1.1":
        raise UpgradeError("a WebSocket is opened by HTTP/1.1; a proxy in front must speak it upstream")
    if not _has_token(get("upgrade"), "websocket"):
        raise UpgradeError(
            "this address speaks WebSocket: the header Upgrade: websocket is missing (does a proxy drop it?)",
            http_status=426,
            headers=(("Upgrade", "websocket"),),
        )
    if not _has_token(get("connection"), "upgrade"):
        raise UpgradeError("the header Connection: Upgrade is missing (does a proxy drop it?)")
    if get("sec-websocket-version").strip() != "13":
        raise UpgradeError(
            "only version 13 of the WebSocket protocol is spoken here",
            http_status=426,
            headers=(("Sec-WebSocket-Version", "13"),),
        )
    key = get("sec-websocket-key").strip()
    if not _is_key(key):
        raise UpgradeError("the header Sec-WebSocket-Key must be 16 bytes in base64")
    return key


def _has_token(value: str, token: str) -> bool:
    value = value.lower()
    return value == token or any(part.strip() == token for part in value.split(","))


def _is_key(key: str) -> bool:
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except ValueError:
        return False


def accept(key: str) -> str:
    """The value of ``Sec-WebSocket-Accept`` (RFC 6455, 4.2.2, step 5.4)."""
    return b64encode(sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def answer(key: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The 101 head that opens the WebSocket (RFC 6455, 4.2.2), with more ``headers`` if there are any.

    Raises ``ValueError`` for a header that cannot be sent.
    """
    return _SWITCHING + _build_head(f"Sec-WebSocket-Accept: {accept(key)}", headers)


def refusal(
    status: int,
    body: str | bytes,
    headers: Iterable[tuple[str, str]] = (),
    content_type: str = "text/plain; charset=utf-8",
) -> bytes:
    """A whole HTTP/1.1 answer, after which the connection closes.

    Raises ``ValueError`` for a header that cannot be sent or a status that HTTP does not know.
    """
    content = body.encode() if isinstance(body, str) else body
    head = _build_head(
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        (
            ("Content-Type", content_type),
            ("Content-Length", str(len(content))),
            ("Connection", "close"),
            *headers,
        ),
    )
    return head + content


def request(target: str, host: str, key: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The head with which a client asks for a WebSocket (RFC 6455, 4.1).

    Raises ``ValueError`` for a target or a header that cannot be sent.
    """
    line = f"GET {target} HTTP/1.1"
    if _REQUEST_LINE.fullmatch(line) is None:
        raise ValueError(f"request target {target!r} must be percent-encoded")
    return _build_head(
        line,
        (
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Version", "13"),
            *headers,
        ),
    )


def _build_head(first_line: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [first_line]
    for name, value in headers:
        if _HEADER_NAME.fullmatch(name) is None or _UNSAFE.search(value):
            raise ValueError(f"header {name!r}: {value!r} cannot be sent; line breaks and NUL are not allowed")
        lines.append(f"{name}: {value}")
    return "\r\n".join(lines).encode("latin-1") + _BLANK_LINE
