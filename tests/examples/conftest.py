"""What the tests of the examples share: python-socketio's client, with a diary of what it heard."""

import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import socketio

Connect = Callable[..., "Talker"]


class Talker:
    """One client; `heard(n)` waits for the next n events."""

    def __init__(self, url: str, **options: Any) -> None:
        self._heard: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._session = requests.Session()
        self.client = socketio.Client(reconnection=False, http_session=self._session)
        self.client.on("*", lambda event, *args: self._heard.put([event, *args]))
        self.client.connect(url, wait_timeout=20, **options)

    def heard(self, count: int = 1) -> list[list[Any]]:
        """The next events, in their order."""
        return [self._heard.get(timeout=20) for _ in range(count)]

    def heard_nothing(self) -> bool:
        """Whether all that came has been read."""
        return self._heard.empty()

    def ask(self, event: str, *args: Any) -> Any:
        """Sends an event, and waits for the answer."""
        return self.client.call(event, args, timeout=20)

    def leave(self) -> None:
        """Goes."""
        self.client.disconnect()
        self._session.close()


def refusal(url: str, **options: Any) -> Any:
    """Why the server does not let a client in."""
    reasons: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with requests.Session() as session:
        client = socketio.Client(reconnection=False, http_session=session)
        client.on("connect_error", reasons.put)
        with pytest.raises(socketio.exceptions.ConnectionError):
            client.connect(url, wait_timeout=20, **options)
        client.disconnect()
        return reasons.get(timeout=20)


@pytest.fixture
def refused() -> Callable[..., Any]:
    """Tells why a client that must not come in was sent away."""
    return refusal


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes clients, and lets them all leave in the end."""
    talkers: list[Talker] = []

    def one(url: str, **options: Any) -> Talker:
        talkers.append(Talker(url, **options))
        return talkers[-1]

    yield one
    for talker in talkers:
        talker.leave()
