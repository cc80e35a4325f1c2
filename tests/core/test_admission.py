"""Who may come in: codes and their order, origins, proxies."""

import logging

import pytest

from tests.support.loopback import handshake
from truesocket.core.admission import (
    BAD_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    Admission,
    Denied,
    Opening,
    through_proxies,
)
from truesocket.core.config import Config

SESSIONS = {"polls-TAG": "polling", "upgraded-TAG": "websocket"}


def read(query: dict[str, str], method: str = "GET", is_websocket: bool = False, **options):
    admission = Admission(Config.make(options), "TAG")
    return admission.read(query, method, is_websocket=is_websocket, knows=SESSIONS.get)


POLL = {"EIO": "4", "transport": "polling"}
SOCKET = {"EIO": "4", "transport": "websocket"}


@pytest.mark.parametrize(
    ("query", "is_websocket", "expected"),
    [
        (POLL, False, Opening("polling", None, 4, False)),
        ({**POLL, "EIO": "3"}, False, Opening("polling", None, 3, False)),
        ({**POLL, "EIO": "3", "b64": "1"}, False, Opening("polling", None, 3, True)),
        (SOCKET, True, Opening("websocket", None, 4, False)),
        ({**POLL, "sid": "polls-TAG"}, False, Opening("polling", "polls-TAG", 0, False)),
        ({**SOCKET, "sid": "polls-TAG"}, True, Opening("websocket", "polls-TAG", 0, False)),
        # a second WebSocket is let in and closed by the session: clients expect that (protocol.md 4.6)
        ({**SOCKET, "sid": "upgraded-TAG"}, True, Opening("websocket", "upgraded-TAG", 0, False)),
    ],
)
def test_what_may_come_in(query, is_websocket, expected):
    assert read(query, is_websocket=is_websocket) == expected


# Each row breaks one rule and all that are looked at behind it, so that the order shows.
@pytest.mark.parametrize(
    ("query", "method", "is_websocket", "code"),
    [
        ({"sid": "unknown"}, "PUT", False, UNKNOWN_TRANSPORT),
        ({"transport": "webtransport", "sid": "unknown"}, "PUT", False, UNKNOWN_TRANSPORT),
        ({"transport": "polling", "sid": "unknown"}, "PUT", False, UNKNOWN_SID),
        ({"transport": "websocket", "sid": "polls-TAG"}, "PUT", False, BAD_REQUEST),
        ({"transport": "polling", "sid": "upgraded-TAG"}, "GET", False, BAD_REQUEST),
        ({"transport": "polling", "sid": "polls-TAG"}, "GET", True, BAD_REQUEST),
        ({"transport": "polling"}, "POST", False, BAD_METHOD),
        ({"transport": "websocket"}, "POST", False, BAD_METHOD),
        ({"transport": "websocket"}, "GET", False, BAD_REQUEST),
        ({"transport": "polling"}, "GET", True, BAD_REQUEST),
        ({"transport": "polling"}, "GET", False, UNSUPPORTED_VERSION),
        ({"transport": "polling", "EIO": "2"}, "GET", False, UNSUPPORTED_VERSION),
        ({"transport": "polling", "EIO": "five"}, "GET", False, UNSUPPORTED_VERSION),
    ],
)
def test_codes_in_their_order(query, method, is_websocket, code):
    denied = read(query, method, is_websocket)
    assert isinstance(denied, Denied)
    assert denied.code == code
    assert denied.hint


@pytest.mark.parametrize(
    ("query", "origin", "code"),
    [
        ({"sid": "unknown"}, "http://a\x00", UNKNOWN_TRANSPORT),
        ({**POLL, "sid": "unknown"}, "http://a\x7f", BAD_REQUEST),
        ({**POLL, "sid": "unknown"}, "http://a\r\nb", BAD_REQUEST),
        ({**POLL, "sid": "unknown"}, "http://\xe4", UNKNOWN_SID),
    ],
)
def test_characters_of_the_origin_are_looked_at_behind_the_transport(query, origin, code):
    admission = Admission(Config.make({}), "TAG")
    denied = admission.read(query, "GET", is_websocket=False, knows=SESSIONS.get, origin=origin)
    assert isinstance(denied, Denied)
    assert denied.code == code


@pytest.mark.parametrize(
    ("query", "method", "expected"),
    [
        ({"transport": "polling"}, "POST", BAD_METHOD),
        ({"transport": "polling"}, "GET", FORBIDDEN),
        ({**POLL, "sid": "unknown"}, "GET", UNKNOWN_SID),
    ],
)
def test_who_is_not_wanted_hears_so_before_the_version_is_looked_at(query, method, expected):
    admission = Admission(Config.make({}), "TAG")
    refused = Denied(FORBIDDEN, "not you")
    denied = admission.read(query, method, is_websocket=False, knows=SESSIONS.get, unwanted=lambda: refused)
    assert isinstance(denied, Denied)
    assert denied.code == expected


def test_a_transport_that_is_switched_off():
    denied = read(POLL, transports=["websocket"])
    assert isinstance(denied, Denied)
    assert denied.code == UNKNOWN_TRANSPORT
    assert "open for websocket only" in denied.hint


def test_upgrades_that_are_switched_off():
    denied = read({**SOCKET, "sid": "polls-TAG"}, is_websocket=True, allow_upgrades=False)
    assert isinstance(denied, Denied)
    assert denied.code == BAD_REQUEST
    assert "allow_upgrades" in denied.hint


@pytest.mark.parametrize(
    ("sid", "says"), [("ended-TAG", "connect again"), ("ended-OTHER", "several workers without sticky sessions")]
)
def test_unknown_sid_says_whose_it_may_be(sid, says):
    denied = read({**POLL, "sid": sid})
    assert isinstance(denied, Denied)
    assert says in denied.hint


def test_missing_upgrade_header_names_the_proxy():
    denied = read(SOCKET)
    assert isinstance(denied, Denied)
    assert "a proxy on the way drops it" in denied.hint


def test_missing_version_and_wrong_one_have_different_hints():
    missing, wrong = read({"transport": "polling"}), read({"transport": "polling", "EIO": "7"})
    assert isinstance(missing, Denied)
    assert isinstance(wrong, Denied)
    assert "EIO parameter is missing" in missing.hint
    assert "EIO=7" in wrong.hint


# --- origins ----------------------------------------------------------------------------------------------------------


def allows(origin: str | None, allowed=None, host: str = "localhost:5000", scheme: str = "http") -> bool:
    headers = [("host", host)] + ([("origin", origin)] if origin is not None else [])
    admission = Admission(Config.make({"cors_allowed_origins": allowed}), "TAG")
    return admission.allows_origin(handshake(headers=headers, scheme=scheme))


@pytest.mark.parametrize(
    ("origin", "host", "good"),
    [
        (None, "localhost:5000", True),
        ("", "localhost:5000", True),
        ("http://localhost:5000", "localhost:5000", True),
        ("http://LOCALHOST:5000", "localhost:5000", True),
        ("https://localhost:5000", "localhost:5000", True),  # the proxy in front ends TLS
        ("http://localhost:5001", "localhost:5000", False),
        ("http://localhost", "localhost:5000", False),
        ("http://shop.example", "shop.example", True),
        ("http://shop.example", "shop.example:80", True),
        ("http://shop.example:80", "shop.example", True),
        ("https://shop.example", "shop.example", True),
        ("https://shop.example", "shop.example:443", True),
        ("https://shop.example:443", "shop.example", True),
        ("https://shop.example", "shop.example:80", False),
        ("http://shop.example", "shop.example:443", False),
        ("http://shop.example.evil.example", "shop.example", False),
        ("http://evil.example/shop.example", "shop.example", False),
        ("http://shop.example@evil.example", "shop.example", False),
        ("http://[::1]:5000", "[::1]:5000", True),
        ("http://[::1", "[::1", False),
        ("http://localhost:port", "localhost:port", False),
        ("null", "localhost:5000", False),
        ("file://", "localhost:5000", False),
    ],
)
def test_same_host_by_default(origin, host, good):
    assert allows(origin, host=host) is good


@pytest.mark.parametrize(
    ("allowed", "origin", "good"),
    [
        ("*", "http://anything.example", True),
        (["*"], "null", True),
        ([], "http://anything.example", True),  # Flask-SocketIO: [] switches the check off
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example/", "https://shop.example", True),
        ("https://Shop.Example", "https://shop.example", True),
        ("https://shop.example", "http://shop.example", False),
        ("https://shop.example", "https://shop.example:8443", False),
        (["https://a.example", "https://b.example"], "https://b.example", True),
        (["https://a.example", "https://b.example"], "https://c.example", False),
        (["https://a.example"], "http://localhost:5000", False),  # a list says all of it
        (["https://*.example"], "https://shop.example", True),
        (["https://*.example"], "https://shop.example.evil", False),
        (["http://[::1]:5000"], "http://[::1]:5000", True),
        (["http://[::1]:5000"], "http://1:5000", False),
        (["http://shop.example"], "http://shopxexample", False),
        (lambda origin: origin.endswith(".example"), "http://shop.example", True),
        (lambda origin: origin.endswith(".example"), "http://shop.evil", False),
    ],
)
def test_allowed_origins(allowed, origin, good):
    assert allows(origin, allowed) is good


def test_no_origin_is_no_page_whatever_is_allowed():
    assert allows(None, ["https://a.example"])


def test_refused_origin_is_told_once_with_the_line_that_lets_it_in(caplog):
    admission = Admission(Config.make({}), "TAG")
    shake = handshake(headers=[("host", "localhost:5000"), ("origin", "http://other.example\n")])
    with caplog.at_level(logging.WARNING, "truesocket"):
        assert not admission.allows_origin(shake)
        assert not admission.allows_origin(shake)
    [record] = caplog.records
    assert "this server is http://localhost:5000" in record.getMessage()
    assert "SocketIO(app, cors_allowed_origins=['http://other.example?'])" in record.getMessage()


# --- proxies ----------------------------------------------------------------------------------------------------------

PROXY = ("10.0.0.1", 40_000)


def seen(client, trusted, **forwarded: str):
    headers = [("host", "inside:5000")]
    headers += [(f"x-forwarded-{name.rstrip('_')}", value) for name, value in forwarded.items()]
    found = through_proxies(handshake(client=client, headers=headers, peer_address=client[0]), trusted)
    assert found.peer_address == client[0]
    return found.client[0], found.scheme, found.host


@pytest.mark.parametrize(
    ("client", "trusted", "forwarded", "expected"),
    [
        # nobody says anything
        (PROXY, ["10.0.0.1"], {}, ("10.0.0.1", "http", "inside:5000")),
        # trusted or not
        (PROXY, ["10.0.0.1"], {"for_": "1.2.3.4"}, ("1.2.3.4", "http", "inside:5000")),
        (PROXY, ["10.0.0.2"], {"for_": "1.2.3.4"}, ("10.0.0.1", "http", "inside:5000")),
        (PROXY, [], {"for_": "1.2.3.4", "proto": "https", "host": "x"}, ("10.0.0.1", "http", "inside:5000")),
        (PROXY, ["10.0.0.0/8"], {"for_": "1.2.3.4"}, ("1.2.3.4", "http", "inside:5000")),
        (PROXY, ["*"], {"for_": "1.2.3.4"}, ("1.2.3.4", "http", "inside:5000")),
        (("fd00::1", 4), ["fd00::/8"], {"for_": "2001:db8::7"}, ("2001:db8::7", "http", "inside:5000")),
        # chains: from the right, the first that is no trusted proxy
        (PROXY, ["10.0.0.0/8"], {"for_": "6.6.6.6, 1.2.3.4, 10.0.0.2"}, ("1.2.3.4", "http", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"for_": "6.6.6.6, 1.2.3.4, 10.0.0.2"}, ("10.0.0.2", "http", "inside:5000")),
        (PROXY, ["10.0.0.0/8"], {"for_": "10.0.0.3, 10.0.0.2"}, ("10.0.0.3", "http", "inside:5000")),
        (PROXY, ["*"], {"for_": "6.6.6.6, 1.2.3.4"}, ("6.6.6.6", "http", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"for_": " , 1.2.3.4 ,"}, ("1.2.3.4", "http", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"for_": "unknown"}, ("unknown", "http", "inside:5000")),
        # proto and host
        (PROXY, ["10.0.0.1"], {"proto": "https"}, ("10.0.0.1", "https", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"proto": "WSS"}, ("10.0.0.1", "https", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"proto": "http, https"}, ("10.0.0.1", "https", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"proto": "gopher"}, ("10.0.0.1", "http", "inside:5000")),
        (PROXY, ["10.0.0.1"], {"host": "shop.example"}, ("10.0.0.1", "http", "shop.example")),
        (PROXY, ["10.0.0.1"], {"host": "evil, shop.example"}, ("10.0.0.1", "http", "shop.example")),
        # port 0: uvicorn or Hypercorn has believed the proxy before us
        (
            ("1.2.3.4", 0),
            ["10.0.0.1"],
            {"for_": "1.2.3.4", "host": "shop.example"},
            ("1.2.3.4", "http", "shop.example"),
        ),
        (("1.2.3.4", 0), ["10.0.0.1"], {"host": "evil"}, ("1.2.3.4", "http", "inside:5000")),
    ],
)
def test_through_proxies(client, trusted, forwarded, expected):
    assert seen(client, trusted, **forwarded) == expected


def test_origin_is_checked_against_the_host_outside():
    admission = Admission(Config.make({}), "TAG")
    headers = [("host", "inside:5000"), ("x-forwarded-host", "shop.example"), ("origin", "https://shop.example")]
    shake = handshake(client=PROXY, headers=headers)
    assert not admission.allows_origin(shake)
    assert admission.allows_origin(through_proxies(shake, ["10.0.0.1"]))
