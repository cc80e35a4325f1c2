"""TLS of the servers that we run: every form in which a certificate is given, and every way to give it wrongly."""

import re
import ssl
import sys

import pytest

from tests.support.certificates import PASSWORD, make_pair
from truesocket.doors.tls import Files, context_of, take
from truesocket.errors import UsageError


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("another"))


def shakes_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> bool:
    """Whether a client that knows the certificate and this server find together, without any socket."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    done = set()
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
                done.add(end)
            except ssl.SSLWantReadError:
                pass
    return len(done) == 2


def test_nothing_said_is_no_tls():
    assert context_of(None, Files()) is None


def test_every_form_serves(pair):
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(pair.cert, pair.key)
    assert context_of(own, Files()) is own
    for given, files in [
        (own, Files()),
        ((str(pair.cert), str(pair.key)), Files()),
        ((pair.cert, pair.key), Files()),
        ((pair.both,), Files()),
        (None, Files(str(pair.cert), str(pair.key))),
        (None, Files(str(pair.both))),
        (None, Files(str(pair.cert), str(pair.encrypted), PASSWORD)),
    ]:
        assert shakes_hands(context_of(given, files), pair.trusting)


def test_adhoc_serves_those_who_do_not_look():
    blind = ssl.create_default_context()
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    assert shakes_hands(context_of("adhoc", Files()), blind)


def test_adhoc_without_cryptography_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(UsageError, match="pip install cryptography, or give certfile= and keyfile="):
        context_of("adhoc", Files())


def test_clients_can_be_asked_for_a_certificate(pair):
    files = Files(str(pair.cert), str(pair.key), ca_certs=str(pair.cert), cert_reqs=ssl.CERT_REQUIRED)
    assert context_of(None, files).verify_mode is ssl.CERT_REQUIRED


def test_what_other_servers_call_it():
    options = {"ssl_certfile": "a", "ssl_keyfile": "b", "ssl_keyfile_password": "c", "ca_certs": None, "backlog": 5}
    assert take(options) == Files("a", "b", "c")
    assert options == {"backlog": 5}
    with pytest.raises(UsageError, match="certfile= is given twice, under two names"):
        take({"ssl_certfile": "a", "certfile": "b"})


def test_wrong_ways_are_one_sentence(pair, another, tmp_path):
    text = tmp_path / "text.pem"
    text.write_text("hello")
    cert, key = str(pair.cert), str(pair.key)
    for given, files, says in [
        (None, Files("nowhere.pem", key), r"there is no file nowhere.pem \(certfile=\), seen from .*: give the path"),
        (None, Files(cert, "nowhere.pem"), r"there is no file nowhere.pem \(keyfile=\)"),
        (("nowhere.pem", key), Files(), "there is no file nowhere.pem"),
        (None, Files(str(tmp_path), key), "is a folder: give the path"),
        (None, Files(cert, str(another.key)), "does not belong to the certificate"),
        (None, Files(cert), "holds no certificate with its key: give the key with keyfile="),
        (None, Files(str(text), key), "are not a certificate and its key: .* in PEM form"),
        (None, Files(cert, str(pair.encrypted)), "is encrypted: give keyfile_password="),
        (None, Files(cert, str(pair.encrypted), "wrong"), "the password of the key in .* is wrong"),
        (None, Files(cert, key, ciphers="RUBBISH"), "OpenSSL knows none of the ciphers 'RUBBISH'"),
        (None, Files(None, key), "certfile= is missing"),
        ("ad hoc", Files(), "takes an ssl.SSLContext, .* not str"),
        ("adhoc", Files(cert, key), "not both"),
    ]:
        with pytest.raises(UsageError, match=says) as error:
            context_of(given, files)
        assert "\n" not in str(error.value)
        assert not re.search(r"_ssl\.c|\[SSL", str(error.value)), "OpenSSL's own words"
