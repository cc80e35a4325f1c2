"""The benchmarks: goals are judged as they should be, and every mode of the load generator counts what really came."""

import dataclasses
import shutil
import sys

import pytest

from benchmarks import contestants
from benchmarks.measure import Sample, measure
from benchmarks.verdicts import Verdict, judge
from benchmarks.works import FIGURES, GOALS, WORKS, Goal, Group, Work

needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="the load generator needs Linux and a C compiler"
)
GOAL = Goal("fan-out", "delivery", "truesocket", 1.25, ("floor",))


def samples(*rounds, work="fan-out"):
    """A round is (the floor's figure, ours)."""
    return [
        Sample(work, name, number, {"delivery": value})
        for number, pair in enumerate(rounds)
        for name, value in zip(("floor", "truesocket"), pair, strict=True)
    ]


def verdict_of(found, goal=GOAL):
    (judgement,) = judge(found, [goal])
    return judgement.verdict


def test_a_goal_is_met_by_the_median():
    assert verdict_of(samples((10, 12), (10, 12.5), (10, 19))) is Verdict.MET


def test_a_goal_is_missed_beyond_the_noise_only():
    assert verdict_of(samples((10, 13), (10, 12), (10, 14))) is Verdict.WITHIN_NOISE
    assert verdict_of(samples((10, 19.9), (10, 20), (10, 20.1))) is Verdict.MISSED


def test_ratios_are_taken_within_a_round():
    """A machine that is slower in one round is slower for all."""
    assert verdict_of(samples((10, 12), (100, 120), (20, 24))) is Verdict.MET


def test_the_best_of_several_rivals_counts():
    found = [*samples((10, 12)), Sample("fan-out", "node", 0, {"delivery": 4.0})]
    assert verdict_of(found, dataclasses.replace(GOAL, than=("floor", "node"))) is Verdict.MISSED


def test_growth_is_compared_with_growth():
    found = [*samples((10, 20)), *samples((20, 40), work="more")]
    growth = Goal("more", "delivery", "truesocket", 1.0, ("floor",), grows_from="fan-out")
    assert verdict_of(found, growth) is Verdict.MET
    assert verdict_of([*samples((10, 20)), *samples((20, 60), work="more")], growth) is Verdict.MISSED


def test_what_was_not_measured_is_not_judged():
    assert verdict_of([]) is Verdict.UNKNOWN
    assert verdict_of(samples((10, 12))[1:]) is Verdict.UNKNOWN


def test_the_tables_name_what_exists():
    works = {work.name: work for work in WORKS}
    for work in WORKS:
        assert set(work.figures) <= FIGURES.keys()
        assert set(work.contestants) <= contestants.CONTESTANTS.keys()
        assert set(work.quick) <= set(work.contestants)
    for goal in GOALS:
        assert goal.figure in works[goal.work].figures
        work = works[goal.work]
        assert goal.ours in work.contestants
        assert set(goal.than) <= set(work.contestants) | work.left_out.keys()
        assert not goal.than or set(goal.than) & set(work.contestants)


def work(name, mode, *figures, **arguments):
    return Work(name, Group.EVENTS, "", mode, figures, (), {"seconds": 0.1, **arguments})


MODES = {
    "hold": work("hold", "hold", "connect", "disconnect", "memory", clients=30, warm=5, idle=0.1),
    "cast": work("cast", "cast", "delivery", "last", clients=30, burst=2),
    "old": work("old", "cast", "delivery", clients=30, old=2),
    "rooms": work("rooms", "cast", "delivery", clients=30, rooms=3),
    "binary": work("binary", "cast", "delivery", clients=5, kind="2048b"),
    "ask": work("ask", "ask", "round trip", "answer", clients=5, inflight=3),
    "behind": work("behind", "behind", "answer p50", clients=30, kind="100"),
    "tick": work("tick", "tick", "push p99", "late p99", clients=10, least=5, burners=1),
}
POLLING = {
    "cast": work("cast", "cast", "delivery", clients=20, transport="polling"),
    "ask": work("ask", "ask", "round trip", clients=5, transport="polling"),
}


@needs_compiler
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["floor", "truesocket-flask"])
def test_everything_that_was_sent_is_counted(name, mode):
    """The load generator ends with an error where an event is lost or comes twice."""
    check(name, MODES[mode])


@needs_compiler
@pytest.mark.parametrize("mode", POLLING)
def test_so_it_is_on_long_polling(mode):
    check("truesocket-flask", POLLING[mode])


def check(name, work):
    contestants.prepare()
    sample = measure(work, contestants.CONTESTANTS[name], 0)
    assert not sample.error
    assert set(sample.figures) == set(work.figures)
    printed = sample.printed
    if work.mode == "cast":
        assert printed["arrival"]["count"] == printed["deliveries"] >= 5
    elif work.mode == "tick":
        assert printed["arrival"]["count"] == 50
    elif work.mode == "hold":
        assert printed["left"] == 30


@needs_compiler
def test_a_server_that_does_not_start_is_a_reason_not_a_figure():
    contestants.prepare()
    broken = dataclasses.replace(
        contestants.CONTESTANTS["floor"],
        command=lambda port: [sys.executable, "-c", "raise SystemExit('no such luck')"],
    )
    sample = measure(MODES["cast"], broken, 0)
    assert not sample.figures
    assert "no such luck" in sample.error
