"""The server side of tests/clients: one handler for each thing that every client must be able to do.

Run by tests/clients/test_clients.py, on every door. Written the way Flask-SocketIO's users write.
"""

import os
from collections import defaultdict

from flask import Flask, request

from truesocket.flask import ConnectionRefusedError, SocketIO, disconnect, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app)

# token of a client (`?token=`) -> what its connections went through, in order
history: dict[str, list[str]] = defaultdict(list)


def note(what: str) -> None:
    """Remember what happened to the client of this event."""
    history[request.args["token"]].append(f"{request.namespace} {what}")


@app.get("/history/<token>")
def tell_history(token):
    return {"history": history[token]}


@socketio.on("connect")
@socketio.on("connect", namespace="/test_conn")
def connected(auth=None):
    note("connect")
    emit("welcome", {"sid": request.sid, "auth": auth, "text": "grüß dich, 世界 😀"})


@socketio.on("disconnect")
@socketio.on("disconnect", namespace="/test_conn")
def disconnected(reason):
    note(f"disconnect: {reason}")


@socketio.on("connect", namespace="/secret")
def nobody_may_come_in(auth=None):
    raise ConnectionRefusedError("not you", {"code": 42})


@socketio.on("echo")
@socketio.on("echo", namespace="/test_conn")
def echo(*args):
    emit("echoed", args)
    return args


@socketio.on("transport")
def transport():
    return socketio.transport(request.sid)


@socketio.on("ask_me")
def ask_back(question):
    emit("question", question, callback=lambda *answer: emit("answered", answer))


@socketio.on("binary")
def binary(blob, nested):
    """Bytes come in at two depths; they go back the same way, by event and by ack."""
    assert isinstance(blob, bytes)
    assert isinstance(nested["inside"][0], bytes)
    emit("binary_back", {"reversed": blob[::-1], "list": [nested["inside"][0], {"size": len(blob)}]})
    return blob, {"again": nested["inside"][0]}


@socketio.on("push_me")
def push_me():
    """Three messages from a background thread, after the handler has ended."""

    def push(sid):
        for number in range(3):
            socketio.sleep(0.2)
            socketio.emit("pushed", {"number": number}, to=sid)

    socketio.start_background_task(push, request.sid)


@socketio.on("push_all", namespace="/test_conn")
def push_all(tag):
    """The same to everybody in the namespace."""

    def push():
        socketio.sleep(0.2)
        socketio.emit("news", {"tag": tag}, namespace="/test_conn")

    socketio.start_background_task(push)


@socketio.on("throw_me_out")
def throw_out():
    disconnect()


if __name__ == "__main__":
    socketio.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]))
