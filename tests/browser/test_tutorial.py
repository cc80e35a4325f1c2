"""The programs of the tutorial, taken from its pages and run, with a real Chromium in front of them."""

import contextlib
import functools

import pytest

from tests.docs.examples import DOCS, blocks_of, program_of
from tests.support.servers import running

HARMLESS = ("status of 404", "ERR_CONNECTION_REFUSED")


@contextlib.contextmanager
def served(page, folder):
    """Write the page's files and run its `app.py`, on a port that is free."""
    names = program_of(page, folder)
    assert names == ["app.py", "templates/index.html"]
    app = folder / "app.py"
    text = app.read_text(encoding="utf-8")
    assert text.count("port=5000") == 1
    app.write_text(text.replace("port=5000", 'port=int(__import__("os").environ["PORT"])'), encoding="utf-8")
    with running(str(app)) as server:
        yield server


@pytest.fixture
def look(visit):
    """A visit, but for complaints that are no fault: these pages have no favicon, and outlive their server."""
    return functools.partial(visit, harmless=HARMLESS)


def shows(visit, selector, *texts):
    for text in texts:
        visit.until(lambda text=text: text in visit.page.locator(selector).inner_text(), f"{text!r} in {selector}")


def say(visit, text):
    visit.page.locator("#text").fill(text)
    visit.page.locator("#form button").click()


def the_first_push(page, folder, look, text):
    with served(page, folder) as server:
        first, second = look(server.url), look(server.url)
        for each in (first, second):
            each.until_open()
            shows(each, "#time", ":")
        before = first.page.locator("#time").inner_text()
        first.until(lambda: first.page.locator("#time").inner_text() != before, "the clock ticks")
        say(first, text)
        for each in (first, second):
            shows(each, "#said", text)


def test_first_push(look, tmp_path):
    the_first_push("docs/tutorial/first-push.md", tmp_path, look, "hello")


def test_first_push_in_chinese(look, tmp_path):
    the_first_push("docs/tutorial/first-push.zh-CN.md", tmp_path, look, "你好")


def test_rooms(look, tmp_path):
    with served("docs/tutorial/rooms.md", tmp_path) as server:
        cook, guest, gardener = (look(server.url) for _ in range(3))
        for each, room in ((cook, "kitchen"), (guest, "kitchen"), (gardener, "garden")):
            each.until_open()
            each.page.locator("button.room", has_text=room).click()
            shows(each, "#where", f"you are in {room}")
        say(cook, "dinner is ready")
        shows(guest, "#lines", "kitchen: dinner is ready")
        say(gardener, "it rains")
        shows(gardener, "#lines", "garden: it rains")
        guest.page.locator("button.room", has_text="garden").click()
        shows(gardener, "#lines", "somebody entered garden")
        shows(cook, "#lines", "somebody left kitchen")
        gardeners_lines = gardener.page.locator("#lines").inner_text()
        gardener.page.close()
        shows(guest, "#lines", "somebody left garden (transport close)")
        assert "dinner" not in gardeners_lines
        assert "it rains" not in cook.page.locator("#lines").inner_text()


def test_login(look, tmp_path):
    with served("docs/tutorial/login.md", tmp_path) as server:
        page = look(server.url)
        shows(page, "#state", "log in first")
        say(page, "let me in")
        page.page.locator("[name=name]").fill("Ann")
        page.page.locator("#login").click()
        shows(page, "#state", "connected")
        shows(page, "#lines", "Ann is here")
        say(page, "good evening")
        shows(page, "#lines", "Ann: good evening")
        assert "let me in" not in page.page.locator("#lines").inner_text()
        page.page.locator("#logout").click()
        shows(page, "#state", "log in first")


@pytest.mark.parametrize("language", ["python", ""])
def test_the_chinese_page_has_the_code_of_the_english_one(language):
    english, chinese = (
        [block.text for block in blocks_of(DOCS / "tutorial" / name) if block.language == language]
        for name in ("first-push.md", "first-push.zh-CN.md")
    )
    assert english == chinese


def test_what_deploy_says_to_run_runs(look, tmp_path):
    """The command of docs/tutorial/deploy.md, on the program of the step before it."""
    program_of("docs/tutorial/login.md", tmp_path)
    (command,) = [
        line
        for block in blocks_of(DOCS / "tutorial/deploy.md")
        for line in block.text.splitlines()
        if line.startswith(".venv/bin/truesocket")
    ]
    arguments = command.replace("5000", "{port}").split()[1:]
    with running("truesocket.cli", *arguments, env={"PYTHONPATH": str(tmp_path)}) as server:
        shows(look(server.url), "#state", "log in first")
