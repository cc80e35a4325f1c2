"""Measures everything side by side.  ``make bench``, ``make bench-quick``

    python -m benchmarks.run [--quick] [--rounds 3] [--only fan-out ask] [--who truesocket floor node] [--out FOLDER]

Sets up what it needs (``contestants.py``), does every work (``works.py``) with every contestant, one after the other
and round after round, so that what disturbs the machine disturbs all alike.  ``RESULTS.md``, ``results.json`` and
``plots/`` are written into the folder after every round: who stops it has those that are complete.  With ``--quick`` it
ends with code 1 where a goal is missed by more than the noise.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import shlex
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import contestants, machine, pictures, report
from benchmarks.contestants import CONTESTANTS, Unavailable
from benchmarks.measure import Sample, busy_elsewhere, measure, raise_limits
from benchmarks.report import Run
from benchmarks.verdicts import Verdict, judge
from benchmarks.works import FIGURES, WORKS, Work

HERE = Path(__file__).resolve().parent
QUICK_RESULTS = HERE.parent / "test-results" / "bench-quick"
#: Who fails at a work after so many seconds is not tried again in the next rounds.
_PATIENCE = 40.0
_STOPPED = 130
console = Console(stderr=True)


def main() -> int:
    """Runs; returns the exit code."""
    args = _arguments()
    works = [narrowed for work in WORKS if _is_wanted(work, args) and (narrowed := _narrowed(work, args))]
    if not works:
        sys.exit(f"nothing to do; the works are: {', '.join(repr(work.name) for work in WORKS)}")
    raise_limits()
    try:
        contestants.prepare()
    except Unavailable as error:
        sys.exit(f"nothing can be measured: {error}")
    run = _prepared(works, args)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us ends the server that is running, too
    try:
        _measure_all(run, args)
    except KeyboardInterrupt:
        console.print(f"stopped; {run.rounds} of {args.rounds} rounds are complete")
        return _STOPPED
    return _finish(run, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="Measures everything side by side.")
    parser.add_argument("--quick", action="store_true", help="the works that the goals need most, as a guard")
    parser.add_argument("--rounds", type=int, help="rounds (default: 3)")
    parser.add_argument("--only", nargs="+", metavar="WORK", help="works whose names begin so")
    parser.add_argument("--who", nargs="+", metavar="NAME", choices=sorted(CONTESTANTS), help="these contestants")
    parser.add_argument("--out", type=Path, help="where the results go (default: benchmarks; else test-results)")
    args = parser.parse_args()
    args.rounds = args.rounds or 3
    partly = args.quick or args.only or args.who
    args.out = args.out or (QUICK_RESULTS if partly else HERE)
    return args


def _is_wanted(work: Work, args: argparse.Namespace) -> bool:
    if args.only:
        return any(work.name.startswith(name) for name in args.only)
    return bool(work.quick) or not args.quick


def _narrowed(work: Work, args: argparse.Namespace) -> Work | None:
    """The work with the contestants that are asked for; ``None`` where none of ours is among them."""
    have = work.quick if args.quick and work.quick else work.contestants
    names = tuple(name for name in have if args.who is None or name in args.who)
    arguments = dict(work.arguments)
    if args.quick and work.mode in ("cast", "ask"):
        arguments["seconds"] = 1
    if not any(name.startswith("truesocket") for name in names):
        return None
    return dataclasses.replace(work, contestants=names, arguments=arguments)


def _prepared(works: list[Work], args: argparse.Namespace) -> Run:
    """What is known before anything is measured."""
    names = {name for work in works for name in work.contestants}
    left_out = _set_up(names)
    command = "make bench-quick" if args.quick else "make bench"
    if args.only or args.who:
        words = [*(["--quick"] if args.quick else []), "--rounds", str(args.rounds)]
        words += ["--only", *args.only] if args.only else []
        words += ["--who", *args.who] if args.who else []
        command = f"python -m benchmarks.run {shlex.join(words)}"
    run = Run(command, machine.describe(), contestants.versions(names - left_out), works)
    run.began = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
    return run


def _measure_all(run: Run, args: argparse.Namespace) -> None:
    """Round after round; ``run`` gets a round's samples when it is complete, and is written then."""
    total = args.rounds * sum(len(work.contestants) for work in run.works)
    hopeless: dict[tuple[str, str], Sample] = {}
    columns = (
        TextColumn("{task.description:<44}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        for number in range(args.rounds):
            quiet = {"busy": busy_elsewhere(), "load": os.getloadavg()[0]}
            samples = []
            for work in run.works:
                turns = work.contestants[number % len(work.contestants) :]  # nobody is always the first
                for name in (*turns, *work.contestants[: number % len(work.contestants)]):
                    progress.update(task, description=f"{number + 1}: {work.name}, {name}")
                    failed = hopeless.get((work.name, name))
                    again = failed and dataclasses.replace(failed, round=number, took=0.0)
                    sample = again or measure(work, CONTESTANTS[name], number)
                    samples.append(sample)
                    if sample.error and sample.took > _PATIENCE:
                        hopeless[work.name, name] = sample
                    progress.console.print(_line(sample), highlight=False, markup=False, soft_wrap=True)
                    progress.advance(task)
            run.quiet.append(quiet)
            run.samples += samples
            run.rounds += 1
            report.write(run, args.out, pictures.draw(run, args.out))


def _set_up(names: set[str]) -> set[str]:
    """Installs what is missing; returns those for whom that failed (each measurement says why)."""
    failed = set()
    for name in sorted(names):
        with console.status(f"setting up {name}"):
            try:
                CONTESTANTS[name].setup()
            except Unavailable as error:
                failed.add(name)
                console.print(f"{name} is left out: {error}")
    return failed


def _line(sample: Sample) -> str:
    values = ", ".join(f"{name} {value:.4g} {FIGURES[name].unit}" for name, value in sample.figures.items())
    return (
        f"{sample.round + 1}  {sample.work:<20} {sample.contestant:<26} {sample.took:5.1f} s  {values or sample.error}"
    )


def _finish(run: Run, args: argparse.Namespace) -> int:
    judgements = [each for each in judge(run.samples) if each.verdict is not Verdict.UNKNOWN]
    missed = [each for each in judgements if each.verdict is Verdict.MISSED]
    for each in judgements:
        measured = each.measured
        assert measured is not None
        goal = each.goal
        than = f" x {each.rival}" if each.rival else f" {FIGURES[goal.figure].unit}"
        console.print(
            f"{each.verdict.value:<26} {goal.work}: {goal.figure}, {goal.ours}: {measured.median:.3g}"
            f" ({measured.least:.3g} to {measured.most:.3g}), goal {goal.limit:.3g}{than}",
            highlight=False,
            soft_wrap=True,
            style="red" if each in missed else "",
        )
    console.print(f"written: {args.out / 'RESULTS.md'}")
    if report.disturbed(run):
        console.print("the machine was not quiet: these figures are a smoke test")
    return 1 if args.quick and missed else 0


if __name__ == "__main__":
    sys.exit(main())
