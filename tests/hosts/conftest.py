"""How a test of this folder starts a host."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hosts.roster import Host, filled
from tests.support.certificates import Pair, make_pair
from tests.support.servers import Server, running

Starter = Callable[..., contextlib.AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> Pair:
    """A certificate for the hosts that do TLS themselves."""
    return make_pair(tmp_path_factory.mktemp("pair"))


@contextlib.contextmanager
def started(
    host: Host,
    *more: str,
    env: dict[str, str] | None = None,
    module: str | None = None,
    **settings: Any,
) -> Iterator[Server]:
    """Run a host with further arguments; `module` takes the place of our application."""
    arguments = [*host.arguments, *more]
    program = host.program
    if module is not None:
        arguments = [each.replace("tests.apps.hosts_app", module) for each in arguments]
        program = program.replace("tests.apps.hosts_app", module)
    settings = {"stops_within": 15, "tracebacks": host.noisy, **settings}
    with running(program, *arguments, env={**host.env, **(env or {})}, **settings) as server:
        yield server


def with_tls(host: Host, pair: Pair) -> contextlib.AbstractContextManager[Server]:
    """Run a host that ends TLS itself."""
    arguments = [filled(each, pair.cert, pair.key) for each in host.tls_arguments]
    env = {name: filled(value, pair.cert, pair.key) for name, value in host.tls_env.items()}
    return started(host, *arguments, env=env)
