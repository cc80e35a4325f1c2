"""A dashboard that a background thread feeds.  In the style of applications written for Flask-SocketIO.

An application factory, one thread for everybody, jobs in the background for one client each, and sessions on the server
that pages and events share (`manage_session=False`).
"""

import os
import random
from datetime import UTC, datetime
from threading import Lock

import flask
from cachelib import SimpleCache
from flask import Blueprint, Flask, current_app, jsonify, render_template, request, session
from flask_session import Session
from flask_socketio import SocketIO, call, emit, join_room, leave_room
from socketio.exceptions import TimeoutError

INTERVAL = float(os.environ.get("INTERVAL", "0.2"))

socketio = SocketIO(cors_allowed_origins="*", json=flask.json)
pages = Blueprint("pages", __name__)
thread = None
thread_lock = Lock()
paused = False


def create_app():
    app = Flask(__name__, static_folder=os.environ.get("STATIC_FOLDER", "static"), static_url_path="/static")
    app.config.update(
        SECRET_KEY="not a secret", SESSION_TYPE="cachelib", SESSION_CACHELIB=SimpleCache(), SESSION_PERMANENT=False
    )
    Session(app)
    app.register_blueprint(pages)
    socketio.init_app(app, manage_session=False, async_mode=None, ping_interval=5, ping_timeout=10)
    return app


def background_thread():
    count = 0
    while True:
        socketio.sleep(INTERVAL)
        if paused:
            continue
        count += 1
        socketio.emit("reading", {"count": count, "value": random.random(), "at": datetime.now(UTC)})
        if count % 3 == 0:
            socketio.emit("third", count, to="thirds", namespace="/")


def work(app, sid, steps):
    with app.app_context():
        for step in range(1, steps + 1):
            socketio.sleep(0.02)
            socketio.emit("progress", {"step": step, "of": steps, "by": current_app.name}, to=sid)
        try:
            answer = socketio.call("keep result?", steps, to=sid, timeout=10)
        except TimeoutError:
            answer = "nobody there"
        socketio.emit("job done", answer, room=sid)


@pages.route("/")
def index():
    session.setdefault("colour", "grey")
    return render_template("dashboard.html", colour=session["colour"])


@pages.route("/preferences")
def preferences():
    return jsonify(colour=session.get("colour"), seen=session.get("seen", 0))


@pages.route("/preferences/<colour>", methods=["POST"])
def prefer(colour):
    session["colour"] = colour
    return "", 204


@pages.route("/pause/<int:on>", methods=["POST"])
def pause(on):
    global paused
    paused = bool(on)
    socketio.emit("paused", paused)
    return "", 204


@socketio.event
def connect(auth=None):
    global thread
    with thread_lock:
        if thread is None:
            thread = socketio.start_background_task(background_thread)
    emit("hello", {"colour": session.get("colour"), "auth": auth})


@socketio.on("colour")
def on_colour(colour=None):
    if colour is not None:
        session["colour"] = colour
    session["seen"] = session.get("seen", 0) + 1
    return session.get("colour")


@socketio.on("thirds")
def on_thirds(wanted):
    (join_room if wanted else leave_room)("thirds")
    return wanted


@socketio.on("start job")
def on_start_job(steps):
    socketio.start_background_task(work, current_app._get_current_object(), request.sid, steps)
    return "started"


@socketio.on("check")
def on_check(seconds):
    try:
        return call("are you there?", timeout=seconds)
    except TimeoutError:
        return "no answer"


@socketio.on("picture")
def on_picture(size):
    emit("picture", {"name": "noise", "bytes": bytes(range(size))})
    return bytes(size)


app = create_app()

if __name__ == "__main__":
    socketio.run(app, host=os.environ.get("HOST"), port=int(os.environ.get("PORT", "5000")), allow_unsafe_werkzeug=True)
