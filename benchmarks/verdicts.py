"""From samples to numbers: medians with spread, ratios within one round, and whether the goals are met."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.measure import Sample
from benchmarks.works import GOALS, Goal

__all__ = ["Judgement", "Spread", "Verdict", "figure_of", "judge", "ratios", "spread"]


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, the least and the most."""

    median: float
    least: float
    most: float

    @property
    def noise(self) -> float:
        """How far a round may be from the median, as far as these rounds tell."""
        return (self.most - self.least) / 2


def spread(values: Sequence[float]) -> Spread | None:
    """``None`` where nothing was measured."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def figure_of(samples: Iterable[Sample], work: str, contestant: str, figure: str) -> dict[int, float]:
    """One contestant's figure by round."""
    return {
        each.round: each.figures[figure]
        for each in samples
        if each.work == work and each.contestant == contestant and figure in each.figures
    }


def ratios(samples: Sequence[Sample], work: str, figure: str, who: str, to: str) -> list[float]:
    """``who``'s figure divided by that of ``to``, in each round that has both."""
    ours, theirs = (figure_of(samples, work, name, figure) for name in (who, to))
    return [ours[number] / theirs[number] for number in ours if theirs.get(number)]


class Verdict(enum.Enum):
    """What became of a goal."""

    MET = "met"
    WITHIN_NOISE = "missed, within the noise"
    MISSED = "missed"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Judgement:
    """A goal and what was measured."""

    goal: Goal
    verdict: Verdict
    measured: Spread | None
    #: Whom it was compared with: the best of ``goal.than``.
    rival: str = ""


def judge(samples: Sequence[Sample], goals: Sequence[Goal] = GOALS) -> list[Judgement]:
    """Every goal; one is missed only where the median is beyond the limit by more than the noise."""
    return [_judge(samples, goal) for goal in goals]


def _judge(samples: Sequence[Sample], goal: Goal) -> Judgement:
    rival = ""
    if goal.than:
        medians = {
            name: statistics.median(found.values())
            for name in goal.than
            if (found := figure_of(samples, goal.work, name, goal.figure))
        }
        if not medians:
            return Judgement(goal, Verdict.UNKNOWN, None)
        rival = min(medians, key=lambda name: medians[name])
        values = _against(samples, goal, rival)
    else:
        values = list(figure_of(samples, goal.work, goal.ours, goal.figure).values())
    measured = spread(values)
    if measured is None:
        return Judgement(goal, Verdict.UNKNOWN, None, rival)
    if measured.median <= goal.limit:
        verdict = Verdict.MET
    elif measured.median - measured.noise <= goal.limit:
        verdict = Verdict.WITHIN_NOISE
    else:
        verdict = Verdict.MISSED
    return Judgement(goal, verdict, measured, rival)


def _against(samples: Sequence[Sample], goal: Goal, rival: str) -> list[float]:
    now = ratios(samples, goal.work, goal.figure, goal.ours, rival)
    if not goal.grows_from:
        return now
    before = ratios(samples, goal.grows_from, goal.figure, goal.ours, rival)
    return [later / earlier for later, earlier in zip(now, before, strict=False)]
