"""Who is on the demo page: a made-up name for each, in two languages, and nothing else about anybody.

No Flask and no sockets in here; :mod:`truesocket.demo.app` calls it from handler threads, hence the lock.
"""

from __future__ import annotations

import random
import threading
from typing import Any

__all__ = ["LISTED", "People", "clean"]

LISTED = 30
"""So many people are listed by name; of the others the page says how many they are."""

_COLOURS = [
    # English, Chinese, hue in degrees
    ("Red", "红色", 4),
    ("Coral", "珊瑚色", 16),
    ("Amber", "琥珀色", 36),
    ("Golden", "金色", 46),
    ("Lime", "青柠色", 84),
    ("Green", "绿色", 140),
    ("Jade", "翡翠色", 162),
    ("Teal", "青色", 182),
    ("Blue", "蓝色", 212),
    ("Indigo", "靛蓝色", 238),
    ("Violet", "紫色", 268),
    ("Pink", "粉色", 328),
]

_ANIMALS = [
    ("Otter", "水獭"),
    ("Panda", "熊猫"),
    ("Crane", "仙鹤"),
    ("Fox", "狐狸"),
    ("Tiger", "老虎"),
    ("Rabbit", "兔子"),
    ("Owl", "猫头鹰"),
    ("Koala", "考拉"),
    ("Dolphin", "海豚"),
    ("Swallow", "燕子"),
    ("Hedgehog", "刺猬"),
    ("Deer", "小鹿"),
    ("Seal", "海豹"),
    ("Magpie", "喜鹊"),
    ("Badger", "獾"),
    ("Whale", "鲸鱼"),
]


class People:
    """The people of one page, by sid, in the order they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_sid: dict[str, dict[str, Any]] = {}

    def enter(self, sid: str, wanted: object, transport: str) -> dict[str, Any]:
        """Lets somebody in and returns what may be told about them.

        ``wanted`` is the key of the name they had before, as it came from the browser: anything at all.
        """
        with self._lock:
            taken = {person["key"] for person in self._by_sid.values()}
            person = {**_person(_choose(wanted, taken)), "transport": transport}
            self._by_sid[sid] = person
            return dict(person)

    def leave(self, sid: str) -> None:
        with self._lock:
            self._by_sid.pop(sid, None)

    def get(self, sid: str) -> dict[str, Any] | None:
        with self._lock:
            person = self._by_sid.get(sid)
            return dict(person) if person else None

    def moved(self, sid: str, transport: str) -> bool:
        """Notes the transport somebody uses now; true if it was another one before."""
        with self._lock:
            person = self._by_sid.get(sid)
            if person is None or person["transport"] == transport:
                return False
            person["transport"] = transport
            return True

    def listing(self) -> dict[str, Any]:
        """How many there are, and the first of them."""
        with self._lock:
            everybody = list(self._by_sid.values())
            return {"count": len(everybody), "list": [dict(person) for person in everybody[:LISTED]]}


def clean(text: object, limit: int) -> str:
    """What somebody typed, on one line, without control characters, ``limit`` characters at most."""
    if not isinstance(text, str):
        return ""
    visible = "".join(c for c in text[: 4 * limit] if c.isprintable() or c.isspace() or c == "\u200d")  # joins emoji
    return " ".join(visible.split())[:limit]


def _choose(wanted: object, taken: set[int]) -> int:
    """The key of a free name; a name twice only if all are taken."""
    all_keys = range(len(_COLOURS) * len(_ANIMALS))
    if isinstance(wanted, int) and wanted in all_keys and wanted not in taken:
        return wanted
    return random.choice([key for key in all_keys if key not in taken] or all_keys)


def _person(key: int) -> dict[str, Any]:
    colour, animal = _COLOURS[key % len(_COLOURS)], _ANIMALS[key // len(_COLOURS)]
    return {"key": key, "en": f"{colour[0]} {animal[0]}", "zh": f"{colour[1]}{animal[1]}", "hue": colour[2]}
