"""SocketIOTestClient: every method that Flask-SocketIO's has, on the real core."""

import asyncio
import datetime
import threading
import time

import flask
import pytest
from flask import request, session

from tests.support.flasking import served
from tests.support.wire import Wire
from truesocket import UsageError
from truesocket.flask import (
    ConnectionRefusedError,
    Namespace,
    SocketIO,
    SocketIOTestClient,
    call,
    disconnect,
    emit,
    join_room,
    send,
)


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("app")
    app.config["SECRET_KEY"] = "not a secret"

    @app.get("/login/<name>")
    def login(name):
        session["name"] = name
        answer = flask.make_response(name)
        answer.set_cookie("elsewhere", "1", path="/elsewhere")
        answer.set_cookie("everywhere", "2")
        return answer

    return app


@pytest.fixture
def socketio(app) -> SocketIO:
    socketio = SocketIO(app)
    gone: list[tuple[str, str]] = []
    socketio.gone = gone  # type: ignore[attr-defined]

    @socketio.on("connect")
    def connect(auth):
        if auth == {"how": "refuse"}:
            raise ConnectionRefusedError("no")
        if auth == {"how": "false"}:
            return False
        if auth == {"how": "fail"}:
            raise ZeroDivisionError("connect")
        send("connected")
        send({"query": request.query_string.decode(), "auth": auth}, json=True)
        emit("head", request.headers.get("X-Test"))
        return None

    @socketio.on("connect", namespace="/test")
    def connect_test():
        send("connected-test")
        emit("head", request.headers.get("X-Test"))

    @socketio.on("disconnect")
    def disconnected(reason):
        gone.append((request.sid, reason))
        emit("left", broadcast=True)

    @socketio.on("disconnect", namespace="/test")
    def disconnected_test():
        gone.append(("/test", "?"))

    @socketio.on("message")
    def message(text):
        send(text)
        return text

    @socketio.on("json")
    def json(data):
        send(data, json=True, broadcast=True)
        return "ack", data

    @socketio.on("echo")
    def echo(*args):
        emit("echoed", args)
        return args

    @socketio.on("to all", namespace="/test")
    async def to_all(data):
        emit("all", data, broadcast=True)

    @socketio.on("fail")
    def fail():
        raise ZeroDivisionError("fail")

    @socketio.on("afail")
    async def afail():
        raise ZeroDivisionError("afail")

    @socketio.on("who")
    def who():
        return session.get("name"), sorted(request.cookies), request.host, flask.current_app.name

    return socketio


def said(*names: object, namespace: str = "/") -> list[dict[str, object]]:
    """Received messages."""
    return [{"name": "message", "args": name, "namespace": namespace} for name in names]


def test_connect(app, socketio):
    client = socketio.test_client(app, query_string="?foo=bar&foo=baz", headers={"X-Test": "5"}, auth={"a": 1})
    assert isinstance(client, SocketIOTestClient)
    assert client.is_connected()
    assert not client.is_connected("/test")
    query = "EIO=4&transport=websocket&foo=bar&foo=baz"
    assert client.get_received() == [
        *said("connected"),
        {"name": "json", "args": {"query": query, "auth": {"a": 1}}, "namespace": "/"},
        {"name": "head", "args": ["5"], "namespace": "/"},
    ]
    assert client.get_received() == []
    assert client.socketio is socketio
    assert client.app is app
    assert SocketIOTestClient.clients[client.eio_sid] is client
    assert client.connected == {"/": True}


def test_namespaces(app, socketio):
    client = SocketIOTestClient(app, socketio, namespace="/test", headers={"X-Test": "5"})
    assert client.is_connected("/test")
    assert not client.is_connected()
    with pytest.raises(RuntimeError, match="not connected"):
        client.emit("echo", 1)
    client.connect()
    client.connect("/other")
    assert client.is_connected()
    assert not client.is_connected("/other")
    assert client.get_received("/test") == [
        *said("connected-test", namespace="/test"),
        {"name": "head", "args": ["5"], "namespace": "/test"},
    ]
    assert [each["name"] for each in client.get_received()] == ["message", "json", "head"]
    client.emit("to all", b"x", namespace="/test")
    assert client.get_received("/test") == [{"name": "all", "args": [b"x"], "namespace": "/test"}]
    client.disconnect("/test")
    assert socketio.gone == [("/test", "?")]
    assert client.is_connected()


def test_a_second_namespace_with_a_handshake_of_its_own(app, socketio):
    client = socketio.test_client(app, headers={"X-Test": "1"})
    client.connect("/test", headers={"X-Test": "2"})
    assert client.get_received()[-1]["args"] == ["1"]
    assert client.get_received("/test")[-1]["args"] == ["2"]
    client.disconnect()
    assert client.is_connected("/test")
    client.emit("to all", 1, namespace="/test")
    assert client.get_received("/test")[-1]["args"] == [1]


@pytest.mark.parametrize("how", ["refuse", "false"])
def test_refused(app, socketio, how):
    client = socketio.test_client(app, auth={"how": how})
    assert not client.is_connected()
    for method in (client.get_received, client.disconnect, lambda: client.emit("echo"), lambda: client.send("x")):
        with pytest.raises(RuntimeError, match="not connected"):
            method()
    client.connect()
    assert client.is_connected()


def test_a_broken_connect_handler_is_raised(app, socketio):
    with pytest.raises(ZeroDivisionError, match="connect"):
        socketio.test_client(app, auth={"how": "fail"})


def test_disconnect(app, socketio):
    client, other = socketio.test_client(app), socketio.test_client(app)
    other.get_received()
    client.disconnect()
    assert [reason for _, reason in socketio.gone] == ["client disconnect"]
    assert not client.is_connected()
    assert [each["name"] for each in other.get_received()] == ["left"]
    with pytest.raises(RuntimeError, match="not connected"):
        client.disconnect()
    client.connect()
    assert client.send("again", callback=True) == "again"


def test_acks(app, socketio):
    client = socketio.test_client(app)
    assert client.emit("echo", 1) is None
    assert client.emit("echo", 1, callback=True) == 1
    assert client.emit("echo", 1, [2], callback=True) == [1, [2]]
    assert client.acks == {"args": [1, [2]], "namespace": "/"}
    assert client.emit("echo", callback=True) == []
    assert client.emit("echo", (1, 2), callback=True) == [1, 2]
    assert client.emit("nobody hears", callback=True) is None
    assert client.send("hi", callback=True) == "hi"
    assert client.send({"a": 1}, json=True, callback=True) == ["ack", {"a": 1}]


def test_received_in_the_form_of_flask_socketio(app, socketio):
    client = socketio.test_client(app)
    client.get_received()
    client.emit("echo", 1, ("a", b"\x00"), {"b": None})
    client.send("text")
    client.send({"a": [1, 2]}, json=True)
    assert client.get_received() == [
        {"name": "echoed", "args": [1, ["a", b"\x00"], {"b": None}], "namespace": "/"},
        {"name": "message", "args": "text", "namespace": "/"},
        {"name": "json", "args": {"a": [1, 2]}, "namespace": "/"},
    ]


def test_payloads_are_written_and_read(app, socketio):
    client = socketio.test_client(app)
    given = {"list": [1]}
    received = client.emit("echo", given, callback=True)
    assert received == given
    assert received is not given
    assert client.emit("echo", {1: 2}, callback=True) == {"1": 2}
    assert isinstance(client.emit("echo", datetime.date(2024, 2, 29), callback=True), str)
    with pytest.raises(TypeError):
        client.emit("echo", object())


def test_what_a_handler_raises_is_raised_here(app, socketio):
    client = socketio.test_client(app)
    with pytest.raises(ZeroDivisionError, match=r"^fail"):
        client.emit("fail")
    with pytest.raises(ZeroDivisionError, match=r"^afail"):
        client.emit("afail", callback=True)
    assert client.emit("echo", 1, callback=True) == 1

    @socketio.on_error_default
    def rescue(error):
        return f"rescued {error}"

    assert client.emit("fail", callback=True) == "rescued fail"


def test_a_failed_disconnect_handler_is_raised(app):
    socketio = SocketIO(app)
    socketio.on_event("disconnect", lambda: 1 / 0)
    client = socketio.test_client(app)
    with pytest.raises(ZeroDivisionError):
        client.disconnect()
    assert not client.is_connected()


def test_every_client_has_heard_when_emit_returns(app, socketio):
    clients = [socketio.test_client(app) for _ in range(5)]
    for number in range(20):
        clients[number % 5].send({"n": number}, json=True)
        for client in clients:
            assert client.queue[-1] == {"name": "json", "args": {"n": number}, "namespace": "/"}


def test_what_the_test_emits_itself_has_arrived(app, socketio):
    client = socketio.test_client(app)
    client.get_received()
    for number in range(50):
        socketio.emit("news", number)
        assert [each["args"] for each in client.get_received()] == [[number]]


def test_the_server_disconnects(app, socketio):
    @socketio.on("kick me")
    def kick_me():
        disconnect()
        return "bye"

    client = socketio.test_client(app)
    client.emit("kick me")
    assert not client.is_connected()
    assert len(socketio.gone) == 1


def test_handlers_that_cause_handlers(app, socketio):
    got = []

    @socketio.on("chain")
    def chain(room):
        join_room(room)
        emit("one", to=room)
        socketio.server.disconnect(other_sid)

    other = socketio.test_client(app)
    other_sid = next(iter(socketio.entrance.server.by_sid))
    client = socketio.test_client(app)
    client.get_received()
    client.emit("chain", "r")
    got = [each["name"] for each in client.get_received()]
    assert sorted(got) == ["left", "one"]
    assert not other.is_connected()


def test_session_and_cookies_of_a_flask_client(app, socketio):
    pages = app.test_client()
    pages.get("/login/Ada")
    client = socketio.test_client(app, flask_test_client=pages)
    assert client.emit("who", callback=True) == ["Ada", ["everywhere", "session"], "localhost", "app"]
    assert client.flask_test_client is pages
    assert socketio.test_client(app).emit("who", callback=True)[:2] == [None, []]
    pages.get("/login/Bob")
    assert client.emit("who", callback=True)[0] == "Ada"
    client.disconnect()
    client.connect()
    assert client.emit("who", callback=True)[0] == "Bob"
    own = socketio.test_client(app, headers={"Cookie": "mine=1"})
    assert own.emit("who", callback=True)[:2] == [None, ["mine"]]


def test_pages_keep_their_context_and_pass_through_wrappers(app, socketio):
    seen = []
    inner = app.wsgi_app

    class Wrapper:
        def __init__(self, app):
            self.app = app

        def __call__(self, environ, start_response):
            seen.append(environ["PATH_INFO"])
            return self.app({**environ, "HTTP_HOST": "wrapped.example"}, start_response)

    app.wsgi_app = Wrapper(inner)
    with app.test_client() as pages:
        pages.get("/login/Ada")
        client = socketio.test_client(app, flask_test_client=pages)
        assert session["name"] == "Ada"
    assert client.emit("who", callback=True)[2] == "wrapped.example"
    assert seen.count("/socket.io/") >= 1


def test_server_name_is_the_host(app, socketio):
    app.config["SERVER_NAME"] = "chat.example:8000"
    assert socketio.test_client(app).emit("who", callback=True)[2] == "chat.example:8000"


def test_each_client_in_its_own_application(socketio, app):
    other = flask.Flask("other")
    other.config["SECRET_KEY"] = "x"
    socketio.init_app(other)
    one, two = socketio.test_client(app), socketio.test_client(other)
    assert one.emit("who", callback=True)[3] == "app"
    assert two.emit("who", callback=True)[3] == "other"


def test_class_based_namespaces(app, socketio):
    class Counter(Namespace):
        def on_connect(self):
            session["count"] = 0

        def on_add(self, number):
            session["count"] += number
            self.emit("counted", session["count"])
            return session["count"]

    socketio.on_namespace(Counter("/count"))
    client = socketio.test_client(app, namespace="/count")
    assert client.emit("add", 2, callback=True, namespace="/count") == 2
    assert client.emit("add", 3, callback=True, namespace="/count") == 5
    assert [each["args"] for each in client.get_received("/count")] == [[2], [5]]


def test_nothing_of_the_server_is_changed(app, socketio):
    server = socketio.entrance.server
    before = {name: value for name, value in vars(server).items() if name not in ("peers", "by_sid", "spaces")}
    client = socketio.test_client(app)
    assert server.config.async_handlers
    after = {name: value for name, value in vars(server).items() if name in before}
    changed = {name for name in before if before[name] is not after[name]}
    assert changed <= {"_ticker", "_second"}
    assert client.emit("echo", 1, callback=True) == 1


def test_a_question_that_nobody_answers_is_raised(app, socketio):
    socketio.on_event("ask", lambda: call("question", timeout=0.01))
    client = socketio.test_client(app)
    with pytest.raises(TimeoutError, match=r"call\('question'\): no answer"):
        client.emit("ask")


def test_a_handler_that_never_ends_is_named(app, socketio):
    end = threading.Event()

    @socketio.on("endless")
    def endless():
        end.wait(20)

    client = socketio.test_client(app)
    first = client._connection
    assert first is not None
    first.timeout = 0.05
    with pytest.raises(TimeoutError, match=r"not done within 0.05 seconds: .*endless"):
        client.emit("endless")
    first.timeout = 60
    started = time.monotonic()
    for _ in range(5):  # nobody waits for it again
        assert client.emit("echo", 1, callback=True) == 1
    assert time.monotonic() - started < 5
    end.set()


def test_on_the_loop_itself_it_is_told(app, socketio):
    found = []

    @socketio.on("inside")
    async def inside():
        with pytest.raises(UsageError, match="AsyncClient with `await`"):
            socketio.test_client(app)
        found.append(True)

    socketio.test_client(app).emit("inside")
    assert found == [True]


def test_in_an_async_test(app, socketio):
    async def test():
        client = socketio.test_client(app)
        assert client.emit("echo", 1, callback=True) == 1

    asyncio.run(test())


def test_beside_real_clients(app, socketio):
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        client = socketio.test_client(app)
        client.send({"n": 1}, json=True)
        assert client.get_received()[-1]["args"] == {"n": 1}
        while wire.event("json") != [{"n": 1}]:
            pass
        client.disconnect()


def test_many_threads(app, socketio):
    clients = [socketio.test_client(app) for _ in range(8)]
    failed = []

    def work(client):
        try:
            for number in range(50):
                assert client.emit("echo", number, callback=True) == number
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
