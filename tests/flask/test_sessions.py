"""Which session handlers find, and who sees their changes: every mode with every kind of store."""

import contextlib
import logging
from collections.abc import Iterator

import flask
import pytest
from cachelib.file import FileSystemCache
from flask import session
from flask.sessions import SecureCookieSessionInterface
from flask_session import Session

from tests.support.flasking import served
from tests.support.wire import Gone, Wire, get
from truesocket.errors import UsageError
from truesocket.flask import SocketIO
from truesocket.flask.sessions import ManagedSession, SessionMode, _copied, mode_of

SIGNED, FILES = "signed cookies", "Flask-Session in files"
MODES = ["fork", "request", "live"]
stores = pytest.mark.parametrize("store", [SIGNED, FILES])
kinds = pytest.mark.parametrize("event", ["put", "put_later"])


class House:
    """An application, a browser with cookies, and its connections."""

    def __init__(self, port: int, app: flask.Flask, socketio: SocketIO, wires: contextlib.ExitStack) -> None:
        self.port, self.app, self.socketio = port, app, socketio
        self.cookie = ""
        self._wires = wires

    def page(self, target: str) -> str:
        """A page, with the browser's cookies."""
        reply = get(self.port, target, [("Cookie", self.cookie)] if self.cookie else [])
        assert reply.status == 200, reply.body
        if "set-cookie" in reply.headers:
            self.cookie = reply.headers["set-cookie"].split(";")[0]
        return reply.body.decode()

    def connect(self) -> Wire:
        """A connection with the cookies of this moment."""
        headers = [("Cookie", self.cookie)] if self.cookie else []
        wire = self._wires.enter_context(Wire(self.port, headers=headers))
        wire.join()
        return wire


@pytest.fixture
def house(tmp_path):
    """Makes houses: `with house(FILES, session="live") as it`."""

    @contextlib.contextmanager
    def make(store: str, **options) -> Iterator[House]:
        app = flask.Flask("house")
        app.config.update(SECRET_KEY="only for tests")
        if store == FILES:
            app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(tmp_path / "sessions")))
            Session(app)
        socketio = SocketIO(app, **options)

        @app.get("/put/<name>/<value>")
        def put_in_page(name, value):
            session[name] = value
            return "done"

        @app.get("/take/<name>")
        def take_in_page(name):
            return str(session.get(name))

        @app.get("/clear")
        def clear_in_page():
            session.clear()
            return "done"

        @socketio.on("put")
        def put(name, value):
            session[name] = value

        @socketio.on("put_later")
        async def put_later(name, value):
            session[name] = value

        @socketio.on("take")
        @socketio.on("take", namespace="/other")
        def take(name):
            return session.get(name, "nothing")

        @socketio.on("append")
        def append(name, value):
            session.setdefault(name, []).append(value)
            session.modified = True
            return session[name]

        @socketio.on("clear")
        def clear():
            session.clear()

        with served(socketio) as port, contextlib.ExitStack() as wires:
            yield House(port, app, socketio, wires)

    return make


@pytest.fixture
def warnings(caplog):
    """What the log says of sessions."""
    with caplog.at_level(logging.WARNING, "truesocket"):
        yield lambda: [record.getMessage() for record in caplog.records]


# --- fork -------------------------------------------------------------------------------------------------------------


@stores
@kinds
@pytest.mark.parametrize("options", [{}, {"manage_session": True}, {"session": "fork"}])
def test_fork_is_a_copy_for_each_connection(house, store, event, options, warnings):
    with house(store, **options) as it:
        it.page("/put/user/Ada")
        one, two = it.connect(), it.connect()
        assert one.call("take", "user") == ["Ada"]
        one.call(event, "user", "Eve")
        one.call(event, "more", 1)
        assert [one.call("take", "user"), one.call("take", "more")] == [["Eve"], [1]]
        assert [two.call("take", "user"), two.call("take", "more")] == [["Ada"], ["nothing"]]
        assert it.page("/take/user") == "Ada"
        it.page("/put/user/Bob")
        assert one.call("take", "user") == ["Eve"]
        assert two.call("take", "user") == ["Ada"]
        assert it.connect().call("take", "user") == ["Bob"]
    assert warnings() == []


def test_a_client_without_cookies_has_a_new_session_and_flask_is_not_asked(house, monkeypatch):
    asked = []
    monkeypatch.setattr(
        SecureCookieSessionInterface, "open_session", lambda self, app, request: asked.append(request.cookies)
    )
    with house(SIGNED) as it:
        one, two = it.connect(), it.connect()
        assert one.call("take", "user") == ["nothing"]
        one.call("put", "user", "Eve")
        assert one.call("take", "user") == ["Eve"]
        assert two.call("take", "user") == ["nothing"]
        assert asked == []


def test_the_namespaces_of_a_connection_share_the_copy_and_server_environ_shows_it(house):
    with house(SIGNED) as it:
        it.page("/put/user/Ada")
        wire = it.connect()
        wire.join("/other")
        wire.call("put", "more", [1])
        assert wire.call("append", "more", 2) == [[1, 2]]
        assert wire.call("take", "more", namespace="/other") == [[1, 2]]
        assert wire.call("take", "user", namespace="/other") == ["Ada"]
        assert it.socketio.server.environ[wire.engine_sid]["saved_session"] == {"user": "Ada", "more": [1, 2]}


# --- request and live -------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize("options", [{"manage_session": False}, {"session": "request"}, {"session": "live"}])
def test_sessions_on_the_server_are_shared_with_the_pages(house, event, options, warnings):
    with house(FILES, **options) as it:
        it.page("/put/user/Ada")
        one, two = it.connect(), it.connect()
        assert one.call("take", "user") == ["Ada"]
        it.page("/put/user/Bob")
        assert [one.call("take", "user"), two.call("take", "user")] == [["Bob"], ["Bob"]]
        one.call(event, "user", "Eve")
        assert it.page("/take/user") == "Eve"
        assert two.call("take", "user") == ["Eve"]
        it.page("/clear")
        it.page("/put/again/1")
        assert it.page("/take/user") == "None"
    assert warnings() == []


@pytest.mark.parametrize("mode", ["request", "live"])
def test_a_session_that_an_event_clears_is_cleared_on_the_server(house, mode, warnings):
    with house(FILES, session=mode) as it:
        it.page("/put/user/Ada")
        wire = it.connect()
        wire.call("clear")
        assert it.page("/take/user") == "None"
        assert wire.call("take", "user") == ["nothing"]
    assert warnings() == []


@kinds
def test_live_keeps_what_a_signed_cookie_cannot_for_the_connection_and_says_so_once(house, event, warnings):
    with house(SIGNED, session="live") as it:
        it.page("/put/user/Ada")
        one, two = it.connect(), it.connect()
        one.call(event, "more", 1)
        one.call(event, "yet more", 2)
        assert [one.call("take", name) for name in ("user", "more", "yet more")] == [["Ada"], [1], [2]]
        assert two.call("take", "more") == ["nothing"]
        assert it.page("/take/more") == "None"
        one.call("clear")
        assert one.call("take", "user") == ["nothing"]
    [warning] = warnings()
    assert "pages will not see the change, only this connection does" in warning
    assert "'session'" in warning


@kinds
def test_request_loses_what_a_signed_cookie_cannot_keep_and_says_so_once(house, event, warnings):
    with house(SIGNED, session="request") as it:
        it.page("/put/user/Ada")
        wire = it.connect()
        for _ in range(3):
            wire.call(event, "more", 1)
            assert [wire.call("take", "user"), wire.call("take", "more")] == [["Ada"], ["nothing"]]
    [warning] = warnings()
    assert "pages will not see the change, nor will the next event" in warning


def test_a_client_that_came_before_any_page_has_no_session_on_the_server_that_pages_could_see(house, warnings):
    with house(FILES, session="live") as it:
        wire = it.connect()
        wire.call("put", "user", "Ada")
        assert wire.call("append", "list", 1) == [[1]]
        assert wire.call("append", "list", 2) == [[1, 2]]
        assert wire.call("take", "user") == ["Ada"]
        assert it.page("/take/user") == "None"
    [warning] = warnings()
    assert "let a page begin the session before the client connects" in warning


@pytest.mark.parametrize("mode", ["request", "live"])
@stores
def test_reading_warns_of_nothing(house, mode, store, warnings):
    with house(store, session=mode) as it:
        it.app.config["SESSION_REFRESH_EACH_REQUEST"] = True
        it.page("/put/_permanent/1")
        it.page("/put/user/Ada")
        wire = it.connect()
        assert wire.call("take", "user") == ["Ada"]
    assert warnings() == []


def test_live_tells_the_store_of_every_event_as_pages_do(house):
    """So that a session does not expire while its client is busy; "request" tells of changes only."""
    for mode, expected in [("live", 3), ("request", 1)]:
        with house(SIGNED, session=mode) as it:
            saved = []
            it.app.session_interface = SecureCookieSessionInterface()  # Flask's own is shared by all applications
            it.app.session_interface.save_session = lambda app, session, response, saved=saved: saved.append(1)
            wire = it.connect()
            wire.call("take", "user")
            wire.call("put", "user", 1)
            wire.call("take", "user")
            assert len(saved) == expected


def test_other_cookies_stay_as_they_are(house):
    with house(SIGNED, session="live") as it:
        it.cookie = "a=1; session=broken; b=2"
        it.socketio.on_event("cookies", lambda: dict(flask.request.cookies))
        wire = it.connect()
        wire.call("put", "user", "Ada")
        [cookies] = wire.call("cookies")
        assert (cookies["a"], cookies["b"]) == ("1", "2")
        assert wire.call("take", "user") == ["Ada"]
        wire.call("clear")
        assert wire.call("cookies") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("mode", MODES)
def test_an_application_without_a_secret_key_has_sessions_that_cannot_be_written(mode, caplog):
    app = flask.Flask("no key")
    socketio = SocketIO(app, session=mode)
    socketio.on_event("take", lambda: session.get("a", "nothing"))
    with served(socketio) as port, Wire(port) as wire:
        wire.join()
        assert wire.call("take") == ["nothing"]


# --- options ----------------------------------------------------------------------------------------------------------


def test_mode_of():
    assert mode_of() is SessionMode.FORK
    assert mode_of(None, True) is SessionMode.FORK
    assert mode_of(None, False) is SessionMode.REQUEST
    assert mode_of("live") is SessionMode.LIVE
    assert mode_of(SessionMode.LIVE, False) is SessionMode.LIVE
    with pytest.raises(UsageError, match="did you mean 'live'"):
        mode_of("life")
    with pytest.raises(UsageError, match="one of 'fork', 'request', 'live'"):
        mode_of(7)
    for session_, managed in [("live", True), ("fork", False)]:
        with pytest.raises(UsageError, match="contradict each other"):
            mode_of(session_, managed)


@pytest.mark.parametrize(
    ("options", "managed"), [({}, True), ({"manage_session": False}, False), ({"session": "live"}, False)]
)
def test_manage_session_can_be_read(options, managed):
    assert SocketIO(flask.Flask("x"), **options).manage_session is managed


def test_a_refused_client_leaves_nothing(house):
    with house(SIGNED) as it:
        it.socketio.on_event("connect", lambda: False)
        with pytest.raises(Gone):
            it.connect()


def test_a_copy_takes_little_beside_its_values():
    one, other = ManagedSession({"a": 1}), ManagedSession()
    one.accessed = True  # as Flask says whenever it is looked at
    assert vars(one) == {}
    assert one.accessed
    assert one.modified
    assert not other.permanent
    names = ["".join(["us", "er"]), "".join(["us", "er"])]
    assert names[0] is not names[1]
    copies = [_copied(ManagedSession({name: "Ada", (1,): 2})) for name in names]
    assert copies == [{"user": "Ada", (1,): 2}] * 2
    assert next(iter(copies[0])) is next(iter(copies[1]))
