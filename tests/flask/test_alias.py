"""The alias: `flask_socketio` is truesocket, in this process, from the environment, by the command line."""

import os
import queue
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import socketio

from tests.support.installing import make_environment, run_installed
from tests.support.servers import ROOT, running
from tests.support.wire import Gone, Wire, get

APP = "tests.apps.flask_socketio_app:app"
ON = {"TRUESOCKET_AS_FLASK_SOCKETIO": "1"}
HOOK = """
import os, _truesocket.alias
_truesocket.alias.install_from_environment(os.environ.get("TRUESOCKET_AS_FLASK_SOCKETIO", ""))
"""


def python(code: str, *, env=None, fails: bool = False, path: Path | None = None) -> str:
    """Runs a program; returns what it wrote."""
    surroundings = {**os.environ, **(env or {})}
    if path is not None:
        surroundings["PYTHONPATH"] = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-W", "error::ImportWarning", "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=surroundings,
        cwd=ROOT,
    )
    assert (ended.returncode != 0) is fails, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def without_python_socketio(code: str, **options) -> str:
    """The same in an environment that has no python-socketio: a finder says so."""
    hidden = """
        import sys
        class Hidden:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "socketio":
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        import importlib.machinery
        finder = next(each for each in sys.meta_path if each is importlib.machinery.PathFinder)
        class Blind:
            find_spec = staticmethod(
                lambda name, path=None, target=None:
                    None if name.partition(".")[0] == "socketio" else finder.find_spec(name, path, target))
        sys.meta_path[sys.meta_path.index(finder)] = Blind
    """
    return python(textwrap.dedent(hidden) + textwrap.dedent(code), **options)


# --- names ------------------------------------------------------------------------------------------------------------


def test_every_name_is_there():
    python("""
        import truesocket.flask
        truesocket.flask.as_flask_socketio()
        truesocket.flask.as_flask_socketio()
        import sys
        import flask_socketio
        import flask_socketio.namespace
        import flask_socketio.test_client
        from flask_socketio import (
            SocketIO, emit, call, send, join_room, leave_room, close_room, rooms, disconnect, Namespace,
            SocketIOTestClient, ConnectionRefusedError, has_request_context)
        ours = truesocket.flask
        for name in flask_socketio.__all__:
            assert getattr(flask_socketio, name) is getattr(ours, name), name
        assert flask_socketio.namespace.Namespace is ours.Namespace
        assert flask_socketio.test_client.SocketIOTestClient is ours.SocketIOTestClient
        assert [int(part) for part in flask_socketio.__version__.split("+")[0].split(".")] >= [5, 7]
        assert truesocket.__version__ in flask_socketio.__version__
        from importlib.util import find_spec
        assert find_spec("flask_socketio").origin == "truesocket"
        assert sum("_Finder" in type(each).__name__ for each in sys.meta_path) == 2
        try:
            import flask_socketio.no_such_module
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError("made something up")
    """)


def test_it_wins_over_an_installed_flask_socketio(tmp_path):
    (tmp_path / "flask_socketio.py").write_text("SocketIO = 'the real one'")
    python(
        """
        from truesocket.flask import as_flask_socketio, SocketIO
        as_flask_socketio()
        import flask_socketio
        assert flask_socketio.SocketIO is SocketIO
        """,
        path=tmp_path,
    )


def test_too_late_is_one_sentence(tmp_path):
    (tmp_path / "flask_socketio.py").write_text("SocketIO = 'the real one'")
    said = python(
        """
        import flask_socketio
        from truesocket.flask import as_flask_socketio
        as_flask_socketio()
        """,
        path=tmp_path,
        fails=True,
    )
    last = said.strip().splitlines()[-1]
    assert "UsageError: flask_socketio has been imported already, from " in last
    assert str(tmp_path / "flask_socketio.py") in last
    assert "before the first line that imports it, or set TRUESOCKET_AS_FLASK_SOCKETIO=1" in last


# --- python-socketio's exceptions -------------------------------------------------------------------------------------


def test_exceptions_where_python_socketio_is_absent():
    without_python_socketio("""
        from truesocket.flask import as_flask_socketio
        import truesocket
        as_flask_socketio()
        import socketio
        import socketio.exceptions
        from socketio.exceptions import ConnectionRefusedError, TimeoutError, SocketIOError, ConnectionError
        from socketio.exceptions import BadNamespaceError, DisconnectedError
        assert socketio.exceptions.TimeoutError is truesocket.AckTimeout
        assert ConnectionRefusedError is truesocket.Refused
        assert issubclass(ConnectionRefusedError, ConnectionError) and issubclass(ConnectionError, SocketIOError)
        assert issubclass(TimeoutError, SocketIOError)
        try:
            socketio.Client
        except AttributeError as error:
            assert "pip install python-socketio" in str(error)
        else:
            raise AssertionError("there is a client")
    """)


def test_python_socketio_stays_as_it_is_where_it_is_installed():
    python("""
        from truesocket.flask import as_flask_socketio
        as_flask_socketio()
        import flask_socketio, sys
        assert "socketio" not in sys.modules, "nobody has asked for it"
        import socketio
        assert socketio.Client and "site-packages" in socketio.__file__
    """)


SCENE = """
    from truesocket.flask import as_flask_socketio
    as_flask_socketio()
    import asyncio, flask
    import socketio.exceptions
    from flask_socketio import SocketIO, call
    from truesocket import AckTimeout
    from truesocket.testing import Client

    app = flask.Flask("app")
    sio = SocketIO(app)

    @sio.on("connect")
    def connect(auth):
        if auth:
            raise socketio.exceptions.ConnectionRefusedError("no", {"why": 1})

    @sio.on("ask")
    def ask():
        try:
            call("question", timeout=0.01)
        except socketio.exceptions.TimeoutError as error:
            return [isinstance(error, each) for each in (AckTimeout, TimeoutError)]

    @sio.on("ask later")
    async def ask_later():
        try:
            await sio.call("question", to=flask.request.sid, timeout=0.01)
        except socketio.exceptions.TimeoutError as error:
            return [isinstance(error, each) for each in (AckTimeout, TimeoutError)]

    with Client(sio) as client:
        assert client.call("ask") == [True, True]
        assert client.call("ask later") == [True, True]
    try:
        Client(sio, auth={"a": 1}).connect()
    except Exception as error:
        assert error.args == ("no", {"why": 1}), error.args
    else:
        raise AssertionError("was let in")
"""


def test_their_exceptions_mean_what_they_meant():
    python(SCENE)
    without_python_socketio(SCENE)


# --- from outside -----------------------------------------------------------------------------------------------------


def test_nothing_is_imported_before_somebody_asks():
    python(
        HOOK
        + """
import sys
assert not any(name.partition(".")[0] in ("truesocket", "flask", "asyncio", "socketio") for name in sys.modules)
from flask_socketio import SocketIO
assert SocketIO.__module__.startswith("truesocket")
""",
        env=ON,
    )


@pytest.mark.parametrize("value", ["", "0", "no", "false", "Off"])
def test_switched_off(value):
    python(
        HOOK
        + """
import sys
assert not any("_Finder" in type(each).__name__ for each in sys.meta_path)
""",
        env={"TRUESOCKET_AS_FLASK_SOCKETIO": value},
    )


def check_it_works(server) -> None:
    """What the application does, seen by a real client."""
    assert get(server.port, "/").body == b"flask_socketio"
    page = get(server.port, "/login/Ada")
    cookie = page.headers["set-cookie"].partition(";")[0]
    with Wire(server.port, headers=[("Cookie", cookie)], query="&id=5") as ada, Wire(server.port) as bob:
        ada.join()
        bob.join()
        assert ada.event("welcome") == [{"name": "Ada", "id": "5"}]
        assert bob.event("welcome") == [{"name": "nobody", "id": None}]
        assert ada.call("join", {"room": "lobby"}) == [["lobby"]]
        assert bob.call("join", {"room": "lobby"}) == [["lobby"]]
        assert ada.call("say", {"room": "lobby", "text": "hi"}) == ["said", 2]
        assert [bob.event("said"), bob.event("said")] == [["nobody is here"], ["hi"]]
        ada.emit("message", "to all")
        assert bob.event("message") == ["to all"]
        assert ada.call("ask me", 0.01) == ["no answer: AckTimeout"]
        ada.join("/counter")
        assert ada.call("add", 2, namespace="/counter") == [2]
        assert ada.call("add", 3, namespace="/counter") == [5]
        ada.join("/board")
        assert ada.call("fail", namespace="/board") == ["board: broken"]
        ada.emit("start", namespace="/board")
        assert [ada.event("tick", namespace="/board")[0]["number"] for _ in range(3)] == [0, 1, 2]
    for token in ("ours", "theirs"):
        with Wire(server.port) as wire, pytest.raises(Gone, match="unauthorized!" if token == "ours" else "not by us"):
            wire.join(auth={"token": f"{token}, refused"})


def test_truesocket_run():
    with running("truesocket.cli", "run", "--as-flask-socketio", APP, "--port", "{port}") as server:
        check_it_works(server)
        check_with_the_official_client(server)


def check_with_the_official_client(server) -> None:
    """The same application, seen by python-socketio's client."""
    client = socketio.Client(handle_sigint=False)
    said = queue.Queue()
    client.on("said", said.put)
    client.on("question", lambda: "an answer")
    client.connect(server.url, namespaces=["/", "/board", "/counter"])
    try:
        assert client.call("join", {"room": "lobby"}) == ["lobby"]
        assert said.get(timeout=10) == "nobody is here"
        assert client.call("ask me", 5) == "an answer"
        assert client.call("add", 4, namespace="/counter") == 4
        assert client.call("fail", namespace="/board") == "board: broken"
        with pytest.raises(socketio.exceptions.ConnectionError, match="One or more namespaces failed to connect"):
            socketio.Client(handle_sigint=False, reconnection=False).connect(
                server.url, auth={"token": "ours, refused"}
            )
    finally:
        client.disconnect()


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    pytest.importorskip("hatchling", reason="builds what it installs")
    return make_environment(tmp_path_factory.mktemp("venv"))


@pytest.mark.parametrize("editable", [False, True])
def test_the_variable_works_where_truesocket_is_installed(installed, tmp_path, editable):
    if editable:
        pytest.importorskip("editables", reason="builds what it installs")
        installed = make_environment(tmp_path / "venv", editable=True)
    code = "from flask_socketio import SocketIO; print(SocketIO.__module__)"
    ended = run_installed(installed, "-c", code, folder=tmp_path, **ON)
    assert (ended.stdout, ended.stderr) == ("truesocket.flask.extension\n", "")
    assert "No module named 'flask_socketio'" in run_installed(installed, "-c", code, folder=tmp_path).stderr
    code = "import sys; print([name for name in sys.modules if 'truesocket' in name])"
    assert run_installed(installed, "-c", code, folder=tmp_path).stdout == "[]\n"
    switched_on = run_installed(installed, "-c", code, folder=tmp_path, **ON)
    assert switched_on.stdout == "['_truesocket', '_truesocket.alias']\n"


def test_the_variable_works_for_a_program_of_its_own(installed, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(installed))
    with running("tests/apps/flask_socketio_app.py", env=ON) as server:
        check_it_works(server)


def test_the_variable_works_for_gunicorn(installed, monkeypatch):
    pytest.importorskip("gunicorn")
    monkeypatch.setattr(sys, "executable", str(installed))
    arguments = ["-k", "gthread", "--threads", "8", "-b", "127.0.0.1:{port}", APP]
    with running("gunicorn", *arguments, env=ON) as server:
        check_it_works(server)


def test_pytest_finds_its_fixtures_where_truesocket_is_installed(installed, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import truesocket\n\ndef test_it(truesocket_client):\n"
        "    assert truesocket_client(truesocket.Server()).connected\n"
    )
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    for env in ({}, ON):  # with the alias there is something of ours before pytest is
        ended = run_installed(installed, "-m", "pytest", "-q", folder=tmp_path, **env)
        assert "1 passed" in ended.stdout, ended.stdout + ended.stderr
