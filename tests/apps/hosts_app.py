"""What tests/hosts runs on every host: pages, pushes from each kind of place, and who the client is.

As a program it calls socketio.run(); OPTIONS is a JSON object of further arguments, SERVER one of SocketIO's options.
`version` is what a test of the reloader changes.
"""

import json
import os
import threading
import time

from flask import Flask, jsonify, request

from truesocket.flask import SocketIO, emit, join_room

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app, **json.loads(os.environ.get("SERVER", "{}")))
version = "version 1"


@app.get("/page")
def page():
    return version


@app.get("/where")
def where_page():
    return jsonify(where())


@app.get("/push/thread/<tag>")
def push_from_thread(tag):
    threading.Thread(target=socketio.emit, args=("pushed", tag), daemon=True).start()
    return "on its way"


@app.get("/push/task/<tag>")
def push_from_task(tag):
    socketio.start_background_task(socketio.emit, "pushed", tag)
    return "on its way"


@app.get("/push/page/<tag>")
def push_from_page(tag):
    socketio.emit("pushed", tag)
    return "on its way"


@app.get("/push/async/<tag>")
async def push_from_async_page(tag):
    await socketio.emit("pushed", tag)
    return "on its way"


@app.get("/call/<sid>")
def call(sid):
    return jsonify(socketio.call("question", 6, 7, to=sid, timeout=10))


@app.get("/call/async/<sid>")
async def call_async(sid):
    return jsonify(await socketio.call("question", 6, 7, to=sid, timeout=10))


def where():
    """The client as Flask sees it."""
    return {"remote_addr": request.remote_addr, "is_secure": request.is_secure, "host": request.host}


@socketio.on("where")
def tell_where():
    return {**where(), "transport": socketio.transport(request.sid)}


@socketio.on("echo")
def echo(*args):
    return args


@socketio.on("nap")
def nap(seconds):
    time.sleep(seconds)


@socketio.on("say")
def say(room, text):
    join_room(room)
    emit("said", text, to=room)


if __name__ == "__main__":
    socketio.run(
        app, host=os.environ["HOST"], port=int(os.environ["PORT"]), **json.loads(os.environ.get("OPTIONS", "{}"))
    )
