"""Cohen's kappa against a worked example and the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.measure.agreement import cohens_kappa

ratings = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60)


def test_the_textbook_table() -> None:
    """Two raters, 100 subjects: both yes 40, both no 30, 10 and 20 apart. Agreed 0.7, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5."""
    pairs = [("y", "y")] * 40 + [("y", "n")] * 10 + [("n", "y")] * 20 + [("n", "n")] * 30
    found = cohens_kappa(*zip(*pairs, strict=True))
    assert found.kappa == pytest.approx(0.4)
    assert found.agreed == pytest.approx(0.7)
    assert found.interval.low < 0.4 < found.interval.high


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
    assert (found.kappa, found.interval.low, found.interval.high, found.agreed) == (0.0, -1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="at least one"):
        cohens_kappa([], [])
