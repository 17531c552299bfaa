"""Which rows are chosen: rare values, hard rows, bounded parts."""

from __future__ import annotations

import numpy as np
import pytest

from journeyman.data import subset
from journeyman.data.subset import Pool, choose_rows, draw_rows


def _pool(sizes: list[int], spread: float = 0.5, copies: int = 1) -> Pool:
    """Clusters around one direction per stratum; ``copies`` of every row."""
    draw = np.random.default_rng(5)
    strata = np.repeat(np.arange(len(sizes)), sizes)
    vectors = np.eye(len(sizes), 12)[strata] + spread * draw.normal(size=(len(strata), 12))
    vectors, strata = np.repeat(vectors, copies, axis=0), np.repeat(strata, copies)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    count = len(strata)
    return Pool(vectors, strata, np.arange(count) // copies % 5, np.ones(count, dtype=np.float32))


def test_rare_values_stay_and_get_more_than_their_share() -> None:
    pool = _pool([300, 90, 3])
    chosen = choose_rows(pool, 60)
    assert len(set(chosen.rows.tolist())) == 60
    assert chosen.hard == 0
    kept = np.bincount(pool.strata[chosen.rows])
    assert kept[2] == 3
    assert kept[1] > 60 * 90 / 393


def test_copies_of_a_row_are_not_taken_while_others_are_there() -> None:
    pool = _pool([40, 40], copies=5)
    chosen = choose_rows(pool, 60)
    assert len(set((chosen.rows // 5).tolist())) == 60


def test_of_many_rows_some_are_barely_right_and_none_of_these_is_wrong() -> None:
    pool = _pool([200, 200], spread=0.6)
    margins = subset.find_margins(pool.vectors, pool.strata, pool.folds)
    few, many = choose_rows(pool, 90), choose_rows(pool, 120)
    assert few.hard == 0
    assert 15 <= many.hard <= 30
    easiest = np.argsort(-margins)[:50]
    right = margins > 0
    barely = np.flatnonzero(right)[np.argsort(margins[right])][:15]
    assert set(barely.tolist()) <= set(many.rows.tolist())
    assert len(np.intersect1d(many.rows, easiest)) < len(easiest)


def test_a_value_that_gets_many_rows_gets_half_of_them_for_being_hard() -> None:
    pool = _pool([1500, 60], spread=0.6)
    margins = subset.find_margins(pool.vectors, pool.strata, pool.folds)
    rows = choose_rows(pool, 300).rows
    many = np.flatnonzero((pool.strata == 0) & (margins > 0))
    barely = many[np.argsort(margins[many])]
    taken = np.isin(barely, rows)
    count = int((pool.strata[rows] == 0).sum())
    assert count >= 200
    assert taken[: count // 2 - 20].all()


def test_large_strata_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[int]()

    def cover(vectors: np.ndarray, count: int, weights: np.ndarray) -> np.ndarray:
        seen.append(len(vectors))
        return np.arange(count)

    monkeypatch.setattr(subset, "cover", cover)
    monkeypatch.setattr(subset, "PART_ROWS", 100)
    pool = _pool([950, 70])
    chosen = choose_rows(pool, 130, seed=1)
    assert len(set(chosen.rows.tolist())) == 130
    assert max(seen) <= 100
    assert sum(seen) == 1020
    assert not np.array_equal(chosen.rows, choose_rows(pool, 130, seed=2).rows)


def test_the_same_arguments_choose_the_same_rows() -> None:
    pool = _pool([80, 50])
    assert np.array_equal(choose_rows(pool, 40, 3).rows, choose_rows(pool, 40, 3).rows)
    assert np.array_equal(draw_rows(130, 40, 3).rows, draw_rows(130, 40, 3).rows)
    assert len(set(draw_rows(130, 40, 3).rows.tolist())) == 40
    assert len(choose_rows(pool, 130).rows) == 130
