"""For every test: how many examples hypothesis tries, which tests wait for the full run, what servers said."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import servers

FULL = os.environ.get("TRUESOCKET_TEST_FULL") == "1"
SLOW = {"browser", "browser_client", "clients"}
SHOWN = 8_000  # characters of a server's output under a failing test

# Deadlines measure the machine, not the code; a derandomised quick run fails for everybody or for nobody.
settings.register_profile("quick", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("full" if FULL else "quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick tests first, and leave out what only the full run does."""
    items.sort(key=lambda item: item.path.parent.name in SLOW)
    if FULL:
        return
    skip = pytest.mark.skip(reason="only in the full run: make test-full")
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Show what the servers that are up wrote, when a test fails beside them."""
    report = yield
    if report.failed:
        for server in servers.alive:
            report.sections.append((f"output of {server.name}", server.output[-SHOWN:]))
    return report
