"""Weights for an order of hits: what they find where there is something to find, that chance teaches nothing, and their slope by the loss that they minimise."""

import numpy as np
import pytest

from journeyman.tuning.reranker import PULLS, Judged, fit_order, train_order

F, HITS = 4, 12
TRUE = np.array([3.0, -2.0, 0.0, 0.0])


def make(count: int, seed: int, weights: np.ndarray = TRUE) -> list[Judged]:
    """The right hit is drawn by the softmax of true weights; the numbers have scales of their own."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        numbers = draw.standard_normal((HITS, F))
        scores = numbers @ weights
        chance = np.exp(scores - scores.max())
        right = np.zeros(HITS, np.bool_)
        right[draw.choice(HITS, p=chance / chance.sum())] = True
        made.append(Judged(numbers * np.array([1.0, 10.0, 100.0, 0.01]), right))
    return made


def share_first(judged: list[Judged], weights: np.ndarray) -> float:
    return float(np.mean([item.right[(item.numbers @ weights).argmax()] for item in judged]))


def test_true_weights_are_found_whatever_the_scales() -> None:
    judged = make(600, 1)
    found = train_order(judged, np.arange(600) % 2)
    assert found is not None
    assert found.weights[:2] == pytest.approx(TRUE[:2] / [1, 10], rel=0.3)
    unseen = make(400, 2)
    best = share_first(unseen, TRUE / [1, 10, 100, 0.01])
    assert best > 0.6
    assert share_first(unseen, found.weights) > best - 0.03
    assert min(loss for _, loss in found.losses) == dict(found.losses)[found.pull]
    assert [pull for pull, _ in found.losses] == list(PULLS)
    again = train_order(judged, np.arange(600) % 2)
    assert again is not None
    assert np.array_equal(found.weights, again.weights)


def test_held_scores_are_of_weights_that_have_not_seen_the_question() -> None:
    judged, folds = make(60, 3), np.arange(60) % 2
    found = train_order(judged, folds)
    assert found is not None
    for fold in (0, 1):
        weights = fit_order([item for item, mine in zip(judged, folds, strict=True) if mine != fold], found.pull)
        for row in np.flatnonzero(folds == fold):
            assert np.array_equal(found.held[row], judged[row].numbers @ weights)


def test_chance_teaches_little_and_a_strong_pull_less() -> None:
    judged = make(300, 4, np.zeros(F))
    found = train_order(judged, np.arange(300) % 2)
    assert found is not None
    assert found.pull == max(PULLS)
    assert dict(found.losses)[found.pull] == pytest.approx(np.log(HITS), abs=0.02)
    scale = np.array([1.0, 10.0, 100.0, 0.01])
    weak, strong = (np.linalg.norm(fit_order(make(100, 5), pull) * scale) for pull in (0.01, 10.0))
    assert strong < weak / 4


def test_the_weights_are_where_the_loss_is_smallest() -> None:
    judged = make(80, 6)
    spread = np.concatenate([item.numbers for item in judged]).std(axis=0)

    def lose(weights: np.ndarray) -> float:
        losses = [
            np.log(np.exp(item.numbers @ weights).sum() / np.exp(item.numbers @ weights)[item.right].sum())
            for item in judged
        ]
        return float(np.mean(losses) + 0.05 * np.square(weights * spread).sum())

    found = fit_order(judged, 0.1)
    draw = np.random.default_rng(7)
    for _ in range(20):
        assert lose(found) <= lose(found + 0.05 * draw.standard_normal(F) / spread) + 1e-9


def test_questions_without_a_right_hit_or_a_wrong_one_teach_nothing() -> None:
    judged = make(40, 8)
    plain = train_order(judged, np.arange(40) % 2)
    numbers = np.full((3, F), 1e6)
    idle = [Judged(numbers, np.zeros(3, np.bool_)), Judged(numbers, np.ones(3, np.bool_))]
    more = train_order([*judged, *idle], np.arange(42) % 2)
    assert plain is not None
    assert more is not None
    assert np.array_equal(plain.weights, more.weights)
    assert train_order(idle, np.arange(2)) is None
    assert train_order(judged, np.zeros(40, np.int64)) is None
    constant = [  # their sum rounds, their deviation is not 0
        Judged(np.column_stack([item.numbers, np.full(HITS, 0.1)]), item.right) for item in judged
    ]
    assert fit_order(constant, 0.1)[-1] == 0
