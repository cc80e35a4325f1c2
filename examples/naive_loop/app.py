"""The endless loop in a handler: the first thing everybody writes, and here it works.

Run it with ``python app.py`` and open http://127.0.0.1:5000
"""

import os
import time

from flask import Flask, render_template, request, send_from_directory

from truesocket.flask import SocketIO, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret!"
socketio = SocketIO(app)


@socketio.on("client_event")
def client_msg(msg):
    # An ordinary function has a thread of its own: it may loop and sleep, and nobody else waits.
    # Long after its client has left (orphan_timeout, an hour) it is ended, and a warning names it before.
    while True:
        emit("server_response", {"data": msg["data"]})
        time.sleep(2)


@socketio.on("connect_event")
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
