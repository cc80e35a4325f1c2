"""An application that ends itself: by a handler, a page, a background task (AFTER seconds) or SIGUSR1.

OPTIONS is a JSON object of further arguments of run(), SERVER one of SocketIO's options.
"""

import json
import os
import signal
import time

from flask import Flask

from truesocket.flask import SocketIO, join_room

app = Flask(__name__)
socketio = SocketIO(app, **json.loads(os.environ.get("SERVER", "{}")))


@socketio.on("disconnect")
def disconnect(reason):
    time.sleep(0.3)
    print(f"left: {reason}", flush=True)


@socketio.on("nap")
def nap(seconds):
    time.sleep(seconds)
    print("rested", flush=True)
    return "rested"


@socketio.on("forever")
async def forever():
    """Until the loop ends it."""
    await socketio.sleep(1000)


@socketio.on("join late")
def join_late():
    time.sleep(0.5)
    join_room("late")


@socketio.on("end")
def end():
    socketio.stop()


@socketio.on("end_async")
async def end_async():
    socketio.stop()


@app.get("/end")
def end_page():
    socketio.stop()
    return "good-bye"


def end_soon():
    socketio.sleep(float(os.environ["AFTER"]))
    socketio.stop()


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda *_: socketio.stop())
    if "AFTER" in os.environ:
        socketio.start_background_task(end_soon)
    socketio.run(
        app, host=os.environ["HOST"], port=int(os.environ["PORT"]), **json.loads(os.environ.get("OPTIONS", "{}"))
    )
    print("code behind run()", flush=True)
