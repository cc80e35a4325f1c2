"""One background task that pushes to everybody in a namespace.

Run it with ``python app.py`` and open http://127.0.0.1:5000
"""

import os
from threading import Lock

from flask import Flask, render_template, request, send_from_directory

from truesocket.flask import SocketIO, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret!"
socketio = SocketIO(app)

thread = None
thread_lock = Lock()


def background_thread():
    while True:
        socketio.sleep(2)
        socketio.emit("server_response", {"data": "test"}, namespace="/test_conn")


@socketio.on("client_event", namespace="/test_conn")
def client_msg(msg):
    global thread
    with thread_lock:  # handlers run in threads: two clients may come at once
        if thread is None:
            thread = socketio.start_background_task(background_thread)


@socketio.on("connect_event", namespace="/test_conn")
def connected_msg(msg):
    emit("server_response", {"data": msg["data"]})


# ---- the page, with truesocket's own client, or (/?client=1.5.1, /?client=4.8) with another one

CLIENTS_DIR = os.environ.get("CLIENTS_DIR")
CLIENTS = {
    "1.5.1": "socket.io-client-1/socket.io.js",
    "4.8": "socket.io-client-4/dist/socket.io.js",
}


@app.route("/")
def index():
    version = request.args.get("client")
    if version not in CLIENTS:
        return render_template("index.html")
    return render_template("other_client.html", version=version, script=CLIENTS[version], clients_dir=CLIENTS_DIR)


@app.route("/clients/<path:name>")
def clients(name):
    return send_from_directory(os.path.abspath(CLIENTS_DIR or "no-clients"), name)


if __name__ == "__main__":
    socketio.run(
        app,
        debug=os.environ.get("DEBUG", "1") == "1",
        host=os.environ.get("HOST", "0.0.0.0"),
        port=int(os.environ.get("PORT", "5000")),
    )
