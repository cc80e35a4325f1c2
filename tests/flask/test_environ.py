"""The environ of a handshake, before and behind the application's own WSGI wrappers."""

import flask
import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from tests.support.loopback import handshake
from truesocket.errors import UsageError
from truesocket.flask import SocketIO, environ
from truesocket.flask.environ import Gate, base_environ, environ_of, install_gate, kept, through_wrappers


def make(*headers: tuple[str, str], **changes):
    return handshake(headers=[("host", "inside:5000"), *headers], **changes)


def event_environ(shake):
    return environ.event_environ(shake, kept(shake))


def test_environ():
    shake = make(
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("accept", "x"),
        ("accept", "y"),
        ("content-type", "text/plain"),
        ("x_forwarded_for", "6.6.6.6"),
        path="/socket.io/ü",
        root_path="/shop",
        scheme="https",
    )
    environ = environ_of(shake)
    request = flask.Request(environ)
    assert request.path == "/socket.io/ü"
    assert request.script_root == "/shop"
    assert request.host == "inside:5000"
    assert request.remote_addr == "127.0.0.1"
    assert request.is_secure
    assert dict(request.cookies) == {"a": "1", "b": "2"}
    assert request.headers["Accept"] == "x,y"
    assert request.content_type == "text/plain"
    assert request.args["EIO"] == "4"
    assert "HTTP_X_FORWARDED_FOR" not in environ
    assert not any(key.startswith("truesocket") for key in environ)


def test_gate_is_installed_once_and_lets_pages_through():
    app = flask.Flask("app")
    app.add_url_rule("/", "index", lambda: "a page")
    gate = install_gate(app)
    assert install_gate(app) is gate
    assert app.wsgi_app is gate
    app.wsgi_app = ProxyFix(app.wsgi_app)
    assert install_gate(app) is gate
    assert app.test_client().get("/").text == "a page"


def test_gate_goes_behind_wrappers_that_are_there_already():
    app = flask.Flask("app")
    app.wsgi_app = ProxyFix(app.wsgi_app)
    gate = install_gate(app)
    assert isinstance(app.wsgi_app, ProxyFix)
    assert app.wsgi_app.app is gate
    assert isinstance(gate, Gate)


def test_what_the_wrappers_make_of_it():
    app = flask.Flask("app")
    install_gate(app)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)
    shake = make(("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "shop.example"))
    seen = through_wrappers(app, shake)
    assert (seen.client[0], seen.scheme, seen.host) == ("1.2.3.4", "https", "shop.example")
    assert flask.Request(event_environ(seen)).remote_addr == "1.2.3.4"
    assert flask.Request(event_environ(seen)).url_root == "https://shop.example/"


def test_who_needs_a_thread_for_the_wrappers():
    app = flask.Flask("app")
    socketio = SocketIO(app)
    assert socketio._prepare(make()) is None
    app.wsgi_app = ProxyFix(ProxyFix(app.wsgi_app, x_for=0, x_proto=0), x_for=1)
    shake = make(("x-forwarded-for", "1.2.3.4"))
    assert socketio._prepare(shake) is None, "nothing in it may block"
    assert shake.client[0] == "1.2.3.4"

    class Another(ProxyFix):
        pass

    app.wsgi_app = Another(app.wsgi_app)
    work = socketio._prepare(make(("x-forwarded-for", "9.9.9.9")))
    assert work is not None
    assert work().client[0] == "9.9.9.9"


def test_what_a_wrapper_adds_and_takes_away_stays_so():
    app = flask.Flask("app")
    gate = install_gate(app)

    def wrapper(environ, start_response):
        environ["a.wrapper"] = "was here"
        environ["HTTP_ACCEPT"] = "changed"
        environ.pop("HTTP_COOKIE", None)
        return gate(environ, start_response)

    app.wsgi_app = wrapper
    for headers in ([], [("cookie", "secret=1")]):
        seen = event_environ(through_wrappers(app, make(("accept", "x"), *headers)))
        assert (seen["a.wrapper"], seen["HTTP_ACCEPT"], seen["REMOTE_ADDR"]) == ("was here", "changed", "127.0.0.1")
        assert "HTTP_COOKIE" not in seen
        assert seen["wsgi.input"].read() == b""


def test_a_connection_keeps_little_until_somebody_asks_for_its_environ():
    shake = make(("accept", "x"))
    kept(shake)["mine"] = 1
    first, second = event_environ(shake), event_environ(shake)
    first["only here"] = 1
    assert "only here" not in second
    assert second["mine"] == 1
    assert set(kept(shake)) == {"mine"}

    base = base_environ(shake)
    base["HTTP_ACCEPT"] = "y"
    assert base_environ(shake) is base
    assert event_environ(shake)["HTTP_ACCEPT"] == "y"
    assert event_environ(shake) is not base
    assert event_environ(shake)["mine"] == 1
    assert event_environ(shake).keys() == second.keys()


def test_wrappers_that_are_generators_and_close():
    app = flask.Flask("app")
    gate = install_gate(app)
    closed = []

    def generator(environ, start_response):
        environ["REMOTE_ADDR"] = "9.9.9.9"
        yield from gate(environ, start_response)

    class Body:
        def __init__(self, inner):
            self.inner = inner

        def __iter__(self):
            return iter(self.inner)

        def close(self):
            closed.append(True)

    app.wsgi_app = lambda environ, start_response: Body(generator(environ, start_response))
    assert through_wrappers(app, make()).client[0] == "9.9.9.9"
    assert closed == [True]


def test_wrapper_that_answers_itself_is_an_error():
    app = flask.Flask("app")
    install_gate(app)

    def closed_today(environ, start_response):
        start_response("503 Service Unavailable", [])
        return [b"closed today"]

    app.wsgi_app = closed_today
    with pytest.raises(UsageError, match=r"answered a Socket\.IO handshake itself"):
        through_wrappers(app, make())


def test_gate_names_the_application_and_lets_the_door_answer():
    app, seen = flask.Flask("app"), []
    app.add_url_rule("/", "index", lambda: "a page")
    gate = install_gate(app)
    app.wsgi_app = ProxyFix(app.wsgi_app)

    def door(environ, start_response, other):
        seen.append((environ["truesocket.app"], environ["REMOTE_ADDR"]))
        return other(environ, start_response)

    gate.door = door
    assert app.test_client().get("/", headers={"X-Forwarded-For": "203.0.113.7"}).data == b"a page"
    assert seen == [(app, "203.0.113.7")]
    probed = through_wrappers(app, make(("x-forwarded-for", "203.0.113.8")))
    assert probed.extra["truesocket.app"] is app
    assert len(seen) == 1, "a probe is no request"


def test_sockets_through_wsgi_see_what_the_wrappers_made_of_the_request():
    """No host at all: the callable itself, as a test client of Flask calls it."""
    app = flask.Flask("app")
    socketio = SocketIO(app)
    app.wsgi_app = ProxyFix(app.wsgi_app)
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    try:
        reply = app.test_client().get("/socket.io/?EIO=4&transport=polling", headers=headers)
        assert reply.status_code == 200
        [peer] = socketio.entrance.server.peers.values()
        assert peer.handshake.extra["truesocket.app"] is app
        assert peer.handshake.extra["REMOTE_ADDR"] == "203.0.113.7"
        assert peer.handshake.client[0] == "203.0.113.7"
        assert peer.handshake.scheme == "https"
    finally:
        socketio.entrance.stop_in_thread()
