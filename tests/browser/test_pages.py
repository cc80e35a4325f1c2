"""A real Chromium on the pages of both examples: a WebSocket was opened, and it carries the pushes.

Each example is visited with the clients that its page offers: ours, the official one of today, and the one of 2016 with
jQuery, all served by the example itself.
"""

import os
import sys
import time
import urllib.request
from itertools import pairwise

import pytest

from tests.support.servers import ROOT, running

CLIENTS = ("", "4.8", "1.5.1")
EXAMPLES = ("naive_loop", "background_push")
ENV = {"CLIENTS_DIR": str(ROOT / "tests" / "clients" / "node_modules"), "DEBUG": "0"}
RHYTHM = 2.0  # seconds between two pushes
LATE = 1.0  # how much a busy machine may add


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request):
    with running(f"examples/{request.param}/app.py", env=ENV) as server:
        server.example = request.param
        yield server


@pytest.fixture(params=CLIENTS, ids=lambda client: client or "ours")
def client(request):
    return request.param


def address(server, client=""):
    return f"{server.url}/?client={client}" if client else server.url + "/"


def in_rhythm(moments):
    """Whether each came about RHYTHM after the one before it."""
    return all(RHYTHM / 2 < later - earlier < RHYTHM + LATE for earlier, later in pairwise(moments))


def test_pushes_arrive_over_a_websocket(example, visit, client):
    page = visit(address(example, client))
    channel = page.until_open()
    assert channel.url.startswith(example.url.replace("http", "ws") + "/socket.io/")
    page.until(lambda: page.count("connected!") == 1, "the answer to connect_event")
    page.until(lambda: len(channel.arrivals("server_response")) >= 4, "four messages on the WebSocket")
    assert page.count("test") >= 3, page.lines()
    pushes = channel.arrivals('"test"')[-3:]
    assert in_rhythm(pushes), pushes
    assert page.socket is channel, "the WebSocket must still be the one of the beginning"


def test_two_pages_and_the_form_and_http_meanwhile(example, visit):
    """Both pages get their pushes, a second client_event is taken while the first runs, and HTTP answers at once."""
    first, second = visit(address(example)), visit(address(example))
    channels = [first.until_open(), second.until_open()]
    first.page.locator("#emit_data").fill("from the form")
    first.page.locator("form#emit").locator("[type=submit]").click()
    before = [len(channel.arrivals("server_response")) for channel in channels]
    slowest, deadline = 0.0, time.monotonic() + 3 * RHYTHM + LATE
    while time.monotonic() < deadline:
        started = time.monotonic()
        with urllib.request.urlopen(example.url) as answer:
            assert answer.status == 200
        slowest = max(slowest, time.monotonic() - started)
        first.page.wait_for_timeout(100)
        second.page.wait_for_timeout(100)
    assert slowest < 1
    for channel, already in zip(channels, before, strict=True):
        assert len(channel.arrivals("server_response")) - already >= 2
    if example.example == "naive_loop":
        assert first.count("from the form") >= 2, first.lines()  # the second endless loop of this page
        assert second.count("from the form") == 0, "a handler's emit goes to its own client only"
    assert any("client_event" in str(message) for _, message in channels[0].sent)


@pytest.mark.skipif(sys.platform != "linux", reason="counts the server's open files in /proc")
def test_a_closed_page_frees_its_connection(example, visit):
    def open_files():
        return len(os.listdir(f"/proc/{example.process.pid}/fd"))

    stays = visit(address(example))
    stays.until_open()
    before = open_files()
    leaving = [visit(address(example)) for _ in range(4)]
    for page in leaving:
        page.until_open()
    assert open_files() >= before + 4
    for page in leaving:
        page.page.close()
    stays.until(lambda: open_files() <= before, "the connections of the closed pages are gone", within=10)
    heard = len(stays.socket.arrivals("server_response"))
    stays.until(lambda: len(stays.socket.arrivals("server_response")) > heard, "the other page goes on")


@pytest.mark.parametrize("example_name", EXAMPLES)
def test_sigterm_ends_it_while_loops_run(example_name, visit):
    """`running` asserts it; the page must not hinder the end. It sees the connection go, and that is no trouble."""
    with running(f"examples/{example_name}/app.py", env=ENV, stops_within=5) as server:
        page = visit(address(server))
        page.until_open()
        server.terminate(5)
    page.until(lambda: page.channels[0].closed, "the page sees the end")
    page.troubles.clear()  # its client tries to come back, in vain
    page.page.close()
