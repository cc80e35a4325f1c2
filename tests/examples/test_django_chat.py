"""examples/django_chat, served for real: who is logged in to the site is logged in to the chat."""

import os
import re
import subprocess
import sys

import pytest
import requests

from tests.support.servers import ROOT, running_asgi

PEOPLE = """
from django.contrib.auth.models import User
for name in ("ada", "bob"):
    User.objects.create_user(name, password="secret " + name)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A database with two users."""
    env = {"PYTHONPATH": "examples/django_chat", "DATABASE": str(tmp_path_factory.mktemp("django") / "chat.sqlite3")}
    for arguments in (["migrate", "--verbosity", "0"], ["shell", "--command", PEOPLE]):
        command = [sys.executable, str(ROOT / "examples/django_chat/manage.py"), *arguments]
        subprocess.run(command, env={**os.environ, **env}, cwd=ROOT, check=True, timeout=100)
    return env


@pytest.fixture(params=["uvicorn", "uvicorn-fast"])
def chat(request, environment):
    with running_asgi("chat.asgi:application", request.param, env=environment) as server:
        yield server


def logged_in(chat, name):
    """A browser in which somebody has logged in."""
    browser = requests.Session()
    page = browser.get(chat.url + "/", timeout=20)
    assert page.url.endswith("/login/?next=/")
    csrf = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
    form = {"csrfmiddlewaretoken": csrf, "username": name, "password": f"secret {name}"}
    page = browser.post(page.url, data=form, headers={"Referer": page.url}, timeout=20)
    assert f"Chat, as {name}" in page.text
    return browser


def cookies(browser):
    return {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)}


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_the_chat(chat, connect, refused, transport):
    for headers in ({}, {"Cookie": "sessionid=wrong"}):
        assert refused(chat.url, headers=headers) == {"message": "log in first"}
    her, his = logged_in(chat, "ada"), logged_in(chat, "bob")
    ada = connect(chat.url, headers=cookies(her), transports=[transport])
    bob = connect(chat.url, headers=cookies(his), transports=[transport])
    assert ada.heard() == [["joined", "bob"]]
    assert bob.ask("say", "hello!") == "ok"
    assert ada.heard() == bob.heard() == [["said", "bob", "hello!"]]

    form = {"text": "tea is ready", "csrfmiddlewaretoken": her.cookies["csrftoken"]}
    assert her.post(chat.url + "/announce/", data=form, timeout=20).json() == {"heard_by": 2}
    assert ada.heard() == bob.heard() == [["announced", "tea is ready"]]

    bob.leave()
    assert ada.heard() == [["left", "bob"]]
    assert ada.heard_nothing()


def test_who_has_logged_out_is_out(chat, refused):
    browser = logged_in(chat, "ada")
    before = cookies(browser)
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    assert browser.post(chat.url + "/logout/", data=form, timeout=20).status_code == 200
    assert refused(chat.url, headers=before) == {"message": "log in first"}
