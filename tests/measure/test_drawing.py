"""Bootstrap, latency quantiles and the forecast of labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import Paired, clopper_pearson, tango
from journeyman.measure.latency import measure_latency, quantile
from journeyman.measure.power import labels_for_difference, labels_for_share, labels_for_weighted


def test_bootstrap_of_a_share_agrees_with_scipy() -> None:
    values = (np.random.default_rng(1).random(300) < 0.7).astype(np.float64)
    theirs = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(2))
    ours = bootstrap_ratio(values, draws=4000)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.01)


def test_bootstrap_of_a_ratio_weighs_and_repeats() -> None:
    top, bottom = np.array([2.0, 0.0, 4.0, 6.0]), np.array([4.0, 0.0, 5.0, 6.0])
    ours = bootstrap_ratio(top, bottom, [1, 5, 1, 2], seed=4)
    assert ours.low <= 18 / 21 <= ours.high
    assert ours == bootstrap_ratio(top, bottom, [1, 5, 1, 2], seed=4)
    assert bootstrap_ratio(np.ones(5)).low == 1.0


def test_bootstrap_of_paired_differences_is_antisymmetric_in_law() -> None:
    values = np.random.default_rng(5).choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=400)
    there, back = bootstrap_ratio(values), bootstrap_ratio(-values)
    assert there.low == pytest.approx(-back.high, abs=1e-9)


def test_bootstrap_names_bad_arguments() -> None:
    with pytest.raises(ValueError, match="one length"):
        bootstrap_ratio([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="zero on every row"):
        bootstrap_ratio([0.0], [0.0])


@given(st.lists(st.floats(0.1, 1e4), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_quantile_lies_in_its_interval(values: list[float], share: float) -> None:
    got = quantile(values, share)
    assert got.low <= got.value <= got.high
    assert got.n == len(values)
    assert sum(item <= got.value for item in values) >= share * len(values) - 1e-6


def test_quantiles_of_known_values() -> None:
    """For n = 100 the 95 % interval of the median runs from the 40th to the 61st value."""
    latency = measure_latency([float(value) for value in range(1, 101)])
    assert (latency.p50.value, latency.p50.low, latency.p50.high) == (50.0, 40.0, 61.0)
    assert (latency.p95.value, latency.p95.low, latency.p95.high) == (95.0, 90.0, 100.0)


def test_few_values_leave_the_upper_end_open() -> None:
    assert measure_latency([1.0, 2.0, 3.0]).p95.high == math.inf
    with pytest.raises(ValueError, match="got 0 values"):
        measure_latency([])


@pytest.mark.slow
def test_a_quantile_is_covered_whatever_the_distribution() -> None:
    rng = np.random.default_rng(6)
    truth = math.exp(1.6448536269514722)  # the 95th percentile of a log-normal
    hits = 0
    for _ in range(2000):
        got = quantile(rng.lognormal(size=150).tolist(), 0.95)
        hits += got.low <= truth <= got.high
    assert hits / 2000 >= 0.94


@pytest.mark.parametrize("pairs", [Paired(160, 12, 14, 14), Paired(40, 0, 0, 0), Paired(90, 3, 4, 3)])
def test_the_forecast_of_labels_settles_the_verdict(pairs: Paired) -> None:
    """With the forecast rows of the same shares, the lower bound reaches the margin (the forecast leaves 0.8 power)."""
    margin, alpha = 0.05, 0.02
    assert tango(pairs, alpha, sides=1).low < -margin
    needed = labels_for_difference(pairs, margin, alpha)
    assert needed is not None
    scale = (pairs.n + needed) / pairs.n
    larger = Paired(*(round(count * scale) for count in (pairs.n11, pairs.n10, pairs.n01, pairs.n00)))
    assert tango(larger, alpha, sides=1).low >= -margin


def test_the_forecast_is_the_published_sample_size() -> None:
    """Equal shares 0.1 and 0.1, margin 0.1, one-sided 5 %, power 80 %: about (1.645·s0 + 0.842·s1)²/0.01 pairs."""
    pairs = Paired(800, 100, 100, 0)
    assert labels_for_difference(pairs, 0.1, 0.05) == 1  # a thousand pairs are plenty
    small = labels_for_difference(Paired(8, 1, 1, 0), 0.1, 0.05)
    assert small is not None
    assert 110 <= small + 10 <= 140


def test_the_forecast_for_a_share_settles_the_floor() -> None:
    needed = labels_for_share(50, 50, 0.95, 0.02)
    assert needed is not None
    assert clopper_pearson(50 + needed, 50 + needed, 0.02, sides=1).low >= 0.95


def test_no_number_of_labels_settles_a_tie() -> None:
    assert labels_for_difference(Paired(90, 0, 5, 5), 0.05, 0.02) is None
    assert labels_for_share(95, 100, 0.95, 0.02) is None
    assert labels_for_weighted(0.1, 0.9, 0.9, 0.0, 100, 80.0, 1.0, 0.02) is None
    assert labels_for_weighted(0.1, 0.95, 0.9, 0.0, 100, 80.0, 1.0, 0.02) is not None
