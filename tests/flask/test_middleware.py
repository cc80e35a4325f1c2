"""Middlewares around Flask handlers: inside of the contexts, the same ones as without Flask."""

import flask
import pytest
import requests
import socketio as python_socketio

from tests.support.flasking import served
from tests.support.servers import HOST
from tests.support.wire import Wire
from truesocket import Refused
from truesocket.errors import UsageError
from truesocket.flask import Namespace, SocketIO, login_required


@pytest.mark.parametrize("is_async", [False, True])
def test_around_flask_handlers(is_async):
    app = flask.Flask(__name__)
    app.secret_key = "key"
    socketio = SocketIO()
    seen = []

    @socketio.middleware
    def guard(event, proceed):
        seen.append((flask.request.sid == event.socket.sid, flask.request.event["message"], event.args))
        flask.g.user = flask.session["name"]
        return proceed()

    @socketio.middleware("connect")
    def only_with_token(event, proceed):
        if event.args != ({"token": "good"},):
            raise Refused("no token", flask.request.path)
        return proceed()

    if is_async:

        @socketio.on("say")
        async def say(text):
            return [flask.g.user, text]
    else:

        @socketio.on("say")
        def say(text):
            return [flask.g.user, text]

    @socketio.on("connect")
    def connect():
        flask.session["name"] = "Ada"

    socketio.init_app(app, ping_interval=20)  # makes another server: what was registered before goes along
    with served(socketio) as port, requests.Session() as session:
        url = f"http://{HOST}:{port}"
        client = python_socketio.Client(reconnection=False, http_session=session)
        try:
            with pytest.raises(python_socketio.exceptions.ConnectionError):
                client.connect(url, auth={"token": "bad"}, wait_timeout=10)
            client.disconnect()
            client.connect(url, auth={"token": "good"}, wait_timeout=10)
            assert client.call("say", "hi", timeout=10) == ["Ada", "hi"]
        finally:
            client.disconnect()
    assert seen == [(True, "say", ("hi",))]


def test_wrong_use():
    socketio = SocketIO()
    with pytest.raises(UsageError, match="takes two arguments"):
        socketio.middleware(lambda event: None)
    with pytest.raises(UsageError, match="must be a function"):
        socketio.middleware("connect")(5)


class Talk(Namespace):
    def on_say(self, text):
        raise ValueError(text)

    def error(self, exc):
        return f"rescued {exc}"


@pytest.mark.parametrize("is_async", [False, True])
def test_logins_and_error_methods_are_found_inside_of_a_middleware(is_async):
    app = flask.Flask(__name__)
    app.secret_key = "key"
    socketio = SocketIO(app)
    socketio.on_namespace(Talk("/talk"))
    asked = []

    if is_async:

        @socketio.middleware
        async def through(event, proceed):
            return await proceed()
    else:

        @socketio.middleware
        def through(event, proceed):
            return proceed()

    @socketio.on("secret")
    @login_required(check=lambda: asked.append(1))
    def secret():
        return "secret"

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        wire.join("/talk")
        assert wire.call("secret") == [{"error": "login required", "code": 401}]
        assert asked == [1]
        assert wire.call("say", "hello", namespace="/talk") == ["rescued hello"]
