"""socketio.stop(): run() returns, and what is written behind it runs."""

import json
import signal
import threading
import time

import flask
import pytest

from tests.support.servers import HOST, free_port, running
from tests.support.wire import Wire, get
from truesocket.doors import uvicorn as door
from truesocket.errors import UsageError
from truesocket.flask import SocketIO

APP = "tests/apps/stop_app.py"
BEHIND = "code behind run()"


def ended(server) -> None:
    assert server.process.wait(20) == 0
    assert BEHIND in server.output


def test_a_handler_stops_and_its_client_hears_a_close():
    with running(APP) as server, Wire(server.port) as wire:
        wire.join()
        wire.emit("end")
        gone = wire.wait_until_closed(15)
        assert gone.code in (1000, 1001)
        assert not [packet for packet in wire.waiting if packet.type.name == "DISCONNECT"], "clients would stay away"
        ended(server)


def test_a_page_stops_and_is_answered():
    with running(APP) as server:
        assert get(server.port, "/end").body == b"good-bye"
        ended(server)


def test_an_async_handler_stops():
    with running(APP) as server, Wire(server.port) as wire:
        wire.join()
        wire.emit("end_async")
        wire.wait_until_closed(15)
        ended(server)


def test_a_background_task_stops():
    with running(APP, env={"AFTER": "2"}) as server:
        ended(server)


def test_a_signal_handler_stops():
    with running(APP) as server:
        server.wait_for_output("listening on")
        server.process.send_signal(signal.SIGUSR1)
        ended(server)


def test_the_child_of_the_reloader_stops_and_takes_the_parent_along():
    with running(APP, env={"OPTIONS": json.dumps({"debug": True})}) as server:
        server.wait_for_output("listening on")
        assert get(server.port, "/end").body == b"good-bye"
        ended(server)


def application() -> tuple[flask.Flask, SocketIO]:
    app = flask.Flask("app")
    socketio = SocketIO(app)
    socketio.on_event("echo", lambda value: value)
    return app, socketio


def test_run_in_a_thread_leaves_signals_alone_and_can_be_run_again():
    app, socketio = application()
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    for _ in range(2):
        port = free_port()
        thread = threading.Thread(target=socketio.run, args=(app, HOST, port), kwargs={"debug": True})
        thread.start()
        wait_for(lambda port=port: Wire(port).pipe.close())
        with Wire(port) as wire:
            wire.join()
            assert wire.call("echo", 5) == [5]
            with pytest.raises(UsageError, match="runs already; call stop"):
                socketio.run(app, HOST, free_port())
            socketio.stop()
            assert wire.wait_until_closed(15).code in (1000, 1001)
        thread.join(20)
        assert not thread.is_alive()
    assert before == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]


def test_reloader_off_the_main_thread_is_one_sentence(capsys):
    app, socketio = application()
    codes = []

    def run():
        with pytest.raises(SystemExit) as end:
            socketio.run(app, HOST, 0, use_reloader=True)
        codes.append(end.value.code)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert codes == [1]
    assert "use_reloader=False" in capsys.readouterr().err


def test_stop_while_the_server_is_being_made():
    app, socketio = application()
    made = door.Server.__init__

    def stop_at_once(self, *args):
        made(self, *args)
        socketio.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(door.Server, "__init__", stop_at_once)
        thread = threading.Thread(target=socketio.run, args=(app, HOST, free_port()))
        thread.start()
        thread.join(20)
    assert not thread.is_alive()


def test_stop_without_run_says_who_is_to_be_asked():
    _, socketio = application()
    with pytest.raises(UsageError, match="ended by a signal"):
        socketio.stop()


def wait_for(attempt) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            attempt()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
