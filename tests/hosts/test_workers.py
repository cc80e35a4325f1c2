"""Several worker processes and no broker: every host's start says what will go wrong, before anybody is hurt."""

import time

import pytest

from tests.hosts.conftest import started
from tests.hosts.roster import HOSTS, Host, No
from tests.support.servers import Server
from tests.support.wire import Wire, get

SAYS = "no broker between them: clients of one worker do not hear what another emits"
QUICK = {"granian", "gunicorn gthread"}
WITH_WORKERS = [
    pytest.param(host, marks=[] if host.name in QUICK else pytest.mark.full, id=host.name)
    for host in HOSTS
    if host.worker_arguments
]


def look(host: Host, *arguments: str, env: dict[str, str] | None = None) -> None:
    with started(host, *arguments, env=env) as server:
        assert get(server.port, "/page").body == b"version 1"
        if host.door == "wsgi":  # such a host starts its application with the first client
            Wire(server.port, transport="polling").pipe.close()
            server.wait_for_output(SAYS, within=20)
            if host.program == "granian":
                server.wait_for_output("Started worker-2", within=20)
                time.sleep(1)
        else:  # some hosts do not end in time while a worker is still starting
            wait_for_all(server)
        line = next(line for line in server.output.splitlines() if SAYS in line)
        assert "ERROR" in line
        assert "Run one worker" in line


def wait_for_all(server: Server) -> None:
    deadline = time.monotonic() + 20
    while server.output.count(SAYS) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.output.count(SAYS) == 2, "each worker says it once"
    time.sleep(1)


@pytest.mark.parametrize("host", WITH_WORKERS)
def test_two_workers(host):
    look(host, *host.worker_arguments)


@pytest.mark.full
@pytest.mark.parametrize("host", [host for host in HOSTS if host.program in ("gunicorn", "uvicorn")], ids=str)
def test_two_workers_by_the_environment(host):
    look(host, env={"WEB_CONCURRENCY": "2"})


def test_who_has_no_workers_has_no_option_for_them():
    for host in HOSTS:
        assert isinstance(host.workers, No) is not bool(host.worker_arguments), host
