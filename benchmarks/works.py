"""What is measured, and the goals: two tables, and nothing else decides.

A :class:`Work` is one call of the load generator; a :class:`Figure` reads one number from what it printed (smaller is
better, always).  A :class:`Goal` compares our figure with somebody else's in the same round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FIGURES", "GOALS", "WORKS", "Figure", "Goal", "Work"]

#: What load.c printed.
Printed = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One number."""

    title: str
    unit: str
    read: Callable[[Printed], float]
    #: Whether the floor has such a figure: it keeps nothing of a client in its own memory.
    has_floor: bool = True


FIGURES = {
    "delivery": Figure("server CPU per delivery", "us", lambda p: p["server_cpu"] / p["deliveries"] * 1e6),
    "last": Figure("until the last one has it, median", "ms", lambda p: p["last"]["p50"] / 1e3),
    "round trip": Figure("server CPU per event with ack", "us", lambda p: p["server_cpu"] / p["acks"] * 1e6),
    "answer p50": Figure("until the ack, p50", "ms", lambda p: p["round_trip"]["p50"] / 1e3),
    "answer": Figure("until the ack, p99", "ms", lambda p: p["round_trip"]["p99"] / 1e3),
    "connect": Figure("server CPU per connect", "us", lambda p: p["connect"]["server_cpu"] / p["clients"] * 1e6),
    "disconnect": Figure(
        "server CPU per disconnect", "us", lambda p: p["disconnect"]["server_cpu"] / p["clients"] * 1e6
    ),
    "memory": Figure("resident memory per idle client", "KiB", lambda p: p["kib"] / p["clients"], False),
    "push p50": Figure("push to arrival, p50", "ms", lambda p: p["arrival"]["p50"] / 1e3),
    "push p99": Figure("push to arrival, p99", "ms", lambda p: p["arrival"]["p99"] / 1e3),
    "late p99": Figure("due time to arrival, p99", "ms", lambda p: p["late"]["p99"] / 1e3),
}

SOCKETIO = ("node", "bun", "python-socketio", "flask-socketio-gevent", "flask-socketio-threading")
OURS = ("truesocket-flask", "truesocket")
FAN_OUT = ("floor", *OURS, *SOCKETIO, "nchan", "websockets")
FLASK = ("truesocket-flask", "flask-socketio-gevent", "flask-socketio-threading")
DOORS = ("truesocket", "truesocket-uvicorn", "truesocket-hypercorn", "truesocket-granian")


@dataclass(frozen=True)
class Work:
    """One thing to do: a mode of the load generator and its arguments, for these contestants."""

    name: str
    title: str
    mode: str
    figures: tuple[str, ...]
    contestants: tuple[str, ...]
    arguments: dict[str, object] = field(default_factory=dict)
    #: With whom `make bench-quick` does it: those whom a goal names, and the floor.
    quick: tuple[str, ...] = ()


def _fan_out(clients: int, kind: str, quick: tuple[str, ...] = (), **more: object) -> Work:
    size = {"100": "100 B", "2048": "2 KB"}[kind]
    return Work(
        f"fan-out {clients} {kind}",
        f"fan-out to {clients:,} clients, {size} of JSON",
        "cast",
        ("delivery", "last"),
        FAN_OUT,
        {"clients": clients, "kind": kind, "seconds": 2, **more},
        quick,
    )


WORKS = (
    _fan_out(100, "100"),
    _fan_out(1000, "100", quick=FAN_OUT),
    _fan_out(1000, "2048"),
    _fan_out(5000, "100"),
    _fan_out(10000, "100", seconds=4),
    _fan_out(10000, "2048", seconds=4),
    Work(
        "burst 1000",
        "bursts of 20 events to 1,000 clients, 100 B",
        "cast",
        ("delivery",),
        FAN_OUT,
        {"clients": 1000, "kind": "100", "burst": 20, "seconds": 2, "least": 2},
        ("floor", *OURS),
    ),
    Work(
        "binary 1000",
        "fan-out to 1,000 clients, 100 bytes as an attachment",
        "cast",
        ("delivery",),
        ("floor", *OURS, *SOCKETIO),
        {"clients": 1000, "kind": "100b", "seconds": 2},
    ),
    Work(
        "rooms",
        "1,000 rooms of 10 clients, an event to one room after the other",
        "cast",
        ("delivery", "last"),
        ("floor", *OURS, "node", "bun", "python-socketio", "flask-socketio-gevent"),
        {"clients": 10000, "rooms": 1000, "seconds": 3},
    ),
    Work(
        "ask",
        "events with ack, `async def` or JavaScript handlers; 20 clients, one event each on the way",
        "ask",
        ("round trip", "answer"),
        ("floor", "truesocket", "node", "bun", "python-socketio", "websockets"),
        {"clients": 20, "seconds": 2, "settle": 2000},
        ("floor", "truesocket", "node", "bun"),
    ),
    Work(
        "ask Flask",
        "events with ack, Flask `def` handlers with a request context; 20 clients, one event each on the way",
        "ask",
        ("round trip", "answer"),
        ("floor", *FLASK, "node"),
        {"clients": 20, "seconds": 2, "settle": 500},
        ("floor", "truesocket-flask", "node", "flask-socketio-threading"),
    ),
    Work(
        "ask alone",
        "events with ack of a single client, one at a time: nothing comes in bunches",
        "ask",
        ("round trip", "answer"),
        ("floor", *OURS, *SOCKETIO, "websockets"),
        {"clients": 1, "seconds": 2, "settle": 500},
    ),
    Work(
        "ask Flask async",
        "events with ack, a Flask `async def` handler; 20 clients, one event each on the way",
        "ask",
        ("round trip", "answer"),
        ("floor", "truesocket-flask"),
        {"clients": 20, "seconds": 2, "settle": 500, "event": "ask_async"},
    ),
    Work(
        "hold 1000",
        "1,000 clients connect, join a room, stay idle, leave; minimal heads",
        "hold",
        ("connect", "disconnect", "memory"),
        (*FAN_OUT,),
        {"clients": 1000, "warm": 300},
        ("floor", *OURS, "node"),
    ),
    Work(
        "hold 1000 browser",
        "the same with a browser's head and 300 bytes of cookies",
        "hold",
        ("connect", "memory"),
        (*OURS, *SOCKETIO),
        {"clients": 1000, "warm": 300, "head": "browser"},
    ),
    Work(
        "hold 10000",
        "10,000 clients connect, join a room, stay idle, leave; minimal heads",
        "hold",
        ("connect", "disconnect", "memory"),
        (*FAN_OUT,),
        {"clients": 10000, "warm": 300},
    ),
    Work(
        "hold 10000 browser",
        "the same with a browser's head and 300 bytes of cookies",
        "hold",
        ("connect", "memory"),
        (*OURS, *SOCKETIO),
        {"clients": 10000, "warm": 300, "head": "browser"},
    ),
    Work(
        "pushes 1000",
        "5 pushes per second to 1,000 clients",
        "tick",
        ("push p50", "push p99"),
        ("floor", *OURS, *SOCKETIO),
        {"clients": 1000, "interval": 200_000, "least": 15},
    ),
    Work(
        "pushes 10000",
        "one push per second to 10,000 clients",
        "tick",
        ("push p50", "push p99"),
        ("floor", *OURS, "node", "bun", "python-socketio"),
        {"clients": 10000, "interval": 1_000_000, "least": 10},
    ),
    Work(
        "behind 10000",
        "a small event with ack right behind a broadcast to 10,000 clients",
        "behind",
        ("answer p50", "answer"),
        ("floor", *OURS, "node", "bun", "python-socketio", "flask-socketio-gevent"),
        {"clients": 10000, "kind": "100", "seconds": 4},
    ),
    Work(
        "burners",
        "50 pushes per second to 100 clients while 4 handlers compute for 3 seconds",
        "tick",
        ("push p99", "late p99"),
        ("floor", *FLASK),
        {"clients": 100, "interval": 20_000, "least": 125, "burners": 4, "seconds": 3, "timeout": 40},
        ("floor", *FLASK),
    ),
    Work(
        "sleepers",
        "50 pushes per second to 300 clients while 200 handlers sleep for 3 seconds",
        "tick",
        ("push p99", "late p99"),
        FLASK,
        {"clients": 300, "interval": 20_000, "least": 125, "nappers": 200, "seconds": 3},
    ),
    Work(
        "doors fan-out",
        "fan-out to 1,000 clients, 100 B, behind plain ASGI servers",
        "cast",
        ("delivery",),
        (*DOORS, "python-socketio", "python-socketio-hypercorn", "python-socketio-granian"),
        {"clients": 1000, "kind": "100", "seconds": 2},
    ),
    Work(
        "doors ask",
        "events with ack behind plain ASGI servers",
        "ask",
        ("round trip",),
        (*DOORS, "python-socketio", "python-socketio-hypercorn", "python-socketio-granian"),
        {"clients": 20, "seconds": 2, "settle": 500},
    ),
)


@dataclass(frozen=True)
class Goal:
    """Our ``figure`` of ``work`` is at most ``limit`` times the best of ``than``, or ``limit`` itself without them.

    With ``grows_from`` it is not the figure that counts but how often it is what it was in that other work.
    """

    work: str
    figure: str
    ours: str
    limit: float
    than: tuple[str, ...] = ()
    grows_from: str = ""


_PEERS_IN_FLASK = ("flask-socketio-gevent", "flask-socketio-threading")


def _fan_out_goals(work: str) -> tuple[Goal, ...]:
    return (
        Goal(work, "delivery", "truesocket-flask", 1.25, ("floor",)),
        Goal(work, "delivery", "truesocket-flask", 1.0, ("nchan",)),
        Goal(work, "delivery", "truesocket-flask", 0.6, ("node",)),
        Goal(work, "delivery", "truesocket-flask", 0.2, _PEERS_IN_FLASK),
    )


def _hold_goals(work: str, kib: float) -> tuple[Goal, ...]:
    connect = (
        ()
        if "browser" in work
        else (
            Goal(work, "connect", "truesocket", 250.0),
            Goal(work, "connect", "truesocket", 0.3, ("node",)),
            Goal(work, "connect", "truesocket-flask", 250.0),
            Goal(work, "connect", "truesocket-flask", 0.3, ("node",)),
        )
    )
    return (
        *connect,
        Goal(work, "memory", "truesocket-flask", kib),
        Goal(work, "memory", "truesocket-flask", 0.4, ("node",)),
    )


GOALS = (
    *_fan_out_goals("fan-out 1000 100"),
    *_fan_out_goals("fan-out 5000 100"),
    *_fan_out_goals("fan-out 10000 100"),
    Goal("fan-out 10000 100", "delivery", "truesocket-flask", 1.0, ("floor",), grows_from="fan-out 1000 100"),
    Goal("burst 1000", "delivery", "truesocket-flask", 1.0, ("floor",)),
    Goal("ask", "round trip", "truesocket", 2.7, ("floor",)),
    Goal("ask", "round trip", "truesocket", 1.0, ("bun",)),
    Goal("ask", "round trip", "truesocket", 0.4, ("node",)),
    Goal("ask Flask", "round trip", "truesocket-flask", 5.0, ("floor",)),
    Goal("ask Flask", "round trip", "truesocket-flask", 1.0, ("node",)),
    Goal("ask Flask", "round trip", "truesocket-flask", 0.02, ("flask-socketio-threading",)),
    *_hold_goals("hold 1000", 6.0),
    *_hold_goals("hold 10000", 6.0),
    *_hold_goals("hold 1000 browser", 10.0),
    *_hold_goals("hold 10000 browser", 10.0),
    Goal("pushes 10000", "push p99", "truesocket-flask", 1.2, ("floor",)),
    Goal("burners", "late p99", "truesocket-flask", 15.0),
    Goal("doors fan-out", "delivery", "truesocket-uvicorn", 1 / 3, ("python-socketio",)),
    Goal("doors fan-out", "delivery", "truesocket-hypercorn", 1 / 3, ("python-socketio-hypercorn",)),
    Goal("doors fan-out", "delivery", "truesocket-granian", 1 / 3, ("python-socketio-granian",)),
    Goal("doors ask", "round trip", "truesocket-uvicorn", 1 / 3, ("python-socketio",)),
    Goal("doors ask", "round trip", "truesocket-hypercorn", 1 / 3, ("python-socketio-hypercorn",)),
    Goal("doors ask", "round trip", "truesocket-granian", 1 / 3, ("python-socketio-granian",)),
)
