"""A real Chromium, driven by Playwright, and pages that remember what went over their WebSockets."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, WebSocket, sync_playwright

from tests.support.chromium import FLAGS, find_chromium

SHOTS = Path(__file__).resolve().parent.parent.parent / "test-results"


@dataclass
class Channel:
    """One WebSocket that a page opened, and the messages that came in on it."""

    url: str
    received: list[tuple[float, str | bytes]] = field(default_factory=list)
    sent: list[tuple[float, str | bytes]] = field(default_factory=list)
    closed: bool = False

    def arrivals(self, text: str) -> list[float]:
        """When messages that contain `text` came in."""
        return [when for when, message in self.received if isinstance(message, str) and text in message]


class Visit:
    """One open page: what it shows, what it opened, and what went wrong in it, but for complaints called `harmless`."""

    def __init__(self, page: Page, url: str, harmless: tuple[str, ...] = ()) -> None:
        self.page = page
        self.channels: list[Channel] = []
        self.troubles: list[str] = []
        page.on("websocket", self._opened)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("console", self._complained)
        page.on("request", self._only_from(url))
        self._harmless = harmless
        page.goto(url)

    def _complained(self, said: ConsoleMessage) -> None:
        if said.type == "error" and not any(known in said.text for known in self._harmless):
            self.troubles.append(f"console: {said.text}")

    def _opened(self, socket: WebSocket) -> None:
        channel = Channel(socket.url)
        self.channels.append(channel)
        socket.on("framereceived", lambda payload: channel.received.append((time.monotonic(), payload)))
        socket.on("framesent", lambda payload: channel.sent.append((time.monotonic(), payload)))
        socket.on("close", lambda _: setattr(channel, "closed", True))

    def _only_from(self, url: str):
        host = urlsplit(url).netloc

        def check(request):
            parts = urlsplit(request.url)
            if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != host:
                self.troubles.append(f"request to another host: {request.url}")

        return check

    @property
    def socket(self) -> Channel:
        """The one WebSocket that is open."""
        (channel,) = [channel for channel in self.channels if not channel.closed]
        return channel

    def lines(self) -> list[str]:
        """The lines that `#log` shows."""
        return [line for line in self.page.locator("#log").inner_text().splitlines() if line.strip()]

    def until(self, met, what: str, within: float = 15) -> None:
        """Let the page live until `met()`; fail with `what` and the page's state if it does not come to that."""
        deadline = time.monotonic() + within
        while not met():
            if time.monotonic() > deadline:
                channels = [(channel.url, len(channel.received), channel.closed) for channel in self.channels]
                pytest.fail(f"not within {within} s: {what}; WebSockets: {channels}; troubles: {self.troubles}")
            self.page.wait_for_timeout(50)

    def until_open(self) -> Channel:
        """Wait until a WebSocket carries Socket.IO messages; return it."""
        self.until(
            lambda: any(not channel.closed and channel.arrivals("4") for channel in self.channels),
            "a WebSocket that brings messages",
        )
        return self.socket

    def count(self, text: str) -> int:
        """How many lines of `#log` contain `text`."""
        return sum(text in line for line in self.lines())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Of one module only: while it lives, Playwright keeps a running event loop in this thread."""
    program = find_chromium()
    if program is None:
        pytest.fail("no Chromium or Chrome found: run `make setup`, or set CHROMIUM to the program", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, request):
    """Open a page as a visitor of its own: `visit(url)`. At the end none may have had trouble.

    What a page may complain of is said at its opening, `visit(url, harmless=(...))`: a complaint may come as late as
    the closing of the page.
    """
    contexts, visits = [], []

    def open_page(url: str, harmless: tuple[str, ...] = (), **options) -> Visit:
        context = browser.new_context(**options)
        contexts.append(context)
        visits.append(Visit(context.new_page(), url, harmless))
        return visits[-1]

    yield open_page
    failed = getattr(request.node, "failed", False)
    for number, each in enumerate(visits):
        if failed and not each.page.is_closed():
            SHOTS.mkdir(exist_ok=True)
            each.page.screenshot(path=SHOTS / f"{request.node.name}-{number}.png", full_page=True)
    for context in contexts:
        context.close()
    assert [trouble for each in visits for trouble in each.troubles] == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let the fixture `visit` know whether to take pictures."""
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True
    return report
