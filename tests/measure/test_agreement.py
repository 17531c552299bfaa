"""Cohen's kappa against a worked example and the definition."""

from __future__ import annotations

from math import atanh, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from journeyman.measure.agreement import cohens_kappa, krippendorffs_alpha

ratings = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60)


def test_the_textbook_table() -> None:
    """Two raters, 100 subjects: both yes 40, both no 30, 10 and 20 apart. Agreed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5."""
    pairs = [("y", "y")] * 40 + [("y", "n")] * 10 + [("n", "y")] * 20 + [("n", "n")] * 30
    found = cohens_kappa(*zip(*pairs, strict=True))
    assert found.kappa == pytest.approx(0.4)
    assert found.agreed == pytest.approx(0.7)
    assert found.interval.low < 0.4 < found.interval.high


def deviation(low: float, high: float, kappa: float, n: int) -> float:
    """The standard error that an interval was made of."""
    scale = 2 * student.ppf(0.975, n - 1) * sqrt(n / (n - 1))
    return float((atanh(high) - atanh(low)) / scale * (1 - kappa**2))


def test_a_published_table() -> None:
    """Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions (3rd ed., 2003), table 18.1: two diagnoses of 100 patients, kappa 0.68
    with standard error 0.087."""
    table = {"pp": 75, "pn": 1, "po": 4, "np": 5, "nn": 4, "no": 1, "oo": 10}
    pairs = [tuple(pair) for pair, count in table.items() for _ in range(count)]
    found = cohens_kappa(*zip(*pairs, strict=True))
    assert found.kappa == pytest.approx(0.68, abs=0.005)
    error = deviation(found.interval.low, found.interval.high, found.kappa, 100)
    assert error == pytest.approx(0.087, abs=0.001)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=5, max_size=60))
def test_the_variance_is_that_of_fleiss_cohen_and_everitt(pairs: list[tuple[str, str]]) -> None:
    """Their formula (13) written out cell by cell."""
    n, cells = len(pairs), [(left, right) for left in "abc" for right in "abc"]
    share = {cell: pairs.count(cell) / n for cell in cells}
    row = {name: sum(share[name, other] for other in "abc") for name in "abc"}
    column = {name: sum(share[other, name] for other in "abc") for name in "abc"}
    agreed, chance = sum(share[name, name] for name in "abc"), sum(row[name] * column[name] for name in "abc")
    if agreed in (0, 1) or chance > 0.999:
        return
    on = sum(share[k, k] * ((1 - chance) - (column[k] + row[k]) * (1 - agreed)) ** 2 for k in "abc")
    off = (1 - agreed) ** 2 * sum(share[i, j] * (column[i] + row[j]) ** 2 for i, j in cells if i != j)
    variance = (on + off - (agreed * chance - 2 * chance + agreed) ** 2) / (n * (1 - chance) ** 4)
    found = cohens_kappa(*zip(*pairs, strict=True))
    error = deviation(found.interval.low, found.interval.high, found.kappa, n)
    assert error == pytest.approx(sqrt(max(variance, 0)), abs=1e-6)


def test_copies_in_one_group_are_one_draw() -> None:
    rng = np.random.default_rng(5)
    one = rng.integers(0, 3, 80).tolist()
    other = [
        rating if keep else change
        for rating, keep, change in zip(one, rng.random(80) < 0.6, rng.integers(0, 3, 80).tolist(), strict=True)
    ]
    single = cohens_kappa(one, other)
    copied = cohens_kappa(one * 3, other * 3, groups=[*range(80)] * 3)
    assert copied.kappa == pytest.approx(single.kappa)
    assert (copied.interval.low, copied.interval.high) == pytest.approx((single.interval.low, single.interval.high))
    assert cohens_kappa(one * 3, other * 3).interval.low > single.interval.low


@given(ratings)
def test_it_is_symmetric_and_one_for_equals(pairs: list[tuple[str, str]]) -> None:
    one, other = (list(side) for side in zip(*pairs, strict=True))
    found, mirrored = cohens_kappa(one, other), cohens_kappa(other, one)
    assert found.kappa == pytest.approx(mirrored.kappa)
    assert (found.interval.low, found.interval.high) == pytest.approx((mirrored.interval.low, mirrored.interval.high))
    assert -1 <= found.interval.low <= found.kappa <= found.interval.high <= 1
    if len(set(one)) > 1:
        assert cohens_kappa(one, one).kappa == pytest.approx(1)


def test_the_interval_holds_the_truth() -> None:
    rng, held, runs = np.random.default_rng(3), 0, 300
    shares = np.array([[0.35, 0.1, 0.05], [0.05, 0.2, 0.05], [0.02, 0.03, 0.15]])
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    truth = (np.trace(shares) - rows @ columns) / (1 - rows @ columns)
    for _ in range(runs):
        drawn = rng.choice(9, 150, p=shares.ravel())
        found = cohens_kappa((drawn // 3).tolist(), (drawn % 3).tolist())
        held += found.interval.low <= truth <= found.interval.high
    assert held / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)


def test_one_rating_throughout_says_nothing() -> None:
    found = cohens_kappa("aaa", "aaa")
    alone = cohens_kappa("ab", "ba", groups=[1, 1])
    assert (alone.kappa, alone.agreed) == (-1.0, 0.0)
    assert alone.interval.high > 0.9, "one draw"
    assert (found.kappa, found.interval.low, found.interval.high, found.agreed) == (0.0, -1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="at least one"):
        cohens_kappa([], [])


def by_pairs(units: list[list[str]]) -> float:
    """Krippendorff's alpha from its definition: how many of the pairs of ratings within units differ, by how many of all pairs of ratings."""
    rated = [unit for unit in units if len(unit) > 1]
    every = [name for unit in rated for name in unit]
    observed = sum(
        sum(one != other for place, one in enumerate(unit) for at, other in enumerate(unit) if place != at)
        / (len(unit) - 1)
        for unit in rated
    ) / len(every)
    pairs = [(one, other) for place, one in enumerate(every) for at, other in enumerate(every) if place != at]
    return 1 - observed / (sum(one != other for one, other in pairs) / len(pairs))


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=25))
def test_alpha_is_its_definition_with_missing_ratings(units: list[list[str]]) -> None:
    found = krippendorffs_alpha(units)
    rated = [unit for unit in units if len(unit) > 1]
    if not rated:
        assert found is None
        return
    assert found is not None
    assert (found.n, found.ratings) == (len(rated), sum(len(unit) for unit in rated))
    assert found.apart == sum(len(set(unit)) > 1 for unit in rated)
    if len({name for unit in rated for name in unit}) == 1:
        assert (found.alpha, found.interval.low, found.interval.high) == (0.0, -1.0, 1.0)
        return
    assert found.alpha == pytest.approx(by_pairs(units))
    assert -1 <= found.interval.low <= found.alpha + 1e-9
    assert found.alpha - 1e-9 <= found.interval.high <= 1


def test_alpha_worked_by_hand() -> None:
    """Four units, the second differs: D_o = (1 + 1) / 8; values a 3 times and b 5 times: D_e = 2 * 3 * 5 / (8 * 7). 1 - 0.25 / 0.5357."""
    found = krippendorffs_alpha(["aa", "ab", "bb", "bb", "c"])
    assert found is not None
    assert found.alpha == pytest.approx(1 - 0.25 / (30 / 56))
    assert (found.n, found.ratings, found.apart) == (4, 8, 1)


def test_alpha_of_three_raters_with_gaps_worked_by_hand() -> None:
    """Units abb, aa, b- and bb: within the first two pairs of six agree, each counted half. D_o = (4 / 2) / 7; a 3, b 4: D_e = 24 / 42."""
    found = krippendorffs_alpha(["abb", "aa", "b", "bb"])
    assert found is not None
    assert found.alpha == pytest.approx(1 - (2 / 7) / (24 / 42))


def test_full_agreement_has_a_lower_end() -> None:
    few, many = krippendorffs_alpha(["aa", "bb"] * 5), krippendorffs_alpha(["aa", "bb"] * 200)
    assert few is not None
    assert many is not None
    assert (few.alpha, few.interval.high, many.alpha) == (1.0, 1.0, 1.0)
    assert few.interval.low < 0.6 < 0.95 < many.interval.low < 1


def test_the_interval_of_alpha_holds_its_promise() -> None:
    """Two raters, each right nine times of ten: alpha of very many units is in the interval of 60 nineteen times of twenty."""
    draw = np.random.default_rng(5)

    def rate(count: int) -> list[list[int]]:
        truth = draw.choice(3, count, p=[0.5, 0.25, 0.25])
        sides = np.where(draw.random((2, count)) < 0.9, truth, draw.integers(0, 3, (2, count)))
        return [list(pair) for pair in sides.T.tolist()]

    true = krippendorffs_alpha(rate(40_000))
    assert true is not None
    found = [krippendorffs_alpha(rate(60)) for _ in range(400)]
    missed = sum(not item.interval.low <= true.alpha <= item.interval.high for item in found if item is not None)
    assert missed / len(found) <= 0.075, "at most 30 of 400, where 20 are promised"
