"""The server for tests/browser_client/test_client.mjs.

    python tests/apps/browser_client_app.py [PORT]        (or PORT in the environment)

It writes one line, "listening on http://...", when it is about to listen.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from flask import Flask, request

from truesocket.flask import ConnectionRefusedError, SocketIO, disconnect, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app, cors_allowed_origins="*")


@socketio.on("connect")
def connected(auth: Any = None) -> None:
    if isinstance(auth, dict) and auth.get("refuse"):
        raise ConnectionRefusedError("not you", {"code": 7})
    emit("welcome", {"auth": auth or {}, "query": request.args.get("color"), "sid": request.sid})


@socketio.on("echo")
def echo(*args: Any) -> tuple[Any, ...]:
    return args


@socketio.on("whoami")
def whoami() -> dict[str, str]:
    return {"sid": request.sid, "transport": socketio.transport(request.sid), "namespace": request.namespace}


@socketio.on("ask_me")
def ask_me(value: Any) -> None:
    sid = request.sid

    def answered(*args: Any) -> None:
        socketio.emit("answered", list(args), to=sid)

    emit("question", value, callback=answered)


@socketio.on("binary")
def binary(value: Any) -> dict[str, Any]:
    data = value["deep"][1]["bytes"]
    emit("binary_back", {"n": [1, {"bytes": bytes(reversed(data))}]})
    return {"ok": isinstance(data, bytes), "copy": data}


@socketio.on("kick")
def kick() -> None:
    disconnect()


@socketio.on("flood")
def flood(count: int) -> None:
    for number in range(count):
        emit("tick", number)


@socketio.on("say", namespace="/chat")
def say(text: str) -> str:
    emit("said", text, broadcast=True)
    return "heard"


if __name__ == "__main__":
    port = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT", "5000"))
    print(f"listening on http://127.0.0.1:{port}", flush=True)
    socketio.run(app, host="127.0.0.1", port=port)
