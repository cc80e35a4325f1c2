"""Namespaces as classes, with error handlers of every kind, in the style of applications written for Flask-SocketIO."""

import os

from flask import Flask, render_template, request, session
from flask_socketio import ConnectionRefusedError, Namespace, SocketIO, disconnect, emit, join_room, rooms

app = Flask(__name__, static_folder=os.environ.get("STATIC_FOLDER", "static"), static_url_path="/static")
app.config["SECRET_KEY"] = "not a secret"
socketio = SocketIO(app, async_mode=None, logger=False, engineio_logger=False)

CLIENTS = {
    "new": "socket.io-client-4/dist/socket.io.min.js",
    "old": "socket.io-client-2/dist/socket.io.js",
    "oldest": "socket.io-client-1/socket.io.js",
}


@app.route("/")
def index():
    return render_template("namespaces.html", script=CLIENTS[request.args.get("client", "new")])


class Lobby(Namespace):
    def on_connect(self):
        session["receive_count"] = 0
        emit("welcome", {"namespace": request.namespace})

    def on_disconnect(self, reason):
        self.emit("left", {"count": session["receive_count"], "reason": reason})

    def on_my_event(self, message):
        session["receive_count"] += 1
        emit("my_response", {"data": message["data"], "count": session["receive_count"]})

    def on_all(self, message):
        self.emit("my_response", message)

    def on_others(self, message):
        self.emit("my_response", message, include_self=False)
        return len(rooms())

    def on_enter(self, room):
        join_room(room)
        self.emit("entered", room, room=room)

    def on_enter_by_name(self, room):
        self.enter_room(request.sid, room)
        return room in self.rooms(request.sid)

    def on_end(self, room):
        self.close_room(room)
        return room in self.rooms(request.sid)

    def on_say(self, text):
        self.send(text, room=request.sid)

    def on_disconnect_request(self):
        disconnect()

    def on_fail(self, how):
        raise ValueError(how)


class Accounts(Namespace):
    """Who comes in must have a token; errors are answered by the handler of the namespace."""

    def on_connect(self, auth):
        if not auth or auth.get("token") != "valid":
            raise ConnectionRefusedError("who are you?", {"code": 7})
        session["balance"] = 100

    def on_disconnect(self):
        session.clear()

    def on_transfer(self, amount, to="the bank"):
        if amount > session["balance"]:
            raise ValueError("not enough money")
        session["balance"] -= amount
        return {"to": to, "balance": session["balance"]}

    def on_crash(self):
        return 1 / 0


class Log(Namespace):
    """One method for all events, whatever their names, and an error method of its own."""

    def trigger_event(self, event, *args):
        if event in ("connect", "disconnect"):
            return super().trigger_event(event, *args)
        return super().trigger_event("any", *args[:1], event, *args[1:])

    def on_any(self, event, *args):
        if event == "wrong event":
            raise LookupError(event)
        return {"event": event, "args": list(args)}

    def error(self, exc):
        return f"log: {type(exc).__name__}"


socketio.on_namespace(Lobby("/"))
socketio.on_namespace(Accounts("/accounts"))
socketio.on_namespace(Log("/log"))


@socketio.on("my special event", namespace="/")
def special(a, b=2):
    return a, b, request.event["message"]


def ticket(number):
    return [number]


socketio.on_event("ticket", ticket, namespace="/tickets")


@socketio.on("*", namespace="/tickets")
def any_other(event, *args):
    return event, list(args), request.event["message"]


@socketio.on("broken", namespace="/tickets")
def broken(data):
    raise KeyError(data)


@socketio.on_error("/accounts")
def accounts_failed(error):
    return {"error": str(error), "event": request.event["message"], "args": list(request.event["args"])}


@socketio.on_error()
def lobby_failed(error):
    emit("trouble", f"{request.namespace} {error}")
    return "failed"


@socketio.on_error_default
def anything_failed(error):
    return f"{request.namespace}: {type(error).__name__}"


if __name__ == "__main__":
    socketio.run(
        app,
        host=os.environ.get("HOST"),
        port=int(os.environ.get("PORT", "5000")),
        debug=os.environ.get("DEBUG") == "1",
        allow_unsafe_werkzeug=True,
    )
