"""What Flask-SocketIO does around handlers, rule by rule: answers, refusals, default namespaces, and where we differ.

The rules were tried on Flask-SocketIO 5.7; names and signatures stand in ``test_drop_in.py``.
"""

import contextlib
import logging
import time
from collections.abc import Iterator

import flask
import pytest
from flask import request

from tests.support.flasking import served
from tests.support.wire import Gone, Wire, get
from truesocket.codec.socketio import PacketType
from truesocket.errors import BrokerUnavailable
from truesocket.flask import Namespace, SocketIO, close_room, disconnect, emit, join_room, leave_room, rooms, send


@pytest.fixture
def socketio() -> SocketIO:
    return SocketIO(flask.Flask("app"))


@contextlib.contextmanager
def joined(socketio: SocketIO, *namespaces: str, **options) -> Iterator[Wire]:
    with served(socketio) as port, Wire(port, **options) as wire:
        for namespace in namespaces or ("/",):
            wire.join(namespace)
        yield wire


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


# --- answers ----------------------------------------------------------------------------------------------------------

ANSWERS = {
    "a tuple": ((1, "b", None), [1, "b", None]),
    "an empty tuple": ((), []),
    "a tuple of one": ((1,), [1]),
    "a list": ([1, 2], [[1, 2]]),
    "an empty list": ([], [[]]),
    "nothing": (None, []),
    "a number": (5, [5]),
    "zero": (0, [0]),
    "false": (False, [False]),
    "an empty text": ("", [""]),
    "a dict": ({"a": (1, 2)}, [{"a": [1, 2]}]),
    "bytes": (b"\x00", [b"\x00"]),
    "bytes in a tuple": ((b"\x00", {"b": b"\x01"}), [b"\x00", {"b": b"\x01"}]),
}


def test_what_a_handler_returns_is_the_ack(socketio):
    """Of a function, of a class, and of an error handler."""

    class Answers(Namespace):
        def on_answer(self, name):
            return ANSWERS[name][0]

        def on_fail(self, name):
            raise LookupError(name)

    socketio.on_event("answer", lambda name: ANSWERS[name][0])
    socketio.on_namespace(Answers("/class"))
    socketio.on_error("/class")(lambda error: ANSWERS[error.args[0]][0])
    with joined(socketio, "/", "/class") as wire:
        for name, (_, ack) in ANSWERS.items():
            assert wire.call("answer", name) == ack, name
            assert wire.call("answer", name, namespace="/class") == ack, name
            assert wire.call("fail", name, namespace="/class") == ack, name


def test_events_that_are_not_answered(socketio, caplog):
    """Nobody hears it; its handler fails.  The client's ack waits, and the connection goes on."""
    socketio.on_event("fail", lambda: 1 / 0)
    socketio.on_event("echo", lambda *args: args)
    with joined(socketio) as wire:
        wire.emit("nobody hears", id=50)
        wire.emit("fail", id=51)
        assert wire.call("echo", 1) == [1]
        until(lambda: "ZeroDivisionError" in caplog.text)
        assert wire.stays_silent(0.1)
        assert not wire.waiting


def test_an_event_without_an_id_is_not_acknowledged(socketio):
    socketio.on_event("echo", lambda *args: args)
    with joined(socketio) as wire:
        wire.emit("echo", 1)
        assert wire.call("echo", 2) == [2]
        assert not wire.waiting


@pytest.mark.parametrize("silent", [{}, {"silent": True}, {"silent": False}])
def test_disconnect_in_a_handler(socketio, silent):
    reasons = []
    socketio.on_event("disconnect", reasons.append)

    @socketio.on("go")
    def go():
        emit("before")
        disconnect(**silent)
        return "gone"

    with joined(socketio) as wire:
        wire.emit("go", id=1)
        assert wire.event("before") == []
        wire.wait_for(PacketType.DISCONNECT)
        until(lambda: reasons == ["server disconnect"])


# --- connect and disconnect -------------------------------------------------------------------------------------------

#: Handlers of connect and disconnect, and with what each is called when the argument is "x".
SHAPES = {
    "one": (lambda calls: lambda argument: calls.append((argument,)), ("x",)),
    "none": (lambda calls: lambda: calls.append(()), ()),
    "default": (lambda calls: lambda argument=None: calls.append((argument,)), ("x",)),
    "all": (lambda calls: lambda *args: calls.append(args), ("x",)),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_arguments_of_connect_and_disconnect(socketio, shape):
    make, expected = SHAPES[shape]
    came, left = [], []
    socketio.on_event("connect", make(came))
    socketio.on_event("disconnect", make(left))
    with served(socketio) as port, Wire(port) as wire:
        wire.join(auth={"a": 1})
        wire.leave()
        until(lambda: left)
    assert came == [({"a": 1},) if expected else ()]
    assert left == [("client disconnect",) if expected else ()]


def test_connect_without_auth_is_given_none(socketio):
    calls = []
    socketio.on_event("connect", calls.append)
    with joined(socketio):
        assert calls == [None]


@pytest.mark.parametrize("kind", ["function", "class"])
def test_a_type_error_in_connect_or_disconnect_is_not_tried_again(socketio, kind, caplog):
    """Flask-SocketIO calls such a handler again, up to four times, and reports a missing argument."""
    calls = []

    def connect(auth=None):
        calls.append("connect")
        if auth:
            len(5)

    def gone(reason):
        calls.append("disconnect")
        len(5)

    if kind == "function":
        socketio.on_event("connect", connect)
        socketio.on_event("disconnect", gone)
    else:
        socketio.on_namespace(
            type("Both", (Namespace,), {"on_connect": staticmethod(connect), "on_disconnect": staticmethod(gone)})("/")
        )
    with caplog.at_level(logging.ERROR, "truesocket"), served(socketio) as port, Wire(port) as wire:
        with pytest.raises(Gone, match="The server failed while it looked at the connection"):
            wire.join(auth={"a": 1})
        assert calls == ["connect"]
        wire.join()
        wire.leave()
        until(lambda: caplog.text.count("object of type 'int' has no len()") == 2)
    assert calls == ["connect", "connect", "disconnect"]
    assert "missing 1 required positional argument" not in caplog.text


@pytest.mark.parametrize("revision", [4, 3])
def test_what_connect_emits_comes_behind_the_answer(socketio, revision):
    @socketio.on("connect", namespace="/chat")
    def connect():
        join_room("all of us")
        emit("welcome", 1)
        socketio.emit("welcome", 2, to="all of us", namespace="/chat")

    with served(socketio) as port, Wire(port, revision=revision) as wire:
        wire.join("/chat")
        assert not [packet for packet in wire.waiting if packet.namespace == "/chat"], "came before the answer"
        assert [wire.event("welcome", "/chat"), wire.event("welcome", "/chat")] == [[1], [2]]


def test_catch_alls_hear_neither_connect_nor_disconnect(socketio):
    heard, left = [], []
    for where in ("/", "*"):
        socketio.on_event("*", lambda event, *args: heard.append(event), where)
    socketio.on_event("disconnect", left.append, "/last")
    with joined(socketio, "/", "/a", "/last") as wire:
        wire.call("x")
        wire.call("x", namespace="/a")
        for namespace in ("/", "/a", "/last"):
            wire.leave(namespace)
        until(lambda: left)
    assert heard == ["x", "x"]


def test_the_event_of_every_namespace_knows_which_one_it_is(socketio):
    @socketio.on("where", namespace="*")
    def where(*args):
        emit("here", request.namespace)
        return request.namespace, request.event["message"], list(request.event["args"])

    with joined(socketio, "/a", "/b") as wire:
        for namespace in ("/a", "/b"):
            assert wire.call("where", 1, namespace=namespace) == [namespace, "where", [1]]
            assert wire.event("here", namespace) == [namespace]


# --- namespaces by default --------------------------------------------------------------------------------------------


def test_whose_namespace_is_meant(socketio):
    """The functions mean that of the event, the methods of ``socketio`` mean "/"."""

    @socketio.on("tell", namespace="/chat")
    def tell():
        emit("x", "emit")
        send("send")
        emit("x", "emit /", namespace="/", broadcast=True)
        socketio.emit("x", "socketio.emit")
        socketio.send("socketio.send")
        socketio.emit("x", "socketio.emit /chat", namespace="/chat")
        socketio.send({"a": 1}, json=True, namespace="/chat")

    @socketio.on("room", namespace="/chat")
    def room():
        join_room("r")
        socketio.close_room("r")  # that of "/", where nobody is
        before = len(rooms())
        close_room("r")
        return before, len(rooms())

    with joined(socketio, "/", "/chat") as wire:
        wire.call("tell", namespace="/chat")
        got = [(packet.namespace, *packet.data) for packet in wire.waiting]
        assert wire.call("room", namespace="/chat") == [2, 1]
    assert got == [
        ("/chat", "x", "emit"),
        ("/chat", "message", "send"),
        ("/", "x", "emit /"),
        ("/", "x", "socketio.emit"),
        ("/", "message", "socketio.send"),
        ("/chat", "x", "socketio.emit /chat"),
        ("/chat", "json", {"a": 1}),
    ]


#: How ``send`` is given its addressees, and who of a (the sender), b and c hears it; b and c are in the room.
SENDS = [
    ({}, "a"),
    ({"broadcast": True}, "abc"),
    ({"broadcast": True, "include_self": False}, "bc"),
    ({"to": "room"}, "bc"),
    ({"room": "room", "skip_sid": "b"}, "c"),
    ({"broadcast": True, "skip_sid": ["b", "c"]}, "a"),
    ({"to": []}, ""),
]


def test_whom_send_reaches(socketio):
    sids: dict[str, str] = {}

    @socketio.on("do send")
    def do_send(options, is_method):
        skip = options.get("skip_sid")
        if skip is not None:
            options["skip_sid"] = sids[skip] if isinstance(skip, str) else [sids[each] for each in skip]
        if is_method:
            options.pop("broadcast", None)
            socketio.send("text", **options)
        else:
            send("text", **options)

    socketio.on_event("enter", lambda: join_room("room"))
    socketio.on_event("done", lambda: None)
    with served(socketio) as port, contextlib.ExitStack() as stack:
        wires = {name: stack.enter_context(Wire(port)) for name in "abc"}
        for name, wire in wires.items():
            sids[name] = wire.join()["sid"]
            if name != "a":
                wire.call("enter")
        for options, expected in SENDS:
            for is_method in [False, True] if options else [False]:
                wires["a"].call("do send", options, is_method)
                heard = ""
                for name, wire in wires.items():
                    wire.call("done")
                    heard += name * len(wire.waiting)
                    wire.waiting.clear()
                assert heard == expected, (options, is_method)


def test_callbacks_of_send_and_of_classes(socketio):
    got = []

    class Asking(Namespace):
        def on_ask(self):
            self.emit("question", 1, room=request.sid, callback=lambda *args: got.append(("emit", args)))
            self.send("question", room=request.sid, callback=lambda *args: got.append(("send", args)))
            send({"q": 1}, json=True, callback=lambda *args: got.append(("json", args)))

    socketio.on_namespace(Asking("/ask"))
    with joined(socketio, "/ask") as wire:
        wire.emit("ask", namespace="/ask")
        for name in ("question", "message", "json"):
            wire.answer(wire.wait_for(PacketType.EVENT, namespace="/ask", name=name), name, 2)
        until(lambda: len(got) == 3)
    assert sorted(got) == [("emit", ("question", 2)), ("json", ("json", 2)), ("send", ("message", 2))]


# --- from a page ------------------------------------------------------------------------------------------------------


def test_rooms_and_disconnect_from_a_page(socketio):
    app = socketio.app_of()

    @app.get("/<act>/<sid>")
    def page(act, sid):
        match act:
            case "join":
                join_room("r", sid=sid, namespace="/chat")
            case "leave":
                leave_room("r", sid=sid, namespace="/chat")
            case "close":
                close_room("r", namespace="/chat")
            case "send":
                send("hi", to="r", namespace="/chat")
            case "disconnect":
                disconnect(sid=sid, namespace="/chat")
                return "gone"
        return ",".join(room for room in rooms(sid, namespace="/chat") if room != sid)

    socketio.on_event("x", lambda: None, "/chat")
    with served(socketio) as port, Wire(port) as wire:
        sid = wire.join("/chat")["sid"]
        answers = [get(port, f"/{act}/{sid}").body.decode() for act in ("join", "send", "leave", "join", "close")]
        assert answers == ["r", "r", "", "r", ""]
        assert wire.event("message", "/chat") == ["hi"]
        get(port, f"/disconnect/{sid}")
        wire.wait_for(PacketType.DISCONNECT, namespace="/chat")


# --- not copied -------------------------------------------------------------------------------------------------------


def test_many_packets_in_one_request(socketio):
    """Flask-SocketIO answers "OK" and drops what is behind the sixteenth."""
    heard = []
    socketio.on_event("n", heard.append)
    with joined(socketio, transport="polling") as wire:
        wire.pipe.post("\x1e".join(f'42["n",{number}]' for number in range(100)).encode())
        until(lambda: len(heard) == 100)
    assert heard == list(range(100))


def test_the_room_of_another_client(socketio):
    @socketio.on("enter")
    def enter(sid):
        with pytest.raises(ValueError, match="room") as error:
            join_room(sid)
        return str(error.value)

    with served(socketio) as port, Wire(port) as one, Wire(port) as two:
        one.join()
        (said,) = one.call("enter", two.join()["sid"])
    assert "to=" in said or "choose" in said, "it says what to do instead"


def test_who_has_left_can_still_be_sent_away(socketio):
    """Who kicks a client need not know whether it has gone by itself a moment before."""

    @socketio.on("kick")
    def kick(sid):
        leave_room("r", sid=sid)
        disconnect(sid=sid)
        disconnect(sid=sid, namespace="/nowhere")
        with pytest.raises(KeyError, match="it may have left just now"):
            join_room("r", sid=sid)
        return "kicked"

    with served(socketio) as port, Wire(port) as one, Wire(port) as two:
        one.join()
        sid = two.join()["sid"]
        two.leave()
        until(lambda: sid not in socketio.core.by_sid)
        assert one.call("kick", sid) == ["kicked"]
        assert one.call("kick", "nobody") == ["kicked"]


def test_the_application_is_in_the_environ(socketio):
    socketio.on_event("which", lambda: request.environ["flask.app"].name)
    with joined(socketio) as wire:
        assert wire.call("which") == ["app"]


QUEUES = [
    "redis://h",
    "rediss://h",
    "valkey://h",
    "unix:///s",
    "redis+sentinel://h",
    "amqp://h",
    "kafka://h",
    "zmq+tcp://h",
]


@pytest.mark.parametrize("address", QUEUES)
def test_any_address_of_a_queue_is_taken(address):
    socketio = SocketIO(message_queue=address)
    with pytest.raises(BrokerUnavailable):
        socketio.emit("news")
