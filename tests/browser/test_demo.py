"""A real Chromium on `truesocket demo`."""

import pytest

from tests.support.servers import running


@pytest.fixture(scope="module")
def demo():
    with running("truesocket.cli", "demo", "--port", "{port}") as server:
        yield server


def text(visit, selector):
    return visit.page.locator(selector).inner_text()


def number(visit, selector):
    """The number that an element shows; -1 while it shows a dash."""
    shown = text(visit, selector).strip().removeprefix("#")
    return float(shown) if shown.replace(".", "").isdigit() else -1


def test_shows_a_websocket_and_means_it(demo, visit):
    page = visit(demo.url, locale="en")
    channel = page.until_open()
    page.until(lambda: text(page, "#badge-text") == "WebSocket", "the badge")
    page.until(lambda: "websocket" in text(page, "#server-says").lower(), "the server says so")
    assert "websocket" in text(page, "#browser-says").lower()
    assert channel.url.startswith(demo.url.replace("http", "ws"))
    page.until(lambda: number(page, "#push-number") > 0, "a push")
    shown = number(page, "#push-number")
    page.until(lambda: number(page, "#push-number") >= shown + 2, "more pushes")
    assert len(channel.arrivals('"pulse"')) >= 3
    page.until(lambda: 0 <= number(page, "#latency") < 500, "the latency")


def test_says_so_when_it_is_long_polling(demo, visit):
    page = visit(f"{demo.url}/?transport=polling", locale="en")
    page.until(lambda: "polling" in text(page, "#badge-text").lower(), "the badge")
    page.until(lambda: "polling" in text(page, "#server-says").lower(), "the server says so")
    assert page.channels == []
    page.until(lambda: number(page, "#push-number") > 0, "pushes come all the same")
    demo.wait_for_output("stays on long-polling", within=30)


def test_what_one_says_everybody_sees(demo, visit):
    one, other = visit(demo.url, locale="en"), visit(demo.url, locale="zh-CN")
    for page in (one, other):
        page.until_open()
        page.until(lambda page=page: page.page.locator("#talk-send").is_enabled(), "the form is ready")
    here = number(one, "#people-count")
    assert here >= 2
    one.page.locator("#talk-text").fill("grüß dich, 世界 <b>😀</b>")
    one.page.locator("#talk-send").click()
    for page in (one, other):
        page.until(lambda page=page: "grüß dich, 世界 <b>😀</b>" in text(page, "#messages"), "the message")
    other.page.close()
    one.until(lambda: number(one, "#people-count") == here - 1, "the other one left")


def test_the_endless_loop_hinders_nobody(demo, visit):
    page, witness = visit(demo.url, locale="en"), visit(demo.url, locale="en")
    witness.until_open()
    page.until_open()
    page.until(lambda: page.page.locator("#loop-switch").is_enabled(), "the switch")
    page.page.locator("#loop-switch").click()
    page.until(lambda: number(page, "#loop-count") >= 3, "answers of the loop")
    assert number(page, "#loop-pushes") >= 1
    seen = number(witness, "#push-number")
    witness.until(lambda: number(witness, "#push-number") > seen, "the witness's pushes go on")
    page.page.locator("#loop-switch").click()
    page.page.wait_for_timeout(2500)
    stopped = number(page, "#loop-count")
    page.page.wait_for_timeout(3000)
    assert number(page, "#loop-count") == stopped


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_fits_a_phone_and_a_desk_in_both_colours(demo, visit, scheme, width):
    page = visit(demo.url, viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en")
    page.until_open()
    overflow = page.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{overflow} px wider than the screen"
    colours = page.page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    ink, paper = (sum(int(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) for colour in colours)
    assert (ink < paper) == (scheme == "light"), colours
