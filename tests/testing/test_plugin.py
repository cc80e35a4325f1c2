"""pytest's fixtures, in a run of pytest of their own; and the page that explains them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.examples import program_of
from tests.support.servers import ROOT

PLUGIN = "_truesocket.fixtures"

APP = """
import flask
from truesocket.flask import SocketIO

app = flask.Flask("app")
socketio = SocketIO(app)
socketio.on_event("echo", lambda *args: args)
gone = []
socketio.on_event("disconnect", lambda reason: gone.append(reason))
app.add_url_rule("/", "index", lambda: "page")
"""


def pytest_in(folder: Path, *arguments: str, **env: str) -> str:
    """Runs pytest there with our plugin loaded as an installed one is; returns what it wrote."""
    (folder / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )
    installed = "truesocket" in subprocess.check_output(
        [sys.executable, "-c", "import importlib.metadata as m; print(m.entry_points(group='pytest11'))"], text=True
    )
    command = [sys.executable, "-m", "pytest", "-q", *([] if installed else ["-p", PLUGIN]), *arguments]
    ended = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]), **env},
    )
    return ended.stdout + ended.stderr


def test_fixtures(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "test_it.py").write_text("""
import urllib.request
from app import app, gone, socketio
from truesocket.testing import Client, LiveServer

def test_clients(truesocket_client):
    one, two = truesocket_client(socketio), truesocket_client(app, revision=3)
    assert isinstance(one, Client)
    assert one.call("echo", 1) == two.call("echo", 1) == 1

def test_they_are_closed_behind_it():
    assert gone == ["transport close"] * 2
    assert not socketio.entrance.server.running

def test_server(truesocket_server, truesocket_client):
    live = truesocket_server(socketio)
    assert isinstance(live, LiveServer)
    assert urllib.request.urlopen(live.url).read() == b"page"
    assert truesocket_client(socketio).call("echo", 2) == 2

def test_it_is_stopped_behind_it():
    assert not socketio.entrance.server.running
    assert len(gone) == 3
""")
    said = pytest_in(tmp_path)
    assert "4 passed" in said, said


def test_it_costs_nothing_where_it_is_not_used(tmp_path):
    (tmp_path / "test_it.py").write_text("""
import sys

def test_it():
    assert "_truesocket.fixtures" in sys.modules
    assert not [name for name in sys.modules if name.partition(".")[0] in ("truesocket", "flask", "orjson", "uvicorn")]
""")
    said = pytest_in(tmp_path)
    assert "1 passed" in said, said
    said = pytest_in(tmp_path, "--fixtures")
    assert "truesocket_client" in said
    assert "Makes connected in-memory clients, and closes them" in said


def test_the_variable_reaches_pytest(tmp_path):
    """As in an installed environment, whose .pth file does what conftest.py does here."""
    (tmp_path / "conftest.py").write_text(
        "import os\nfrom _truesocket import alias\n"
        "alias.install_from_environment(os.environ['TRUESOCKET_AS_FLASK_SOCKETIO'])\n"
    )
    (tmp_path / "test_it.py").write_text(
        APP.replace("truesocket.flask", "flask_socketio")
        + """
def test_as_before():
    client = socketio.test_client(app)
    assert client.emit("echo", 1, callback=True) == 1
"""
    )
    said = pytest_in(tmp_path, TRUESOCKET_AS_FLASK_SOCKETIO="1")
    assert "1 passed" in said, said


def test_the_page_of_the_documentation(tmp_path):
    page = "docs/how-to/test-your-application.md"
    files = program_of(page, tmp_path)
    assert len(files) == 5
    said = pytest_in(tmp_path)
    count = sum(text.count("\ndef test_") + text.count("\nasync def test_") for text in texts(tmp_path, files))
    assert count >= 9
    assert f"{count} passed" in said, said
    assert (ROOT / page).exists()


def texts(folder: Path, files: list[str]) -> list[str]:
    """What is in these files."""
    return [(folder / file).read_text() for file in files]
