"""Applications written for Flask-SocketIO run unchanged: three of them, each on several hosts, with their own tests.

The scenes are those of ``drivers.py``, which hold for Flask-SocketIO as well.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.migration.drivers import SCENES, main
from tests.support.servers import HOST, ROOT, Server, running

APPS = ROOT / "tests" / "apps" / "flask_socketio"
ALIAS = {"TRUESOCKET_AS_FLASK_SOCKETIO": "1"}
Host = Callable[[str], contextlib.AbstractContextManager[Server]]


def truesocket_run(app: str):
    return running("truesocket.cli", "run", "--as-flask-socketio", f"{app}:app", "--port", "{port}", cwd=APPS)


def gunicorn(app: str):
    arguments = ["--threads", "8", "--no-control-socket", "--bind", f"{HOST}:{{port}}", f"{app}:app"]
    return running("gunicorn", *arguments, env=ALIAS, cwd=APPS)


def flask_run(app: str):
    return running("flask", "--app", app, "run", "--host", HOST, "--port", "{port}", env=ALIAS, cwd=APPS)


def program(app: str):
    return running(f"{app}.py", env=ALIAS, cwd=APPS)


PLACES: list[tuple[Host, str]] = [
    *((host, app) for host in (truesocket_run, gunicorn) for app in SCENES),
    (flask_run, "dashboard"),
    (program, "namespaces"),
]


@pytest.mark.parametrize(("host", "app"), PLACES, ids=lambda value: getattr(value, "__name__", value))
def test_every_scene(host, app, capsys):
    with host(app) as server:
        failed = main(app, server.url)
    said = capsys.readouterr().out
    assert failed == 0, said
    assert said.count("ok ") == len(SCENES[app])


def test_their_own_tests():
    """The tests of the applications, with `socketio.test_client()`; they are not touched, either."""
    names = sorted(file.stem for file in APPS.glob("*_tests.py"))
    assert [name.removesuffix("_tests") for name in names] == sorted(SCENES)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-m", "unittest", *names],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=APPS,
        env={**os.environ, **ALIAS},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Ran 20 tests" in ended.stderr


def test_nothing_of_ours_is_in_them():
    files = [*APPS.glob("*.py"), *APPS.glob("templates/*.html")]
    assert len(files) == 3 * len(SCENES)
    assert [file.name for file in files if "truesocket" in file.read_text(encoding="utf-8")] == []
