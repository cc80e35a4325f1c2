"""Which clients run, in which form, on which transports and through which door: `RUNS`. One run is one process.

The default run takes everybody through the main door, and an old and a new client through the others; with
TRUESOCKET_TEST_FULL=1 everybody goes through every door. What stands in docs/reference/clients.md is `ROWS`.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

HERE = Path(__file__).parent
FULL = os.environ.get("TRUESOCKET_TEST_FULL") == "1"

Place = Literal["Node.js", "Chromium", "sync", "async"]
Serializer = Literal["default", "msgpack"]
Transports = Literal["default", "websocket", "polling", "jsonp"]
Door = Literal["run", "uvicorn-fast", "uvicorn", "hypercorn", "gunicorn-gthread"]
# the way users start it, then the other doors
DOORS: tuple[Door, ...] = get_args(Door)

PACKAGES = {
    "1.5.1": "socket.io-client-1",
    "1.7.4": "socket.io-client-1.7",
    "2.5.0": "socket.io-client-2",
    "3.1.3": "socket.io-client-3",
    "4.8.4": "socket.io-client-4",
}
# 1.x has no option for it
PARSERS = {"2.5.0": "socket.io-msgpack-parser-2", "3.1.3": "socket.io-msgpack-parser-3"}
PARSERS["4.8.4"] = PARSERS["3.1.3"]
PROGRAMS = {
    "Node.js": ["node", str(HERE / "run_client.cjs")],
    "Chromium": [sys.executable, "-m", "tests.clients.page_client"],
    "sync": [sys.executable, str(HERE / "python_client.py")],
    "async": [sys.executable, str(HERE / "python_client.py")],
}

# `max_payload` is 1,000,000 bytes, for a polling payload with all its packets as for a message: what is left of it
# after a packet's frame, after base64 (bytes on polling), and after the escapes of a form (JSONP)
MESSAGE, BASE64, BASE64_FORM = 999_900, 749_900, 700_000
# what old clients in a page can handle in one piece where they give each byte to a function as an argument (see FACTS)
ARGUMENTS = 100_000


@dataclass(frozen=True)
class Row:
    """A client as the table lists it; `version` is empty for Python, where the newest runs."""

    place: Place
    version: str
    serializer: Serializer
    transports: Transports

    def __str__(self) -> str:
        parts = [self.place.lower(), self.version, self.serializer.replace("default", "json"), self.transports]
        return "-".join(part for part in parts if part)

    @property
    def is_python(self) -> bool:
        return self.place in {"sync", "async"}

    @property
    def revision(self) -> int:
        """Of Engine.IO."""
        return 3 if self.version[:1] in {"1", "2"} else 4

    @property
    def hears_text_alone(self) -> bool:
        """Whether anything but a text in a refusal would break the client: it gets the message (see FACTS)."""
        return self.serializer == "msgpack" and self.revision == 3

    @property
    def close_is_final(self) -> bool:
        """Whether the client does not come back when the server closes the connection (see FACTS)."""
        return self.is_python and self.transports == "polling"

    @property
    def mixes_up(self) -> bool:
        """Whether the client itself does not keep the order of what it gets (see FACTS)."""
        return self.place == "sync"

    @property
    def text_back(self) -> int:
        """How much text the server may send it at once, in characters."""
        if self.place == "Chromium" and self.version[0] == "1" and self.transports == "polling":
            return ARGUMENTS
        return MESSAGE

    @property
    def command(self) -> list[str]:
        return PROGRAMS[self.place]

    def job(self, url: str) -> dict[str, object]:
        """What the program is told."""
        as_base64 = self.transports in {"polling", "jsonp"}
        binary = BASE64 if as_base64 else MESSAGE
        if self.transports == "jsonp":
            binary = ARGUMENTS if self.revision == 3 else BASE64_FORM
        return {
            "package": self.place if self.is_python else PACKAGES[self.version],
            "parser": PARSERS[self.version] if self.serializer == "msgpack" and not self.is_python else None,
            "revision": self.revision,
            "serializer": self.serializer,
            "url": url,
            "transports": self.transports,
            "token": str(self),
            "close_is_final": self.close_is_final,
            "text_back": self.text_back,
            "text_size": binary if self.serializer == "msgpack" else MESSAGE,
            "binary_size": binary,
        }


@dataclass(frozen=True)
class Run:
    """A row on its way through one door."""

    door: Door
    row: Row

    def __str__(self) -> str:
        return f"{self.door}-{self.row}"


WAYS: tuple[Transports, ...] = ("default", "websocket", "polling")


def rows() -> list[Row]:
    """Every client, oldest first; the forms and transports that it has."""
    found = []
    for version in PACKAGES:
        found += [Row("Node.js", version, "default", way) for way in WAYS]
        found += [Row("Node.js", version, "msgpack", way) for way in WAYS if version in PARSERS]
        # pages alone have JSONP, which 4.x gave up, and the binary payloads of long-polling, which 3.x gave up
        in_page: list[Transports] = ["polling"] if version[0] in "12" else []
        in_page += ["jsonp"] if version[0] in "123" else []
        found += [Row("Chromium", version, "default", way) for way in in_page]
    for place in ("sync", "async"):
        found += [Row(place, "", serializer, way) for serializer in get_args(Serializer) for way in WAYS]
    return found


ROWS = rows()
# who goes through the other doors when there is little time
DELEGATES = [row for row in ROWS if row.place == "Node.js" and row.version in {"1.5.1", "4.8.4"}]
DELEGATES = [row for row in DELEGATES if row.serializer == "default"]
RUNS = [Run(door, row) for door in DOORS for row in (ROWS if FULL or door == "run" else DELEGATES)]
