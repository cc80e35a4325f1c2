"""socketio.run(): port, debug, banner.  How it ends is tested with its door (tests/doors/test_uvicorn.py)."""

import json
import subprocess
import sys

import flask
import pytest

from tests.support.certificates import make_pair
from tests.support.servers import running
from tests.support.wire import Wire, get
from truesocket.errors import UnknownOption
from truesocket.flask import SocketIO
from truesocket.flask.running import port_of

APP = "tests/apps/run_app.py"


@pytest.mark.parametrize(
    ("name", "port"), [(None, 5000), ("shop.example", 5000), ("shop.example:8080", 8080), ("[::1]:90", 90)]
)
def test_port_is_that_of_server_name(name, port):
    app = flask.Flask("app")
    app.config["SERVER_NAME"] = name
    assert port_of(app) == port


def test_unknown_option_of_run_is_one_sentence(capsys):
    app = flask.Flask("app")
    with pytest.raises((UnknownOption, SystemExit)):
        SocketIO(app).run(app, port=0, workerz=2)
    assert "Traceback" not in capsys.readouterr().err


def test_debug_without_reloader():
    options = json.dumps({"use_reloader": False})
    with running(APP, env={"DEBUG": "1", "OPTIONS": options}, tracebacks=True) as server:
        server.wait_for_output("listening on")
        assert "reloader" not in server.output
        page = get(server.port, "/error")
        assert page.status == 500
        assert b"Werkzeug" in page.body
        server.wait_for_output('"GET /error HTTP/1.1" 500')  # debug logs requests


def test_without_debug_there_is_no_debugger():
    with running(APP, tracebacks=True) as server:
        server.wait_for_output("listening on")
        page = get(server.port, "/error")
        assert page.status == 500
        assert b"ZeroDivisionError" not in page.body
        assert "GET /error" not in server.output
        with Wire(server.port) as wire:
            assert wire.join()["sid"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"certfile": "nowhere.pem", "keyfile": "nowhere.pem"}, "there is no file nowhere.pem (certfile=)"),
        ({"ssl_context": ["nowhere.pem", "nowhere.pem"]}, "there is no file nowhere.pem"),
        ({"workers": 4}, "run() cannot do workers=4: run() serves in one process"),
        ({"host": "no-such-host.invalid"}, "this machine knows no address of that name"),
        ({"backlogg": 4}, "run() has no option 'backlogg'; did you mean 'backlog'?"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(options, says):
    program = (
        "import flask, json, sys; from truesocket.flask import SocketIO; app = flask.Flask('app')\n"
        "SocketIO(app).run(app, **{'host': '127.0.0.1', 'port': 0, **json.loads(sys.argv[1])})"
    )
    command = [sys.executable, "-c", program, json.dumps(options)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("truesocket: ")
    assert says in line


def test_command_line_serves_https(tmp_path):
    pair = make_pair(tmp_path)
    certificate = ["--certfile", str(pair.cert), "--keyfile", str(pair.key)]
    with running("truesocket.cli", "run", "tests.apps.contract_app:app", "--port", "{port}", *certificate) as server:
        server.wait_for_output(f"listening on https://127.0.0.1:{server.port}")
        with Wire(server.port, tls=pair.trusting) as wire:
            wire.join()
            assert wire.call("echo", 1) == [1]
