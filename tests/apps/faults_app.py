"""The server behind tests/faults and the soak: it pushes numbered events all the while, and does whatever goes wrong.

OPTIONS in the environment is a JSON object of the server's options; FILES is a limit on open files; LEAK makes it keep
so many KiB of every client for ever, so that the soak can show that it would notice.
"""

import asyncio
import contextlib
import ctypes
import gc
import json
import os
import resource
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from flask import Flask, jsonify, request

from truesocket.errors import UnknownSid
from truesocket.flask import SocketIO, disconnect, emit, join_room, leave_room

TICK = 0.02  # seconds between two pushes

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app, **json.loads(os.environ.get("OPTIONS", "{}")))
if limit := os.environ.get("FILES"):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))

number = 0
connects: Counter[str] = Counter()
leaves: dict[str, list[str]] = {}
changed = threading.Condition()
released: set[str] = set()
kept: list[bytes] = []
TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def tick() -> None:
    """Numbered pushes, for ever; `/tick` tells the number that has been sent last."""
    global number
    while True:
        time.sleep(TICK)
        number += 1
        socketio.emit("tick", (number, time.monotonic()), to="watch")


# --- what the tests ask -----------------------------------------------------------------------------------------------


@app.get("/tick")
def tell_tick():
    return jsonify(number)


def rss() -> int:
    """Memory of the process, in KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


@app.get("/stats")
def tell_stats():
    """What must not grow; `?settle=1` gives memory back first."""
    if request.args.get("settle"):
        gc.collect()
        if TRIM is not None:
            TRIM(0)
    core = socketio.core
    return jsonify(
        rss=rss(),
        files=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        cpu=time.process_time(),
        peers=len(core.peers),
        sockets=len(core.by_sid),
        rooms=sum(len(space.members) for space in core.spaces.values()),
        away=core.recovery.away if core.recovery is not None else 0,
    )


@app.get("/left/<token>")
def tell_left(token):
    """Why the clients with this ?token= left, once so many have."""
    with changed:
        changed.wait_for(lambda: len(leaves.get(token, [])) >= int(request.args["count"]), timeout=8)
        return jsonify(leaves.get(token, []))


@app.get("/came/<token>")
def tell_came(token):
    return jsonify(connects[token])


@app.get("/broadcast")
def broadcast():
    """Numbered events to everybody in the main namespace, in a thread that goes on behind the answer."""
    count, size = int(request.args["count"]), int(request.args["size"])

    def go() -> None:
        for index in range(count):
            socketio.emit("news", (index, "x" * size))

    socketio.start_background_task(go)
    return jsonify(count)


@app.get("/emit")
def emit_many():
    """Events to a room, as fast as this thread can; the most memory that the process had meanwhile (KiB)."""
    text, most = "x" * int(request.args["size"]), 0
    for index in range(int(request.args["count"])):
        socketio.emit("news", (index, text + str(index)), to=request.args["to"])
        if index % 50 == 0:
            most = max(most, rss())
    return jsonify(most)


@app.get("/release")
def release():
    released.add(request.args["name"])
    return jsonify(True)


@app.get("/jump")
def jump():
    """The clock on the wall is put forward or back."""
    real, by = time.time, float(request.args["by"])
    time.time = lambda: real() + by
    return jsonify(time.time())


# --- handlers ---------------------------------------------------------------------------------------------------------


def token() -> str:
    return request.args.get("token", "")


@socketio.on("connect")
def connected():
    if request.args.get("refuse"):
        return False
    with changed:  # handlers run at the same time, and += is two steps
        connects[token()] += 1
    if leak := os.environ.get("LEAK"):
        kept.append(b"x" * (int(leak) * 1024))
    return None


@socketio.on("disconnect")
def disconnected(reason):
    if token():
        with changed:
            leaves.setdefault(token(), []).append(reason)
            changed.notify_all()


@socketio.on("watch")
def watch():
    join_room("watch")


@socketio.on("watch later")
def watch_later(seconds):
    time.sleep(seconds)
    join_room("watch")
    emit("late", to="nobody")
    leave_room("watch")


@socketio.on("room")
def change_room(name, stay):
    with contextlib.suppress(UnknownSid):  # its client may have left just now
        (join_room if stay else leave_room)(name)
        emit("in room", name, to=name)


@socketio.on("echo")
def echo(*args):
    return args


@socketio.on("flood")
def flood(count, size):
    """More than its client reads."""
    for index in range(count):
        emit("drop", (index, "x" * size))


@socketio.on("boom")
def boom():
    raise RuntimeError("this handler is broken")


@socketio.on("block")
async def block(seconds, times):
    """Gives the loop a moment now and then, too short for a look at everybody."""
    for _ in range(times):
        time.sleep(seconds)
        await asyncio.sleep(0.002)
    return "blocked"


@socketio.on("burn")
def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))
    return "burnt"


@socketio.on("forever")
def forever(name):
    """Until `/release?name=...`."""
    while name not in released:
        time.sleep(0.1)


@socketio.on("nap")
def nap(seconds):
    time.sleep(seconds)
    return "rested"


@socketio.on("bye")
def bye():
    """The client is out before its ack."""
    disconnect()
    return "too late"


if __name__ == "__main__":
    socketio.start_background_task(tick)
    socketio.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]))
