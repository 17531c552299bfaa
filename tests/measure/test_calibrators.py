"""Maps from confidence to chance: each recovers what it can express, none breaks on the ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from journeyman.measure.calibration import brier_score, debiased_error, debiased_interval, reliability
from journeyman.measure.calibrators import KINDS, Calibrator, Kind, choose, fit

rows = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50)


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from(KINDS))
def test_chances_rise_with_confidence(pairs: list[tuple[float, bool]], kind: Kind) -> None:
    said, came = zip(*pairs, strict=True)
    found = fit(kind, said, came)
    chances = found(np.linspace(0, 1, 101))
    assert np.all((chances >= 0) & (chances <= 1))
    assert np.all(np.diff(chances) >= -1e-12)
    assert np.array_equal(Calibrator.from_json(found.to_json())(said), found(said))


def test_temperature_finds_the_slope_that_made_the_rows() -> None:
    rng = np.random.default_rng(2)
    said = rng.uniform(0.05, 0.95, 40_000)
    assert fit("temperature", said, rng.random(len(said)) < expit(0.5 * logit(said))).points == pytest.approx(
        (0.5,), abs=0.03
    )
    came = rng.random(len(said)) < expit(0.5 * logit(said) + 0.3)
    a, b, c = fit("beta", said, came).points
    assert (a, b, c) == pytest.approx((0.5, 0.5, 0.3), abs=0.08)


def test_isotonic_is_the_pooled_share() -> None:
    found = fit("isotonic", [0.1, 0.2, 0.3, 0.4], [1, 0, 1, 1])
    assert found([0.1, 0.2, 0.3, 0.4, 0.0]) == pytest.approx([0.5, 0.5, 1, 1, 0], abs=1e-4)
    doubled = fit("isotonic", [0.1, 0.2, 0.3], [1, 0, 1], weights=[3, 1, 1])
    assert doubled([0.1, 0.2]) == pytest.approx([0.75, 0.75])


def test_where_every_row_was_right_less_confidence_than_any_of_them_had_is_no_certainty() -> None:
    confidence = np.linspace(0.6, 1, 40)
    best, _losses = choose(confidence, np.ones(40))
    assert best.kind == "isotonic"
    assert best([0.6, 0.8, 1.0]) == pytest.approx([1, 1, 1])
    assert best([0.3, 0.59]) == pytest.approx([0.5, 0.59 / 0.6])


def test_the_kind_is_chosen_by_rows_left_out() -> None:
    rng = np.random.default_rng(4)
    said = rng.random(4000)
    came = rng.random(len(said)) < np.where(said > 0.5, 0.9, 0.2)
    best, scores = choose(said, came)
    assert best.kind == "isotonic"
    assert set(scores) == set(KINDS)
    few, none = choose(said[:8], came[:8])
    assert (few.kind, none) == ("identity", {})


def test_a_confidence_that_is_right_already_is_left_alone() -> None:
    rng = np.random.default_rng(9)
    kinds = []
    for _ in range(40):
        said = rng.beta(6, 0.6, 100)
        kinds.append(choose(said, rng.random(100) < said)[0].kind)
    assert kinds.count("identity") >= 30
    said = rng.beta(6, 0.6, 1000)
    assert choose(said, rng.random(1000) < said**3)[0].kind != "identity"


def test_rows_of_a_group_are_left_out_together() -> None:
    """Noise that a group shares with its own confidence: rows alone would learn it, groups do not."""
    rng = np.random.default_rng(8)
    said = np.repeat(rng.random(40), 25)
    came = np.repeat(rng.random(40) < 0.5, 25)
    alone, together = (choose(said, came, groups=groups) for groups in (None, [str(row // 25) for row in range(1000)]))
    assert alone[0].kind == "isotonic"
    assert together[1]["isotonic"] > alone[1]["isotonic"] + 0.01
    assert choose(said, came, groups=[""] * 1000)[1] == alone[1]


def test_brier_and_bins() -> None:
    assert brier_score([1, 0, 0.5], [1, 0, 1]) == pytest.approx(0.25 / 3)
    bins = reliability([0.1] * 5 + [0.9] * 15, [0] * 5 + [1] * 12 + [0] * 3, bins=4)
    assert [(item.n, item.right) for item in bins] == [(5, 0.0), (15, 0.8)]


def test_debiasing_takes_off_what_chance_adds() -> None:
    rng = np.random.default_rng(6)
    plain, debiased = [], []
    for _ in range(60):
        said = rng.uniform(0.2, 0.9, 600)
        came = rng.random(600) < said
        bins = reliability(said, came)
        plain.append(sum(item.n * abs(item.right - item.confidence) for item in bins) / 600)
        debiased.append(debiased_error(said, came))
    assert np.mean(plain) > 0.04
    assert np.mean(debiased) < 0.6 * np.mean(plain)
    low = [debiased_interval(said, rng.random(600) < said, draws=60).low for _ in range(20)]
    assert np.mean(np.array(low) == 0) > 0.7, "calibrated: no error is within the interval"
    sure = np.full(600, 0.98)
    assert (
        np.mean([debiased_error(sure + rng.uniform(-0.01, 0.01, 600), rng.random(600) < 0.98) for _ in range(20)])
        < 0.012
    )
    off = debiased_error(said, rng.random(600) < said - 0.15)
    assert off == pytest.approx(0.15, abs=0.04)
    interval = debiased_interval(said, rng.random(600) < said - 0.15, draws=100)
    assert interval.low < 0.15 < interval.high


def test_bad_rows() -> None:
    with pytest.raises(ValueError, match="expected"):
        fit("beta", [], [])
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit("beta", [1.5], [1])
