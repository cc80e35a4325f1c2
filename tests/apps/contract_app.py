"""The server side of tests/doors: one handler for each thing that must be the same through every door.

PROXYFIX=1 puts Werkzeug's ProxyFix around the Flask application.
"""

import os
import threading
import time

from flask import Flask, jsonify, request

from truesocket.flask import ConnectionRefusedError, SocketIO, disconnect, emit

app = Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app, max_payload=100_000, namespaces=["/", "/plain"])
if os.environ.get("PROXYFIX"):
    from werkzeug.middleware.proxy_fix import ProxyFix

    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)

history: dict[str, list[str]] = {}
changed = threading.Condition()


def note(what: str) -> None:
    """Remember what happened to the client with this ?token=."""
    with changed:
        history.setdefault(request.args.get("token", ""), []).append(f"{request.namespace} {what}")
        changed.notify_all()


def where() -> dict[str, object]:
    """The client as Flask sees it."""
    return {
        "remote_addr": request.remote_addr,
        "is_secure": request.is_secure,
        "host": request.host,
        "agent": request.headers.get("User-Agent"),
        "cookie": request.cookies.get("who"),
        "args": request.args.get("token"),
    }


@app.get("/page")
def page():
    return "a page"


@app.get("/slow")
def slow():
    time.sleep(float(request.args["seconds"]))
    return "slow page"


@app.route("/where", methods=["GET", "POST"])
def tell_where():
    return jsonify(where())


@app.get("/history/<token>")
def tell_history(token):
    """Waits until so many things have happened."""
    with changed:
        changed.wait_for(lambda: len(history.get(token, [])) >= int(request.args["count"]), timeout=8)
        return jsonify(history.get(token, []))


@socketio.on("connect")
@socketio.on("connect", namespace="/admin")
def connected(auth=None):
    if request.args.get("refuse") or (auth or {}).get("refuse"):
        raise ConnectionRefusedError("not you", {"code": 42})
    note("connect")
    emit("welcome", {"sid": request.sid, "auth": auth})


@socketio.on("disconnect")
@socketio.on("disconnect", namespace="/admin")
def disconnected(reason):
    note(f"disconnect: {reason}")


@socketio.on("echo")
@socketio.on("echo", namespace="/admin")
def echo(*args):
    emit("echoed", args)
    return args


@socketio.on("where")
def tell_client_where():
    return {**where(), "transport": socketio.transport(request.sid)}


@socketio.on("push_all")
def push_all(tag):
    socketio.emit("pushed", {"tag": tag, "text": "grüß dich 世界 😀"})


@socketio.on("leave")
def leave():
    disconnect()


@socketio.on("nap")
def nap(seconds):
    time.sleep(seconds)
    return "rested"


if __name__ == "__main__":
    socketio.run(app, host=os.environ["HOST"], port=int(os.environ["PORT"]))
