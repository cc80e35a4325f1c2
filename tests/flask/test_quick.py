"""The quick way into a request context: the same as the public one, and who gets which."""

import asyncio
import gc
import logging
import threading
import weakref

import flask
import pytest
from flask import current_app, g, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

from tests.support.flasking import served
from tests.support.loopback import handshake
from tests.support.wire import Wire
from truesocket.codec.socketio import PacketType
from truesocket.flask import SocketIO
from truesocket.flask.environ import environ_of
from truesocket.flask.quick import Place, Places

HEADERS = [
    ("host", "a.shop.example:8080"),
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("cookie", "who=Ada; more=1"),
    ("user-agent", "a test"),
    ("x-forwarded-for", "203.0.113.7"),
]


def environ(**changes):
    return environ_of(
        handshake(**{"headers": list(HEADERS), "query": "EIO=4&token=%C3%A4&transport=websocket", **changes})
    )


def make(**settings) -> flask.Flask:
    app = flask.Flask("app", **settings)
    app.config["SECRET_KEY"] = "only for tests"
    app.add_url_rule("/page/<int:number>", "page", lambda number: "")
    return app


# --- the same --------------------------------------------------------------------------------------------------------


def describe() -> dict[str, object]:
    """All that a handler may look at."""
    seen: dict[str, object] = {}
    for name in sorted(dir(type(request))):
        if name.startswith("_") or name in ("environ", "trusted_hosts"):
            continue
        try:
            value = getattr(request, name)
        except Exception as error:
            value = type(error)
        seen[name] = value if not callable(value) and not hasattr(value, "read") else None
    seen["headers"] = list(request.headers)
    seen["cookies"] = dict(request.cookies)
    seen["routing_exception"] = type(request.routing_exception)
    seen["user_agent"] = str(request.user_agent)
    seen["environ"] = {k: v for k, v in request.environ.items() if k not in ("wsgi.input", "werkzeug.request")}
    seen["itself"] = request.environ["werkzeug.request"] is request._get_current_object()
    seen["attributes"] = sorted(set(vars(request)) - {"accept_charsets"})
    for name, options in (("page", {"number": 7}), ("page", {"number": 7, "_external": True}), ("static", {})):
        try:
            seen[f"{name} {options}"] = url_for(name, **options)
        except Exception as error:
            seen[f"{name} {options}"] = type(error)
    seen["app"], seen["g"], seen["session"] = current_app.name, dict(vars(g)), dict(session)
    return seen


def nothing_special(app):
    pass


def catch_all(app):
    app.add_url_rule("/<path:path>", "anything", lambda path: "")


def blueprint(app):
    shop = flask.Blueprint("shop", "shop")
    shop.add_url_rule("/socket.io/", "socket", lambda: "")
    app.register_blueprint(shop)


def other_methods(app):
    app.add_url_rule("/socket.io/", "posts", lambda: "", methods=["POST"])


def redirected(app):
    app.add_url_rule("/sockets/", "moved", lambda: "", redirect_to="/page/7")
    app.add_url_rule("/socket.io/", "other", lambda: "", redirect_to="/page/7")


def server_name(app):
    app.config["SERVER_NAME"] = "shop.example:8080"
    app.config["APPLICATION_ROOT"] = "/deep"


def trusted(app):
    app.config["TRUSTED_HOSTS"] = [".shop.example"]


def not_trusted(app):
    app.config["TRUSTED_HOSTS"] = ["elsewhere.example"]


def own_request(app):
    class Request(flask.Request):
        parameter_storage_class = dict

        @property
        def token(self):
            return self.args["token"]

    app.request_class = Request


def own_request_with_init(app):
    class Request(flask.Request):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            self.own = object.__name__

    app.request_class = Request


def own_session(app):
    class Sessions(SecureCookieSessionInterface):
        def open_session(self, app, request):
            found = super().open_session(app, request)
            found["opened for"] = request.path
            return found

    app.session_interface = Sessions()


def own_converter(app):
    class Converter(BaseConverter):
        def to_python(self, value):
            return (value, session.get("user"))

    app.url_map.converters["own"] = Converter
    app.add_url_rule("/<own:path>/", "own", lambda path: "")


def own_adapter(app):
    original = app.create_url_adapter
    app.create_url_adapter = lambda request: original(request)


KINDS = [
    (nothing_special, {}, True),
    (catch_all, {}, True),
    (blueprint, {}, True),
    (other_methods, {}, False),
    (redirected, {}, False),
    (server_name, {}, True),
    (server_name, {"subdomain_matching": True}, True),
    (server_name, {"host_matching": True, "static_host": "a.shop.example:8080"}, True),
    (trusted, {}, True),
    (own_request, {}, True),
    (own_request_with_init, {}, False),
    (own_session, {}, True),
    (own_converter, {}, False),
    (own_adapter, {}, False),
]
SHAKES = {
    "polling": {"headers": [HEADERS[0], *HEADERS[3:]]},
    "websocket": {},
    "mounted": {"root_path": "/röot", "path": "/socket.io/ü"},
    "safe": {"scheme": "https", "headers": [("host", "shop.example:443"), ("accept", "x")]},
    "bare": {"headers": [], "query": ""},
}


@pytest.mark.parametrize("shake", SHAKES)
@pytest.mark.parametrize(("kind", "settings", "is_quick"), KINDS)
@pytest.mark.filterwarnings("ignore:Current server name")
def test_a_context_is_as_the_public_way_makes_it(kind, settings, is_quick, shake):
    app = make(**settings)
    kind(app)
    places = Places()
    place = places.find(app, environ(**SHAKES[shake]))
    if shake == "polling":  # no route answers a WebSocket
        assert (place is not None) == is_quick
    if place is None:
        return
    with app.request_context(environ(**SHAKES[shake])):
        expected = describe()
    for _ in range(2):  # nothing of the first is left in the second
        with place(environ(**SHAKES[shake])):
            assert describe() == expected
            request.view_args = {"mine": 1}
            g.mine = session["mine"] = 1


def test_trusted_hosts_of_a_flask_that_has_them():
    app = make()
    not_trusted(app)
    place = Places().find(app, environ())
    with app.request_context(environ()):
        assert (place is None) == (type(request.routing_exception) is not NotFound)


def test_clients_of_a_place_see_what_is_their_own():
    app, places = make(), Places()
    catch_all(app)
    polling = [HEADERS[0], HEADERS[3]]
    one = places.find(app, environ(headers=polling))
    other = environ(query="EIO=4&token=secret", client=("9.9.9.9", 1), headers=[HEADERS[0], ("cookie", "who=Bob")])
    assert places.find(app, other) is one is not None
    first, second = one(environ(headers=polling)), one(other)
    with second:
        assert (request.args["token"], request.remote_addr, request.cookies["who"]) == ("secret", "9.9.9.9", "Bob")
        assert flask.globals.request_ctx.url_adapter.query_args == "EIO=4&token=secret"
    with first:
        assert (request.args["token"], request.remote_addr) == ("ä", "127.0.0.1")
        assert flask.globals.request_ctx.url_adapter.query_args == "EIO=4&token=%C3%A4&transport=websocket"
        assert request.headers["Cookie"] == "who=Ada; more=1"
    for this, that in ((first, second), (first.request, second.request)):
        for name, value in vars(this).items():
            assert not isinstance(value, list | dict | set) or value is not vars(that)[name], name
    assert places.find(app, environ(headers=[("host", "elsewhere")])) is not one
    assert places.find(app, environ(scheme="https")) is not one


def test_what_an_application_adds_and_sets_later_is_seen():
    app, places = make(), Places()
    polling = {"headers": [HEADERS[0]]}
    with places.find(app, environ(**polling))(environ(**polling)):
        assert request.url_rule is None
        assert request.routing_exception.__traceback__ is None
    catch_all(app)
    with places.find(app, environ(**polling))(environ(**polling)):
        assert request.view_args == {"path": "socket.io/"}

    class Request(flask.Request):
        pass

    app.request_class = Request
    with places.find(app, environ(**polling))(environ(**polling)):
        assert type(request._get_current_object()) is Request


def test_places_go_with_their_application():
    app = make()
    assert Places.of(app) is Places.of(app)
    assert Places.of(app).find(app, environ()) is not None
    watched = weakref.ref(app)
    del app
    gc.collect()
    assert watched() is None


def test_the_places_of_clients_that_name_any_host_are_bounded():
    app, places = make(), Places()
    for number in range(1_000):
        assert places.find(app, environ(headers=[("host", f"host{number}")])) is not None
    assert len(places._known) <= 256


# --- what Flask does with contexts -----------------------------------------------------------------------------------


def test_a_context_is_copied_and_streamed_with(way):
    app, places = make(), Places()
    place = places.find(app, environ()) or app.request_context
    answers: list[object] = []
    with place(environ()):
        g.mark, session["user"] = 1, "Ada"

        @flask.copy_current_request_context
        def elsewhere():
            answers.extend([request.args["token"], session["user"], request.url_rule, url_for("page", number=1)])

        @flask.stream_with_context
        def stream():
            yield request.remote_addr

        flask.after_this_request(lambda response: answers.append("after") or response)
        assert flask.has_request_context()
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        answers.extend(stream())
        app.process_response(app.response_class())
    assert not flask.has_request_context()
    assert not flask.has_app_context()
    assert answers == ["ä", "Ada", None, "/page/1", "127.0.0.1", "after"]


def test_signals_and_teardown_functions(way):
    app = make()
    socketio = SocketIO(app)
    heard: list[object] = []
    done = threading.Event()
    signals = ["appcontext_pushed", "request_tearing_down", "appcontext_tearing_down", "appcontext_popped"]
    receivers = []  # signals hold them weakly
    for name in signals:

        def receive(sender, name=name, **given):
            heard.append(name)
            if name == "appcontext_popped":
                done.set()

        getattr(flask, name).connect(receive, app)
        receivers.append(receive)
    app.teardown_request(lambda error: heard.append("teardown_request"))
    app.teardown_appcontext(lambda error: heard.append("teardown_appcontext"))
    socketio.on_event("def", lambda: heard.append("handler"))

    async def handler():
        heard.append("handler")

    socketio.on_event("async def", handler)
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        for event in ("def", "async def"):
            heard.clear()
            done.clear()
            wire.call(event)
            assert done.wait(10)
            assert heard == [
                "appcontext_pushed",
                "handler",
                *("teardown_request", "request_tearing_down", "teardown_appcontext", "appcontext_tearing_down"),
                "appcontext_popped",
            ]
        wire.pipe.close()


# --- async def -------------------------------------------------------------------------------------------------------


class Stored(SecureCookieSessionInterface):
    """Notes the threads that it is asked on."""

    threads: list[int]

    def open_session(self, app, request):
        self.threads.append(threading.get_ident())
        return super().open_session(app, request)


@pytest.mark.parametrize("what", ["nothing", "teardown", "signal", "store"])
def test_what_may_block_around_an_async_handler_does_not_run_on_the_loop(way, what):
    app = make()
    socketio = SocketIO(app)
    blocking: list[int] = []
    ends: list[bool] = []

    def block(*args, **options):
        blocking.append(threading.get_ident())

    if what == "teardown":
        app.teardown_appcontext(block)
    elif what == "signal":
        flask.appcontext_pushed.connect(block, app)
    elif what == "store":
        app.session_interface = Stored()
        app.session_interface.threads = blocking
    loops: set[int] = set()

    @socketio.on("ask")
    async def ask(number):
        loops.add(threading.get_ident())
        g.number = session["number"] = number
        before = request.event["args"]
        await asyncio.sleep(0.01)
        ends.append((request.event["args"], g.number, request.sid) == (before, number, request.sid))
        if number == 13:
            raise ZeroDivisionError
        return number

    @socketio.on_error_default
    def failed(error):
        blocking.append(threading.get_ident())
        return [type(error).__name__, g.number, request.event["args"]]

    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert [wire.call("ask", number) for number in range(3)] == [[0], [1], [2]]
        for number in range(20):
            wire.emit("ask", number, id=100 + number)  # they overlap
        for number in range(20):
            expected = ["ZeroDivisionError", 13, [13]] if number == 13 else number
            assert wire.wait_for(PacketType.ACK, id=100 + number).data == [expected]
        wire.call("ask", 0)
    assert len(loops) == 1
    assert not loops & set(blocking)
    assert ends
    assert all(ends)
    assert bool(blocking)


# --- who gets which --------------------------------------------------------------------------------------------------


def test_a_flask_with_other_contexts_is_served_by_the_public_way_and_it_is_said_once(monkeypatch, caplog):
    original = flask.ctx.RequestContext.__init__

    def another(self, *args, **options):
        original(self, *args, **options)
        self.merged = True

    monkeypatch.setattr(flask.ctx.RequestContext, "__init__", another)
    app, places = make(), Places()
    with caplog.at_level(logging.DEBUG, "truesocket"):
        assert places.find(app, environ()) is None
        assert places.find(app, environ(scheme="https")) is None
    [line] = [each.message for each in caplog.records]
    assert line.endswith("app.request_context(): this version of Flask has other request contexts")


def test_a_copy_that_is_not_its_original_is_not_used(monkeypatch, caplog):
    original = Place.__call__

    def broken(self, environ):
        context = original(self, environ)
        context.request.path = "/elsewhere"
        return context

    monkeypatch.setattr(Place, "__call__", broken)
    with caplog.at_level(logging.DEBUG, "truesocket"):
        assert Places().find(make(), environ()) is None
    assert "the path of a copied Request differs" in caplog.text
