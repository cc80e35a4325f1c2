"""What the how-to pages promise, on the code that stands there."""

import time

import pytest

from tests.docs.examples import ROOT, Block, Page, blocks_of
from tests.docs.test_examples import GIVEN
from truesocket.errors import Refused
from truesocket.testing import Client


def example(page: str, text: str) -> dict:
    """The names of the one block of a page that contains `text`, executed."""
    (block,) = [each for each in blocks_of(ROOT / page) if each.language == "python" and text in each.text]
    return executed(page, block)


def executed(page: str, block: Block) -> dict:
    made = Page(GIVEN.get(page, ""))
    made.run(block)
    return made.names


def cookie(app, **values) -> dict[str, str]:
    """The headers of a browser whose session holds these values."""
    signed = app.session_interface.get_signing_serializer(app).dumps(values)
    return {"cookie": f"{app.config['SESSION_COOKIE_NAME']}={signed}"}


PUSH = "docs/how-to/push-from-anywhere.md"
LOGINS = "docs/how-to/sessions-and-logins.md"


def test_a_handler_reports_progress_while_it_works():
    names = example(PUSH, 'emit("progress", 50)')
    with Client(names["socketio"]) as client:
        client.emit("work", {"what": "tea"})
        assert client.receive("progress").args == [0]
        first = time.monotonic()
        assert client.receive("progress").args == [50]
        assert time.monotonic() - first > 0.5


def test_an_endless_loop_in_a_handler_pushes():
    names = example(PUSH, "while True:\n        emit(")
    names["time"] = type("Hasty", (), {"sleep": staticmethod(lambda seconds: time.sleep(0.01))})
    with Client(names["socketio"]) as client:
        client.emit("watch", "X")
        for _ in range(3):
            assert client.receive("price").args == [{"symbol": "X", "price": 1.0}]
        names["emit"] = None  # ends the loop, and the client's errors are not looked at
        client.close()


def test_a_view_pushes_to_a_room():
    names = example(PUSH, '@app.post("/orders")')
    socketio = names["socketio"]
    with Client(socketio) as cook, Client(socketio) as waiter:
        socketio.core.enter(cook.sid, "kitchen")
        assert names["app"].test_client().post("/orders", json={"soup": 2}).status_code == 204
        socketio.emit("order", "to all")
        assert cook.receive("order").args == [{"soup": 2}]
        assert waiter.receive("order").args == ["to all"]


def test_who_is_not_logged_in_is_refused():
    names = example(LOGINS, 'raise ConnectionRefusedError("log in first")')
    with pytest.raises(Refused, match="log in first"), Client(names["socketio"]):
        pass
    with Client(names["socketio"], headers=cookie(names["app"], user="ann")) as client:
        assert client.connected


def test_login_required_answers_for_the_handler():
    names = example(LOGINS, "check=lambda:")
    with Client(names["socketio"]) as nobody:
        assert nobody.call("say", "hi") == {"error": "login required", "code": 401}
    with Client(names["socketio"], headers=cookie(names["app"], user="ann")) as ann:
        assert ann.call("say", "hi") is None
        assert ann.receive("said").args == ["hi"]


def test_a_user_has_a_room_on_every_device():
    names = example(LOGINS, "def notify(")
    headers = cookie(names["app"], user="ann")
    with Client(names["socketio"], headers=headers) as phone, Client(names["socketio"], headers=headers) as desk:
        names["notify"]("ann", "tea is ready")
        assert phone.receive("notice").args == ["tea is ready"]
        assert desk.receive("notice").args == ["tea is ready"]


def test_logging_out_ends_the_connections():
    names = example(LOGINS, '@app.post("/logout")')
    headers = cookie(names["app"], user="ann")
    with Client(names["socketio"], headers=headers) as client:
        names["socketio"].core.enter(client.sid, "user:ann")
        page = names["app"].test_client()
        page.set_cookie(*headers["cookie"].split("=", 1))
        assert page.post("/logout").status_code == 204
        deadline = time.monotonic() + 10
        while client.connected:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("mode", ["fork", "request", "live"])
def test_the_sessions_of_the_table_exist(mode):
    from flask import Flask

    from truesocket.flask import SocketIO

    assert f'`"{mode}"`' in (ROOT / LOGINS).read_text(encoding="utf-8")
    SocketIO(Flask("sessions"), session=mode)


@pytest.mark.parametrize(
    ("mode", "after"), [("fork", True), ("live", False)], ids=["fork keeps the login", "live notices the logout"]
)
def test_what_a_connection_knows_of_a_logout(mode, after, tmp_path):
    """The paragraph about Flask-Login, with sessions on the server."""
    import flask_login
    from cachelib import FileSystemCache
    from flask import Flask
    from flask_session import Session

    from truesocket.flask import SocketIO

    app = Flask("logins")
    app.config.update(SECRET_KEY="x", SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(tmp_path)))
    Session(app)
    manager = flask_login.LoginManager(app)
    manager.user_loader(lambda name: user(name))
    socketio = SocketIO(app, session=mode)

    def user(name):
        found = flask_login.UserMixin()
        found.id = name
        return found

    app.add_url_rule("/in", "in", lambda: str(flask_login.login_user(user("ann"))))
    app.add_url_rule("/out", "out", lambda: str(flask_login.logout_user()))
    socketio.on_event("known", lambda: bool(flask_login.current_user.is_authenticated))

    page = app.test_client()
    page.get("/in")
    name = app.config["SESSION_COOKIE_NAME"]
    with Client(socketio, headers={"cookie": f"{name}={page.get_cookie(name).value}"}) as client:
        assert client.call("known") is True
        page.get("/out")
        assert client.call("known") is after
