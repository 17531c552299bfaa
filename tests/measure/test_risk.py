"""The cascade's promise: kept as often as it says, refused where it cannot be, exact where rows are single draws."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from journeyman.measure.risk import Scored, least_accepted, promise

Floats = NDArray[np.float64]


def draw(rng: np.random.Generator, n: int, groups: bool = False) -> Scored:
    """Confidence says the truth, save that it is overstated at the top."""
    said = rng.beta(4, 1, n)
    chance = 0.55 + 0.43 * said**3
    if not groups:
        return Scored.of(said, rng.random(n) > chance)
    group = np.sort(rng.integers(0, n // 3, n))
    shared = rng.random(n)[group]
    return Scored(said, (shared > chance).astype(np.float64), rng.choice([1.0, 3.0], n), group, heaviest=12.0)


def true_error(threshold: float) -> float:
    said = np.random.default_rng(0).beta(4, 1, 400_000)
    taken = said[said >= threshold]
    return float((1 - (0.55 + 0.43 * taken**3)).mean())


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("runs", [200, pytest.param(2000, marks=pytest.mark.bench)])
def test_a_promise_is_broken_no_more_often_than_delta(runs: int, groups: bool) -> None:
    rng, error, delta = np.random.default_rng(5), 0.1, 0.1
    broken = made = 0
    for _ in range(runs):
        found = promise(draw(rng, 200, groups), draw(rng, 3000 if groups else 300, groups), error, delta)
        if found.threshold is not None:
            made += 1
            broken += true_error(found.threshold) > error
    assert made > runs / 10
    assert broken / runs <= delta + 3 * np.sqrt(delta * (1 - delta) / runs)


def test_the_p_value_is_the_binomial_tail() -> None:
    rows = draw(np.random.default_rng(1), 400)
    found = promise(rows, rows, 0.05, 0.1)
    for point in found.curve[::9]:
        taken = rows.confidence >= point.threshold
        assert point.accepted == taken.sum()
        assert point.p_value == pytest.approx(binom.cdf(rows.wrong[taken].sum(), taken.sum(), 0.05))
        assert point.coverage == pytest.approx(taken.mean())


def test_too_few_rows_are_named() -> None:
    assert least_accepted(0.02, 0.05) == 149
    assert 0.98**149 <= 0.05 < 0.98**148
    rows = Scored.of(np.linspace(0, 1, 100), np.zeros(100))
    found = promise(rows, rows, 0.02, 0.05)
    assert (found.threshold, found.needed) == (None, 149)
    enough_below = Scored.of(
        np.concatenate([np.ones(120), np.zeros(300)]), np.concatenate([np.zeros(120), np.ones(300)])
    )
    assert promise(enough_below, enough_below, 0.02, 0.05).needed == 149
    enough = Scored.of(np.linspace(0, 1, 200), np.zeros(200))
    assert promise(enough, enough, 0.02, 0.05).threshold == 0.0
    wrong = Scored.of(np.linspace(0, 1, 400), np.ones(400))
    assert (promise(wrong, wrong, 0.02, 0.05).threshold, promise(wrong, wrong, 0.02, 0.05).needed) == (None, None)


def test_it_goes_on_to_more_coverage_until_the_first_failure() -> None:
    levels = [0.9, 0.6, 0.3, 0.1]
    fit = Scored.of(np.repeat(levels, 200), np.repeat([0.0, 1.0, 1.0, 1.0], 200))
    decide = Scored.of(np.repeat(levels, [200, 200, 50, 3000]), np.repeat([0.0, 0.0, 1.0, 0.0], [200, 200, 50, 3000]))
    found = promise(fit, decide, 0.05, 0.05)
    assert [point.threshold for point in found.curve] == levels
    assert [point.p_value <= 0.05 for point in found.curve] == [True, True, False, True]
    assert found.threshold == 0.6, "on from 0.9, where it began, and no further than the failure"


def test_a_hopeless_threshold_does_not_spoil_a_good_one() -> None:
    """Groups of two, all of them wrong below 0.5: the wealth against them is too small for a number."""
    said = np.concatenate([np.full(800, 0.9), np.full(2400, 0.2)])
    wrong = np.concatenate([np.zeros(800), np.ones(2400)])
    rows = Scored(said, wrong, np.ones(3200), np.repeat(np.arange(1600), 2), heaviest=2.0)
    found = promise(rows, rows, 0.02, 0.05)
    assert found.threshold == 0.9
    assert (found.curve[0].accepted, found.curve[1].p_value) == (400, 1.0)
    few = Scored(said[:100], wrong[:100], np.ones(100), np.repeat(np.arange(50), 2), heaviest=2.0)
    assert promise(few, few, 0.02, 0.05).needed == 198


def test_one_confidence_for_all_rows_is_one_threshold() -> None:
    rows = Scored.of(np.full(300, 0.7), np.zeros(300))
    assert promise(rows, rows, 0.02, 0.05).threshold == 0.7


@pytest.mark.parametrize(("error", "delta"), [(0.0, 0.1), (0.1, 1.0)])
def test_shares_lie_between_0_and_1(error: float, delta: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        least_accepted(error, delta)
    with pytest.raises(ValueError, match="number"):
        Scored.of([float("nan")], [0])
    with pytest.raises(ValueError, match="0 or 1"):
        Scored.of([0.5], [0.5])
    with pytest.raises(ValueError, match="above 0"):
        Scored(np.ones(1), np.ones(1), np.zeros(1), np.arange(1))
