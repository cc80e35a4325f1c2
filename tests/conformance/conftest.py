"""Listening servers for the conformance suites: one per door and set of options, started when first asked for."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.servers import Host, Server, running_asgi
from tests.support.talk import DOORS, Talk

APP = "tests.apps.conformance_app:app"

#: Sets of options: name -> options and further environment.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "plain": ({"max_payload": 100_000}, {}),
    "quick": (
        {"ping_interval": 0.35, "ping_timeout": 0.755, "upgrade_timeout": 0.6, "connect_timeout": 0.5},
        {},
    ),
    "patient": ({"max_payload": 100_000, "upgrade_timeout": 0.6, "connect_timeout": 0.5}, {}),
    "list": (
        {"cors_allowed_origins": ["https://shop.example", "https://*.pages.example"], "allow_upgrades": False},
        {"FORBID": "1"},
    ),
    "star": ({"cors_allowed_origins": "*", "cors_credentials": False, "transports": ["polling"]}, {}),
}

_Started = Callable[[Host, str], Server]


@pytest.fixture(scope="session")
def started() -> Iterator[_Started]:
    """The server behind a door, with a set of options."""
    with contextlib.ExitStack() as stack:
        servers: dict[tuple[str, str], Server] = {}

        def find(door: Host, variant: str) -> Server:
            if (door, variant) not in servers:
                options, env = VARIANTS[variant]
                env = {**env, "OPTIONS": json.dumps(options)}
                servers[door, variant] = stack.enter_context(running_asgi(APP, door, env=env))
            return servers[door, variant]

        yield find


@pytest.fixture(scope="session", params=DOORS)
def door(request) -> Host:
    """Each way in."""
    return request.param


@pytest.fixture
def server(started, door) -> Server:
    """Ordinary options, but for a small `max_payload`."""
    return started(door, "plain")


@pytest.fixture
def quick(started, door) -> Server:
    """Hurried heartbeats."""
    return started(door, "quick")


@pytest.fixture
def patient(started, door) -> Server:
    """Ordinary heartbeats, hurried time-outs."""
    return started(door, "patient")


@pytest.fixture(params=[3, 4], ids=["eio3", "eio4"])
def revision(request) -> int:
    """Engine.IO's revision."""
    return request.param


@pytest.fixture(params=["websocket", "polling", "upgrade"])
def way(request) -> str:
    """How packets travel."""
    return request.param


@pytest.fixture
def talk(server, revision, way) -> Iterator[Callable[..., Talk]]:
    """Opens clients of this revision on this transport."""
    with contextlib.ExitStack() as stack:

        def open_(query: str = "", **options: Any) -> Talk:
            return stack.enter_context(Talk(server.port, revision, way, query, **options))

        yield open_


@pytest.fixture
def bystander(server, revision) -> Iterator[Callable[[], None]]:
    """Somebody else on the same server; calling it asserts that all is well there."""
    with Talk(server.port, revision) as other:
        other.join()

        def is_unharmed() -> None:
            other.send('42["say","all is well"]')
            assert other.text() == '42["said","all is well"]'

        yield is_unharmed
