"""An application run the way the article runs its own: `python app.py`, with `socketio.run`.

DEBUG=1 switches the debug mode on, OPTIONS is a JSON object of further arguments of run().
"""

import json
import os
import time

from flask import Flask

from truesocket.flask import SocketIO, emit

app = Flask(__name__)
socketio = SocketIO(app)


@app.get("/page")
def page():
    return "version 1"


@app.get("/error")
def error():
    raise ZeroDivisionError("a bug in a page")


@app.get("/slow")
def slow():
    time.sleep(60)
    return "slow"


@socketio.on("loop")
def endless():
    while True:
        emit("tick")
        time.sleep(0.05)


@socketio.on("disconnect")
def bye(reason):
    print("bye", reason, flush=True)


if __name__ == "__main__":
    socketio.run(
        app,
        host=os.environ["HOST"],
        port=int(os.environ["PORT"]),
        debug=bool(os.environ.get("DEBUG")),
        **json.loads(os.environ.get("OPTIONS", "{}")),
    )
    print("code behind run()", flush=True)
