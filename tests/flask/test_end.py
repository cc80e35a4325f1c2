"""SIGTERM, Ctrl-C and stop(): what runs ends first, clients come back by themselves, a second signal ends it now."""

import json
import os
import signal
import threading
import time

import pytest

from tests.support.servers import HOST, TRACEBACK, running
from tests.support.wire import Gone, RawWebSocket, Wire, get
from truesocket.codec.socketio import PacketType

APP = "tests/apps/stop_app.py"
BEHIND = "code behind run()"
TOLD = "left: server disconnect"
PATIENT = {"SERVER": json.dumps({"shutdown_timeout": 60})}  # on a busy machine a second is long
POLLING = "/socket.io/?EIO=4&transport=polling"


def answer_at_the_end(wire: Wire, wanted: list) -> None:
    """The ack arrives, and behind it a close that official clients come back after."""
    packet = wire.packet(15)
    assert packet.type == PacketType.ACK
    assert packet.data == wanted
    assert wire.wait_until_closed(15).code in (1000, 1001)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_running_handlers_end_and_are_answered_and_disconnect_handlers_run(transport, number):
    with running(APP, env=PATIENT) as server, Wire(server.port, transport=transport) as wire:
        wire.join()
        wire.send('21["nap",1]')
        time.sleep(0.3)
        server.process.send_signal(number)
        if transport == "websocket":
            answer_at_the_end(wire, ["rested"])
        else:
            assert wire.packet(15).data == ["rested"]
            with pytest.raises(Gone):
                wire.packet(15)
        wire.pipe.close()
        assert server.process.wait(15) == 0
        assert server.output.index("rested") < server.output.index(TOLD) < server.output.index(BEHIND)


def test_ctrl_c_in_the_terminal_of_the_reloader():
    """It reaches parent and child alike, and the parent's SIGTERM is no second signal."""
    with running(APP, env={**PATIENT, "OPTIONS": json.dumps({"debug": True})}) as server:
        server.wait_for_output("listening on")
        with Wire(server.port) as wire:
            wire.join()
            wire.send('21["nap",1]')
            time.sleep(0.3)
            os.killpg(server.process.pid, signal.SIGINT)
            answer_at_the_end(wire, ["rested"])
        assert server.process.wait(15) == 0
        assert TOLD in server.output
        assert BEHIND in server.output


def test_second_signal_reaches_the_child_of_the_reloader():
    env = {**PATIENT, "OPTIONS": json.dumps({"debug": True})}
    with running(APP, env=env) as server:
        server.wait_for_output("listening on")
        with Wire(server.port) as wire:
            wire.join()
            wire.emit("nap", 100)
            time.sleep(0.3)
            server.process.terminate()
            server.wait_for_output("A second signal ends it now")
            server.process.terminate()
            assert server.process.wait(15) == 0
            wire.pipe.close()


@pytest.mark.parametrize("name", ["nap", "forever"])
def test_a_second_sigterm_ends_it_now_without_a_traceback(name):
    with running(APP, env=PATIENT) as server, Wire(server.port) as wire:
        wire.join()
        wire.emit(name, *([100] if name == "nap" else []))
        time.sleep(0.3)
        server.process.terminate()
        server.wait_for_output("A second signal ends it now")
        server.process.terminate()
        assert server.process.wait(10) == 0
        assert TRACEBACK not in server.output
        assert BEHIND in server.output
        wire.pipe.close()


def test_who_comes_meanwhile_is_sent_elsewhere_and_who_polls_is_served():
    with running(APP, env=PATIENT) as server, Wire(server.port, transport="polling") as wire:
        wire.join()
        wire.send('21["nap",3]')
        time.sleep(0.3)
        server.process.terminate()
        server.wait_for_output("the server ends: 1 clients")
        reply = get(server.port, POLLING)
        assert reply.status == 503
        assert reply.json["message"] == "Server shutting down"
        assert reply.headers["retry-after"] == "1"
        with pytest.raises(Gone) as gone:
            RawWebSocket(server.port, "/socket.io/?EIO=4&transport=websocket")
        assert gone.value.code == 503
        assert wire.packet(15).data == ["rested"]
        with pytest.raises(Gone):
            wire.packet(15)
        wire.pipe.close()
        assert server.process.wait(15) == 0


def test_gunicorn_ends_in_order():
    """It has ended by then but for us: what is left lives on the loop thread."""
    arguments = ("-k", "gthread", "--threads", "8", "--bind", f"{HOST}:{{port}}", "tests.apps.stop_app:app")
    with running("gunicorn", *arguments, env=PATIENT) as server, Wire(server.port) as wire:
        wire.join()
        wire.send('21["nap",1]')
        time.sleep(0.3)
        server.process.terminate()
        answer_at_the_end(wire, ["rested"])
        wire.pipe.close()
        server.process.wait(15)
        assert server.output.index("rested") < server.output.index(TOLD)


def test_a_second_ctrl_c_ends_werkzeug_now():
    with running("tests.apps.hosts_werkzeug", env=PATIENT) as server, Wire(server.port) as wire:
        wire.join()
        wire.emit("nap", 100)
        time.sleep(0.3)
        server.process.send_signal(signal.SIGINT)
        server.wait_for_output("the server ends: 1 clients")
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0
        server.wait_for_output("ended without waiting longer")
        wire.pipe.close()


def test_a_handler_whose_client_has_just_left_is_no_error():
    with running(APP) as server:
        for _ in range(3):
            with Wire(server.port) as wire:
                wire.join()
                wire.emit("join late")
        server.wait_for_output("its client has just left (transport close)")
        assert "UnknownSid" not in server.output
        assert "ERROR" not in server.output


def test_everybody_is_told_once_while_threads_emit():
    with running(APP, env={"AFTER": "1.5", "SERVER": json.dumps({"drain_seconds": 1})}) as server:
        wires = [Wire(server.port) for _ in range(10)]
        for wire in wires:
            wire.join()
        ends: list[Gone] = []
        readers = [threading.Thread(target=lambda wire=wire: ends.append(wire.wait_until_closed(20))) for wire in wires]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(20)
        for wire in wires:
            wire.pipe.close()
        assert server.process.wait(15) == 0
        assert {gone.code for gone in ends} <= {1000, 1001}
        assert server.output.count(TOLD) == 10
