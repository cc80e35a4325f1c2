"""A changed file is served soon by every host that watches files, and its clients are sent off so that they return."""

import time
from pathlib import Path

import pytest

from tests.hosts.conftest import started
from tests.hosts.roster import HOSTS, Host, Yes
from tests.support.servers import ROOT
from tests.support.wire import Wire, get

SOURCE = (ROOT / "tests/apps/hosts_app.py").read_text()
QUICK = {"flask run", "gunicorn gthread"}  # socketio.run's own: tests/flask/test_reloader.py
WATCHERS = [
    pytest.param(host, marks=[] if host.name in QUICK else pytest.mark.full, id=host.name)
    for host in HOSTS
    if isinstance(host.reload, Yes)
]


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / "reloaded_app.py").write_text(SOURCE)
    (tmp_path / "reloaded_werkzeug.py").write_text(
        (ROOT / "tests/apps/hosts_werkzeug.py").read_text().replace("tests.apps.hosts_app", "reloaded_app")
    )
    return tmp_path


@pytest.mark.parametrize("host", WATCHERS)
def test_reload(host: Host, project: Path):
    if host.program == "tests.apps.hosts_werkzeug":
        host = Host(**{**vars(host), "program": "reloaded_werkzeug"})
    settings = {"module": "reloaded_app", "cwd": project, "tracebacks": True, "starts_within": 40}
    env = {**host.reload_env, "PYTHONPATH": f"{project}:{ROOT}:{ROOT / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}
    with started(host, *host.reload_arguments, env=env, **settings) as server:
        wait_for_page(server.port, b"version 1")
        best = "websocket" if isinstance(host.websocket, Yes) else "polling"
        with Wire(server.port, transport=best) as wire:
            wire.join()
            assert wire.call("echo", 1) == [1]
            time.sleep(1.1)  # some hosts compare times of a whole second
            (project / "reloaded_app.py").write_text(SOURCE.replace('"version 1"', '"version 2"'))
            if best == "websocket":
                wire.wait_until_closed(40)
            assert not wire.waiting, "after a DISCONNECT the official client stays away"
        wait_for_page(server.port, b"version 2")
        with Wire(server.port, transport=best) as wire:  # as a client does that has lost its connection
            wire.join()
            assert wire.call("echo", 2) == [2]


def wait_for_page(port: int, text: bytes) -> None:
    def says() -> bool:
        try:
            return get(port, "/page").body == text
        except OSError:
            return False

    wait_until(says)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)
