"""The server of ``fanout.py``: broadcasts on request and tells its own CPU time and memory."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from flask import Flask, request

from truesocket.flask import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, ping_interval=300)


@app.get("/cpu")
def cpu() -> dict[str, float]:
    statm = Path("/proc/self/statm")
    rss = int(statm.read_text().split()[1]) * 4 if statm.exists() else 0
    return {"seconds": time.process_time(), "rss": rss}


@app.get("/frame")
def frame() -> dict[str, int]:
    """The size of the WebSocket frame that carries an event."""
    text = f'42["news","{"x" * int(request.args["size"])}"]'
    return {"bytes": len(text) + (2 if len(text) < 126 else 4 if len(text) < 65536 else 10)}


@app.get("/emit")
def emit() -> dict[str, bool]:
    data = "x" * int(request.args["size"])
    for _ in range(int(request.args["n"])):
        socketio.emit("news", data)
    return {"ok": True}


if __name__ == "__main__":
    socketio.run(app, port=int(sys.argv[1]))
