"""What docs/how-to/let-nobody-in.md promises, on the code that stands there."""

import time

import jwt
import pytest

from tests.docs.test_how_to import example
from truesocket.errors import Refused
from truesocket.testing import Client

PAGE = "docs/how-to/let-nobody-in.md"


def test_the_connect_handler_refuses_strangers():
    names = example(PAGE, '"members only"')
    with pytest.raises(Refused, match="members only"), Client(names["socketio"]):
        pass
    with Client(names["socketio"], auth={"key": "only for members"}) as client:
        assert client.connected


def test_a_namespace_and_an_event_are_guarded():
    names = example(PAGE, "def admins_only(")
    socketio = names["socketio"]
    socketio.on_event("delete", lambda order: "deleted", namespace="/admin")
    with pytest.raises(Refused, match="admins only"), Client(socketio, namespace="/admin"):
        pass
    with Client(socketio, namespace="/admin", auth={"role": "admin"}) as client:
        assert client.call("delete", {"id": 1}) == {"error": "say that you are sure"}
        assert client.call("delete", {"id": 1, "sure": True}) == "deleted"


def test_a_token_lets_in():
    names = example(PAGE, "def whoami(")
    claims = {"sub": "ann", "aud": "chat", "iss": "https://login.example.com", "exp": int(time.time()) + 60}
    good = jwt.encode(claims, "the secret that your login service signs with", "HS256")
    with Client(names["socketio"], auth={"token": good}) as client:
        assert client.call("whoami") == "ann"
    with pytest.raises(Refused, match="a token is needed"), Client(names["socketio"]):
        pass


def test_the_limits_are_taken():
    names = example(PAGE, "max_connections_per_address=50")
    assert names["socketio"].core.config.max_connections == 20_000
