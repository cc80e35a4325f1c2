"""What Flask users touch.

::

    from flask import Flask
    from truesocket.flask import SocketIO, emit

    app = Flask(__name__)
    socketio = SocketIO(app)

    @socketio.on("say")
    def say(text):
        emit("said", text, broadcast=True)

    socketio.run(app)

The names and signatures are Flask-SocketIO's, so that an application changes one import.
"""

from truesocket.errors import Disconnected
from truesocket.errors import Refused as ConnectionRefusedError
from truesocket.flask.context import (
    call,
    close_room,
    disconnect,
    emit,
    join_room,
    leave_room,
    rooms,
    send,
)
from truesocket.flask.extension import SocketIO

__all__ = [
    "ConnectionRefusedError",
    "Disconnected",
    "SocketIO",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "rooms",
    "send",
]
