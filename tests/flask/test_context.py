"""What stands around a handler: request, session, g, teardown; and the functions that find their way through it."""

import threading
import time
from collections.abc import Iterator

import flask
import pytest
from flask import current_app, g, request, session

from tests.support.flasking import served
from tests.support.wire import Wire, get
from truesocket.codec.socketio import PacketType
from truesocket.errors import AckTimeout, UnknownSid, UsageError
from truesocket.flask import SocketIO, call, close_room, disconnect, emit, join_room, leave_room, rooms, send

pytestmark = pytest.mark.usefixtures("way")

app = flask.Flask(__name__)
app.config["SECRET_KEY"] = "only for tests"
socketio = SocketIO(app)
log: list[object] = []
slow_teardown = threading.Event()


@app.before_request
def before():
    log.append("before_request")


@app.after_request
def after(response):
    log.append("after_request")
    return response


@app.teardown_request
def teardown_request(error):
    if slow_teardown.is_set() and getattr(request, "event", {}).get("message") == "slowly":
        time.sleep(1)
    log.append(("teardown_request", getattr(request, "event", {}).get("message"), type(error).__name__))


@app.teardown_appcontext
def teardown_appcontext(error):
    log.append(("teardown_appcontext", g.pop("mark", None), type(error).__name__))


@app.get("/login/<name>")
def login(name):
    session["user"] = name
    return "welcome"


@app.get("/push")
def push_from_a_page():
    emit("from a page", 1, namespace="/", broadcast=True)
    socketio.emit("from a page", 2)
    try:
        emit("to whom?")
    except UsageError as error:
        return str(error)
    return "no error"


def describe(*args):
    g.mark = g.get("mark", 0) + 1
    return {
        "sid": request.sid,
        "namespace": request.namespace,
        "event": {**request.event, "args": list(request.event["args"])},
        "query": request.args.get("token"),
        "agent": request.headers.get("User-Agent"),
        "cookie": request.cookies.get("who"),
        "path": request.path,
        "app": current_app.name,
        "mark": g.mark,
        "user": session.get("user"),
    }


@socketio.on("describe")
@socketio.on("describe", namespace="/chat")
def sync_describe(*args):
    return describe(*args)


@socketio.on("describe async")
@socketio.on("describe async", namespace="/chat")
async def async_describe(*args):
    return describe(*args)


def count():
    session["count"] = session.get("count", 0) + 1
    return session["count"]


@socketio.on("count")
def sync_count():
    return count()


@socketio.on("count async")
async def async_count():
    return count()


@socketio.on("fail")
def fail():
    raise ZeroDivisionError


@socketio.on("fail async")
async def fail_async():
    raise ZeroDivisionError


@socketio.on("spaced")
def spaced():
    emit("one")
    time.sleep(1)
    emit("two")


@socketio.on("slowly")
def slowly():
    return "done"


@socketio.on("do")
def do(function, *args, **kwargs):
    """Runs one of the functions, for its answer."""
    result = FUNCTIONS[function](*args[:-1], **args[-1])
    return sorted(map(str, result)) if isinstance(result, list) else result


@socketio.on("do async")
async def do_async(function, *args):
    result = FUNCTIONS[function](*args[:-1], **args[-1])
    return sorted(map(str, result)) if isinstance(result, list) else result


@socketio.on("ask async")
async def ask_async(sid):
    return await call("question", "why?", to=sid)


FUNCTIONS = {
    "emit": emit,
    "send": send,
    "join_room": join_room,
    "leave_room": leave_room,
    "close_room": close_room,
    "rooms": rooms,
    "disconnect": disconnect,
    "call": call,
    "socketio.emit": lambda *args, **options: socketio.emit(*args, **options) and None,
    "socketio.send": lambda *args, **options: socketio.send(*args, **options) and None,
    "socketio.call": socketio.call,
    "socketio.close_room": socketio.close_room,
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(socketio) as number:
        yield number


@pytest.fixture
def wires(port):
    made: list[Wire] = []

    def make(count: int, **options) -> list[Wire]:
        for _ in range(count):
            wire = Wire(port, **options)
            made.append(wire)
            wire.sid = wire.join()["sid"]  # type: ignore[attr-defined]
        return made[-count:]

    log.clear()
    yield make
    for wire in made:
        wire.pipe.close()


def heard(*wires: Wire) -> list[list[list[object]]]:
    """All events that each got until now: an ack comes behind everything that was sent before."""
    for wire in wires:
        wire.call("slowly")
    found = []
    for wire in wires:
        found.append([packet.data for packet in wire.waiting])
        wire.waiting.clear()
    return found


# --- request, g, current_app ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["describe", "describe async"])
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_request(wires, event, transport):
    headers = [("User-Agent", "a test"), ("Cookie", "who=Ada")]
    [wire] = wires(1, query="token=abc", headers=headers, transport=transport)
    [seen] = wire.call(event, 1, {"a": 2})
    assert seen == {
        "sid": wire.sid,
        "namespace": "/",
        "event": {"message": event, "args": [1, {"a": 2}]},
        "query": "abc",
        "agent": "a test",
        "cookie": "Ada",
        "path": "/socket.io/",
        "app": app.name,
        "mark": 1,
        "user": None,
    }
    [again] = wire.call(event)
    assert again["mark"] == 1, "g is not fresh"
    sid = wire.join("/chat")["sid"]
    [seen] = wire.call(event, namespace="/chat")
    assert (seen["sid"], seen["namespace"]) == (sid, "/chat")


def test_overlapping_handlers_have_a_request_each(wires):
    [wire] = wires(1)
    for number in range(20):
        wire.emit("describe", number, id=number)
        wire.emit("describe async", number, id=100 + number)
    for number in range(20):
        for id in (number, 100 + number):
            [seen] = wire.wait_for(PacketType.ACK, id=id).data
            assert (seen["event"]["args"], seen["mark"]) == ([number], 1)


# --- teardown ---------------------------------------------------------------------------------------------------------


def until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, log
        time.sleep(0.005)


@pytest.mark.parametrize("event", ["describe", "describe async"])
def test_teardown_runs_per_event_and_before_request_does_not(wires, event):
    [wire] = wires(1)
    wire.call(event)
    wire.call(event)
    expected = [("teardown_request", event, "NoneType"), ("teardown_appcontext", 1, "NoneType")] * 2
    until(lambda: len(log) >= 4)
    assert log == expected


@pytest.mark.parametrize("event", ["fail", "fail async"])
def test_teardown_gets_the_error(wires, event):
    [wire] = wires(1)
    wire.emit(event)
    until(lambda: len(log) >= 2)
    assert log == [("teardown_request", event, "ZeroDivisionError"), ("teardown_appcontext", None, "ZeroDivisionError")]


def test_pages_have_their_hooks_as_ever(port, wires):
    assert get(port, "/login/Ada").status == 200
    assert log[:2] == ["before_request", "after_request"]


def test_slow_teardown_delays_nobody_else(wires):
    one, two = wires(2)
    slow_teardown.set()
    try:
        started = time.monotonic()
        for number in range(10):
            one.emit("slowly", id=number)
        for number in range(50):
            assert two.call("count") == [number + 1]
        assert one.call("count") == [1], "the same client waits for its own teardown functions"
        assert time.monotonic() - started < 5
    finally:
        slow_teardown.clear()


# --- session ----------------------------------------------------------------------------------------------------------


def test_managed_session_is_a_copy_that_lasts_as_long_as_the_client(port, wires):
    cookie = get(port, "/login/Ada").headers["set-cookie"].split(";")[0]
    one, two = wires(2, headers=[("Cookie", cookie)])
    assert one.call("describe")[0]["user"] == "Ada"
    assert [one.call("count"), one.call("count async"), one.call("count")] == [[1], [2], [3]]
    assert two.call("count") == [1], "two clients share a session"
    [three] = wires(1)
    assert three.call("describe")[0]["user"] is None


class Store(flask.sessions.SessionInterface):
    """Sessions kept on the server."""

    class Session(dict, flask.sessions.SessionMixin):
        modified = False

        def __setitem__(self, key, value):
            super().__setitem__(key, value)
            self.modified = True

    def __init__(self) -> None:
        self.kept: dict[str, dict] = {}
        self.saved = 0

    def open_session(self, app, request):
        return self.Session(self.kept.get(request.cookies.get("id"), {}))

    def save_session(self, app, session, response):
        self.saved += 1
        self.kept[request.cookies["id"]] = dict(session)


@pytest.mark.parametrize("event", ["count", "count async"])
def test_unmanaged_session_is_opened_and_saved_around_every_event(event):
    app = flask.Flask("unmanaged")
    store = app.session_interface = Store()
    socketio = SocketIO(app, manage_session=False)
    socketio.on_event("count", lambda: count())
    socketio.on_event("count async", async_count)
    socketio.on_event("look", lambda: session.get("count"))
    with served(socketio) as port, Wire(port, headers=[("Cookie", "id=7")]) as wire:
        wire.join()
        assert [wire.call(event), wire.call(event)] == [[1], [2]]
        assert store.kept == {"7": {"count": 2}}
        saved = store.saved
        assert wire.call("look") == [2]
        assert store.saved == saved, "saved although nothing had changed"
        store.kept["7"]["count"] = 40
        assert wire.call(event) == [41]


# --- emitting ---------------------------------------------------------------------------------------------------------


def test_emit_goes_out_while_the_handler_goes_on(wires):
    [wire] = wires(1)
    wire.arrived.clear()
    wire.emit("spaced")
    assert wire.packet().data == ["one"]
    assert wire.packet().data == ["two"]
    assert wire.arrived[1] - wire.arrived[0] > 0.7


@pytest.mark.parametrize("event", ["do", "do async"])
def test_whom_emit_reaches(wires, event):
    a, b, c = wires(3)
    b.call(event, "join_room", "red", {})
    c.call(event, "join_room", "red", {})
    c.call(event, "join_room", "blue", {})
    cases = [
        ({}, "a"),
        ({"broadcast": True}, "abc"),
        ({"broadcast": True, "include_self": False}, "bc"),
        ({"to": "red"}, "bc"),
        ({"room": "red"}, "bc"),
        ({"to": ["red", "blue"]}, "bc"),
        ({"to": []}, ""),
        ({"to": 0}, ""),
        ({"to": b.sid}, "b"),
        ({"to": [a.sid, "blue"]}, "ac"),
        ({"to": "red", "skip_sid": b.sid}, "c"),
        ({"broadcast": True, "skip_sid": [b.sid, c.sid]}, "a"),
        ({"broadcast": True, "include_self": False, "skip_sid": b.sid}, "c"),
    ]
    for options, expected in cases:
        a.call(event, "emit", "x", 1, options)
        got = heard(a, b, c)
        assert got == [[["x", 1]] if name in expected else [] for name in "abc"], options
    for options, expected in [({}, "abc"), ({"to": "red"}, "bc"), ({"to": []}, ""), ({"include_self": False}, "bc")]:
        a.call(event, "socketio.emit", "x", 1, options)
        got = heard(a, b, c)
        assert got == [[["x", 1]] if name in expected else [] for name in "abc"], options


def test_arguments_of_emit_and_send(wires):
    [a] = wires(1)
    for args, expected in [
        (("x",), ["x"]),
        (("x", None), ["x"]),
        (("x", [1, 2]), ["x", [1, 2]]),
        (("x", 1, 2), ["x", 1, 2]),
    ]:
        a.call("do", "emit", *args, {})
        a.call("do", "socketio.emit", *args, {})
        assert heard(a) == [[expected, expected]]
    a.call("do", "send", "text", {})
    a.call("do", "send", {"a": 1}, True, {})
    a.call("do", "socketio.send", "text", {})
    a.call("do", "socketio.send", {"a": 1}, True, {})
    assert heard(a) == [[["message", "text"], ["json", {"a": 1}]] * 2]


def test_a_tuple_is_several_arguments(wires):
    [a] = wires(1)
    with app.app_context():
        emit("x", (1, 2), namespace="/", to=a.sid)
    assert heard(a) == [[["x", 1, 2]]]


def test_from_any_thread_and_from_a_page(port, wires):
    a, b = wires(2)
    reply = get(port, "/push")
    assert reply.body.decode() == "outside of an event handler there is no sid: give to=... or broadcast=True"
    threading.Thread(target=lambda: socketio.emit("from a thread", 3)).start()
    for wire in (a, b):
        assert wire.event("from a page") == [1]
        assert wire.event("from a page") == [2]
        assert wire.event("from a thread") == [3]


def test_what_json_cannot_hold_fails_where_it_is_given(wires):
    with pytest.raises(TypeError):
        socketio.emit("x", object())


def test_types_of_flasks_json(wires):
    import datetime
    import decimal

    [a] = wires(1)
    socketio.emit("x", {"d": decimal.Decimal("1.5"), "t": datetime.date(2024, 1, 2)}, to=a.sid)
    [got] = a.event("x")
    assert got["d"] == app.json.loads(app.json.dumps(decimal.Decimal("1.5")))


# --- rooms, disconnect, call ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["do", "do async"])
def test_rooms(wires, event):
    a, b = wires(2)
    a.call(event, "join_room", "red", {})
    a.call(event, "join_room", "blue", {"sid": b.sid})
    assert a.call(event, "rooms", {}) == [sorted([a.sid, "red"])]
    assert a.call(event, "rooms", {"sid": b.sid}) == [sorted([b.sid, "blue"])]
    a.call(event, "leave_room", "red", {})
    a.call(event, "close_room", "blue", {})
    assert a.call(event, "rooms", {}) == [[a.sid]]
    assert b.call(event, "rooms", {}) == [[b.sid]]
    a.call(event, "join_room", "red", {})
    a.call(event, "socketio.close_room", "red", {})
    assert a.call(event, "rooms", {}) == [[a.sid]]


def test_disconnect_another_and_oneself(wires):
    a, b = wires(2)
    a.call("do", "disconnect", b.sid, {})
    assert b.wait_for(PacketType.DISCONNECT)
    a.emit("do", "disconnect", {})
    assert a.wait_for(PacketType.DISCONNECT)
    until(lambda: not {a.sid, b.sid} & set(socketio.core.by_sid))
    with pytest.raises(UnknownSid):
        socketio.transport(a.sid)


def test_call(wires):
    a, b = wires(2)
    for name in ("call", "socketio.call"):
        a.emit("do", name, "question", "why?", {"to": b.sid}, id=50)
        packet = b.wait_for(PacketType.EVENT, name="question")
        assert packet.data == ["question", "why?"]
        b.answer(packet, "because", 42)
        assert a.wait_for(PacketType.ACK, id=50).data == ["because", 42]
    a.emit("ask async", b.sid, id=51)
    b.answer(b.wait_for(PacketType.EVENT, name="question"), "because")
    assert a.wait_for(PacketType.ACK, id=51).data == ["because"]
    with pytest.raises(AckTimeout):
        socketio.call("question", to=a.sid, timeout=0.05)
    with pytest.raises(AckTimeout, match="nobody is there"):
        socketio.call("question", to="nobody")
    with pytest.raises(UsageError, match="to=sid"):
        socketio.call("question")


# --- views ------------------------------------------------------------------------------------------------------------


def tell_and_ask(how, sid):
    """What a view does; the rooms and the answer come as the thread wants them, waited for or to be awaited."""
    emit("news", how, namespace="/", to=sid)
    socketio.emit("more news", how, to=sid)
    join_room(how, sid=sid, namespace="/")
    found = rooms(sid, namespace="/")
    asked = (call if how == "call" else socketio.call)("question", "why?", to=sid, namespace="/", timeout=10)
    return found, asked


@app.get("/view/<how>/<sid>")
def view(how, sid):
    found, asked = tell_and_ask(how, sid)
    return {"rooms": found, "answer": asked}


@app.get("/async view/<how>/<sid>")
async def async_view(how, sid):
    found, asked = tell_and_ask(how, sid)
    return {"rooms": await found, "answer": await asked}


@app.get("/async view in vain/<sid>")
async def async_view_in_vain(sid):
    try:
        await call("question", to=sid, namespace="/", timeout=0.05)
    except AckTimeout as error:
        return str(error)


@pytest.mark.parametrize("how", ["call", "socketio.call"])
@pytest.mark.parametrize("page", ["view", "async%20view"])
def test_views_tell_and_ask(port, wires, how, page):
    """An `async def` view runs on an event loop of its own, in another thread than ours."""
    [wire] = wires(1)
    replies = []
    thread = threading.Thread(target=lambda: replies.append(get(port, f"/{page}/{how}/{wire.sid}")))
    thread.start()
    try:
        assert [wire.event("news"), wire.event("more news")] == [[how], [how]]
        wire.answer(wire.wait_for(PacketType.EVENT, name="question"), "because")
    finally:
        thread.join(15)
    assert replies[0].json == {"rooms": [wire.sid, how], "answer": "because"}


def test_an_async_view_hears_of_a_timeout(port, wires):
    [wire] = wires(1)
    assert "no answer within" in get(port, f"/async%20view%20in%20vain/{wire.sid}").body.decode()


def test_rooms_may_be_awaited_in_an_async_handler(wires):
    [wire] = wires(1)

    @socketio.on("await rooms")
    async def await_rooms():
        return await rooms() == rooms()

    assert wire.call("await rooms") == [True]


# --- callbacks --------------------------------------------------------------------------------------------------------


def test_callback_has_the_context_of_its_client(wires):
    [a] = wires(1)
    got: list[object] = []
    socketio.emit("question", to=a.sid, callback=lambda *args: got.append((request.sid, current_app.name, args)))
    a.answer(a.wait_for(PacketType.EVENT, name="question"), 1)
    until(lambda: got)
    assert got == [(a.sid, app.name, (1,))]


def test_outside_of_everything():
    with pytest.raises(RuntimeError):
        emit("x")
    with flask.Flask("other").app_context(), pytest.raises(UsageError, match="no SocketIO"):
        emit("x", namespace="/", broadcast=True)
