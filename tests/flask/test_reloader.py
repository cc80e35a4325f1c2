"""The reloader of `python app.py` in debug mode: a parent that watches, a child that serves."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.servers import ROOT, running
from tests.support.wire import get
from truesocket.flask import reloader

SOURCE = (ROOT / "tests/apps/run_app.py").read_text()


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "app.py"
    path.write_text(SOURCE)
    return path


def wait_for_page(port: int, text: bytes) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if get(port, "/page").body == text:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"the page never said {text!r}"
        time.sleep(0.1)


def test_restarts_after_a_change_and_after_a_mistake_and_ends_with_its_parent(program):
    with running(str(program), env={"DEBUG": "1"}, stops_within=20, tracebacks=True) as server:
        wait_for_page(server.port, b"version 1")
        page = get(server.port, "/error")
        assert page.status == 500
        assert b"Werkzeug" in page.body
        program.write_text(SOURCE.replace("version 1", "version 2"))
        wait_for_page(server.port, b"version 2")
        program.write_text("this is no Python")
        server.wait_for_output("change a file and it is started again", within=30)
        program.write_text(SOURCE.replace("version 1", "version 3"))
        wait_for_page(server.port, b"version 3")
        assert "reloader: watching" in server.output
        server.process.send_signal(signal.SIGTERM)  # and `running` asserts that no child is left behind


def test_parent_that_is_killed_takes_its_child_along(program):
    with running(str(program), env={"DEBUG": "1"}, tracebacks=True) as server:
        wait_for_page(server.port, b"version 1")
        server.process.kill()
        server.process.wait()
        server.wait_for_output("the reloader is gone, so this program ends, too")
        server.wait_for_output("code behind run()")
        deadline = time.monotonic() + 10
        while server._group_lives():
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.05)
        server.process.returncode = 0  # we killed it; `running` need not complain


def test_options_of_the_reloader(program):
    text = program.with_name("words.txt")
    text.write_text("old")
    options = {"extra_files": [str(text)], "reloader_options": {"exclude_patterns": ["*/skipped.py"], "interval": 0.1}}
    with running(str(program), env={"DEBUG": "1", "OPTIONS": json.dumps(options)}, stops_within=20) as server:
        wait_for_page(server.port, b"version 1")
        program.with_name("skipped.py").write_text("x = 1")
        time.sleep(2)
        assert "starting again" not in server.output
        text.write_text("new")
        server.wait_for_output("words.txt changed, starting again")
        server.wait_for_output("listening on", within=20)
        wait_for_page(server.port, b"version 1")


def test_port_in_use_ends_the_parent_too(program):
    with running(str(program), tracebacks=True) as first:
        first.wait_for_output("listening on")
        import subprocess
        import sys

        env = {**os.environ, "HOST": "127.0.0.1", "PORT": str(first.port), "DEBUG": "1"}
        ended = subprocess.run(
            [sys.executable, str(program)], env=env, check=False, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == reloader.BAD_START
        assert f"port {first.port} on 127.0.0.1 is in use" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_watches_the_programs_own_folders():
    roots = reloader.source_roots()
    assert not any("site-packages" in root for root in roots)
    assert any(str(ROOT).startswith(root) or root.startswith(str(ROOT)) for root in roots)
    assert not any(os.path.commonpath([a, b]) == a for a in roots for b in roots if a != b), "one inside another"


def test_knows_which_process_it_is(monkeypatch):
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    assert not reloader.in_child()
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    assert reloader.in_child()
