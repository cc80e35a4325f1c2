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
from benchmarks.works import FIGURES, Group, Work

__all__ = ["PEERS", "Run", "disturbed", "headlines", "nearest", "places", "us", "write"]

#: Cores that other work may take before we say that the machine was not quiet.
_QUIET = 0.1
#: How the names of contestants end that have an option on.
_OPTIONS = ("-recovery", "-deflate")

#: The peers in the overview: each stands for all whose names begin so.
PEERS = {
    "node": "Socket.IO, Node",
    "bun": "Socket.IO, Bun",
    "python-socketio": "python-socketio",
    "flask-socketio": "Flask-SocketIO",
    "nchan": "nginx nchan",
    "websockets": "websockets",
}


@dataclass
class Run:
    """All that one run of the benchmarks found out."""

    command: str
    machine: dict[str, str]
    versions: dict[str, str]
    works: list[Work]
    #: Those that are complete.
    rounds: int = 0
    samples: list[Sample] = field(default_factory=list)
    #: For each round: cores that were busy before it with something else, and the load average.
    quiet: list[dict[str, float]] = field(default_factory=list)
    began: str = ""


def us(work: Work) -> str:
    """Whom others are compared with: the first of our entries in a work."""
    return next(name for name in work.contestants if name.startswith("truesocket"))


def headlines(work: Work) -> tuple[str, ...]:
    """The figures of a work that the overview shows."""
    return work.figures if work.mode == "hold" else work.figures[:1]


def nearest(run: Run, work: Work, figure: str, peer: str) -> Spread | None:
    """What one of :data:`PEERS` needs as a multiple of ours: in its best mode, but with the option that we have on."""
    names = [name for name in work.contestants if name.startswith(peer)]
    option = next((option for option in _OPTIONS if us(work).endswith(option)), "")
    names = [name for name in names if name.endswith(option)] or names
    every = (spread(ratios(run.samples, work.name, figure, name, us(work))) for name in names)
    found = [ratio for ratio in every if ratio]
    return min(found, key=lambda ratio: ratio.median, default=None)


def disturbed(run: Run) -> bool:
    """Whether other programs had a noticeable part of the machine.

    The load average does not say so: contestants with a thread for each client raise it for minutes.
    """
    return any(each["busy"] > _QUIET for each in run.quiet)


def write(run: Run, folder: Path, plots: list[str]) -> None:
    """Both files; ``plots`` are paths of pictures, relative to ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = dataclasses.asdict(dataclasses.replace(run, works=[]))
    raw["works"] = {
        work.name: {"title": work.title, "mode": work.mode, **work.arguments, "took": _took(run, work)}
        for work in run.works
    }
    (folder / "results.json").write_text(json.dumps(raw, indent=1) + "\n")
    (folder / "RESULTS.md").write_text("\n".join(_page(run, plots)).rstrip() + "\n")


def _took(run: Run, work: Work) -> float:
    """Seconds that one round of a work takes."""
    return round(sum(sample.took for sample in run.samples if sample.work == work.name) / max(1, run.rounds), 1)


def _page(run: Run, plots: list[str]) -> Iterator[str]:
    yield "# Results\n"
    yield f"Written by `{run.command}`, {run.began}; do not edit. How it is measured: [README](README.md).\n"
    took = ", ".join(f"{each['busy']:.2f}" for each in run.quiet)
    if disturbed(run):
        yield (
            f"> **The machine was not quiet.** Other programs took {took} cores before the rounds. Take these figures"
            " as a smoke test: shared caches inflate CPU times, and waiting times say nothing.\n"
        )
    elif took:
        highest = max(run.samples, key=lambda sample: sample.load_average)
        yield (
            f"Other programs took {took} cores before the rounds. The load average was highest behind"
            f" `{highest.contestant}` in `{highest.work}`: {highest.load_average:.0f}.\n"
        )
    yield (
        f"{run.rounds} round{'s' if run.rounds > 1 else ''}, interleaved; medians, the least and the most in brackets."
        " Ratios are taken within a round. Smaller is better everywhere; CPU is that of the server's processes."
        " **†** the load generator had less than a tenth of its core left, so times and rates may be its own.\n"
    )
    pictures = {Path(plot).stem: plot for plot in plots if plot.endswith(".png")}
    yield from _overview(run)
    if "overview" in pictures:
        yield f"![The same as a picture]({pictures['overview']})\n"
    yield from _goals(judge(run.samples))
    for group in Group:
        works = [work for work in run.works if work.group is group]
        if works:
            yield f"## {group.value}\n"
            picture = pictures.get(group.name.lower().replace("_", "-"))
            if picture:
                yield f"![{group.value}]({picture})\n"
        for work in works:
            yield from _table(run, work)
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


def _overview(run: Run) -> Iterator[str]:
    """One line for each work: our figure, and how many times that the floor and the peers need."""
    yield "## Where we stand\n"
    yield (
        "Our figure, how many times the floor's that is, and how many times ours each peer needs in the best of its"
        " modes. More than 1: we need less. **Bold**: the peer is ahead. Each work has its table below.\n"
    )
    yield f"| work | figure | ours | x floor | {' | '.join(PEERS.values())} |\n|---|---|{'---:|' * (len(PEERS) + 2)}"
    for work in run.works:
        for figure in headlines(work):
            ours = spread(list(figure_of(run.samples, work.name, us(work), figure).values()))
            if ours is None:
                continue
            cells = [_ratio(run, work, figure, us(work), "floor").split(" ")[0]]
            for peer in PEERS:
                found = nearest(run, work, figure, peer)
                text = f"{found.median:,.{places(found.median, 2)}f}" if found else ""
                cells.append(f"**{text}**" if found and found.median < 1 else text)
            unit = FIGURES[figure].unit
            value = f"{ours.median:,.{places(ours.median, 3)}f} {unit}"
            yield f"| {work.name} | {FIGURES[figure].title} | {value} | {' | '.join(cells)} |"
    yield ""


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
    median, least, most = (f"{value:,.{places(value, digits)}f}" for value in (found.median, found.least, found.most))
    return median if least == most else f"{median} ({least} to {most})"


def places(value: float, digits: int) -> int:
    """Decimal places that show so many digits of a number."""
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return max(0, digits - whole)


def _table(run: Run, work: Work) -> Iterator[str]:
    yield f"### {work.title[0].upper()}{work.title[1:]}\n"
    yield f'`{work.name}`; "x ours" is in times {CONTESTANTS[us(work)].title}.\n'
    compared = {name: [who for who in ("floor", us(work)) if _is_compared(work, name, who)] for name in work.figures}
    heads = []
    for name, others in compared.items():
        heads.append(f"{FIGURES[name].title}, {FIGURES[name].unit}")
        heads += ["x floor" if who == "floor" else "x ours" for who in others]
    yield f"| | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}"
    first = work.figures[0]

    def cost(name: str) -> float:
        found = spread(list(figure_of(run.samples, work.name, name, first).values()))
        return found.median if found else float("inf")

    for name in sorted(work.contestants, key=cost):
        cells = []
        for figure in work.figures:
            found = spread(list(figure_of(run.samples, work.name, name, figure).values()))
            cells.append(_words(found))
            for other in compared[figure]:
                cells.append(_ratio(run, work, figure, name, other))
        if any(cells):
            limited = any(s.limited for s in run.samples if s.work == work.name and s.contestant == name)
            title = CONTESTANTS[name].title + (" †" if limited else "")
            yield f"| {f'**{title}**' if name.startswith('truesocket') else title} | {' | '.join(cells)} |"
    yield ""


def _is_compared(work: Work, figure: str, other: str) -> bool:
    return other != "floor" or ("floor" in work.contestants and FIGURES[figure].has_floor)


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
    for work in run.works:
        for name, why in work.left_out.items():
            reasons.setdefault((name, why), []).append(work.name)
    if not reasons:
        return
    yield "## Left out\n"
    yield "| who | what | why |\n|---|---|---|"
    for (name, why), works in reasons.items():
        yield f"| {CONTESTANTS[name].title} | {', '.join(works)} | {why.replace('|', '/')} |"
    yield ""
