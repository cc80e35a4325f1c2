"""One official JavaScript client in a page in Chromium: JSONP needs a DOM, and only pages send binary payloads.

python page_client.py '{"package": "socket.io-client-2", "url": "http://127.0.0.1:5000", ...}'
"""

import json
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.support.chromium import FLAGS, find_chromium

HERE = Path(__file__).parent
LIVE = "(job) => live(io, job, null, () => fetch('/-cut-'))"


def main():
    job = json.loads(sys.argv[1])
    package = HERE / "node_modules" / job["package"]
    bundle = next(path for place in ("dist", ".") if (path := package / place / "socket.io.js").exists())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = browser.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(job["url"] + "/page")
        page.add_script_tag(path=bundle)
        page.add_script_tag(path=HERE / "scenario.js")
        report = page.evaluate(LIVE, job)
        browser.close()
    report["client"] = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    if errors:
        report.setdefault("failure", f"errors in the page: {errors}")
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
