"""docs/reference/clients.md says what these tests run: no more, no less, and nothing else."""

import ast
import json
from pathlib import Path

from tests.clients import table
from tests.clients.roster import HERE, PACKAGES, PARSERS, ROWS, RUNS
from tests.clients.table import BEGIN, COLUMNS, END, FACTS, PAGE, facts_of, render, without_version

LOCK = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
EVERYTHING = set().union(*COLUMNS.values())


def test_committed_table_is_the_one_that_a_run_without_failures_writes():
    """Out of date? `make clients-table`."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    committed = BEGIN + rest.partition(END)[0] + END
    assert without_version(committed) == without_version(render(dict.fromkeys(ROWS, EVERYTHING)))


def test_a_failure_shows_in_the_table():
    passed = {row: set(EVERYTHING) for row in ROWS}
    passed[ROWS[0]].remove("test_server_acks")
    del passed[ROWS[1]]
    assert render(passed).count(table.NO) == 1 + len(COLUMNS)


def test_every_test_of_the_clients_stands_in_the_table():
    tree = ast.parse((Path(__file__).parent / "test_clients.py").read_text(encoding="utf-8"))
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert tests == EVERYTHING
    assert sum(map(len, COLUMNS.values())) == len(EVERYTHING)


def test_every_fact_is_about_somebody():
    found = [fact for row in ROWS for fact in facts_of(row).items()]
    assert {number: heading for heading, number in found} == {number: heading for number, (heading, _) in FACTS.items()}


def test_the_lock_file_has_the_clients_that_run():
    assert {LOCK[f"node_modules/{package}"]["version"] for package in PACKAGES.values()} == set(PACKAGES)
    assert {LOCK[f"node_modules/{package}"]["name"] for package in PACKAGES.values()} == {"socket.io-client"}
    for parser in PARSERS.values():
        assert LOCK[f"node_modules/{parser}"]["name"] == "socket.io-msgpack-parser"
        assert LOCK[f"node_modules/{parser}"]["version"].startswith(parser[-1])


def test_every_row_goes_through_the_main_door():
    assert [run.row for run in RUNS if run.door == "run"] == ROWS
    assert len(set(map(str, RUNS))) == len(RUNS)
