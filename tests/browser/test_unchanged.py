"""The applications of tests/apps/flask_socketio, unchanged, with their own pages, in Chromium."""

import pytest

from tests.support.servers import ROOT, running

APPS = ROOT / "tests" / "apps" / "flask_socketio"
ENV = {"STATIC_FOLDER": str(ROOT / "tests" / "clients" / "node_modules"), "INTERVAL": "0.2"}


@pytest.fixture(scope="module", params=["chat", "dashboard", "namespaces"])
def server(request):
    arguments = ["run", "--as-flask-socketio", f"{request.param}:app", "--port", "{port}"]
    with running("truesocket.cli", *arguments, env=ENV, cwd=APPS) as server:
        server.app = request.param
        yield server


def only(app):
    return pytest.mark.parametrize("server", [app], indirect=True, scope="module")


def log_shows(visit, *texts):
    for text in texts:
        visit.until(lambda text=text: any(text in line for line in visit.lines()), f"{text!r} in {visit.lines()}")


def upgraded(visit, visits=1):
    """Wait for the WebSocket of the page that was opened last: quiet pages have all they were told by polling."""
    visit.until(
        lambda: len(visit.channels) == visits and visit.channels[-1].arrivals("3probe"), "a WebSocket that is answered"
    )


def say(visit, form, text):
    visit.page.locator(f"#{form} input").fill(text)
    visit.page.locator(f"#{form} button").click()


@only("chat")
def test_chat(server, visit):
    ada, bob = visit(server.url), visit(server.url)
    for each, name in ((ada, "Ada"), (bob, "Bob")):
        log_shows(each, "#0: Connected")
        upgraded(each)
        say(each, "login", name)
        each.until(lambda each=each: each.page.locator("#name").count() == 1, "the page of who is logged in")
        log_shows(each, "#10: Connected")
        upgraded(each, visits=2)
    for each in (ada, bob):
        say(each, "join", "kitchen")
        log_shows(each, "rooms: kitchen")
    log_shows(ada, "Bob has come in")
    say(bob, "say", "is there tea?")
    log_shows(bob, "delivered (11)")
    log_shows(ada, "Bob: is there tea?")
    say(ada, "shout", "yes")
    for each in (ada, bob):
        log_shows(each, "to all: yes!")
    ada.page.locator("#bye").click()  # the server waits for the ack of the page, then disconnects it
    log_shows(ada, "Disconnected!", "disconnected: io server disconnect")
    log_shows(bob, "Ada is gone: server disconnect")


@only("dashboard")
def test_dashboard(server, visit):
    page, other = visit(server.url), visit(server.url)
    for each in (page, other):
        log_shows(each, "hello dashboard, grey")
        each.until_open()
        each.until(lambda each=each: len(each.socket.arrivals("reading")) >= 3, "three readings on the WebSocket")
        assert each.page.locator("#reading").inner_text() != "-"
    page.page.locator("#job").click()
    log_shows(page, "started", "done: kept 5")
    assert page.page.locator("#progress").evaluate("bar => [bar.value, bar.max]") == [5, 5]
    assert "done" not in " ".join(other.lines())
    page.page.locator("#red").click()
    page.until(lambda: page.page.locator("#colour").inner_text() == "red", "the colour that the event has set")
    page.page.reload()
    page.until(lambda: page.page.locator("#colour").inner_text() == "red", "the page has the session of the event")
    log_shows(page, "hello dashboard, red")


@only("namespaces")
@pytest.mark.parametrize("client", ["new", "old", "oldest"])
def test_namespaces(server, visit, client):
    """With the official clients 4.x, 2.x, and 1.5.1, which Flask-SocketIO 5 turns away."""
    page = visit(f"{server.url}/?client={client}")
    log_shows(page, "welcome to /", "ticket 5", "/tickets: KeyError")
    upgraded(page)
    for count in (1, 2):
        page.page.locator("#echo").click()
        log_shows(page, f"#{count}: from the page")
    page.page.locator("#fail").click()
    log_shows(page, "trouble: / on purpose", "ack: failed")
    page.page.locator("#bye").click()
    log_shows(page, "disconnected: io server disconnect")
