"""Clients that come back, and what was said before, as a Flask application sees them."""

import flask
import pytest
from flask import request

from tests.support.flasking import served
from tests.support.wire import Wire
from truesocket.errors import UsageError
from truesocket.flask import SocketIO, join_room


@pytest.fixture
def app():
    app = flask.Flask(__name__)
    app.config["SECRET_KEY"] = "only for tests"
    return app


def test_who_came_back_is_in_its_rooms_and_the_new_request_is_seen(app):
    socketio = SocketIO(app, recovery=60)
    seen = []

    @socketio.on("connect")
    def connect():
        seen.append((request.recovered, request.args.get("visit"), request.sid))
        if not request.recovered:
            join_room("lobby")

    with served(socketio) as port:
        with Wire(port, query="visit=1") as wire:
            reply = wire.join()
        socketio.emit("news", 1, to="lobby")
        with Wire(port, query="visit=2") as wire:
            again = wire.join(auth={"pid": reply["pid"], "offset": reply["offset"]})
            assert (again["sid"], again["pid"]) == (reply["sid"], reply["pid"])
            assert wire.event("news")[0] == 1
            socketio.emit("news", 2, to="lobby")
            assert wire.event("news")[0] == 2
    assert seen == [(False, "1", reply["sid"]), (True, "2", reply["sid"])]


def test_what_was_said_in_a_room(app):
    socketio = SocketIO(app, history=60)

    @socketio.on("enter")
    def enter(room):
        join_room(room, replay=True)
        return [[event, *args] for _, event, args in socketio.history(room)]

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        socketio.emit("say", 1, to="lobby")
        assert wire.call("enter", "lobby") == [[["say", 1]]]
        assert wire.event("say") == [1]
        offset, event, args = socketio.history("lobby")[0]
        assert (event, args) == ("say", (1,))
        assert socketio.history("lobby", since=offset) == []


def test_history_is_switched_off(app):
    with pytest.raises(UsageError, match="history=3600"):
        SocketIO(app).history("lobby")
