"""Namespace classes: how methods are found, trigger_event, errors, what they bring along."""

import asyncio
import time

import flask
import pytest
from flask import request

from tests.support.flasking import served
from tests.support.wire import Gone, Wire
from truesocket.codec.socketio import PacketType
from truesocket.errors import UsageError, WrongValue
from truesocket.flask import ConnectionRefusedError, Namespace, SocketIO, emit, join_room


def bound(*namespaces: Namespace) -> SocketIO:
    socketio = SocketIO(flask.Flask("app"))
    for each in namespaces:
        socketio.on_namespace(each)
    return socketio


class Chat(Namespace):
    not_a_handler = 1
    on_duty = True

    def __init__(self, namespace=None):
        super().__init__(namespace)
        self.seen: list[object] = []

    def on_connect(self, auth):
        if auth == {"bad": True}:
            raise ConnectionRefusedError("no", 1)
        self.seen.append(("connect", auth, request.sid))

    def on_disconnect(self, reason):
        self.seen.append(("disconnect", reason))

    def on_say(self, text, more=None):
        emit("said", (text, more))
        return request.event["message"], list(request.event["args"]), request.namespace

    async def on_later(self, text):
        await asyncio.sleep(0)
        return text + request.sid

    def on_typo(self):
        return len(5)  # type: ignore[arg-type]


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_methods_are_handlers():
    chat = Chat("/chat")
    with served(bound(chat)) as port, Wire(port) as wire:
        sid = wire.join("/chat", auth={"a": 1})["sid"]
        assert wire.call("say", "hi", 2, namespace="/chat") == ["say", ["hi", 2], "/chat"]
        assert wire.event("said", "/chat") == ["hi", 2]
        assert wire.call("later", "x", namespace="/chat") == ["x" + sid]
        wire.emit("duty", namespace="/chat")
        wire.emit("nobody knows", namespace="/chat", id=77)
        assert wire.call("say", "still there", namespace="/chat") == ["say", ["still there"], "/chat"]
        wire.leave("/chat")
        until(lambda: len(chat.seen) == 2)
        assert chat.seen == [("connect", {"a": 1}, sid), ("disconnect", "client disconnect")]
        with pytest.raises(Gone, match='"message": "no"'):
            wire.join("/chat", auth={"bad": True})


class Terse(Namespace):
    """Both may leave their argument out."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def on_connect(self):
        self.count += 1

    def on_disconnect(self):
        self.count += 10


def test_arguments_that_are_left_out():
    terse = Terse()
    assert terse.namespace == "/"
    with served(bound(terse)) as port:
        with Wire(port) as wire:
            wire.join()
        until(lambda: terse.count == 11)


def test_functions_come_before_methods():
    socketio = bound(Chat("/chat"))

    @socketio.on("say", namespace="/chat")
    def say(text):
        return "function"

    with served(socketio) as port, Wire(port) as wire:
        wire.join("/chat")
        assert wire.call("say", "x", namespace="/chat") == ["function"]
        assert wire.call("later", "y", namespace="/chat")[0].startswith("y")


def test_a_type_error_of_the_application_stays_one(caplog):
    with served(bound(Chat("/chat"))) as port, Wire(port) as wire:
        wire.join("/chat")
        wire.emit("typo", namespace="/chat", id=1)
        until(lambda: "object of type 'int' has no len()" in caplog.text)
        assert caplog.text.count("object of type 'int' has no len()") == 1


def test_the_class_for_all_namespaces():
    class Everywhere(Namespace):
        def on_where(self):
            self.emit("here", request.namespace, room=request.sid)
            return request.namespace

    socketio = bound(Everywhere("*"), Chat("/chat"))
    with served(socketio) as port, Wire(port) as wire:
        for name in ("/", "/a", "/b"):
            wire.join(name)
            assert wire.call("where", namespace=name) == [name]
            assert wire.event("here", name) == [name]
        wire.join("/chat")
        assert wire.call("say", 1, namespace="/chat") == ["say", [1], "/chat"]
        with pytest.raises(UsageError, match=r"Namespace\('\*'\) outside of an event handler: give namespace="):
            socketio.namespace_handlers[0].emit("x")


# --- trigger_event ----------------------------------------------------------------------------------------------------


class Own(Namespace):
    """Says where it is asked, and finds methods whose names are no Python names."""

    def __init__(self, namespace=None):
        super().__init__(namespace)
        self.seen: list[object] = []

    def trigger_event(self, event, *args):
        self.seen.append((event, *args))
        if event == "nothing":
            return "caught"
        return super().trigger_event(event.replace(" ", "_"), *args)

    def on_connect(self, auth=None):
        self.seen.append(auth)

    def on_disconnect(self):
        self.seen.append("left")

    def on_my_event(self, text):
        return text, request.event["message"], request.sid

    async def on_later(self, text):
        await asyncio.sleep(0)
        return text, request.sid


def test_an_own_trigger_event():
    own = Own("/own")
    with served(bound(own)) as port, Wire(port) as wire:
        sid = wire.join("/own", auth={"a": 1})["sid"]
        (event, first, environ, auth), direct = own.seen
        assert (event, first, auth, direct) == ("connect", sid, {"a": 1}, {"a": 1})
        assert environ["REQUEST_METHOD"] == "GET"
        assert wire.call("my event", "x", namespace="/own") == ["x", "my_event", sid]
        assert wire.call("nothing", namespace="/own") == ["caught"]
        assert wire.call("unknown", namespace="/own") == []
        assert wire.call("later", "y", namespace="/own") == ["y", sid]
        assert own.seen[2:] == [("my event", sid, "x"), ("nothing", sid), ("unknown", sid), ("later", sid, "y")]
        wire.leave("/own")
        until(lambda: own.seen[-2:] == [("disconnect", sid, "client disconnect"), "left"])


def test_an_async_trigger_event():
    class Later(Namespace):
        async def trigger_event(self, event, *args):
            await asyncio.sleep(0)
            return [event, request.sid == args[0], *args[1:]] if event != "connect" else None

    with served(bound(Later())) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("any", 1, 2) == [["any", True, 1, 2]]


# --- errors -----------------------------------------------------------------------------------------------------------


def test_error_method():
    class Careful(Namespace):
        def on_fail(self, what):
            raise ValueError(what)

        async def on_fail_later(self, what):
            raise KeyError(what)

        def error(self, exc):
            return type(exc).__name__, request.event["message"]

    class Triggered(Careful):
        def trigger_event(self, event, *args):
            return super().trigger_event(event, *args)

    with served(bound(Careful("/careful"), Triggered("/triggered"))) as port, Wire(port) as wire:
        for name in ("/careful", "/triggered"):
            wire.join(name)
            assert wire.call("fail", "x", namespace=name) == ["ValueError", "fail"]
            assert wire.call("fail_later", "x", namespace=name) == ["KeyError", "fail_later"]


# --- what it brings along ---------------------------------------------------------------------------------------------


def test_methods_for_the_application():
    class Room(Namespace):
        def on_connect(self):
            self.enter_room(request.sid, "lobby")
            with self.session(request.sid) as mine:
                mine["count"] = 0

        def on_rooms(self):
            return [self.rooms(request.sid), self.get_session(request.sid)]

        def on_all(self):
            self.emit("news", 1)
            self.emit("news", 2, room="lobby", include_self=False)
            self.send("text", to=["lobby"])
            self.emit("none")

        def on_leave(self):
            self.save_session(request.sid, {"left": True})
            self.leave_room(request.sid, "lobby")
            return self.rooms(request.sid)

        def on_ask(self, sid):
            return self.call("question", 5, to=sid, timeout=10)

        def on_close(self):
            self.close_room("lobby")
            return self.rooms(request.sid)

        def on_kick(self, sid):
            self.disconnect(sid)
            self.disconnect("nobody")

    room = Room("/room")
    socketio = bound(room)
    assert (room.socketio, room.server, room.is_asyncio_based()) == (socketio, socketio.server, False)
    with served(socketio) as port, Wire(port) as a, Wire(port) as b:
        one, two = a.join("/room")["sid"], b.join("/room")["sid"]
        assert a.call("rooms", namespace="/room") == [[[one, "lobby"], {"count": 0}]]
        a.emit("all", namespace="/room")
        assert b.event("news", "/room") == [1]
        assert b.event("news", "/room") == [2]
        assert a.event("news", "/room") == [1]
        assert a.event("message", "/room") == ["text"]  # and not the second "news"
        assert a.event("none", "/room") == []
        a.emit("ask", two, namespace="/room", id=3)
        b.answer(b.wait_for(PacketType.EVENT, namespace="/room", name="question"), 25)
        assert a.wait_for(PacketType.ACK, namespace="/room", id=3).data == [25]
        assert a.call("leave", namespace="/room") == [[one]]
        assert a.call("rooms", namespace="/room") == [[[one], {"left": True}]]
        assert b.call("close", namespace="/room") == [[two]]
        a.emit("kick", two, namespace="/room")
        until(lambda: not socketio.server.manager.is_connected(two, "/room"))
        assert socketio.server.manager.is_connected(one, "/room")


def test_registered_before_the_application_and_again():
    room = Chat("/chat")
    socketio = SocketIO()
    socketio.on_namespace(room)
    socketio.init_app(flask.Flask("app"), ping_interval=10)
    assert room.socketio is socketio
    assert socketio.namespace_handlers == [room]
    with served(socketio) as port, Wire(port) as wire:
        wire.join("/chat")
        assert wire.call("say", 1, namespace="/chat") == ["say", [1], "/chat"]


# --- wrong use --------------------------------------------------------------------------------------------------------


def test_what_is_no_instance():
    socketio = SocketIO()
    with pytest.raises(WrongValue, match="give an instance of a subclass of Namespace; write"):
        socketio.on_namespace(Chat)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give an instance"):
        socketio.on_namespace(object())  # type: ignore[arg-type]


def test_not_registered():
    with pytest.raises(UsageError, match=r"Chat is not registered: write socketio\.on_namespace"):
        Chat("/chat").emit("x")


def test_rooms_are_joined_by_functions_too():
    class Mixed(Namespace):
        def on_connect(self):
            join_room("mixed")

    socketio = bound(Mixed("/mixed"))
    with served(socketio) as port, Wire(port) as wire:
        sid = wire.join("/mixed")["sid"]
        assert dict(socketio.server.manager.get_participants("/mixed", "mixed")).keys() == {sid}
