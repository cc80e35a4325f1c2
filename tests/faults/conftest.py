"""Servers that the cases share, and the record of what came out."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import faulty
from tests.support.bystanders import Bystanders, bystanders
from tests.support.robustness import CASES, FULL, Case, Outcome, write_outcomes
from tests.support.servers import Server, running

APP = "tests/apps/faults_app.py"
LONGEST = 1_800  # seconds that one case may take in the full run
found: dict[str, Outcome] = {}
FIGURES = pytest.StashKey[dict[str, float | str]]()


@dataclasses.dataclass
class Told:
    """One case for its test: how often, and where to write down what was measured."""

    case: Case
    figures: dict[str, float | str]

    @property
    def count(self) -> int:
        return self.case.count

    def measured(self, **figures: float | str) -> None:
        self.figures.update(figures)


@pytest.fixture
def case(request) -> Told:
    figures = request.node.stash.setdefault(FIGURES, {})
    return Told(CASES[request.node.originalname], figures)


def serve(tracebacks: bool = False, **env: str) -> "Iterator[Server]":
    with running(APP, env=env, stops_within=20, tracebacks=tracebacks) as server:
        yield server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Most of them share this one: usual heartbeats, a small outbox, compression on."""
    options = '{"max_payload": 100000, "outbox_bytes": 1000000, "websocket_compression": true}'
    yield from serve(OPTIONS=options)


@pytest.fixture(scope="session")
def restless() -> Iterator[Server]:
    """Quick heartbeats, on every address: what is about time."""
    options = '{"ping_interval": 0.5, "ping_timeout": 0.5, "block_warning": 0, "cors_allowed_origins": "*"}'
    yield from serve(OPTIONS=options, HOST="0.0.0.0")


@pytest.fixture(scope="session")
def abused() -> Iterator[Server]:
    """Handlers that misbehave, and leave things behind."""
    yield from serve(tracebacks=True)


@pytest.fixture
def nobody(server) -> Iterator[Bystanders]:
    with bystanders(server.port) as everybody:
        yield everybody


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    yield
    for sock in faulty.opened:
        sock.close()
    faulty.opened.clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Full counts take their time."""
    for item in items:
        if FULL and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(LONGEST), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    name = getattr(item, "originalname", item.name)
    if name in CASES and (report.when == "call" or not report.passed):
        key = item.name if "[" in item.name else name
        before = found.get(key)
        skipped = str(report.longrepr[2]).removeprefix("Skipped: ") if report.skipped else ""
        found[key] = Outcome(
            report.passed and (before is None or before.passed),
            CASES[name].count,
            round(report.duration, 1),
            item.stash.get(FIGURES, {}),
            skipped,
        )
    return report


def pytest_sessionfinish() -> None:
    if found and FULL:
        write_outcomes(found)
