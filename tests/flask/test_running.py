"""socketio.run(): port, debug, banner.  How it ends is tested with its door (tests/doors/test_uvicorn.py)."""

import json

import flask
import pytest

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
