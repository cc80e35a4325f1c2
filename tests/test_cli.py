"""The command `truesocket`."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.servers import running
from tests.support.wire import Wire, get
from truesocket import __version__, cli
from truesocket.errors import UsageError

ASGI_APP = """
from truesocket import ASGIApp, Server

server = Server()
app = ASGIApp(server)
nested = type("Holder", (), {"app": app})
number = 5

@server.on("say")
async def say(text):
    return text
"""


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"truesocket {__version__}"


def test_without_command_it_says_how(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    (tmp_path / "cli_test_app.py").write_text(ASGI_APP)
    (tmp_path / "cli_test_broken.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("cli_test_app", "cli_test_broken"):
        sys.modules.pop(name, None)


def test_load(project):
    assert cli.load("cli_test_app") is cli.load("cli_test_app:app")
    assert cli.load("cli_test_app:nested.app") is cli.load("cli_test_app:app")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module:app", "there is no module 'no_such_module' here; run it in your project's folder"),
        ("no.such.module:app", "there is no module 'no.such.module' here"),
        ("cli_test_app:ap", "'cli_test_app' has no 'ap'; did you mean 'app'?"),
        ("cli_test_app:nested.xyz", "has no 'nested.xyz'"),
        ("cli_test_app:number", "is neither a Flask application with a SocketIO nor a truesocket.ASGIApp, but int"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(project, capsys, target, says):
    assert cli.main(["run", target]) == 1
    error = capsys.readouterr().err
    assert error.startswith("truesocket: ")
    assert says in error
    assert error.count("\n") == 1


def test_a_module_that_fails_by_itself_shows_where(project):
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        cli.load("cli_test_broken")


def test_demo_needs_flask(monkeypatch):
    monkeypatch.setitem(sys.modules, "flask", None)
    with pytest.raises(UsageError, match=r"truesocket demo needs Flask: pip install 'truesocket\[flask\]'"):
        cli._need_flask("truesocket demo")


@pytest.mark.parametrize("target", ["tests.apps.contract_app:app", "tests.apps.contract_app:socketio"])
def test_run_a_flask_application(target):
    with running("truesocket.cli", "run", target, "--port", "{port}") as server:
        server.wait_for_output("listening on")
        with Wire(server.port) as wire:
            wire.join()
            assert wire.call("echo", 1) == [1]
        assert get(server.port, "/page").body == b"a page"
        assert "door: uvicorn" in server.output


def test_run_an_asgi_application(project):
    with (
        running(
            "truesocket.cli", "run", "cli_test_app:app", "--port", "{port}", env={"PYTHONPATH": str(project)}
        ) as server,
        Wire(server.port) as wire,
    ):
        wire.join()
        assert wire.call("say", "hi") == ["hi"]


def test_run_says_when_the_alias_comes_too_late(project, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flask_socketio", ModuleType("flask_socketio"))
    monkeypatch.setenv("TRUESOCKET_AS_FLASK_SOCKETIO", "")
    assert cli.main(["run", "--as-flask-socketio", "cli_test_app:app"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("truesocket: flask_socketio has been imported already")
    assert error.count("\n") == 1


def test_port_in_use_is_one_sentence():
    from truesocket.doors.uvicorn import bind

    taken = bind("127.0.0.1", 0)
    command = [sys.executable, "-m", "truesocket.cli", "demo", "--port", str(taken.getsockname()[1])]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    taken.close()
    assert ended.returncode == 1
    assert "is in use by another program" in ended.stderr
    assert "Traceback" not in ended.stderr
