"""Handlers that misbehave: they stall, stop and confuse nobody but themselves."""

import contextlib
import time

import pytest

from tests.support.bystanders import bystanders
from tests.support.faulty import joined, left, new_token, stats, until
from tests.support.servers import TRACEBACK
from tests.support.wire import Gone, Wire, get


def test_handlers_that_raise(abused, case):
    with bystanders(abused.port) as nobody, Wire(abused.port) as wire:
        before = records(abused.output)
        wire.join()
        for _ in range(case.count):
            wire.emit("boom", id=1)
        assert wire.call("echo", 1) == [1]
        until(lambda: records(abused.output) - before >= case.count, "each has been logged")
        assert records(abused.output) - before == case.count
        case.measured(longest_gap=nobody.noticed())


def records(output: str) -> int:
    """Log records about the broken handler."""
    return output.count("ERROR    handler boom ")


def test_handler_that_blocks_the_loop(restless, case):
    token = new_token()
    with bystanders(restless.port) as nobody, Wire(restless.port, query=f"token={token}") as wire:
        wire.join()
        assert wire.call("block", 2, case.count, timeout=90) == ["blocked"]
        assert wire.call("echo", 1) == [1]
        case.measured(longest_gap=nobody.noticed(gap=60))
    assert len(left(restless.port, token, 1)) == 1


def test_handlers_that_burn_the_cpu(abused, case):
    with contextlib.ExitStack() as stack:
        nobody = stack.enter_context(bystanders(abused.port))
        wires = [stack.enter_context(Wire(abused.port)) for _ in range(case.count)]
        for wire in wires:
            wire.join()
        for wire in wires:
            wire.emit("burn", 0.5, id=7)
        with Wire(abused.port) as newcomer:
            newcomer.join()
            assert newcomer.call("echo", "me", timeout=30) == ["me"]
        for wire in wires:
            assert wire.packet(60).data == ["burnt"]
        case.measured(longest_gap=nobody.noticed(gap=20))


def test_handlers_whose_clients_have_just_left(abused, case):
    token = new_token()
    before = abused.output.count(TRACEBACK)
    with bystanders(abused.port) as nobody:
        for number in range(case.count):
            client = joined(abused.port, token)
            for _ in range(5):
                client.send(f'42["watch later",{number % 4 / 10}]')
            client.close()
        assert len(left(abused.port, token, case.count)) == case.count
        time.sleep(1)
        case.measured(longest_gap=nobody.noticed())
    assert abused.output.count(TRACEBACK) == before
    assert "UnknownSid" not in abused.output


@pytest.mark.timeout(300)
def test_emitting_faster_than_the_loop_sends(server, nobody, case):
    token = new_token()
    for _ in range(20):
        client = joined(server.port, token)
        client.send(f'421["room","{token}",true]')
        while not str(client.receive()).startswith("431"):
            pass
    before = stats(server.port, settle=True)["rss"]
    worst = 0.0
    for _ in range(case.count // 1_000):
        worst = max(worst, get(server.port, f"/emit?count=1000&size=10000&to={token}").json - before)
    assert worst < 60 * 1024, f"{worst:.0f} KiB"
    assert left(server.port, token, 20) == ["slow consumer"] * 20
    case.measured(longest_gap=nobody.noticed(), memory_growth_kib=worst)


@pytest.mark.timeout(300)
def test_handlers_that_never_end(abused, case):
    token = new_token()
    with bystanders(abused.port) as nobody:
        for number in range(case.count):
            client = joined(abused.port, token)
            client.send(f'42["forever","{token}"]')
            if number % 2:
                client.close()
        with Wire(abused.port) as newcomer:
            newcomer.join()
            assert newcomer.call("echo", "me", timeout=30) == ["me"]
        assert len(left(abused.port, token, case.count // 2)) == case.count // 2
        case.measured(longest_gap=nobody.noticed())
        get(abused.port, f"/release?name={token}")


def test_leaving_during_their_own_ack(abused, case):
    token = new_token()
    with bystanders(abused.port) as nobody:
        for number in range(case.count):
            client = joined(abused.port, token)
            if number % 2:
                client.send('421["nap",0.1]')
                client.close()
            else:
                client.send('421["bye"]')
                assert client.receive() == "41"
                with contextlib.suppress(Gone, TimeoutError):
                    assert client.receive(0.2) == "2", "something came behind the DISCONNECT"
                client.close()
        assert len(left(abused.port, token, case.count)) == case.count
        assert len(left(abused.port, token, 0)) == case.count, "a disconnect handler ran twice"
        case.measured(longest_gap=nobody.noticed())
