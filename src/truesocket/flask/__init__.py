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

from importlib import import_module
from typing import TYPE_CHECKING, Any

import flask
from flask import has_request_context
from flask.sessions import SessionMixin

from truesocket.errors import Disconnected
from truesocket.errors import Refused as ConnectionRefusedError
from truesocket.flask.alias import as_flask_socketio
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
from truesocket.flask.logins import login_required
from truesocket.flask.namespace import Namespace

if TYPE_CHECKING:
    from truesocket.flask.test_client import SocketIOTestClient

__all__ = [
    "ConnectionRefusedError",
    "Disconnected",
    "Namespace",
    "SocketIO",
    "SocketIOTestClient",
    "as_flask_socketio",
    "call",
    "close_room",
    "disconnect",
    "emit",
    "join_room",
    "leave_room",
    "login_required",
    "rooms",
    "send",
]

#: Flask-SocketIO has these without meaning to, and applications have found them.
gevent_socketio_found = False
_BY_ACCIDENT = (flask, has_request_context, SessionMixin)

#: What is imported when somebody asks for it: production needs none of it.
_LATER = {
    "SocketIOTestClient": "truesocket.flask.test_client",
    "DebuggedApplication": "werkzeug.debug",
    "run_with_reloader": "werkzeug._reloader",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), name)
