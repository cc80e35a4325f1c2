"""An application as one writes it for Flask-SocketIO: it names `flask_socketio` and `socketio` and nothing of ours.

It is served through the alias: `truesocket run --as-flask-socketio`, or TRUESOCKET_AS_FLASK_SOCKETIO=1.
"""

import os
import threading
import time

import flask_socketio
import socketio.exceptions
from flask import Flask, render_template_string, request, session
from flask_socketio import (
    ConnectionRefusedError,
    Namespace,
    SocketIO,
    call,
    close_room,
    disconnect,
    emit,
    join_room,
    leave_room,
    rooms,
    send,
)
from flask_socketio.namespace import Namespace as NamespaceByModule
from flask_socketio.test_client import SocketIOTestClient

app = Flask(__name__)
app.config["SECRET_KEY"] = "not a secret"
sio = SocketIO(app, cors_allowed_origins="*")
ticker = None
ticker_lock = threading.Lock()


@app.route("/")
def index():
    return render_template_string("{{ name }}", name=flask_socketio.__name__)


@app.route("/login/<name>")
def login(name):
    session["name"] = name
    return name


def tick():
    for number in range(3):
        sio.sleep(0.01)
        sio.emit("tick", {"number": number}, namespace="/board")


@sio.on("connect")
def connected(auth):
    if auth == {"token": "ours, refused"}:
        raise ConnectionRefusedError("unauthorized!")
    if auth == {"token": "theirs, refused"}:
        raise socketio.exceptions.ConnectionRefusedError("not by us", 7)
    emit("welcome", {"name": session.get("name", "nobody"), "id": request.args.get("id")})


@sio.on("disconnect")
def gone(reason):
    emit("left", session.get("name", "nobody"), broadcast=True)


@sio.on("message")
def on_message(data):
    send(data, broadcast=True)


@sio.on("json")
def on_json(data):
    send(data, json=True)


@sio.event
def join(data):
    join_room(data["room"])
    emit("said", f"{session.get('name', 'nobody')} is here", to=data["room"])
    return sorted(room for room in rooms() if room != request.sid)


@sio.event
def leave(data):
    leave_room(data["room"])


@sio.on("say")
def say(data):
    emit("said", data["text"], to=data["room"], include_self=False)
    return "said", len(data["text"])


@sio.on("end room")
def end_room(data):
    close_room(data["room"])


@sio.on("ask me")
def ask_me(seconds):
    try:
        return call("question", timeout=seconds)
    except socketio.exceptions.TimeoutError as error:
        return f"no answer: {type(error).__name__}"


@sio.on("kick me")
def kick_me():
    disconnect()


@sio.on("fail")
def fail(how):
    raise ValueError(how)


@sio.on_error("/board")
def board_failed(error):
    return f"board: {error}"


@sio.on("start", namespace="/board")
def start():
    global ticker
    with ticker_lock:
        if ticker is None:
            ticker = sio.start_background_task(tick)


@sio.on("fail", namespace="/board")
def fail_on_board():
    raise ValueError("broken")


class Counter(Namespace):
    def on_connect(self, auth=None):
        session["count"] = 0

    def on_add(self, number):
        session["count"] += number
        self.emit("counted", session["count"], room=request.sid)
        return session["count"]


sio.on_namespace(Counter("/counter"))
assert NamespaceByModule is Namespace
assert issubclass(SocketIOTestClient, object)

if __name__ == "__main__":
    started = time.monotonic()
    sio.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
