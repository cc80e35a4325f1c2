"""Whether the other side has gone, asked of real sockets."""

import select
import socket

import pytest

from truesocket.transports.departure import has_left

told = pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="this system does not tell")


@pytest.fixture
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            yield server, client


def test_it_is_still_there(pair):
    server, client = pair
    assert not has_left(server)
    client.sendall(b"unread")
    assert not has_left(server)


@told
@pytest.mark.parametrize("said", [b"", b"unread"])
def test_it_has_gone_even_behind_what_nobody_has_read(pair, said):
    server, client = pair
    client.sendall(said)
    client.shutdown(socket.SHUT_WR)
    select.select([server], [], [], 10)
    assert has_left(server)
    assert server.recv(100) == said


def test_where_there_is_nothing_to_ask(pair):
    server, _ = pair
    server.close()
    assert not has_left(server)
    assert not has_left(None)
