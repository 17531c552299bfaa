"""Our statistics beside those of statsmodels and scipy, where they have the method."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, quantile_test
from scipy.stats import t as student
from statsmodels.api import GLM, families
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa as their_kappa
from statsmodels.stats.proportion import proportion_confint

from journeyman.measure.agreement import cohens_kappa
from journeyman.measure.calibration import brier_score
from journeyman.measure.calibrators import fit
from journeyman.measure.intervals import Paired, clopper_pearson, normal_quantile, tango_score
from journeyman.measure.latency import quantile

counts = st.integers(0, 200)


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.001, 0.02, 0.05, 0.2]))
def test_one_share(n: int, share: float, alpha: float) -> None:
    k = round(n * share)
    ours = clopper_pearson(k, n, alpha)
    assert (ours.low, ours.high) == pytest.approx(proportion_confint(k, n, alpha, method="beta"), abs=1e-9)
    theirs = binomtest(k, n).proportion_ci(1 - alpha, "exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-7)
    one_sided = binomtest(k, n, alternative="greater").proportion_ci(1 - alpha, "exact")
    assert clopper_pearson(k, n, alpha, 1).low == pytest.approx(one_sided.low, abs=1e-7)


@given(counts, counts, counts, counts)
def test_the_paired_score_without_a_margin_is_mcnemars(n11: int, n10: int, n01: int, n00: int) -> None:
    assume(n10 + n01 > 0)
    theirs = mcnemar([[n11, n10], [n01, n00]], exact=False, correction=False)
    score = tango_score(Paired(n11, n10, n01, n00), 0.0)
    assert score**2 == pytest.approx(theirs.statistic, abs=1e-9)
    assert 2 * norm.sf(abs(score)) == pytest.approx(theirs.pvalue, abs=1e-9)


@given(
    st.lists(st.lists(st.integers(0, 60), min_size=3, max_size=3), min_size=3, max_size=3),
    st.sampled_from([0.01, 0.05]),
)
def test_agreement_beyond_chance(table: list[list[int]], alpha: float) -> None:
    """Their standard error, on the scale of Fisher's z with Student's t."""
    shares = np.array(table, dtype=np.float64)
    assume((shares.sum(axis=0) + shares.sum(axis=1) > 0).all())
    assume(0 < np.trace(shares) < shares.sum())
    pairs = [(row, column) for row in range(3) for column in range(3) for _ in range(table[row][column])]
    ours, theirs = cohens_kappa(*zip(*pairs, strict=True), alpha=alpha), their_kappa(shares)
    assert ours.kappa == pytest.approx(theirs.kappa, abs=1e-9)
    n = len(pairs)
    deviation = np.sqrt(n / (n - 1)) * theirs.std_kappa
    reach = student.ppf(1 - alpha / 2, n - 1) * deviation / (1 - theirs.kappa**2)
    ends = np.tanh(np.arctanh(theirs.kappa) + np.array([-reach, reach]))
    assert (ours.interval.low, ours.interval.high) == pytest.approx(tuple(ends), abs=1e-6)


@given(st.floats(1e-9, 1 - 1e-9))
def test_the_normal_quantile(share: float) -> None:
    assert normal_quantile(share) == pytest.approx(norm.ppf(share), abs=1e-9)


@given(st.integers(8, 400), st.sampled_from([0.5, 0.95]), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_interval_of_a_quantile_covers_no_less_than_theirs(n: int, share: float, seed: int) -> None:
    """Both are order statistics; of those whose tail is small enough, each side takes the innermost."""
    values = np.random.default_rng(seed).exponential(size=n)
    ours = quantile(values.tolist(), share)
    theirs = quantile_test(values, q=0, p=share).confidence_interval(0.95)
    low = 0.0 if np.isnan(theirs.low) else theirs.low
    high = np.inf if np.isnan(theirs.high) else theirs.high
    assert (ours.low, ours.high) == (low, high)


@given(st.integers(0, 10_000), st.sampled_from([60, 400]))
@settings(max_examples=25, deadline=None)
def test_temperature_and_beta_are_logistic_regressions(seed: int, n: int) -> None:
    """With Platt's targets, one pseudo-row on either side."""
    rng = np.random.default_rng(seed)
    said = np.clip(rng.beta(4, 1.5, n), 0.02, 0.98)
    came = (rng.random(n) < said**1.7).astype(np.float64)
    assume(2 < came.sum() < n - 2)
    targets = np.where(came > 0, (came.sum() + 1) / (came.sum() + 2), 1 / (n - came.sum() + 2))
    odds = np.log(said) - np.log1p(-said)
    slope = GLM(targets, odds[:, None], family=families.Binomial()).fit().params
    if slope[0] > 0:
        assert fit("temperature", said, came).points == pytest.approx(tuple(slope), abs=2e-4)
    columns = np.stack([np.log(said), -np.log1p(-said), np.ones(n)], axis=1)
    found = GLM(targets, columns, family=families.Binomial()).fit().params
    if min(found[:2]) > 0:
        mapped = fit("beta", said, came)(said)
        assert mapped == pytest.approx(1 / (1 + np.exp(-columns @ found)), abs=2e-3)
    assert brier_score(said, came) == pytest.approx(float(np.square(said - came).mean()))
