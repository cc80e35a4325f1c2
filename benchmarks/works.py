"""What is measured, and the goals: two tables, and nothing else decides.

A :class:`Work` is one call of the load generator; a :class:`Figure` reads one number from what it printed (smaller is
better, always).  A :class:`Goal` compares our figure with somebody else's in the same round.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["FIGURES", "GOALS", "WORKS", "Figure", "Goal", "Group", "Work"]

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
    "delivery": Figure("server CPU per delivery", "µs", lambda p: p["server_cpu"] / p["deliveries"] * 1e6),
    "last": Figure("until the last one has it, median", "ms", lambda p: p["last"]["p50"] / 1e3),
    "round trip": Figure("server CPU per event with ack", "µs", lambda p: p["server_cpu"] / p["acks"] * 1e6),
    "answer p50": Figure("until the ack, p50", "ms", lambda p: p["round_trip"]["p50"] / 1e3),
    "answer": Figure("until the ack, p99", "ms", lambda p: p["round_trip"]["p99"] / 1e3),
    "pace": Figure("time per event with ack", "ms", lambda p: p["seconds"] / p["acks"] * 1e3),
    "connect": Figure("server CPU per connect", "µs", lambda p: p["connect"]["server_cpu"] / p["clients"] * 1e6),
    "disconnect": Figure(
        "server CPU per disconnect", "µs", lambda p: p["disconnect"]["server_cpu"] / p["clients"] * 1e6
    ),
    "memory": Figure("resident memory per idle client", "KiB", lambda p: p["kib"] / p["clients"], False),
    "push p50": Figure("push to arrival, p50", "ms", lambda p: p["arrival"]["p50"] / 1e3),
    "push p99": Figure("push to arrival, p99", "ms", lambda p: p["arrival"]["p99"] / 1e3),
    "push max": Figure("push to arrival, the slowest", "ms", lambda p: p["arrival"]["max"] / 1e3),
    "wire": Figure("bytes on the wire per delivery", "B", lambda p: p["received"] / p["deliveries"]),
    "late p99": Figure("due time to arrival, p99", "ms", lambda p: p["late"]["p99"] / 1e3),
}

FLASK_PEERS = ("flask-socketio-gevent", "flask-socketio-threading")
SOCKETIO = ("node", "bun", "python-socketio", *FLASK_PEERS)
OURS = ("truesocket-flask", "truesocket")
FAN_OUT = ("floor", *OURS, *SOCKETIO, "nchan", "websockets")
FEW = ("floor", "truesocket-flask", "node", "flask-socketio-gevent")
FLASK = ("truesocket-flask", *FLASK_PEERS)
RECOVERY = ("floor", "truesocket-flask-recovery", "truesocket-flask", "node-recovery", "node")
GUNICORN = ("truesocket-gunicorn", "flask-socketio-gunicorn")
DOORS = (
    *("truesocket-uvicorn", "truesocket-hypercorn", "truesocket-granian", "truesocket"),
    *("python-socketio", "python-socketio-hypercorn", "python-socketio-granian"),
)


class Group(enum.Enum):
    """What belongs together on the page of results, in this order; each has a picture."""

    FAN_OUT = "Fan-out"
    EVENTS = "Events with ack"
    CONNECTIONS = "Connections and memory"
    LATENCY = "Latency"
    DOORS = "Behind other servers"
    OPTIONS = "Old clients, recovery, compression"


#: Why some are not in every work.
_HOUR = "so that a run ends within an hour: another work of this kind has it"
_CROWD = "10,000 of its clients take most of a minute to connect; other works have it"
_THREADS = "it keeps a thread for every connection, and a broadcast takes seconds; a smaller work has it"


@dataclass(frozen=True)
class Work:
    """One thing to do: a mode of the load generator and its arguments, for these contestants."""

    name: str
    group: Group
    title: str
    mode: str
    figures: tuple[str, ...]
    contestants: tuple[str, ...]
    arguments: dict[str, object] = field(default_factory=dict)
    #: With whom `make bench-quick` does it: those whom a goal names, and the floor.
    quick: tuple[str, ...] = ()
    #: Who is missing, and why.
    left_out: dict[str, str] = field(default_factory=dict)


def _fan_out(
    clients: int,
    kind: str,
    contestants: tuple[str, ...] = FAN_OUT,
    quick: tuple[str, ...] = (),
    seconds: float = 1.5,
    left_out: dict[str, str] | None = None,
) -> Work:
    payload = {"100": "100 B of JSON", "2048": "2 KB of JSON", "100b": "100 bytes as an attachment"}[kind]
    known = FAN_OUT if kind != "100b" else ("floor", *OURS, *SOCKETIO)  # the others have no attachments
    return Work(
        f"fan-out {clients} {kind}" if kind != "100b" else f"binary {clients}",
        Group.FAN_OUT,
        f"fan-out to {clients:,} clients, {payload}",
        "cast",
        ("delivery", "last"),
        contestants,
        {"clients": clients, "kind": kind, "seconds": seconds, "timeout": 100},
        quick,
        {name: _HOUR for name in known if name not in contestants} | (left_out or {}),
    )


WORKS = (
    _fan_out(100, "100"),
    _fan_out(100, "2048", FEW),
    _fan_out(1000, "100", quick=FAN_OUT),
    _fan_out(
        1000, "2048", ("floor", *OURS, "node", "bun", "python-socketio", "flask-socketio-gevent", "nchan", "websockets")
    ),
    _fan_out(5000, "100", ("floor", "truesocket-flask", "node", "flask-socketio-gevent", "nchan")),
    _fan_out(5000, "2048", FEW),
    _fan_out(
        10000,
        "100",
        ("floor", *OURS, "node", "bun", "flask-socketio-gevent", "nchan", "websockets"),
        seconds=3,
        left_out={"python-socketio": _CROWD, "flask-socketio-threading": _THREADS},
    ),
    _fan_out(10000, "2048", ("floor", "truesocket-flask", "node", "nchan"), seconds=3),
    _fan_out(100, "100b", FEW),
    _fan_out(1000, "100b", ("floor", *OURS, "node", "bun", "python-socketio", "flask-socketio-gevent")),
    _fan_out(5000, "100b", FEW),
    _fan_out(10000, "100b", ("floor", "truesocket-flask", "node"), seconds=3),
    Work(
        "burst 1000",
        Group.FAN_OUT,
        "bursts of 20 events to 1,000 clients, 100 B",
        "cast",
        ("delivery",),
        ("floor", *OURS, "node", "bun", "python-socketio", "flask-socketio-gevent", "nchan", "websockets"),
        {"clients": 1000, "kind": "100", "burst": 20, "seconds": 1.5, "least": 2},
        ("floor", *OURS),
        {"flask-socketio-threading": _THREADS},
    ),
    Work(
        "rooms",
        Group.FAN_OUT,
        "1,000 rooms of 10 clients, an event to one room after the other",
        "cast",
        ("delivery", "last"),
        ("floor", *OURS, "node", "bun", "python-socketio"),
        {"clients": 10000, "rooms": 1000, "seconds": 2, "timeout": 100},
        left_out={"flask-socketio-gevent": _CROWD, "flask-socketio-threading": _THREADS},
    ),
    Work(
        "polling 1000",
        Group.FAN_OUT,
        "fan-out to 1,000 long-polling clients, 100 B of JSON: an answer and the next request for each",
        "cast",
        ("delivery", "last"),
        (*OURS, "node", "bun", "python-socketio", "flask-socketio-gevent"),
        {"clients": 1000, "kind": "100", "transport": "polling", "seconds": 1.5},
        left_out={"flask-socketio-threading": _THREADS},
    ),
    Work(
        "ask",
        Group.EVENTS,
        "events with ack, `async def` or JavaScript handlers; 20 clients, one event each on the way",
        "ask",
        ("round trip", "answer"),
        ("floor", "truesocket", "node", "bun", "python-socketio", "websockets"),
        {"clients": 20, "seconds": 2, "settle": 2000},
        ("floor", "truesocket", "node", "bun"),
    ),
    Work(
        "ask Flask",
        Group.EVENTS,
        "events with ack, Flask `def` handlers with a request context; 20 clients, one event each on the way",
        "ask",
        ("round trip", "answer"),
        ("floor", *FLASK, "node"),
        {"clients": 20, "seconds": 2, "settle": 500},
        ("floor", "truesocket-flask", "node", "flask-socketio-threading"),
    ),
    Work(
        "ask Flask async",
        Group.EVENTS,
        "events with ack, a Flask `async def` handler; 20 clients, one event each on the way",
        "ask",
        ("round trip", "answer"),
        ("floor", "truesocket-flask"),
        {"clients": 20, "seconds": 2, "settle": 500, "event": "ask_async"},
    ),
    Work(
        "ask alone",
        Group.EVENTS,
        "events with ack of a single client, one at a time: nothing comes in bunches",
        "ask",
        ("round trip", "answer"),
        ("floor", *OURS, *SOCKETIO, "websockets"),
        {"clients": 1, "seconds": 1.5, "settle": 500},
    ),
    Work(
        "polling ask",
        Group.EVENTS,
        "events with ack of 20 long-polling clients: a POST for the event, a GET for its ack",
        "ask",
        ("round trip", "answer"),
        (*OURS, *SOCKETIO),
        {"clients": 20, "seconds": 1.5, "settle": 200, "transport": "polling"},
    ),
    Work(
        "hold 1000",
        Group.CONNECTIONS,
        "1,000 clients connect, join a room, stay idle, leave; minimal heads",
        "hold",
        ("connect", "disconnect", "memory"),
        FAN_OUT,
        {"clients": 1000, "warm": 300, "idle": 0.7},
        ("floor", *OURS, "node"),
    ),
    Work(
        "hold 1000 browser",
        Group.CONNECTIONS,
        "1,000 clients with a browser's head and 300 bytes of cookies",
        "hold",
        ("connect", "memory"),
        (*OURS, "node", "bun", "python-socketio", "flask-socketio-gevent"),
        {"clients": 1000, "warm": 300, "head": "browser", "idle": 0.7},
        left_out={"flask-socketio-threading": _HOUR},
    ),
    Work(
        "hold 10000",
        Group.CONNECTIONS,
        "10,000 clients connect, join a room, stay idle, leave; minimal heads",
        "hold",
        ("connect", "disconnect", "memory"),
        ("floor", *OURS, "node", "bun", "python-socketio", "nchan", "websockets"),
        {"clients": 10000, "warm": 300, "idle": 0.7, "timeout": 100},
        left_out={"flask-socketio-gevent": _CROWD, "flask-socketio-threading": _THREADS},
    ),
    Work(
        "hold 10000 browser",
        Group.CONNECTIONS,
        "10,000 clients with a browser's head and 300 bytes of cookies",
        "hold",
        ("connect", "memory"),
        (*OURS, "node"),
        {"clients": 10000, "warm": 300, "head": "browser", "idle": 0.7},
        left_out={"bun": _HOUR} | dict.fromkeys(("python-socketio", *FLASK_PEERS), _CROWD),
    ),
    Work(
        "pushes 1000",
        Group.LATENCY,
        "5 pushes per second to 1,000 clients",
        "tick",
        ("push p50", "push p99"),
        ("floor", *OURS, "node", "bun", "python-socketio", "flask-socketio-gevent"),
        {"clients": 1000, "interval": 200_000, "least": 10},
        left_out={"flask-socketio-threading": _THREADS},
    ),
    Work(
        "pushes 10000",
        Group.LATENCY,
        "one push per second to 10,000 clients",
        "tick",
        ("push p50", "push p99", "push max"),
        ("floor", *OURS, "node", "bun"),
        {"clients": 10000, "interval": 1_000_000, "least": 8},
        left_out=dict.fromkeys(("python-socketio", "flask-socketio-gevent"), _CROWD),
    ),
    Work(
        "behind 10000",
        Group.LATENCY,
        "a small event with ack right behind a broadcast to 10,000 clients",
        "behind",
        ("answer p50", "answer"),
        ("floor", *OURS, "node", "bun"),
        {"clients": 10000, "kind": "100", "seconds": 3},
        left_out=dict.fromkeys(("python-socketio", "flask-socketio-gevent"), _CROWD),
    ),
    Work(
        "burners",
        Group.LATENCY,
        "50 pushes per second to 100 clients while 4 handlers compute for 3 seconds",
        "tick",
        ("late p99", "push p99"),
        ("floor", *FLASK),
        {"clients": 100, "interval": 20_000, "least": 125, "burners": 4, "seconds": 3, "timeout": 40},
        ("floor", *FLASK),
    ),
    Work(
        "sleepers",
        Group.LATENCY,
        "50 pushes per second to 300 clients while 200 handlers sleep for 3 seconds",
        "tick",
        ("late p99", "push p99"),
        FLASK,
        {"clients": 300, "interval": 20_000, "least": 125, "nappers": 200, "seconds": 3},
    ),
    Work(
        "ask burners",
        Group.LATENCY,
        "events with ack of 20 clients while 4 handlers compute for 3 seconds",
        "ask",
        ("answer p50", "answer", "pace"),
        FLASK,
        {"clients": 24, "seconds": 3, "settle": 500, "burners": 4, "timeout": 40},
    ),
    Work(
        "ask sleepers",
        Group.LATENCY,
        "events with ack of 20 clients while 200 handlers sleep for 3 seconds",
        "ask",
        ("answer p50", "answer", "pace"),
        FLASK,
        {"clients": 220, "seconds": 3, "settle": 500, "nappers": 200, "timeout": 40},
    ),
    Work(
        "doors fan-out",
        Group.DOORS,
        "fan-out to 1,000 clients, 100 B, behind plain ASGI servers",
        "cast",
        ("delivery",),
        DOORS,
        {"clients": 1000, "kind": "100", "seconds": 1.5},
    ),
    Work(
        "doors ask",
        Group.DOORS,
        "events with ack behind plain ASGI servers",
        "ask",
        ("round trip",),
        DOORS,
        {"clients": 20, "seconds": 1.5, "settle": 500},
    ),
    Work(
        "gunicorn fan-out 100",
        Group.DOORS,
        "fan-out to 100 clients, 100 B, behind gunicorn's `gthread` worker",
        "cast",
        ("delivery", "last"),
        ("floor", *GUNICORN),
        {"clients": 100, "kind": "100", "seconds": 1.5},
    ),
    Work(
        "gunicorn fan-out 1000",
        Group.DOORS,
        "fan-out to 1,000 clients, 100 B, behind gunicorn's `gthread` worker",
        "cast",
        ("delivery", "last"),
        ("floor", *GUNICORN),
        {"clients": 1000, "kind": "100", "seconds": 1.5},
    ),
    Work(
        "gunicorn ask",
        Group.DOORS,
        "events with ack, Flask `def` handlers, behind gunicorn's `gthread` worker",
        "ask",
        ("round trip", "answer"),
        ("floor", *GUNICORN),
        {"clients": 20, "seconds": 1.5, "settle": 500},
    ),
    Work(
        "gunicorn hold 1000",
        Group.DOORS,
        "1,000 clients connect, join a room, stay idle, leave, behind gunicorn's `gthread` worker",
        "hold",
        ("connect", "disconnect", "memory"),
        ("floor", *GUNICORN),
        {"clients": 1000, "warm": 300, "idle": 0.7},
    ),
    Work(
        "mixed 1000",
        Group.OPTIONS,
        "fan-out to 1,000 clients, 100 B: every second one is of Engine.IO 3 (Socket.IO 2)",
        "cast",
        ("delivery", "last"),
        ("floor", *OURS, "node-old"),
        {"clients": 1000, "kind": "100", "seconds": 1.5, "old": 2},
        left_out=dict.fromkeys(("python-socketio", *FLASK_PEERS), "it does not speak Engine.IO 3"),
    ),
    Work(
        "recovery fan-out",
        Group.OPTIONS,
        "fan-out to 1,000 clients, 100 B, with and without recovery of connections",
        "cast",
        ("delivery", "last"),
        RECOVERY,
        {"clients": 1000, "kind": "100", "seconds": 1.5},
    ),
    Work(
        "recovery hold",
        Group.OPTIONS,
        "1,000 clients connect, stay idle, leave, with and without recovery of connections",
        "hold",
        ("connect", "memory"),
        RECOVERY,
        {"clients": 1000, "warm": 300, "idle": 0.7},
    ),
    Work(
        "compression",
        Group.OPTIONS,
        "fan-out to 1,000 clients that offer permessage-deflate, 2 KB of JSON",
        "cast",
        ("delivery", "wire", "last"),
        (
            *("floor", "truesocket-flask-deflate", "truesocket-flask", "node-deflate", "node"),
            *("python-socketio", "websockets"),
        ),
        {"clients": 1000, "kind": "2048", "seconds": 1.5, "deflate": 1},
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


def _fan_out_goals(work: str) -> tuple[Goal, ...]:
    return (
        Goal(work, "delivery", "truesocket-flask", 1.25, ("floor",)),
        Goal(work, "delivery", "truesocket-flask", 1.0, ("nchan",)),
        Goal(work, "delivery", "truesocket-flask", 0.6, ("node",)),
        Goal(work, "delivery", "truesocket-flask", 0.2, FLASK_PEERS),
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
