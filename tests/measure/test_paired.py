"""The paired test: silent where neither is so, right where one is, and its interval says the same as its verdict."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.measure.paired import Differences, PairedWatch

MARGIN = 0.05
counts = st.integers(0, 400)


def play(rng: np.random.Generator, loss: float, win: float, calls: int, alpha: float = 0.05) -> tuple[int, int]:
    """What was shown first, and after how many calls, looking after each."""
    watch = PairedWatch(MARGIN, alpha, alpha, Differences())
    for number, draw in enumerate(rng.random(calls), start=1):
        if found := watch.add(-1 if draw < loss else 1 if draw < loss + win else 0):
            return found, number
    return 0, calls


@pytest.mark.parametrize(
    ("runs", "calls"), [(120, 800), pytest.param(4000, 5000, marks=pytest.mark.bench)], ids=["short", "long"]
)
@pytest.mark.parametrize(("loss", "win"), [(0.05, 0.0), (0.1, 0.05), (0.3, 0.25)])
def test_a_candidate_exactly_the_margin_worse_is_rarely_promoted_and_rarely_rolled_back(
    loss: float, win: float, runs: int, calls: int
) -> None:
    rng, alpha = np.random.default_rng(5), 0.05
    found = [play(rng, loss, win, calls)[0] for _ in range(runs)]
    most = alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
    assert found.count(1) / runs <= most
    assert found.count(-1) / runs <= most


@pytest.mark.parametrize(
    ("loss", "win", "expected", "within"),
    [(0.0, 0.0, 1, 110), (0.03, 0.03, 1, 350), (0.05, 0.05, 1, 600), (0.12, 0.02, -1, 700), (0.3, 0.05, -1, 150)],
)
def test_power(loss: float, win: float, expected: int, within: int) -> None:
    rng = np.random.default_rng(6)
    plays = [play(rng, loss, win, 3000) for _ in range(40)]
    assert [found for found, _ in plays].count(expected) >= 38
    assert np.median([calls for _, calls in plays]) <= within


@settings(max_examples=100, deadline=None)
@given(counts, counts, counts, st.floats(0.005, 0.3), st.floats(-0.9, 0.9))
def test_the_interval_is_what_is_not_refuted(losses: int, ties: int, wins: int, alpha: float, mean: float) -> None:
    differences = Differences(losses, ties, wins)
    interval = differences.interval(alpha)
    assert -1 <= interval.low <= differences.mean <= interval.high <= 1
    if abs(mean - interval.low) > 1e-6 and mean < differences.mean:
        assert differences.refutes(mean, alpha) == (mean < interval.low)
    mirrored = differences.mirrored().interval(alpha)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


@given(counts, counts, counts)
def test_the_wealth_falls_where_more_is_claimed(losses: int, ties: int, wins: int) -> None:
    differences = Differences(losses, ties, wins)
    wealth = [differences.log_wealth(mean) for mean in (-0.9, -0.5, -0.05, 0.0, 0.3, 0.8)]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(wealth))


@pytest.mark.parametrize("mean", [-0.3, -0.05, 0.0, 0.4])
def test_no_gambler_wins_on_average_where_the_claim_holds(mean: float) -> None:
    """Exactly: over all sequences of six differences whose mean is the claimed one the wealth is one."""
    for spread in (0.0, 0.2, 0.5):
        tie = (1 - abs(mean)) * (1 - spread)
        win = (1 - tie + mean) / 2
        chances = (1 - tie - win, tie, win)
        total = 0.0
        for losses in range(7):
            for ties in range(7 - losses):
                wins = 6 - losses - ties
                ways = np.prod(range(1, 7)) / np.prod([np.prod(range(1, n + 1)) for n in (losses, ties, wins)])
                chance = ways * chances[0] ** losses * chances[1] ** ties * chances[2] ** wins
                total += chance * np.exp(Differences(losses, ties, wins).log_wealth(mean))
        assert total == pytest.approx(1.0)


def test_what_was_shown_first_stays_and_other_numbers_are_refused() -> None:
    watch = PairedWatch(MARGIN, 0.05, 0.05, Differences())
    while not watch.add(0):
        pass
    assert [watch.add(-1) for _ in range(200)] == [1] * 200
    with pytest.raises(ValueError, match="-1, 0 or 1"):
        watch.add(2)
