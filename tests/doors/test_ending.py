"""A signal that the host ends at is heard by us as well, and still by the host."""

import asyncio
import os
import signal
import threading

import pytest
import uvloop

from truesocket.doors.ending import signals_heard

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


async def hear(listen) -> tuple[list[str], object]:
    """What was told at a SIGTERM, and the handler that stands afterwards."""
    told: list[str] = []
    host = asyncio.Event()

    def host_hears() -> None:
        told.append("host")
        host.set()

    listen(host_hears)
    with signals_heard(lambda: told.append("we")):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(host.wait(), 10)
        await asyncio.sleep(0.05)
    return told, signal.getsignal(signal.SIGTERM)


@pytest.fixture(params=LOOPS)
def runner(request):
    before = signal.getsignal(signal.SIGTERM)
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner
    signal.signal(signal.SIGTERM, before)


def test_host_that_listens_through_its_loop(runner):
    loop = runner.get_loop()
    told, _ = runner.run(hear(lambda heard: loop.add_signal_handler(signal.SIGTERM, heard)))
    assert sorted(told) == ["host", "we"]


def test_host_with_a_handler_of_its_own(runner):
    loop = runner.get_loop()

    def handler(*_):
        loop.call_soon_threadsafe(heard[0])

    heard: list = []

    def listen(host_hears):
        heard.append(host_hears)
        signal.signal(signal.SIGTERM, handler)

    told, after = runner.run(hear(listen))
    assert sorted(told) == ["host", "we"]
    assert after is handler, "our handler outlives us"


def test_nothing_is_touched_where_nobody_listens_or_off_the_main_thread():
    async def look() -> object:
        with signals_heard(lambda: None):
            return signal.getsignal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert asyncio.run(look()) is signal.SIG_DFL
        signal.signal(signal.SIGTERM, handler := lambda *_: None)
        seen: list[object] = []
        thread = threading.Thread(target=lambda: seen.append(asyncio.run(look())))
        thread.start()
        thread.join(10)
        assert seen == [handler]
    finally:
        signal.signal(signal.SIGTERM, before)
