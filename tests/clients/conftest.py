"""Remembers which test passed for which client, and writes that down where `make clients-table` asks for it."""

import os
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.clients import roster, table

WANTED = "TRUESOCKET_CLIENTS_TABLE"
# (row, name of the test) -> whether it passed, door by door
seen: dict[tuple[roster.Row, str], list[bool]] = defaultdict(list)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    callspec = getattr(item, "callspec", None)
    if callspec and "run" in callspec.params and (report.when == "call" or not report.passed):
        seen[callspec.params["run"].row, item.originalname].append(report.passed)
    return report


def pytest_sessionfinish() -> None:
    if os.environ.get(WANTED) != "1":
        return
    passed = defaultdict(set)
    for (row, name), outcomes in seen.items():
        if all(outcomes) and len(outcomes) == len(roster.DOORS):
            passed[row].add(name)
    table.write(passed)
