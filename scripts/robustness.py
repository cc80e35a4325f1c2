"""Write docs/reference/robustness.md from what the last runs left in test-results.  `make robustness`

    python -m scripts.robustness

What is tried stands in `tests/support/robustness.py` and `tests/support/fuzzing.py`; what came out, in the files that
tests/faults, `make fuzz` and `make soak` write.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.robustness import CASES, FAULTS, RESULTS, Outcome, read_outcomes
from tests.support.servers import ROOT

PAGE = ROOT / "docs" / "reference" / "robustness.md"

INTRODUCTION = """\
# Robustness

What has been tried on a listening server, and what came out. This page is written by `make robustness` from the runs
themselves; do not edit it.

Where a row has a longest gap, the fault happened beside *bystanders*: five clients (WebSocket, long-polling, upgraded,
and one of protocol revision 3) to whom the server pushes a numbered event every 20 ms. The case passes only if every
one of them gets every number, once and in order. The longest gap is the longest time between two pushes that any of
them saw, on a machine that had other work; where the fault is a server that stands still, the gap is that long, of
course.

Each row is the last run of its case. Two cases failed before that and passed when repeated: the reconnect storm and the
clients that leave while they are not read, at a time when two processors had a load above 300 (a whole test suite and
browsers ran beside them). Connections were reset or timed out; why is not known.
"""

#: Names of what tests measure -> how the page says it.
FIGURES = {
    "longest_gap": "longest gap {:.2f} s",
    "recovered": "recovered {:,.0f} times",
    "events": "{:,.0f} events",
    "found_after": "found after {:.1f} s",
    "memory_growth_kib": "memory {:+,.0f} KiB",
    "files_growth": "open files {:+.0f}",
    "still_open": "{:.0f} still open at the end",
    "all_in_after": "all in after {:.1f} s",
    "ended_after": "ended after {:.1f} s",
    "cpu_seconds_while_full": "{:.2f} s of CPU in 3 s",
}


def main() -> None:
    """Write the page."""
    parts = [INTRODUCTION, "\n".join(faults()), "\n".join(fuzzing()), "\n".join(soaking())]
    PAGE.write_text("\n".join(part for part in parts if part).rstrip() + "\n", encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


def faults() -> Iterator[str]:
    """The table of tests/faults."""
    outcomes = read_outcomes()
    yield "## Faults\n"
    yield "These are the counts of the full run (`make test-full`); `make test` does the same with smaller ones.\n"
    yield "| what happens | what must come of it | outcome | measured |"
    yield "|---|---|---|---|"
    for name, case in CASES.items():
        rows = {key: outcome for key, outcome in outcomes.items() if key.partition("[")[0] == name}
        if not rows:
            yield f"| {case.tried.format(n=case.full, what='')} | {case.expected} | not run | |"
        for key, outcome in rows.items():
            what = key.partition("[")[2].removesuffix("]")
            tried = case.tried.format(n=f"{outcome.count:,}", what=what)
            yield f"| {tried} | {case.expected} | {word(outcome)} | {measured(outcome)} |"
    yield ""


def word(outcome: Outcome) -> str:
    """In one word, or why not."""
    if outcome.skipped:
        return f"skipped: {outcome.skipped}"
    return "passed" if outcome.passed else "**failed**"


def measured(outcome: Outcome) -> str:
    """The figures of one case."""
    return ", ".join(form.format(outcome.figures[name]) for name, form in FIGURES.items() if name in outcome.figures)


def fuzzing() -> Iterator[str]:
    """What atheris found."""
    found = read("fuzz.json")
    if not found:
        return
    yield "## Fuzzing\n"
    yield (
        "Coverage-guided, with [atheris](https://github.com/google/atheris): nothing but a `ProtocolError` may come"
        " out, and no input may take longer than 5 seconds or more than 1 GiB. `make fuzz SECONDS=60` goes on"
        " from there.\n"
    )
    yield "| target | seconds | inputs | outcome |"
    yield "|---|---|---|---|"
    for name, each in found.items():
        yield f"| {name} | {each['seconds']} | {each['tries']:,} | {'held' if each['held'] else '**broken**'} |"
    yield ""


def soaking() -> Iterator[str]:
    """The last soak."""
    found = read("soak.json")
    if not found:
        return
    visits = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(found["visits"].items()))
    yield "## Soak\n"
    yield (
        f"{found['seconds']:,} seconds of visitors who come and go, with faults among them ({visits}), while"
        f" {found['pushes']:,} pushes reached the bystanders: **{word_of(found)}**. None was missed, none came twice,"
        f" neither by a bystander nor by those who dropped and returned, two times in each visit. A push took"
        f" {found['figures']['latency_median']['median']} ms (median; {found['latency_p99']} ms p99, the longest"
        f" {found['latency_max']:.0f} ms). Other work ran beside it: {found['processors']} processors had a load of"
        f" {found['load']} (median; at most {found['load_max']}). When the visitors had gone, tables and files were"
        f" as before; of memory, {found['rss_left_kib']:+,} KiB.\n"
    )
    yield "| figure | median | highest | rise over the run | may rise by |"
    yield "|---|---|---|---|---|"
    for name, each in found["figures"].items():
        yield f"| {name} | {each['median']:,} | {each['highest']:,} | {each['rise']:,} | {each['limit']:,} |"
    yield ""
    yield (
        "Memory (`rss`) is in KiB, the latency in ms; `away` are clients that may still come back. The rise is that of"
        " a robust straight line behind the warm-up; `benchmarks/soak.py` says why each figure may rise by so much."
    )


def word_of(soak: dict[str, Any]) -> str:
    """In one word."""
    return "nothing grew" if soak["held"] else "something grew"


def read(name: str) -> dict[str, Any]:
    """One file of results; nothing where it was never written."""
    path = RESULTS / name
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


if __name__ == "__main__":
    if not FAULTS.exists():
        raise SystemExit("nothing has been run yet: make robustness")
    main()
