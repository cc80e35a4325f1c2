"""A chat: who logs in may talk, in rooms and to all.  In the style of applications written for Flask-SocketIO.

Run it with `python chat.py`.
"""

import functools
import os
from threading import Lock

from flask import Flask, copy_current_request_context, jsonify, redirect, render_template, request, session, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_socketio import SocketIO, close_room, disconnect, emit, join_room, leave_room, rooms, send

async_mode = None

app = Flask(__name__, static_folder=os.environ.get("STATIC_FOLDER", "static"), static_url_path="/static")
app.config["SECRET_KEY"] = "not a secret"
login = LoginManager(app)
login.login_view = "index"
socketio = SocketIO(app, async_mode=async_mode)

online = {}
online_lock = Lock()


class User(UserMixin):
    def __init__(self, name):
        self.id = name


@login.user_loader
def load_user(name):
    return User(name)


def authenticated_only(handler):
    @functools.wraps(handler)
    def guarded(*args, **kwargs):
        if not current_user.is_authenticated:
            return disconnect()
        return handler(*args, **kwargs)

    return guarded


def count_one():
    session["receive_count"] = session.get("receive_count", 0) + 1
    return session["receive_count"]


@app.route("/")
def index():
    return render_template("chat.html", async_mode=socketio.async_mode)


@app.route("/login", methods=["POST"])
def log_in():
    login_user(User(request.form["name"]))
    session["receive_count"] = 10
    return redirect(url_for("index"))


@app.route("/logout")
def log_out():
    logout_user()
    return redirect(url_for("index"))


@app.route("/me")
@login_required
def me():
    return jsonify(name=current_user.id, receive_count=session.get("receive_count"))


@app.route("/announce", methods=["POST"])
def announce():
    socketio.emit("announcement", request.form["text"])
    emit("announced", {"to": request.form.get("room", "all")}, namespace="/", broadcast=True)
    return "", 204


@socketio.on("connect")
def connected():
    if request.args.get("name") == "banned":
        return False
    name = current_user.id if current_user.is_authenticated else "guest"
    with online_lock:
        online[request.sid] = name
    emit("my_response", {"data": "Connected", "name": name, "count": session.get("receive_count", 0)})
    emit("online", sorted(online.values()), broadcast=True, include_self=False)


@socketio.on("disconnect")
def disconnected(reason):
    with online_lock:
        name = online.pop(request.sid, "nobody")
    emit("gone", {"name": name, "reason": reason, "count": session.get("receive_count", 0)}, broadcast=True)


@socketio.event
def my_event(message):
    emit("my_response", {"data": message["data"], "count": count_one()})


@socketio.event
def my_broadcast_event(message):
    emit("my_response", {"data": message["data"], "count": count_one()}, broadcast=True)


@socketio.event
@authenticated_only
def join(message):
    join_room(message["room"])
    emit("status", f"{current_user.id} has come in", to=message["room"], include_self=False)
    return sorted(room for room in rooms() if room != request.sid)


@socketio.event
@authenticated_only
def leave(message):
    leave_room(message["room"])
    emit("status", f"{current_user.id} has left", to=message["room"])
    return sorted(room for room in rooms() if room != request.sid)


@socketio.on("close_room")
@authenticated_only
def on_close_room(message):
    emit("status", f"{message['room']} is closing", to=message["room"])
    close_room(message["room"])


@socketio.on("my_room_event")
@authenticated_only
def to_room(message):
    emit("room_message", {"from": current_user.id, "data": message["data"]}, room=message["room"])
    return "delivered", count_one()


@socketio.on("whisper")
@authenticated_only
def whisper(name, text):
    with online_lock:
        sids = [sid for sid, each in online.items() if each == name]
    emit("whispered", {"from": current_user.id, "text": text}, to=sids, skip_sid=request.sid)
    return len(sids)


@socketio.on("message")
def on_message(text):
    send(f"{text}!", broadcast=True)


@socketio.on("json")
def on_json(data):
    send({"heard": data}, json=True)


@socketio.event
def my_ping():
    emit("my_pong")


@socketio.event
def ask_for_receipt(text):
    sid = request.sid

    def received(*answer):
        emit("receipt", {"same client": request.sid == sid, "answer": list(answer)})

    emit("please_confirm", text, callback=received)


@socketio.event
def disconnect_request():
    @copy_current_request_context
    def can_disconnect():
        disconnect()

    emit("my_response", {"data": "Disconnected!", "count": count_one()}, callback=can_disconnect)


if __name__ == "__main__":
    socketio.run(app, host=os.environ.get("HOST"), port=int(os.environ.get("PORT", "5000")), allow_unsafe_werkzeug=True)
