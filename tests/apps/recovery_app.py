"""A stream of numbered events, for clients that drop and come back.

    python tests/apps/recovery_app.py PORT

Everybody is in one room; who comes back is in it already.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from flask import Flask, request

from truesocket.flask import SocketIO, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app, cors_allowed_origins="*", recovery=60)
seen: dict[str, int] = {"connects": 0, "recovered": 0, "disconnects": 0}
handled: list[Any] = []
stop = threading.Event()


@socketio.on("connect")
def connect() -> None:
    seen["connects"] += 1
    if request.recovered:
        seen["recovered"] += 1
    else:
        join_room("stream")


@socketio.on("disconnect")
def disconnect() -> None:
    seen["disconnects"] += 1


@socketio.on("once")
def once(number: int) -> int:
    handled.append(number)
    return number


@app.get("/start")
def start() -> str:
    socketio.start_background_task(stream)
    return "started"


@app.get("/stop")
def end() -> dict[str, Any]:
    stop.set()
    return {**seen, "handled": handled}


def stream() -> None:
    number = 0
    while not stop.is_set():
        number += 1
        socketio.emit("n", number, to="stream")
        time.sleep(0.002)
    socketio.emit("end", number, to="stream")


if __name__ == "__main__":
    socketio.run(app, port=int(sys.argv[1]))
