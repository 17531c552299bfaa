"""An order of the first hits that was learned from questions with known answers: a weighted sum of what each passage has in common with the question (`pairs`).

A weight a number, so that it costs milliseconds and stands in the index's file; `tuning.reranker` finds the weights.

Legend: ``n`` passages, ``f`` numbers of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.retrieve.pairs import NAMES
from journeyman.knowledge.retrieve.ranking import Hit

DEPTH = 30
"""Hits that are put in another order, unless a recipe says how many."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Order:
    """``weights`` [f] of the numbers in the order of `pairs.NAMES`."""

    weights: tuple[float, ...]

    def score(self, described: Floats) -> Floats:
        """[n, f] to [n]: higher is better, comparable within one question."""
        scores: Floats = described @ np.array(self.weights)
        return scores


def reorder(hits: Sequence[Hit], scores: Floats) -> list[Hit]:
    """By ``scores`` [n], equal ones as they were; each gets the score of its new place, so that scores fall and those of later hits fit on."""
    best = np.argsort(-scores, kind="stable").tolist()
    return [Hit(hits[row].id, place.score) for row, place in zip(best, hits, strict=True)]


def write_order(order: Order) -> dict[str, float]:
    return dict(zip(NAMES, order.weights, strict=True))


def read_order(row: Mapping[str, float]) -> Order:
    """
    Raises:
        ValueError: the weights are of other numbers, or none.
    """
    if tuple(row) != NAMES or not np.isfinite(list(row.values())).all():
        raise ValueError("an order of other numbers")
    return Order(tuple(map(float, row.values())))
