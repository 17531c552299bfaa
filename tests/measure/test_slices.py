"""Slices: their means, what a group counts, and how often all their intervals hold together."""

from __future__ import annotations

import numpy as np
import pytest

from journeyman.measure.slices import slice_intervals


def test_the_mean_of_each_slice_and_its_rows() -> None:
    values = np.array([1.0, 0.0, 1.0, 1.0])
    weights = np.array([1.0, 3.0, 1.0, 1.0])
    members = [
        np.array([True, True, False, False]),
        np.array([False, False, True, True]),
        np.array([True, False, False, False]),
    ]
    first, second, alone = slice_intervals(values, weights, np.arange(4), members, draws=500)
    assert first is not None
    assert (first.value, first.n, first.groups) == (0.25, 2, 2)
    assert second is not None
    assert (second.low, second.value, second.high) == (1.0, 1.0, 1.0)
    assert alone is None
    assert slice_intervals(values, weights, np.arange(4), []) == []
    with pytest.raises(ValueError, match="one length"):
        slice_intervals(values, weights[:2], np.arange(4), members)


def test_rows_of_a_group_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    values = (rng.random(60) < 0.6).astype(np.float64)
    every = [np.ones(60, dtype=bool)]
    (single,) = slice_intervals(values, np.ones(60), np.arange(60), every, draws=2000)
    (copied,) = slice_intervals(
        np.repeat(values, 4), np.ones(240), np.repeat(np.arange(60), 4), [np.ones(240, dtype=bool)], draws=2000
    )
    assert single is not None
    assert copied is not None
    assert copied.high - copied.low == pytest.approx(single.high - single.low, abs=0.03)
    assert (copied.n, copied.groups) == (240, 60)


def test_all_intervals_hold_together() -> None:
    rng, missed, runs = np.random.default_rng(2), 0, 60
    for run in range(runs):
        labels = rng.integers(0, 5, 400)
        truth = np.array([0.3, 0.5, 0.6, 0.7, 0.5])
        values = (rng.random(400) < truth[labels]).astype(np.float64)
        members = [labels == label for label in range(5)]
        found = slice_intervals(values, np.ones(400), np.arange(400), members, draws=1000, seed=run)
        missed += any(item is None or not item.low <= truth[label] <= item.high for label, item in enumerate(found))
    assert missed / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs) + 0.03, "percentiles are a little narrow at n = 80"
