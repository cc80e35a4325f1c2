"""What is said in a process that eventlet or gevent has patched."""

import os
import subprocess
import sys

import pytest

from tests.support.servers import ROOT, free_port

HOOK = """
import os, _truesocket.alias
_truesocket.alias.install_from_environment(os.environ.get("TRUESOCKET_AS_FLASK_SOCKETIO", ""))
"""
ON = {"TRUESOCKET_AS_FLASK_SOCKETIO": "1"}

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
STARTS = {
    "alias": "import truesocket.flask; truesocket.flask.as_flask_socketio()",
    "hook": HOOK + "\nimport flask_socketio",
    "run": "import flask; from truesocket.flask import SocketIO\nSocketIO(flask.Flask('a')).run(port={port})",
    "client": "import flask; from truesocket.flask import SocketIO\napp = flask.Flask('a')\n"
    "SocketIO(app).test_client(app)",
    "server": "import asyncio, truesocket\nfrom truesocket.testing import AsyncClient\n"
    "asyncio.run(AsyncClient(truesocket.Server()).connect())",
}


@pytest.mark.parametrize("library", PATCHES)
@pytest.mark.parametrize("start", STARTS)
def test_a_patched_process_is_told_which_line_to_remove(tmp_path, library, start):
    pytest.importorskip(library) if library == "gevent" else importorskip_eventlet()
    program = tmp_path / "program.py"
    program.write_text(f"import os\n{PATCHES[library]}\n" + STARTS[start].replace("{port}", str(free_port())))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **ON},
    )
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert said.count(f"{library} has patched this process, and truesocket cannot run there") == 1, said
    assert f"Remove `{PATCHES[library]}` ({program}:2); nothing takes its place" in said


def importorskip_eventlet() -> None:
    """Importing eventlet warns that it is on its way out."""
    if subprocess.run([sys.executable, "-W", "ignore", "-c", "import eventlet"], check=False, timeout=60).returncode:
        pytest.skip("eventlet does not run on this Python")


def test_an_unpatched_process_may_have_gevent():
    pytest.importorskip("gevent")
    code = "import gevent, gevent.monkey, truesocket.flask; truesocket.flask.as_flask_socketio()"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)


def test_python_m_gevent_monkey_is_named(tmp_path):
    pytest.importorskip("gevent")
    program = tmp_path / "program.py"
    program.write_text(STARTS["alias"])
    command = [sys.executable, "-W", "ignore", "-m", "gevent.monkey", program]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "Remove `-m gevent.monkey` from the command" in ended.stderr


@pytest.mark.parametrize("flag", ["-k gevent", "--worker-class=gevent", "-k=gevent", "in a file"])
def test_gunicorns_green_worker_is_named(tmp_path, flag):
    pytest.importorskip("gevent")
    pytest.importorskip("gunicorn")
    settings = tmp_path / "gunicorn.conf.py"
    settings.write_text("worker_class = 'gevent'\n" if flag == "in a file" else "")
    arguments = [] if flag == "in a file" else flag.split(" ") if flag != "-k=gevent" else ["-kgevent"]
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-W", "ignore", "-m", "gunicorn", "-c", settings, *arguments, "-b", address]
    ended = subprocess.run(
        [*command, "tests.apps.contract_app:app"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 3, said
    assert said.count("UsageError: gevent has patched this process") == 1, said  # gunicorn repeats the text below
    named = (
        "worker_class = 'gevent' from gunicorn's settings" if flag == "in a file" else f"`{' '.join(arguments)}` from"
    )
    assert f"Remove {named}" in said, said
    assert "write `-k gthread --threads 100` in its place" in said
