"""JSON Web Tokens: which ones let a client in, for how long, and what an attacker makes of them."""

import base64
import contextlib
import http.server
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import flask
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import truesocket
from truesocket.errors import Refused, UsageError
from truesocket.flask import SocketIO
from truesocket.testing import Client
from truesocket.tokens import EXPIRED, REFRESH, Tokens

SECRET = "a secret of more than thirty-two bytes"
PATIENCE = 10


def token(key=SECRET, algorithm="HS256", *, headers=None, lasts=3600.0, **claims):
    body = {"sub": "ann", "aud": "chat", "iss": "https://login", "exp": int(time.time() + lasts), **claims}
    return jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm, headers)


def tokens(**options):
    return Tokens(**{"key": SECRET, "algorithms": ["HS256"], "audience": "chat", "issuer": "https://login", **options})


def served(guard, **options):
    server = truesocket.Server(**options)
    guard.guard(server)
    left = []

    @server.on("who")
    def who():
        return guard.claims()

    @server.on("disconnect")
    def disconnect(reason):
        left.append(reason)

    return server, left


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def refusal(server, **client):
    with pytest.raises(Refused) as refused, Client(truesocket.ASGIApp(server), **client):
        pass
    return refused.value.payload


def unsigned(algorithm="none"):
    """A token that says of itself that it needs no signature."""
    parts = [{"alg": algorithm, "typ": "JWT"}, {"sub": "eve", "aud": "chat", "iss": "https://login", "exp": 2**40}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def test_a_valid_token_lets_in_and_its_claims_are_there():
    server, _ = served(tokens())
    with Client(truesocket.ASGIApp(server), auth={"token": token(role="admin")}) as client:
        claims = client.call("who")
        assert (claims["sub"], claims["role"]) == ("ann", "admin")
        assert server.socket(client.sid).data["claims"] == claims


WRONG = {
    "none": (None, "token_missing"),
    "no text": ({"a": 1}, "token_missing"),
    "not a token": ("garbage", "token_invalid"),
    "too long": ("x" * 100_000, "token_invalid"),
    "without a signature": (unsigned(), "token_invalid"),
    "an algorithm of its own": (unsigned("HS999"), "token_invalid"),
    "another secret": (token("another secret of more than thirty-two bytes"), "token_invalid"),
    "another algorithm": (token(SECRET * 2, "HS512"), "token_invalid"),
    "another audience": (token(aud="shop"), "token_invalid"),
    "no audience": (token(aud=None), "token_invalid"),
    "another issuer": (token(iss="https://evil"), "token_invalid"),
    "no expiry": (token(exp=None), "token_invalid"),
    "expired": (token(lasts=-5), "token_expired"),
    "not yet": (token(nbf=int(time.time()) + 3600), "token_invalid"),
}


@pytest.mark.parametrize("what", WRONG)
def test_any_other_does_not(what, caplog):
    given, code = WRONG[what]
    server, left = served(tokens())
    with caplog.at_level(logging.DEBUG):
        payload = refusal(server, auth={"token": given})
    assert payload["data"] == {"code": code}
    assert left == []
    assert server.stats.refused == {"connect": 1}
    said = caplog.text + str(payload)
    assert not isinstance(given, str) or given not in said
    assert SECRET not in said


@pytest.mark.parametrize(
    ("options", "client", "comes_in"),
    [
        ({}, {"headers": {"authorization": "Bearer TOKEN"}}, True),
        ({"header": False}, {"headers": {"authorization": "Bearer TOKEN"}}, False),
        ({}, {"headers": {"authorization": "Basic TOKEN"}}, False),
        ({"auth": "jwt"}, {"auth": {"jwt": "TOKEN"}}, True),
        ({"auth": None}, {"auth": {"token": "TOKEN"}}, False),
        ({"cookie": "access"}, {"headers": {"cookie": "a=b; access=TOKEN"}}, True),
        ({}, {"headers": {"cookie": "token=TOKEN"}}, False),
        ({"query": "token"}, {"query": {"token": "TOKEN"}}, True),
        ({}, {"query": {"token": "TOKEN"}}, False),
    ],
)
def test_where_it_is_looked_for(options, client, comes_in):
    good = token()
    client = {name: {key: text.replace("TOKEN", good) for key, text in table.items()} for name, table in client.items()}
    server, _ = served(tokens(**options))
    if comes_in:
        with Client(truesocket.ASGIApp(server), **client) as it:
            assert it.call("who")["sub"] == "ann"
    else:
        assert refusal(server, **client)["data"] == {"code": "token_missing"}


def test_who_is_refused_by_the_handler_is_not_watched():
    guard = tokens()
    server, _ = served(guard)
    server.on("connect", lambda: False)
    refusal(server, auth={"token": token()})
    assert guard._watches[server]._at == {}


def test_who_has_left_is_not_watched():
    guard = tokens()
    server, left = served(guard)
    with Client(truesocket.ASGIApp(server), auth={"token": token(lasts=3600)}):
        assert len(guard._watches[server]._at) == 1
    until(lambda: left)
    assert guard._watches[server]._at == {}


def test_an_expired_token_ends_the_connection():
    server, left = served(tokens(grace=0))
    with Client(truesocket.ASGIApp(server), auth={"token": token(lasts=2)}) as client:
        until(lambda: left)
        assert left == ["token expired"]
        assert not client.connected


def test_the_client_is_asked_first_and_a_fresh_one_lets_it_stay():
    server, left = served(tokens(grace=3))
    with Client(truesocket.ASGIApp(server), auth={"token": token(lasts=1)}) as client:
        assert client.receive(EXPIRED, timeout=PATIENCE).args == [{"grace": 3.0}]
        fresh = token(lasts=3600, role="editor")
        expires = jwt.decode(fresh, options={"verify_signature": False})["exp"]
        assert client.call(REFRESH, fresh) == {"ok": True, "expires": expires}
        assert client.call("who")["role"] == "editor"
        time.sleep(5)  # longer than what was left of the grace
        assert client.connected
        assert left == []


def test_what_is_no_fresh_one_does_not():
    server, left = served(tokens(grace=2))
    with Client(truesocket.ASGIApp(server), auth={"token": token(lasts=2)}) as client:
        for wrong in (token(sub="eve"), token(lasts=-1), "garbage", None, 7):
            answer = client.call(REFRESH, wrong)
            assert answer["ok"] is False
            assert answer["data"]["code"].startswith("token_")
        assert client.call("who")["sub"] == "ann"
        client.receive(EXPIRED, timeout=PATIENCE)
        until(lambda: left)
        assert left == ["token expired"]


def test_one_timer_for_all():
    guard = tokens()
    server, _ = served(guard)
    later = []
    plain = server.runner.later
    server.runner.later = lambda delay, function: (later.append(function), plain(delay, function))
    with contextlib.ExitStack() as all_of_them:
        for _ in range(20):
            all_of_them.enter_context(Client(truesocket.ASGIApp(server), auth={"token": token()}))
        assert len([each for each in later if each == guard._watches[server]._look]) <= 2


def test_other_namespaces_are_free():
    server, _ = served(tokens(), namespaces=["/", "/free"])
    with Client(truesocket.ASGIApp(server), namespace="/free") as client:
        assert client.connected


def test_with_flask():
    app = flask.Flask("tokens")
    socketio = SocketIO(app)
    guard = tokens()
    guard.guard(socketio)

    @socketio.on("who")
    def who():
        return guard.claims()["sub"], flask.request.sid

    with Client(socketio, auth={"token": token()}) as client:
        assert client.call("who") == ["ann", client.sid] or client.call("who") == ("ann", client.sid)
        assert client.call(REFRESH, token(lasts=900))["ok"] is True
    with pytest.raises(Refused), Client(socketio):
        pass


# --- keys that the issuer publishes -----------------------------------------------------------------------------------

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Issuer(http.server.BaseHTTPRequestHandler):
    fetched = 0
    keys: ClassVar[dict[str, rsa.RSAPrivateKey]] = {}
    status = 200

    def do_GET(self):
        Issuer.fetched += 1
        keys = [
            {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
            for kid, key in self.keys.items()
        ]
        body = json.dumps({"keys": keys}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def issuer() -> Iterator[str]:
    Issuer.fetched, Issuer.keys, Issuer.status = 0, {"one": RSA}, 200
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/jwks.json"
    server.shutdown()
    thread.join()
    server.server_close()


def by_url(url):
    return Tokens(jwks_url=url, algorithms=["RS256"], audience="chat", issuer="https://login")


def test_keys_come_from_the_issuer_and_are_kept(issuer):
    server, _ = served(by_url(issuer))
    for _ in range(3):
        good = token(RSA, "RS256", headers={"kid": "one"})
        with Client(truesocket.ASGIApp(server), auth={"token": good}) as client:
            assert client.call("who")["sub"] == "ann"
    assert Issuer.fetched == 1


def test_keys_that_nobody_knows_are_not_asked_for_again_and_again(issuer):
    guard = by_url(issuer)
    for number in range(20):
        with pytest.raises(Refused, match="not valid"):
            guard.verify(token(OTHER, "RS256", headers={"kid": f"made-up-{number}"}))
    assert Issuer.fetched <= 2


def test_a_signature_of_another_key_is_refused(issuer):
    with pytest.raises(Refused, match="not valid"):
        by_url(issuer).verify(token(OTHER, "RS256", headers={"kid": "one"}))


def test_an_issuer_that_fails_is_not_asked_by_every_client(issuer, caplog):
    Issuer.status = 500
    guard = by_url(issuer)
    for _ in range(10):
        with pytest.raises(Refused, match="at the moment"):
            guard.verify(token(RSA, "RS256", headers={"kid": "one"}))
    assert Issuer.fetched == 1
    assert "the keys that tokens are verified with" in caplog.text


def test_the_public_key_is_no_secret():
    """Signed with HS256 and the public key, as if that were the secret: the classic."""
    guard = Tokens(key=PUBLIC, algorithms=["RS256"], audience="chat", issuer="https://login")
    forged = unsigned("HS256").rstrip(".")
    import hashlib
    import hmac

    signature = base64.urlsafe_b64encode(hmac.digest(PUBLIC, forged.encode(), hashlib.sha256)).decode().rstrip("=")
    with pytest.raises(Refused, match="not valid"):
        guard.verify(f"{forged}.{signature}")
    assert guard.verify(token(RSA, "RS256"))["sub"] == "ann"


def test_elliptic_curves():
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    guard = tokens(key=public, algorithms=["ES256"])
    assert guard.verify(token(key, "ES256"))["sub"] == "ann"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"algorithms": []}, "choose from"),
        ({"algorithms": ["none"]}, "choose from"),
        ({"algorithms": ["HS256", "none"]}, "choose from"),
        ({"algorithms": ["HS256", "RS256"]}, "take one kind"),
        ({"key": None, "jwks_url": "https://x/", "algorithms": ["HS256"]}, "take one kind"),
        ({"key": None}, "jwks_url="),
        ({"jwks_url": "https://x/", "algorithms": ["RS256"]}, "not both"),
        ({"key": None, "jwks_url": "http://login.example/", "algorithms": ["RS256"]}, "https"),
        ({"key": "short"}, "secrets.token_urlsafe(32)"),
        ({"key": SECRET, "algorithms": ["RS256"]}, "no key for RS256"),
        ({"key": PUBLIC, "algorithms": ["HS256"]}, "no key for HS256"),
    ],
)
def test_what_would_not_be_safe_is_an_error(options, says):
    with pytest.raises(UsageError) as error:
        tokens(**options)
    assert says in str(error.value)
    assert "short" not in str(error.value).replace("this one is too short", "")


def test_what_cannot_be_guarded():
    with pytest.raises(UsageError, match="SocketIO"):
        tokens().guard(object())
    with pytest.raises(UsageError, match="handlers"):
        tokens().claims()
