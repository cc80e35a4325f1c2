"""What every server sends, made once as files, so that all of them send the same bytes; and how it is configured.

The runner writes them; each server reads them (the Python ones by :func:`read`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["SIZES", "options", "read", "write"]

#: Bytes of JSON, by the name of the payload.
SIZES = {"100": 100, "2048": 2048}


def write(folder: Path) -> None:
    """Makes ``100.json`` (one small object) and ``2048.json`` (rows of a table), compact and exactly that long."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        (folder / f"{name}.json").write_text(_compact(_padded(size)))
        event = f'["news",{_compact(_padded(size))}]'
        (folder / f"{name}.event").write_text(event)  # for servers that know no events


def _padded(size: int) -> dict[str, Any]:
    value: dict[str, Any] = {"id": 123456, "user": "somebody", "text": ""}
    while size > 1000 and len(_compact(value)) + 120 < size:
        rows = value.setdefault("rows", [])
        rows.append({"id": 1000 + len(rows), "name": f"item {len(rows)}", "price": 9.5, "open": True})
    value["text"] = "x" * (size - len(_compact(value)))
    return value


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def options() -> dict[str, Any]:
    """The options of the server that is measured: those that ``BENCH_OPTIONS`` holds as JSON."""
    found: dict[str, Any] = json.loads(os.environ.get("BENCH_OPTIONS", "{}"))
    return found


def read() -> dict[str, Any]:
    """The payloads by name, from the folder that ``BENCH_PAYLOADS`` names; with a ``b`` behind the name as bytes."""
    folder = Path(os.environ["BENCH_PAYLOADS"])
    found: dict[str, Any] = {}
    for name, size in SIZES.items():
        found[name] = json.loads((folder / f"{name}.json").read_text())
        found[f"{name}b"] = bytes(size)
    return found
