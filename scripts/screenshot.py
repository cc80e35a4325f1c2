"""Take the picture of the demo that the README shows: a live page with two visitors, in light colours.

    python -m scripts.screenshot docs/images/demo.png [dark] [phone]

`dark` and `phone` take the other looks of the page, for your own eyes. The page has Chinese words in it: without a font
for them (Debian: fonts-wqy-microhei) the picture shows boxes.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from tests.support.chromium import FLAGS, find_chromium
from tests.support.servers import running

DESKTOP: ViewportSize = {"width": 1180, "height": 1122}
PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE = 20_000  # milliseconds
PUSHES = 12  # enough that the charts have something to show


def main() -> None:
    """Start the demo, visit it twice, wait until it has something to show, and take the picture."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    target, looks = Path(sys.argv[1]), sys.argv[2:]
    with running("truesocket.cli", "demo", "--port", "{port}") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        guest = browser.new_page(locale="en")
        guest.goto(server.url)
        page = browser.new_page(
            viewport=PHONE if "phone" in looks else DESKTOP,
            color_scheme="dark" if "dark" in looks else "light",
            device_scale_factor=2 if "phone" in looks else 1,
            reduced_motion="reduce",
            locale="en",
        )
        page.goto(server.url)
        say(guest, "Hello, everybody")
        say(page, "That was quick")
        expect(page.locator("#people-count")).to_have_text("2", timeout=PATIENCE)
        page.locator("#loop-switch").click()
        expect(page.locator("#push-number")).to_have_text(f"#{PUSHES}", timeout=PUSHES * 3_000)
        page.evaluate("scrollTo(0, 0)")
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target, full_page="phone" in looks)
        browser.close()


def say(page: Page, text: str) -> None:
    """Say something to everybody, as soon as the page is connected."""
    expect(page.locator("#talk-send")).to_be_enabled(timeout=PATIENCE)
    page.locator("#talk-text").fill(text)
    page.locator("#talk-send").click()


if __name__ == "__main__":
    main()
