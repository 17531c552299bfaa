"""Intervals against published values, their properties, and their true coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from journeyman.measure.intervals import (
    Paired,
    clopper_pearson,
    normal_quantile,
    tango,
    tango_lower,
    tango_score,
)

counts = st.integers(0, 400)
tables = st.builds(Paired, counts, counts, counts, st.integers(1, 400))
alphas = st.floats(0.001, 0.5)


@pytest.mark.parametrize(
    ("pairs", "alpha", "low", "high", "digits"),
    [
        # Bentur et al. 2009, airway hyper-responsiveness; Fagerland, Lydersen and Laake, Statistical Analysis of
        # Contingency Tables (2017), chapter 8, table of intervals: Tango asymptotic score.
        (Paired(1, 1, 7, 12), 0.05, -0.517, -0.026, 3),
        # Cavo et al. 2012, complete response; the same chapter (R package contingencytables, its test of this method).
        (Paired(59, 6, 16, 80), 0.05, -0.1240, -0.0054, 4),
        # R package PropCIs, scoreci.mp(25, 28, 618, conf.level = 0.90), whose estimand is (28 - 25) / 618.
        (Paired(400, 28, 25, 165), 0.10, -0.0148, 0.0247, 4),
    ],
)
def test_tango_gives_the_published_limits(pairs: Paired, alpha: float, low: float, high: float, digits: int) -> None:
    interval = tango(pairs, alpha)
    assert (round(interval.low, digits), round(interval.high, digits)) == (low, high)


@pytest.mark.parametrize("n", [1, 2, 13, 320])
def test_tango_without_a_discordant_pair_has_a_closed_form(n: int) -> None:
    """Tango 1998: the limits are then ± z² / (n + z²)."""
    z = normal_quantile(0.975)
    interval = tango(Paired(n, 0, 0, 0))
    assert interval.high == pytest.approx(z * z / (n + z * z), abs=1e-12)
    assert interval.low == -interval.high


@pytest.mark.parametrize("pairs", [Paired(0, 5, 0, 0), Paired(0, 0, 5, 0), Paired(0, 1, 0, 0), Paired(0, 3, 3, 0)])
def test_tango_holds_at_the_corners(pairs: Paired) -> None:
    interval = tango(pairs, 0.02, sides=1)
    assert -1 <= interval.low <= pairs.difference <= interval.high <= 1


@given(tables, alphas)
def test_tango_contains_the_estimate_and_mirrors_under_a_swap(pairs: Paired, alpha: float) -> None:
    interval, mirrored = tango(pairs, alpha, sides=1), tango(pairs.swapped, alpha, sides=1)
    assert -1 <= interval.low <= pairs.difference <= interval.high <= 1
    assert (interval.low, interval.high) == (-mirrored.high, -mirrored.low)


@given(tables, st.floats(0.0005, 0.999), st.floats(0.0005, 0.999))
def test_tango_lower_bound_rises_with_alpha_at_any_alpha(pairs: Paired, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert tango_lower(pairs, small) <= tango_lower(pairs, large) + 1e-12


@given(tables, alphas)
def test_two_sided_is_one_sided_at_half_the_error(pairs: Paired, alpha: float) -> None:
    assert tango(pairs, alpha) == tango(pairs, alpha / 2, sides=1)


@given(tables, st.floats(-0.99, 0.99), st.floats(-0.99, 0.99))
def test_the_score_falls_as_the_hypothesis_rises(pairs: Paired, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert tango_score(pairs, small) >= tango_score(pairs, large) - 1e-9


def test_clopper_pearson_gives_the_published_limits() -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 5, for 81/263, 15/148, 0/20 and 1/29."""
    for k, n, low, high in [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ]:
        interval = clopper_pearson(k, n)
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), alphas)
def test_clopper_pearson_agrees_with_beta_quantiles_and_contains_the_share(kn: tuple[int, int], alpha: float) -> None:
    k, n = kn
    interval = clopper_pearson(k, n, alpha, sides=1)
    assert interval.low <= k / n <= interval.high
    if k > 0:
        assert interval.low == pytest.approx(beta.ppf(alpha, k, n - k + 1), abs=1e-9)
    if k < n:
        assert interval.high == pytest.approx(beta.ppf(1 - alpha, k + 1, n - k), abs=1e-9)


@settings(max_examples=30)
@given(st.integers(1, 80), st.floats(0.01, 0.99), st.sampled_from([0.02, 0.05, 0.2]))
def test_clopper_pearson_never_misses_more_than_alpha(n: int, share: float, alpha: float) -> None:
    wrong = [k for k in range(n + 1) if clopper_pearson(k, n, alpha, sides=1).low > share]
    assert binom.pmf(wrong, n, share).sum() <= alpha + 1e-9


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="k=3, n=2"):
        clopper_pearson(3, 2)
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        tango(Paired(1, 0, 0, 0), 1.5)
    with pytest.raises(ValueError, match="tango_lower"):
        tango(Paired(1, 0, 0, 0), 0.7, sides=1)
    with pytest.raises(ValueError, match="nor all zero"):
        Paired(0, 0, 0, 0)


def false_passes(n: int, margin: float, p10: float, alpha: float) -> float:
    """The exact chance that the lower bound reaches -margin when the truth is -margin: a sum over all tables."""
    z = normal_quantile(1 - alpha)
    wins = np.arange(n + 1)
    total = 0.0
    for b in wins[binom.pmf(wins, n, p10) > 1e-10]:
        most = -1  # the score falls as losses grow, so the tables that pass are those with at most this many
        while most < n - b and tango_score(Paired(n - b - most - 1, int(b), most + 1, 0), -margin) >= z:
            most += 1
        if most >= 0:
            total += binom.pmf(b, n, p10) * binom.cdf(most, n - b, (p10 + margin) / (1 - p10))
    return float(total)


@pytest.mark.parametrize("p10", [0.0, 0.02, 0.1])
def test_false_passes_at_the_margin_stay_near_the_level(p10: float) -> None:
    assert false_passes(120, 0.05, p10, 0.02) <= 0.021


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 200, 320])
@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1])
def test_false_passes_at_the_margin_stay_near_the_level_everywhere(n: int, margin: float) -> None:
    """The method is asymptotic: the worst table exceeds 0.02 by less than 0.002."""
    assert max(false_passes(n, margin, p10, 0.02) for p10 in (0.0, 0.01, 0.03, 0.1, 0.2, 0.4)) <= 0.022


@pytest.mark.slow
@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.05, 0.05), (0.9, 0.01, 0.02, 0.07), (0.5, 0.2, 0.1, 0.2)])
def test_tango_covers_as_often_as_it_says(shares: tuple[float, float, float, float]) -> None:
    draws = np.random.default_rng(7).multinomial(200, shares, size=4000)
    unique, times = np.unique(draws, axis=0, return_counts=True)
    truth = shares[1] - shares[2]
    covered = 0
    for row, count in zip(unique, times, strict=True):
        interval = tango(Paired(*(int(item) for item in row)))
        covered += int(count) * (interval.low <= truth <= interval.high)
    assert 0.935 <= covered / len(draws) <= 0.975
