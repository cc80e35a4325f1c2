"""pytest's fixtures for applications: ``truesocket_client`` and ``truesocket_server``.

A plugin of every pytest run in an environment with truesocket, so nothing is imported before a test asks for one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from truesocket.testing import Client, LiveServer

__all__ = ["truesocket_client", "truesocket_server"]


@pytest.fixture
def truesocket_client() -> Iterator[Callable[..., Client]]:
    """Makes connected in-memory clients, and closes them: ``truesocket_client(socketio, auth={...})``.

    The arguments are those of :class:`truesocket.testing.Client`.
    """
    from truesocket.testing import Client

    with contextlib.ExitStack() as stack:

        def make(app: object, **options: Any) -> Client:
            return stack.enter_context(Client(app, **options))

        yield make


@pytest.fixture
def truesocket_server() -> Iterator[Callable[..., LiveServer]]:
    """Starts real servers on free ports, and stops them: ``truesocket_server(socketio).url``.

    The arguments are those of :class:`truesocket.testing.LiveServer`.
    """
    from truesocket.testing import LiveServer

    with contextlib.ExitStack() as stack:

        def start(app: object, **options: Any) -> LiveServer:
            return stack.enter_context(LiveServer(app, **options))

        yield start
