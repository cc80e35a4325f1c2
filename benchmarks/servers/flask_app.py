"""One Flask application for us and for Flask-SocketIO; only the import and the line that starts it differ.

``BENCH_WHO`` says whose it is: ``truesocket``, or Flask-SocketIO's mode (``threading``, ``gevent``).
``python flask_app.py PORT`` serves it; so does gunicorn, as ``flask_app:app``.
"""

# ruff: noqa: E402, I001 -- gevent must come before everything else

from __future__ import annotations

import os

WHO = os.environ["BENCH_WHO"]

if WHO == "gevent":
    from gevent import monkey

    monkey.patch_all()

import sys
import time
from typing import Any

from flask import Flask, request

import payloads

if WHO == "truesocket":
    from truesocket.flask import SocketIO, emit, join_room
else:
    from flask_socketio import SocketIO, emit, join_room

PAYLOADS = payloads.read()

app = Flask(__name__)
app.secret_key = "benchmark"
socketio = SocketIO(app, **payloads.options()) if WHO == "truesocket" else SocketIO(app, async_mode=WHO)


@socketio.on("connect")
def connect() -> None:
    join_room("lobby")


@socketio.on("cast")
def cast(kind: str, times: int) -> None:
    for _ in range(times):
        emit("news", PAYLOADS[kind], to="lobby")


@socketio.on("enter")
def enter(room: str) -> bool:
    join_room(room)
    return True


@socketio.on("room")
def room(name: str, kind: str) -> None:
    emit("news", PAYLOADS[kind], to=name)


@socketio.on("ask")
def ask(text: str) -> str:
    assert request.sid  # type: ignore[attr-defined]
    return text


if WHO == "truesocket":  # Flask-SocketIO has no such handlers

    @socketio.on("ask_async")
    async def ask_async(text: str) -> str:
        return text


def push(interval: float, times: int) -> None:
    due = time.monotonic()
    for _ in range(times):
        due += interval
        time.sleep(max(0.0, due - time.monotonic()))
        socketio.emit("tick", {"t": time.monotonic_ns() // 1000, "d": int(due * 1e6)})


@socketio.on("tick")
def tick(interval: int, times: int) -> None:
    socketio.start_background_task(push, interval / 1e6, times)


@socketio.on("burn")
def burn(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(100))


@socketio.on("nap")
def nap(seconds: float) -> None:
    time.sleep(seconds)


if __name__ == "__main__":
    options: dict[str, Any] = {"threading": {"allow_unsafe_werkzeug": True}}.get(WHO, {})
    if WHO == "threading":  # its start banner and one line per request are not its work
        import logging

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
    socketio.run(app, host="127.0.0.1", port=int(sys.argv[1]), **options)
