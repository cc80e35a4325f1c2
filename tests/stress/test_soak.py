"""The soak itself: its verdict sees growth and only that, and a server that leaks does not pass."""

import random

from benchmarks.soak import LIMITS, rise, soak, verdict


def flat(count=100, **changes):
    """Samples of a run in which nothing grows."""
    rng = random.Random(1)
    return [
        {name: 1000 + limit * rng.uniform(-0.1, 0.1) for name, limit in LIMITS.items()} | changes for _ in range(count)
    ]


def held(samples):
    return {name: each["held"] for name, each in verdict(samples).items()}


def test_noise_is_no_growth():
    assert all(held(flat()).values())


def test_a_few_odd_samples_are_no_growth():
    samples = flat()
    for sample in samples[-10:]:
        sample["files"] += 500
    assert held(samples)["files"]


def test_what_rises_during_the_warm_up_does_not_count():
    samples = flat()
    for index, sample in enumerate(samples):
        sample["rss"] += min(index, 20) * 5_000
    assert held(samples)["rss"]


def test_steady_growth_is_seen():
    for name in LIMITS:
        samples = flat()
        for index, sample in enumerate(samples):
            sample[name] += index * 200
        assert [each for each, good in held(samples).items() if not good] == [name]


def test_rise():
    assert rise([0, 1, 2, 3]) == 3
    assert rise([5] * 10) == 0
    assert rise([7]) == 0
    assert round(rise([index / 10 for index in range(3_000)])) == 300


def test_a_server_that_leaks_does_not_pass():
    result = soak(8, visitors=3, leak=500, name="soak-test-leak")
    assert not result["figures"]["rss"]["held"]
    assert result["figures"]["files"]["held"]


def test_a_server_that_does_not_leak_passes():
    result = soak(8, visitors=3, name="soak-test")
    assert sum(result["visits"].values()) > 20
    assert result["pushes"] > 100
    # these still rise in a run that has only begun, and the last one is the machine's as much as ours
    short = {"rss", "threads", "peers", "sockets", "rooms", "away", "latency_median"}
    assert all(each["held"] for name, each in result["figures"].items() if name not in short), result
