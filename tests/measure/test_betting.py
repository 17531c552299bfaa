"""The betting bound: valid under weights, mirrored, and of use."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from journeyman.measure.betting import betting_interval, betting_lower, weighted_mean

Floats = NDArray[np.float64]

rows = st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 1.0]), st.integers(1, 9)), min_size=1, max_size=60)


def draw(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    """Rows whose losses sit on the repeated ones: the weighted mean is -0.05 while the plain one is -0.02."""
    weights = rng.choice([1.0, 4.0], size=n, p=[0.8, 0.2])
    loss = np.where(weights == 4.0, 0.2, 0.1)
    win = np.where(weights == 4.0, 0.1, 0.1)
    u = rng.random(n)
    return np.where(u < loss, -1.0, np.where(u < loss + win, 1.0, 0.0)), weights


@settings(max_examples=60, deadline=None)
@given(rows, st.floats(0.005, 0.3))
def test_it_contains_the_weighted_mean_and_mirrors(table: list[tuple[float, int]], alpha: float) -> None:
    values, weights = (np.array(column, dtype=np.float64) for column in zip(*table, strict=True))
    interval = betting_interval(values, weights, alpha, -1.0, 9.0)
    mirrored = betting_interval(-values, weights, alpha, -1.0, 9.0)
    assert -1 <= interval.low <= weighted_mean(values, weights) <= interval.high <= 1
    assert interval.low == pytest.approx(-mirrored.high, abs=1e-9)


def test_it_narrows_with_rows_and_keeps_in_range_for_shares() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for n in (100, 1000):
        values = (rng.random(n) < 0.9).astype(np.float64)
        interval = betting_interval(values, np.ones(n), 0.02, 0.0, 1.0)
        assert 0 <= interval.low < values.mean() < interval.high <= 1
        widths.append(interval.high - interval.low)
    assert widths[1] < 0.5 * widths[0]


def test_bad_arguments_are_named() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="at most 1"):
        betting_lower(one, 2 * one, 0.02, -1.0, 1.0)
    with pytest.raises(ValueError, match="positive"):
        betting_lower(one, 0 * one, 0.02, -1.0, 1.0)
    with pytest.raises(ValueError, match="must lie in"):
        betting_lower(2 * one, one, 0.02, -1.0, 1.0)
    with pytest.raises(ValueError, match="at least one"):
        betting_lower(one[:0], one[:0], 0.02, -1.0, 1.0)
    with pytest.raises(ValueError, match="alpha"):
        betting_lower(one, one, 0.0, -1.0, 1.0)


@pytest.mark.parametrize("runs", [150, pytest.param(800, marks=pytest.mark.slow)])
def test_the_lower_bound_exceeds_the_truth_at_most_alpha_of_the_time(runs: int) -> None:
    rng = np.random.default_rng(11)
    alpha, truth = 0.1, (0.2 * 4 * -0.1) / (0.8 + 0.2 * 4)
    misses = sum(betting_lower(*draw(rng, 150), alpha, -1.0, 4.0) > truth for _ in range(runs))
    assert misses / runs <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
