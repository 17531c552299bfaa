"""Rows that stand for others, shares of groups, and margins, each beside the plain way to compute it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.measure.coverage import cover, share_out
from journeyman.measure.margins import find_margins


def _units(count: int, size: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _worth(vectors: np.ndarray, chosen: np.ndarray, weights: np.ndarray) -> float:
    similar = np.maximum(vectors @ vectors[chosen].T, 0)
    return float(similar.max(axis=1) @ weights)


@pytest.mark.parametrize("seed", range(4))
def test_lazy_choice_is_as_good_as_looking_at_every_row_each_time(seed: int) -> None:
    vectors = _units(60, 5, seed)
    weights = np.random.default_rng(seed + 9).integers(1, 5, size=60).astype(np.float32)
    plain = list[int]()
    for _ in range(12):
        rest = [row for row in range(60) if row not in plain]
        plain.append(max(rest, key=lambda row: _worth(vectors, np.array([*plain, row]), weights)))
    lazy = cover(vectors, 12, weights)
    assert len(set(lazy.tolist())) == 12
    assert _worth(vectors, lazy, weights) == pytest.approx(_worth(vectors, np.array(plain), weights), rel=1e-5)
    drawn = [np.random.default_rng(draw).permutation(60)[:12] for draw in range(20)]
    assert _worth(vectors, lazy, weights) > max(_worth(vectors, rows, weights) for rows in drawn)


def test_copies_are_taken_last_and_heavy_rows_first() -> None:
    vectors = np.concatenate([_units(10, 30, 1), _units(10, 30, 1), _units(10, 30, 1)])
    assert sorted(row % 10 for row in cover(vectors, 10).tolist()) == list(range(10))
    weights = np.ones(30, dtype=np.float32)
    weights[17] = 100
    assert cover(vectors, 1, weights)[0] % 10 == 7
    assert sorted(cover(vectors, 30).tolist()) == list(range(30))
    with pytest.raises(ValueError, match="at most 30"):
        cover(vectors, 31)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.floats(0, 1), st.data())
def test_shares_add_up_and_no_group_is_lost(sizes: list[int], power: float, data: st.DataObject) -> None:
    array = np.array(sizes)
    count = data.draw(st.integers(0, int(array.sum())))
    found = share_out(array, count, power)
    assert found.sum() == count
    assert (found <= array).all()
    if count >= (array > 0).sum():
        assert (found[array > 0] > 0).all()
    order = np.argsort(array)
    assert (np.diff(found[order]) >= -1).all()  # a larger group has no fewer, but for a tie


def test_shares_by_size_by_its_root_and_alike() -> None:
    sizes = np.array([900, 100])
    assert [share_out(sizes, 100, power).tolist() for power in (1.0, 0.5, 0.0)] == [[90, 10], [75, 25], [50, 50]]


def test_margins_are_those_of_a_classifier_that_did_not_learn_the_row() -> None:
    draw = np.random.default_rng(3)
    vectors, labels, folds = _units(90, 6, 2), draw.integers(3, size=90), draw.integers(4, size=90)
    found = find_margins(vectors, labels, folds)
    wide = np.concatenate([vectors, np.ones((90, 1))], axis=1)
    for row in (0, 41, 89):
        others = folds != folds[row]
        weights = np.linalg.solve(wide[others].T @ wide[others] + np.eye(7), wide[others].T @ np.eye(3)[labels[others]])
        scores = wide[row] @ weights
        assert found[row] == pytest.approx(scores[labels[row]] - np.delete(scores, labels[row]).max(), abs=1e-6)
    with pytest.raises(ValueError, match="two folds"):
        find_margins(vectors, labels, np.zeros(90, dtype=np.int64))
