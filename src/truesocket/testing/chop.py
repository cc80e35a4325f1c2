"""Bytes in pieces: a stream has no message boundaries, so a parser must not care where it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

__all__ = ["chopped", "splits"]


def splits(data: bytes) -> Iterator[tuple[bytes, ...]]:
    """Every way to cut ``data`` once, the uncut whole first, and one byte at a time last."""
    yield (data,)
    for place in range(1, len(data)):
        yield data[:place], data[place:]
    yield tuple(data[place : place + 1] for place in range(len(data)))


def chopped(data: bytes, places: Iterable[int]) -> list[bytes]:
    """``data`` cut at ``places`` (offsets; order, repetition and offsets outside of it do not matter)."""
    cuts = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(cuts) if start < end]
