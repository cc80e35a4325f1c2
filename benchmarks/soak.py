"""Churn and faults, mixed, for as long as you like; fails where anything grows.  ``make soak SECONDS=600``

    python -m benchmarks.soak [--seconds 600] [--visitors 4] [--leak KIB]

A server process (``tests/apps/faults_app.py`` under ``socketio.run``) pushes numbered events to a few bystanders, while
visitors come and go: by WebSocket, long-polling and upgrade, in both protocol revisions, with rooms and attachments,
politely or with a reset, slow readers and senders of nonsense among them.  Each second it is asked for its memory, open
files, threads and tables, and the bystanders for the time that pushes took.  Samples go to ``test-results/soak.csv``,
the verdict to ``soak.json``, a picture to ``soak.png`` where matplotlib is installed.

The verdict: a straight line through the samples behind the warm-up (Theil-Sen: the median of the slopes between all
pairs, so that a few odd samples do not move it) must not rise by more than ``LIMITS`` over the run, nobody may miss a
push, and when the visitors have gone the tables and files are as they were.  ``--leak`` makes the server keep so many
KiB of every client, to show that this can fail.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import platform
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support import faulty
from tests.support.bystanders import Bystanders, bystanders
from tests.support.faulty import joined, new_token, reset, settled, stats
from tests.support.mutation import MESSAGES, frame, spoil
from tests.support.servers import ROOT, running
from tests.support.wire import Gone, Wire

RESULTS = ROOT / "test-results"
#: Short times, so that a short run, too, has seen the end of everything that ends by itself.
OPTIONS = json.dumps(
    {
        "connect_timeout": 5,
        "upgrade_timeout": 3,
        "ping_interval": 3,
        "ping_timeout": 3,
        "outbox_bytes": 300_000,
        "max_payload": 100_000,
        "websocket_compression": True,
    }
)
WARM_UP = 0.25  # the part of a run whose samples do not count
SETTLED = 45  # seconds until everything that ends by itself has ended once: a closed poller is kept for 30
#: How much a figure may rise over a run: so much, and such a part of its median.
LIMITS = {
    "rss": (6 * 1024.0, 0.05),  # KiB
    "files": (10.0, 0.0),
    "threads": (15.0, 0.0),
    "peers": (15.0, 0.25),
    "sockets": (15.0, 0.25),
    "rooms": (15.0, 0.25),
    "latency_median": (100.0, 0.0),  # ms
}


# --- the visitors -----------------------------------------------------------------------------------------------------


def talk(port: int, rng: random.Random) -> None:
    """Connects in some way, is in a room for a while, sends bytes, leaves."""
    way = rng.choice(("websocket", "polling", "upgrade"))
    with Wire(port, revision=rng.choice((3, 4)), transport=way) as wire:
        wire.join()
        room = f"room {rng.randrange(10**9)}"
        wire.emit("room", room, True)
        assert wire.event("in room") == [room]
        data = rng.randbytes(rng.randrange(5_000))
        assert wire.call("echo", data, {"n": 1}) == [data, {"n": 1}]
        if rng.random() < 0.5:
            wire.emit("room", room, False)
        if rng.random() < 0.5:
            wire.leave()


def cut(port: int, rng: random.Random) -> None:
    """Resets its connection in the middle of a frame."""
    client = joined(port)
    whole = frame(rng, b'42["echo","' + b"x" * 2_000 + b'"]', strange=False)
    client.send_frame(whole[: rng.randrange(1, len(whole))])
    reset(client.socket)


def read_slowly(port: int, rng: random.Random) -> None:
    """Takes a while to read what it asked for, or never does."""
    client = joined(port)
    client.send('42["flood",100,10000]')
    time.sleep(rng.random() / 2)
    with contextlib.suppress(Gone, OSError):
        for _ in range(rng.choice((0, 10, 100))):
            client.receive(1)
    client.close()


def talk_nonsense(port: int, rng: random.Random) -> None:
    """Sends what nobody can read."""
    client = joined(port)
    with contextlib.suppress(Gone):
        for _ in range(5):
            client.send_frame(frame(rng, spoil(rng, rng.choice(MESSAGES[4]), MESSAGES[4])))
    client.close()


def be_refused(port: int, rng: random.Random) -> None:
    """Is not let in."""
    with Wire(port, query="refuse=1") as wire, contextlib.suppress(Gone):
        wire.join()


def leave_in_the_middle(port: int, rng: random.Random) -> None:
    """Leaves while its handlers run."""
    client = joined(port)
    for _ in range(rng.randrange(20)):
        client.send('421["nap",0.02]')
    client.close()


VISITS: dict[Callable[[int, random.Random], None], int] = {
    talk: 10,
    cut: 3,
    read_slowly: 1,
    talk_nonsense: 3,
    be_refused: 2,
    leave_in_the_middle: 2,
}


class Visitor(threading.Thread):
    """One visit after another."""

    def __init__(self, port: int, seed: int, visits: Counter[str]) -> None:
        super().__init__(daemon=True)
        self.over = False
        self.error: BaseException | None = None
        self._port, self._visits = port, visits
        self._rng = random.Random(seed)
        self.start()

    def run(self) -> None:
        kinds, weights = list(VISITS), list(VISITS.values())
        while not self.over:
            (visit,) = self._rng.choices(kinds, weights)
            try:
                visit(self._port, self._rng)
            except BaseException as error:
                error.add_note(f"while it did: {visit.__name__}")
                self.error = error
                return
            self._visits[visit.__name__] += 1


# --- the verdict ------------------------------------------------------------------------------------------------------


def rise(values: Sequence[float]) -> float:
    """How much a robust straight line through the values rises from the first to the last."""
    every = max(1, len(values) // 300)  # all pairs of a long run would be too many
    points = [(index, value) for index, value in enumerate(values)][::every]
    slopes = [
        (later - earlier) / (there - here)
        for place, (here, earlier) in enumerate(points)
        for there, later in points[place + 1 :]
    ]
    return statistics.median(slopes) * (len(values) - 1) if slopes else 0.0


def verdict(samples: Sequence[dict[str, float]]) -> dict[str, dict[str, float | bool]]:
    """For each figure: its median, its rise, how much it may rise, and whether it kept to that."""
    warm_up = max(int(len(samples) * WARM_UP), SETTLED if len(samples) >= 2 * SETTLED else 0)
    counted = samples[warm_up:]
    found: dict[str, dict[str, float | bool]] = {}
    for name, (plain, part) in LIMITS.items():
        values = [sample[name] for sample in counted]
        median, risen = statistics.median(values), rise(values)
        limit = plain + part * median
        found[name] = {
            "median": round(median, 2),
            "highest": round(max(values), 2),
            "rise": round(risen, 2),
            "limit": round(limit, 2),
            "held": risen <= limit,
        }
    return found


# --- the run ----------------------------------------------------------------------------------------------------------


def sample(port: int, watching: Bystanders, since: float, visits: Counter[str]) -> dict[str, float]:
    """One line of the table; latencies (ms) are those of pushes that arrived after `since`."""
    late = sorted(
        late
        for each in watching.all
        for at, late in zip(each.arrived[-500:], each.late[-500:], strict=False)
        if at >= since
    ) or [0.0]
    return {
        "second": 0.0,
        **stats(port),
        "latency_median": round(1e3 * statistics.median(late), 2),
        "latency_p99": round(1e3 * late[int(len(late) * 0.99)], 2),
        "latency_max": round(1e3 * late[-1], 2),
        "visits": float(sum(visits.values())),
    }


def soak(seconds: float, visitors: int, leak: int = 0, name: str = "soak") -> dict[str, Any]:
    """Runs, writes its files (`name` in test-results) and returns the verdict."""
    samples: list[dict[str, float]] = []
    visits: Counter[str] = Counter()
    environment = {"OPTIONS": OPTIONS, **({"LEAK": str(leak)} if leak else {})}
    with running("tests/apps/faults_app.py", env=environment, stops_within=30) as server:
        joined(server.port, new_token()).close()
        with bystanders(server.port) as watching:
            before = stats(server.port, settle=True)
            crowd = [Visitor(server.port, seed, visits) for seed in range(visitors)]
            began = last = time.monotonic()
            while time.monotonic() - began < seconds:
                time.sleep(max(0.0, last + 1 - time.monotonic()))
                since, last = last, time.monotonic()
                samples.append(sample(server.port, watching, since, visits) | {"second": round(last - began, 1)})
                faulty.opened[:] = [sock for sock in faulty.opened if sock.fileno() >= 0]
                for each in crowd:
                    if each.error is not None:
                        raise each.error
            for each in crowd:
                each.over = True
            for each in crowd:
                each.join(30)
            for sock in faulty.opened:
                sock.close()
            after = settled(server.port, before)
            longest_gap = watching.noticed(gap=float("inf"))
            pushes = sum(len(each.seen) for each in watching.all)
    figures = verdict(samples)
    result = {
        "held": all(each["held"] for each in figures.values()),
        "seconds": round(samples[-1]["second"]),
        "visits": dict(visits),
        "pushes": pushes,
        "longest_gap": round(longest_gap, 2),
        "figures": figures,
        "latency_p99": round(statistics.median(each["latency_p99"] for each in samples), 1),
        "latency_max": max(each["latency_max"] for each in samples),
        "rss_left_kib": after["rss"] - before["rss"],
        "files_left": after["files"] - before["files"],
        "leak": leak,
        "python": platform.python_version(),
        "load": round(os.getloadavg()[1], 1) if hasattr(os, "getloadavg") else 0.0,
    }
    write(samples, result, RESULTS / name)
    return result


def write(samples: list[dict[str, float]], result: dict[str, Any], stem: Path) -> None:
    """The three files of a run."""
    stem.parent.mkdir(exist_ok=True)
    with stem.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(samples[0]))
        writer.writeheader()
        writer.writerows(samples)
    stem.with_suffix(".json").write_text(json.dumps(result, indent=1))
    try:
        import matplotlib
    except ModuleNotFoundError:
        print("no picture: matplotlib is not installed (the dependency group plots)")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [("rss", "memory, KiB"), ("files", "open files"), ("threads", "threads"), ("latency_p99", "push p99, ms")]
    figure, axes = pyplot.subplots(len(rows), 1, sharex=True, figsize=(10, 9))
    for axis, (name, title) in zip(axes, rows, strict=True):
        axis.plot([each["second"] for each in samples], [each[name] for each in samples], linewidth=1)
        axis.set_ylabel(title)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(stem.with_suffix(".png"), dpi=90)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--visitors", type=int, default=4, help="visits at a time")
    parser.add_argument("--leak", type=int, default=0, metavar="KIB", help="that the server keeps of every client")
    args = parser.parse_args()
    result = soak(args.seconds, args.visitors, args.leak, "soak-leak" if args.leak else "soak")
    print(
        f"{result['seconds']} s, {sum(result['visits'].values()):,} visits, {result['pushes']:,} pushes, none missed;"
        f" longest gap {result['longest_gap']} s"
    )
    for name, each in result["figures"].items():
        mark = "held " if each["held"] else "GROWS"
        print(f"{mark} {name}: median {each['median']:,}, rises by {each['rise']:,} (limit {each['limit']:,})")
    if not result["held"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
