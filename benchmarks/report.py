"""Writes ``RESULTS.md`` and ``results.json``: every figure as a ratio to the floor and to us, and what was left out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contestants import CONTESTANTS
from benchmarks.measure import Sample
from benchmarks.verdicts import Judgement, Spread, Verdict, figure_of, judge, ratios, spread
from benchmarks.works import FIGURES, Work

__all__ = ["Run", "disturbed", "us", "write"]

#: Cores that other work may take before we say that the machine was not quiet.
_QUIET = 0.1
#: The load average that our own work stays below: server, load, and at most a few threads that compute.
_BUSY = 8.0


@dataclass
class Run:
    """All that one run of the benchmarks found out."""

    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    works: list[Work]
    rounds: int
    samples: list[Sample] = field(default_factory=list)
    #: For each round: cores that were busy before it with something else, and the load average.
    quiet: list[dict[str, float]] = field(default_factory=list)
    began: str = ""


def us(work: Work) -> str:
    """Whom others are compared with: the first of our entries in a work."""
    return next(name for name in work.contestants if name.startswith("truesocket"))


def disturbed(run: Run) -> bool:
    """Whether other programs had a noticeable part of the machine."""
    return busiest(run) > _BUSY or any(each["busy"] > _QUIET for each in run.quiet)


def busiest(run: Run) -> float:
    """The highest load average behind any measurement; our own part of it is below ``_BUSY``."""
    return max((sample.load_average for sample in run.samples), default=0.0)


def write(run: Run, folder: Path, plots: list[str]) -> None:
    """Both files; ``plots`` are paths of pictures, relative to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = dataclasses.asdict(dataclasses.replace(run, works=[]))
    raw["works"] = {work.name: {"title": work.title, "mode": work.mode, **work.arguments} for work in run.works}
    (folder / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    (folder / "RESULTS.md").write_text("\n".join(_page(run, plots)).rstrip() + "\n")


def _page(run: Run, plots: list[str]) -> Iterator[str]:
    yield "# Results\n"
    yield f"Written by `{run.command}`, {run.began}; do not edit. How it is measured: [README](README.md).\n"
    if disturbed(run):
        yield (
            "> **The machine was not quiet.** Other programs took "
            + ", ".join(f"{each['busy']:.1f}" for each in run.quiet)
            + " cores before the rounds (load average "
            + ", ".join(f"{each['load']:.1f}" for each in run.quiet)
            + f"), and the load average rose to {busiest(run):.0f} meanwhile. Take these figures as a smoke test:"
            " shared caches inflate CPU times, and waiting times say nothing.\n"
        )
    yield (
        f"{run.rounds} round{'s' if run.rounds > 1 else ''}, interleaved; medians, the least and the most in brackets."
        " Ratios are taken within a round. Smaller is better everywhere; CPU is that of the server's processes."
        " **†** the load generator had less than a tenth of its core left, so times and rates may be its own.\n"
    )
    yield from _goals(judge(run.samples))
    for work in run.works:
        yield from _table(run, work)
    for plot in plots:
        if plot.endswith(".png"):
            yield f"![{Path(plot).stem}]({plot})\n"
    yield from _left_out(run)
    yield "## Machine and versions\n"
    yield "| | |\n|---|---|"
    for name, value in (run.machine | run.versions).items():
        yield f"| {name} | {value} |"
    yield "\n| who | how |\n|---|---|"
    named = {name for work in run.works for name in work.contestants}
    for name, who in CONTESTANTS.items():
        if name in named and who.note:
            yield f"| {who.title} | {who.note} |"


def _goals(judgements: list[Judgement]) -> Iterator[str]:
    yield "## Goals\n"
    yield "| work | figure | goal | measured | |\n|---|---|---|---|---|"
    for each in judgements:
        if each.verdict is Verdict.UNKNOWN:
            continue
        goal, figure = each.goal, FIGURES[each.goal.figure]
        if goal.than:
            named = CONTESTANTS[each.rival].title
            aim = f"<= {goal.limit:.3g} x {named}" + (f", growth from {goal.grows_from}" if goal.grows_from else "")
            unit = " x"
        else:
            aim, unit = f"<= {goal.limit:g} {figure.unit}", f" {figure.unit}"
        mark = {Verdict.MET: "met", Verdict.WITHIN_NOISE: "missed, within the noise", Verdict.MISSED: "**missed**"}
        yield (
            f"| {goal.work} | {figure.title}, {CONTESTANTS[goal.ours].title} | {aim}"
            f" | {_words(each.measured)}{unit} | {mark[each.verdict]} |"
        )
    unknown = sorted({each.goal.work for each in judgements if each.verdict is Verdict.UNKNOWN})
    if unknown:
        yield f"\nNot measured in this run, or not completely: {', '.join(unknown)}."
    yield ""


def _words(found: Spread | None, digits: int = 3) -> str:
    if found is None:
        return ""
    median, least, most = (f"{value:,.{_places(value, digits)}f}" for value in (found.median, found.least, found.most))
    return median if least == most else f"{median} ({least} to {most})"


def _places(value: float, digits: int) -> int:
    """Decimal places that show so many digits of a number."""
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return max(0, digits - whole)


def _table(run: Run, work: Work) -> Iterator[str]:
    yield f"## {work.title[0].upper()}{work.title[1:]}\n"
    heads = [f"{FIGURES[name].title}, {FIGURES[name].unit} | x floor | x us" for name in work.figures]
    yield f"| | {' | '.join(heads)} |\n|---|{'---:|' * 3 * len(work.figures)}"
    first = work.figures[0]

    def cost(name: str) -> float:
        found = spread(list(figure_of(run.samples, work.name, name, first).values()))
        return found.median if found else float("inf")

    for name in sorted(work.contestants, key=cost):
        cells = []
        for figure in work.figures:
            found = spread(list(figure_of(run.samples, work.name, name, figure).values()))
            cells.append(_words(found))
            for other in ("floor", us(work)):
                cells.append(_ratio(run, work, figure, name, other))
        if any(cells):
            limited = any(s.limited for s in run.samples if s.work == work.name and s.contestant == name)
            title = CONTESTANTS[name].title + (" †" if limited else "")
            yield f"| {f'**{title}**' if name.startswith('truesocket') else title} | {' | '.join(cells)} |"
    yield ""


def _ratio(run: Run, work: Work, figure: str, name: str, other: str) -> str:
    if "floor" in (name, other) and not FIGURES[figure].has_floor:
        return ""
    ratio = spread(ratios(run.samples, work.name, figure, name, other))
    if ratio is None:
        return ""
    return "1" if name == other else _words(ratio, 2)


def _left_out(run: Run) -> Iterator[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for sample in run.samples:
        if sample.error:
            works = reasons.setdefault((sample.contestant, sample.error), [])
            if sample.work not in works:
                works.append(sample.work)
    if not reasons:
        return
    yield "## Left out\n"
    yield "| who | what | why |\n|---|---|---|"
    for (name, why), works in reasons.items():
        yield f"| {CONTESTANTS[name].title} | {', '.join(works)} | {why.replace('|', '/')} |"
    yield ""
