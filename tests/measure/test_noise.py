"""Confident learning on probabilities of a known quality."""

from __future__ import annotations

import numpy as np

from journeyman.measure.noise import find_suspects


def test_flipped_labels_are_suspected_and_others_are_not() -> None:
    draw = np.random.default_rng(0)
    truth = draw.integers(4, size=2000)
    logits = draw.normal(size=(2000, 4)) + 5.0 * np.eye(4)[truth]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = truth.copy()
    flipped = draw.choice(2000, 100, replace=False)
    labels[flipped] = (labels[flipped] + 1) % 4
    found = {item.row for item in find_suspects(shares, labels)}
    assert len(found & set(flipped.tolist())) >= 80
    assert len(found - set(flipped.tolist())) <= 10


def test_the_most_certain_come_first_and_a_class_without_rows_is_nobodys() -> None:
    shares = np.array(
        [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.95, 0.05, 0.0], [0.85, 0.15, 0.0], [0.0, 0.0, 1.0]]
    )
    labels = np.array([0, 0, 1, 1, 1, 0])
    found = find_suspects(shares, labels)
    assert [(item.row, item.likely) for item in found] == [(3, 0), (4, 0)]
    assert found[0].given == 0.05


def test_nothing_is_suspected_where_nothing_is_known() -> None:
    assert find_suspects(np.full((10, 2), 0.5), np.zeros(10, dtype=np.int64)) == []
