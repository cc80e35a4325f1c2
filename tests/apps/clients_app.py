"""The server side of tests/clients: one handler for each thing that every client must be able to do.

Run by tests/clients/test_clients.py, on every door. Written the way Flask-SocketIO's users write; only `close_me` goes
where no user goes. SERIALIZER says in which form packets are.
"""

import os
from collections import defaultdict

from flask import Flask, request

from truesocket.flask import ConnectionRefusedError, SocketIO, disconnect, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app, serializer=os.environ.get("SERIALIZER", "default"))

# token of a client (`?token=`) -> what its connections went through, in order: (sid, namespace, what)
history: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
# sid -> the numbers that its client counted
counted: dict[str, list[int]] = defaultdict(list)


def note(what: str) -> None:
    """Remember what happened to the client of this event."""
    history[request.args["token"]].append((request.sid, request.namespace, what))


@app.get("/history/<token>")
def tell_history(token):
    return {"history": history[token]}


@app.get("/page")
def page():
    """For the clients that live in a browser."""
    return '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>A client</title>'


@socketio.on("connect")
@socketio.on("connect", namespace="/test_conn")
def connected(auth=None):
    if "refuse" in request.args:
        raise ConnectionRefusedError("not you", {"code": 42})
    note("connect")
    emit("welcome", {"sid": request.sid, "auth": auth, "text": "grüß dich, 世界 😀"})


@socketio.on("disconnect")
@socketio.on("disconnect", namespace="/test_conn")
def disconnected(reason):
    note(f"disconnect: {reason}")


@socketio.on("connect", namespace="/secret")
def nobody_may_come_in(auth=None):
    raise ConnectionRefusedError("not you", {"code": 42})


@socketio.on("connect", namespace="/closed")
def nobody_is_here(auth=None):
    raise ConnectionRefusedError("not today")


@socketio.on("echo")
@socketio.on("echo", namespace="/test_conn")
def echo(*args):
    emit("echoed", args)
    return args


@socketio.on("transport")
def transport():
    """What the server uses, and whether the client came in with JSONP."""
    return socketio.transport(request.sid), "j" in request.args


@socketio.on("spell")
def spell(text):
    """The numbers of the characters as they arrived, and the text itself: a wrong way back cannot hide a wrong way."""
    emit("spelled", text)
    return [ord(char) for char in text], text


@socketio.on("ask_me")
def ask_back(question):
    emit("question", question, callback=lambda *answer: emit("answered", answer))


@socketio.on("count")
async def count(number):
    counted[request.sid].append(number)


@socketio.on("counted")
async def tell_counted():
    return counted[request.sid]


@socketio.on("count_for_me")
def count_for_client(most):
    for number in range(most):
        emit("number", number)
    return most


@socketio.on("binary")
def binary(text, blob, nested):
    """Bytes come in at two depths; they go back the same way, by event and by ack."""
    assert isinstance(blob, bytes)
    assert isinstance(nested["inside"][0], bytes)
    emit("binary_back", {"reversed": blob[::-1], "list": [nested["inside"][0], {"size": len(blob)}], "text": text})
    return blob, {"again": nested["inside"][0]}, [ord(char) for char in text]


@socketio.on("big")
def big(data, back):
    """How much came, whether it is what was sent (see `big` in scenario.js), and so much of it back."""
    expected = "0123456789" if isinstance(data, str) else bytes(range(251))
    size = len(data)
    return size, data == (expected * (size // len(expected) + 1))[:size], data[:back]


@socketio.on("push_me")
def push_me():
    """Three messages from a background thread, each when the client has answered the one before."""

    def push(sid):
        for number in range(3):
            socketio.call("pushed", {"number": number}, to=sid)

    socketio.start_background_task(push, request.sid)


@socketio.on("push_all", namespace="/test_conn")
def push_all(tag):
    """To everybody in the namespace, after the handler has ended."""

    def push():
        socketio.sleep(0.1)
        socketio.emit("news", {"tag": tag}, namespace="/test_conn")

    socketio.start_background_task(push)


@socketio.on("close_me")
def close_connection():
    """Close the whole connection, so that the client comes back by itself: no good-bye from its namespaces."""
    socketio.core.tell(socketio.core.socket(request.sid).peer.close)


@socketio.on("throw_me_out")
def throw_out():
    disconnect()


if __name__ == "__main__":
    socketio.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]))
