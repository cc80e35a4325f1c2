"""``socketio.server``: what applications reach for there, over a real connection."""

import time

import flask
import pytest
from flask import request, session

from tests.support.flasking import served
from tests.support.wire import Gone, Wire
from truesocket.codec.socketio import PacketType
from truesocket.errors import AckTimeout, UnknownSid, WrongValue
from truesocket.flask import Namespace, SocketIO


@pytest.fixture
def socketio():
    app = flask.Flask("app")
    app.secret_key = "only for tests"
    return SocketIO(app, cookie="io", ping_interval=20)


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- telling and asking -----------------------------------------------------------------------------------------------


def test_emit_and_rooms(socketio):
    server = socketio.server
    with served(socketio) as port, Wire(port) as a, Wire(port) as b:
        one, two = a.join()["sid"], b.join()["sid"]
        server.enter_room(one, "lobby")
        assert set(server.rooms(one)) == {one, "lobby"}
        assert server.rooms(two, "/") == [two]
        server.emit("all", {"a": 1}, skip_sid=two)
        server.emit("lobby", (1, 2), room="lobby")
        server.emit("both", [1, 2], to=[one, two])
        server.send("text", to=two)
        server.emit("end")
        assert a.event("all") == [{"a": 1}]
        assert a.event("lobby") == [1, 2]
        assert a.event("both") == [[1, 2]]
        assert b.packet().data == ["both", [1, 2]]
        assert b.packet().data == ["message", "text"]
        assert b.event("end") == []
        server.leave_room(one, "lobby")
        server.leave_room("nobody", "lobby")
        assert server.rooms(one) == [one]
        server.enter_room(two, "other")
        server.close_room("other")
        assert server.rooms(two) == [two]
        with pytest.raises(UnknownSid):
            server.rooms(one, "/elsewhere")


def test_call_and_callback(socketio):
    server, got = socketio.server, []
    with served(socketio) as port, Wire(port) as wire:
        sid = wire.join()["sid"]
        server.emit("asked", 1, to=sid, callback=lambda *args: got.append(args))
        wire.answer(wire.wait_for(PacketType.EVENT, name="asked"), "a", 2)
        until(lambda: got == [("a", 2)])
        with pytest.raises(AckTimeout):
            server.call("nobody answers", sid=sid, timeout=0.01)
        with pytest.raises(WrongValue, match="asks one client: give to=sid"):
            server.call("whom")


def test_disconnect(socketio):
    server = socketio.server
    reasons = []
    socketio.on_event("disconnect", reasons.append)
    with served(socketio) as port, Wire(port) as wire:
        sid = wire.join()["sid"]
        assert server.manager.is_connected(sid, "/")
        server.disconnect("nobody")
        server.disconnect(sid, namespace="/", ignore_queue=True)
        wire.wait_for(PacketType.DISCONNECT)
        until(lambda: reasons == [socketio.reason.SERVER_DISCONNECT])
        assert not server.manager.is_connected(sid, "/")
        assert server.get_environ(sid) is None


def test_unknown_argument_is_named(socketio):
    with pytest.warns(UserWarning, match=r"server.emit\(\) has no argument 'namspace', .*did you mean 'namespace'"):
        socketio.server.emit("x", 1, namspace="/")


# --- what is known of a client ----------------------------------------------------------------------------------------


def test_environ_and_sessions(socketio):
    server = socketio.server

    @socketio.on("remember")
    def remember(name):
        session["name"] = name

    @socketio.on("who")
    def who():
        return session.get("name"), server.get_environ(request.sid)["saved_session"].get("name")

    with served(socketio) as port, Wire(port, query="&token=5") as wire:
        sid = wire.join()["sid"]
        eio_sid = server.manager.eio_sid_from_sid(sid, "/")
        assert server.manager.sid_from_eio_sid(eio_sid, "/") == sid
        assert list(server.environ) == [eio_sid]
        assert len(server.environ) == 1
        assert eio_sid in server.environ
        assert "nobody" not in server.environ
        environ = server.environ[eio_sid]
        assert environ is server.environ[sid]
        assert environ["REQUEST_METHOD"] == "GET"
        assert environ["flask.app"].name == "app"
        assert wire.call("remember", "Ada") == []
        assert server.environ[eio_sid]["saved_session"]["name"] == "Ada"
        server.environ[eio_sid]["saved_session"]["name"] = "Grace"  # as applications do, from outside
        assert wire.call("who") == ["Grace", "Grace"]
        assert server.transport(sid) == socketio.transport(sid) == server.eio.transport(eio_sid)

        with server.session(sid) as mine:
            mine["count"] = 1
        assert server.get_session(sid) == {"count": 1}
        server.save_session(sid, {"other": 2})
        assert server.get_session(sid, "/") == {"other": 2}
        server.save_session(sid, server.get_session(sid))
        assert server.get_session(sid) == {"other": 2}
    until(lambda: len(server.environ) == 0)
    with pytest.raises(KeyError):
        server.environ[eio_sid]
    with pytest.raises(KeyError):
        server.get_session(sid)


def test_manager(socketio):
    manager = socketio.server.manager
    assert (manager.rooms, list(manager.get_participants("/", None)), manager.get_namespaces()) == ({}, [], [])
    with served(socketio) as port, Wire(port) as a, Wire(port) as b:
        one, two = a.join()["sid"], b.join()["sid"]
        first, second = (manager.eio_sid_from_sid(sid, "/") for sid in (one, two))
        socketio.server.enter_room(one, "lobby")
        everybody = {one: first, two: second}
        assert manager.rooms == {"/": {None: everybody, one: {one: first}, two: {two: second}, "lobby": {one: first}}}
        assert dict(manager.get_participants("/", None)) == everybody
        assert list(manager.get_participants("/", "lobby")) == [(one, first)]
        assert dict(manager.get_participants("/", ["lobby", two])) == everybody
        assert list(manager.get_participants("/", two)) == [(two, second)]
        assert list(manager.get_participants("/", "nobody")) == list(manager.get_participants("/none", None)) == []
        assert manager.get_rooms(one, "/") == [one, "lobby"]
        assert manager.get_namespaces() == ["/"]
        assert not manager.is_connected(one, "/none")
        assert manager.eio_sid_from_sid(one, "/none") is None
        assert manager.sid_from_eio_sid("nobody", "/") is None


def test_manager_on_the_loop(socketio):
    @socketio.on("who")
    async def who():
        server = socketio.server
        return len(list(server.manager.get_participants("/", None))), server.rooms(request.sid) == [request.sid]

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("who") == [1, True]


# --- handlers with a sid ----------------------------------------------------------------------------------------------


def test_handlers_in_python_socketios_way(socketio):
    server, seen = socketio.server, []

    @server.on("connect")
    def connect(sid, environ):
        seen.append((sid, environ["REQUEST_METHOD"]))

    @server.event
    def say(sid, text):
        return sid, text

    @server.event(namespace="/chat")
    async def later(sid, text):
        return sid, text

    server.on("connect", lambda sid, environ, auth: auth != {"bad": 1}, namespace="/chat")
    server.on("*", lambda event, sid, *args: (event, sid, list(args)), "/chat")
    server.on("far", lambda namespace, sid: (namespace, sid), "*")
    server.on("*", lambda event, namespace, sid, *args: (event, namespace, sid, list(args)), "*")
    server.on("disconnect", lambda sid: seen.append(sid))

    with served(socketio) as port, Wire(port) as wire:
        sid, chat = wire.join()["sid"], wire.join("/chat", auth={"good": 1})["sid"]
        assert seen == [(sid, "GET")]
        assert wire.call("say", "x") == [sid, "x"]
        assert wire.call("later", "y", namespace="/chat") == [chat, "y"]
        assert wire.call("any", 1, namespace="/chat") == ["any", chat, [1]]
        assert wire.call("far") == ["/", sid]
        assert wire.call("any", 2) == ["any", "/", sid, [2]]
        wire.leave()
        until(lambda: seen[-1] == sid)
        wire.leave("/chat")
        with pytest.raises(Gone):
            wire.join("/chat", auth={"bad": 1})


def test_register_namespace(socketio):
    class Ours(Namespace):
        def on_say(self, text):
            return text, self.server is socketio.server

    class Theirs:
        """The shape of python-socketio's Namespace."""

        namespace = "/theirs"

        def _set_server(self, server):
            self.server = server

        def trigger_event(self, event, *args):
            if event == "connect":
                return len(args) == 3
            return [event, *args, self.server is socketio.server]

    socketio.server.register_namespace(Ours("/ours"))
    socketio.server.register_namespace(Theirs())
    with pytest.raises(ValueError, match="is no Namespace"):
        socketio.server.register_namespace(object())
    with served(socketio) as port, Wire(port) as wire:
        wire.join("/ours")
        sid = wire.join("/theirs")["sid"]
        assert wire.call("say", 1, namespace="/ours") == [1, True]
        assert wire.call("say", 1, namespace="/theirs") == [["say", sid, 1, True]]


# --- settings and the process -----------------------------------------------------------------------------------------


def test_views(socketio):
    server = socketio.server
    assert (server.async_mode, server.async_handlers, server.always_connect) == ("threading", True, False)
    assert (server.namespaces, server.is_asyncio_based()) == (["/"], False)
    assert server.reason is socketio.reason is server.eio.reason
    eio = server.eio
    assert (eio.allow_upgrades, eio.cookie, eio.ping_interval, eio.ping_timeout) == (True, "io", 20, 20)
    assert (eio.max_http_buffer_size, eio.transports, eio.async_mode) == (
        1_000_000,
        ["polling", "websocket"],
        "threading",
    )
    assert (eio.http_compression, eio.compression_threshold, eio.cors_credentials) == (True, 1024, True)
    assert (eio.cors_allowed_origins, eio.sockets, eio.async_handlers) == (None, {}, True)
    with pytest.raises(AttributeError, match=r"read-only: give SocketIO\(cookie=...\)"):
        eio.cookie = "x"
    with pytest.raises(AttributeError, match="has no 'create_queue'"):
        eio.create_queue  # noqa: B018
    with pytest.raises(AttributeError, match=r"has no 'packet_class': .* the server itself is socketio.core"):
        server.packet_class  # noqa: B018
    assert not hasattr(server, "bridge")


def test_what_is_registered(socketio):
    chat = Namespace("/chat")
    socketio.on_event("say", print, "/a")
    socketio.on_namespace(chat)
    assert socketio.server.handlers == {"/a": {"say": print}}
    assert socketio.server.namespace_handlers == {"/chat": chat}


def test_engine_disconnect(socketio):
    with served(socketio) as port, Wire(port) as wire:
        sid = wire.join()["sid"]
        socketio.server.eio.disconnect("nobody")
        socketio.server.eio.disconnect(socketio.server.manager.eio_sid_from_sid(sid, "/"))
        wire.wait_until_closed()


def test_there_is_no_dashboard_yet(socketio):
    with pytest.warns(UserWarning, match="this release has no dashboard; the server runs without it"):
        assert socketio.server.instrument(auth=False, mode="production") is None


def test_background_and_sleep(socketio):
    got = []
    task = socketio.server.start_background_task(lambda value: (socketio.server.sleep(0.001), got.append(value)), 3)
    task.join(10)
    assert got == [3]


def test_shutdown(socketio):
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        socketio.server.shutdown()
        wire.wait_until_closed()


def test_handle_request(socketio):
    """The WSGI way in is the application's own."""
    socketio.app_of().add_url_rule("/page", "page", lambda: "a page")
    status = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/page",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
    }
    body = socketio.server.handle_request(environ, lambda line, headers, exc_info=None: status.append(line))
    assert (b"".join(body), status) == (b"a page", ["200 OK"])


def test_there_is_none_before_an_application():
    socketio = SocketIO()
    assert socketio.server is None
    socketio.init_app(flask.Flask("app"))
    assert socketio.server.async_mode == "threading"
