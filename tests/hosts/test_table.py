"""The table in the documentation is the one that the tests hold the hosts to."""

import re

from tests.hosts.roster import HOSTS
from tests.hosts.table import COLUMNS, PAGE, TESTS, of, reasons_of, render
from tests.support.servers import ROOT


def test_page_is_current():
    text = PAGE.read_text(encoding="utf-8")
    assert of(text) == render(), "run: python -m tests.hosts.table"


def test_every_column_has_a_test_that_exists():
    assert set(TESTS) == {*COLUMNS.values(), "speed"}
    for file, name in TESTS.values():
        assert f"def {name}(" in (ROOT / "tests/hosts" / file).read_text(), name


def test_every_host_has_a_page_that_shows_its_command():
    for host in HOSTS:
        text = (ROOT / "docs/how-to" / f"{host.page}.md").read_text(encoding="utf-8")
        assert re.sub(r"\s+", " ", host.command) in re.sub(r"\s+", " ", text), f"{host.page}.md: {host.command}"


def test_every_no_says_why():
    assert all(len(reason) > 8 for host in HOSTS for reason in reasons_of(host))
