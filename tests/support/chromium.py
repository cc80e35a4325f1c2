"""Find a Chromium or Chrome on this machine.

`python -m tests.support.chromium` starts it once, as the tests do, and prints its version.
"""

import os
import shutil
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

PLACES = {
    "darwin": (
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ),
    "win32": tuple(
        str(Path(os.environ.get(variable, "C:/")) / "Google/Chrome/Application/chrome.exe")
        for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
    ),
}

# Where `playwright install` puts its browsers, and the program inside; newest build first.
PLAYWRIGHT_CACHES = {"darwin": "~/Library/Caches/ms-playwright", "win32": "~/AppData/Local/ms-playwright"}
PLAYWRIGHT_PROGRAMS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium-*/chrome-win*/chrome.exe",
)

# A headless browser that keeps to itself: no updates, no background requests, only what the test asks for.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def find_chromium() -> str | None:
    """Return the path of a Chromium: `$CHROMIUM`, the system's, or Playwright's own; None if there is none."""
    if named := os.environ.get("CHROMIUM"):
        return named
    for name in NAMES:
        if found := shutil.which(name):
            return found
    for place in PLACES.get(sys.platform, ()):
        if Path(place).exists():
            return place
    cache = Path(
        os.environ.get("PLAYWRIGHT_BROWSERS_PATH", PLAYWRIGHT_CACHES.get(sys.platform, "~/.cache/ms-playwright"))
    ).expanduser()
    for pattern in PLAYWRIGHT_PROGRAMS:
        for program in sorted(cache.glob(pattern), reverse=True):
            return str(program)
    return None


def main() -> None:
    """Start the browser once."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        print(browser.version)
        browser.close()


if __name__ == "__main__":
    main()
