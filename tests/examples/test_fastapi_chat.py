"""examples/fastapi_chat, served for real, with python-socketio's client."""

import pytest
import requests

from tests.support.servers import running_asgi


@pytest.fixture(params=["uvicorn", "uvicorn-fast"])
def chat(request):
    with running_asgi("app:app", request.param, env={"PYTHONPATH": "examples/fastapi_chat"}) as server:
        yield server


def token(chat, name):
    return requests.post(chat.url + "/login", json={"name": name}, timeout=20).json()["token"]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_the_chat(chat, connect, refused, transport):
    for auth in (None, {"token": "wrong"}, {"token": None}):
        assert refused(chat.url, auth=auth) == {"message": "log in first"}
    ada = connect(chat.url, auth={"token": token(chat, "Ada")}, transports=[transport])
    bob = connect(chat.url, auth={"token": token(chat, "Bob")}, transports=[transport])
    assert ada.ask("join", "lobby") == ["Ada"]
    assert bob.ask("join", "lobby") == ["Ada", "Bob"]
    assert ada.heard() == [["joined", "lobby", "Bob"]]
    assert bob.ask("say", "attic", "hello?") == "you are not in this room"
    assert bob.ask("say", "lobby", "hello!") == "ok"
    assert ada.heard() == bob.heard() == [["said", "lobby", "Bob", "hello!"]]

    announced = requests.post(chat.url + "/rooms/lobby/announcements", json={"text": "tea is ready"}, timeout=20)
    assert announced.json() == {"heard_by": 2}
    assert ada.heard() == bob.heard() == [["announced", "tea is ready"]]
    assert requests.post(chat.url + "/rooms/attic/announcements", json={"text": "x"}, timeout=20).status_code == 404

    bob.leave()
    assert ada.heard() == [["left", "lobby", "Bob"]]
    assert ada.heard_nothing()


def test_the_page(chat):
    page = requests.get(chat.url, timeout=20)
    assert page.headers["content-type"].startswith("text/html")
    script = requests.get(chat.url + "/socket.io/truesocket.js", timeout=20)
    assert script.status_code == 200
    assert "/socket.io/truesocket.js" in page.text
