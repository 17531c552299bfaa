"""Nearest vectors, exactly: one product with all of them, and the best of it.

Legend: ``n`` chunks, ``d`` numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.index.matrix import Floats, Matrix, Vectors
from journeyman.knowledge.retrieve.ranking import Hit


class Exact:
    """`Nearest` by all products. The vectors stay in memory."""

    def __init__(self, vectors: Vectors, *, is_blended: bool) -> None:
        self._vectors, self._is_blended = vectors, is_blended

    def rank(self, vector: Floats, depth: int, allowed: Sequence[int] | None = None) -> list[Hit]:
        matrix = self._vectors.current(self._is_blended)
        mask = np.isin(matrix.documents, np.array(allowed, np.int64)) if allowed is not None else None
        return rank_dense(matrix, vector, depth, mask)

    def take(self, ids: Sequence[int]) -> Floats:
        return pick(self._vectors.current(self._is_blended), ids)


def rank_dense(matrix: Matrix, question: Floats, most: int, allowed: npt.NDArray[np.bool_] | None = None) -> list[Hit]:
    """The ``most`` chunks with the highest inner product with ``question`` [d]; among ``allowed`` [n] where a filter says so."""
    if not len(matrix):
        return []
    if allowed is None:
        scores, rows = matrix.vectors @ question, None
    else:
        rows = np.flatnonzero(allowed)
        few = 4 * len(rows) < len(allowed)  # gathering rows costs about as much as four products
        scores = matrix.vectors[rows] @ question if few else (matrix.vectors @ question)[rows]
    best = take_best(scores, most)
    return [Hit(int(matrix.ids[row if rows is None else rows[row]]), float(scores[row])) for row in best]


def pick(matrix: Matrix, ids: Sequence[int]) -> Floats:
    """The vectors [n, d] of chunks, in the order of ``ids``; zeros for those that are not there."""
    wanted = np.array(ids, np.int64)
    picked = np.zeros((len(wanted), matrix.vectors.shape[1]), np.float32)
    if len(matrix):
        rows = np.minimum(np.searchsorted(matrix.ids, wanted), len(matrix) - 1)
        is_there = matrix.ids[rows] == wanted
        picked[is_there] = matrix.vectors[rows[is_there]]
    return picked


def take_best(scores: Floats, most: int) -> npt.NDArray[np.int64]:
    """The rows of the highest scores, best first, equal ones by row."""
    if most < len(scores):
        bound = np.partition(scores, len(scores) - most)[len(scores) - most]
        above, equal = np.flatnonzero(scores > bound), np.flatnonzero(scores == bound)
        rows = np.sort(np.concatenate([above, equal[: most - len(above)]]))
    else:
        rows = np.arange(len(scores))
    best: npt.NDArray[np.int64] = rows[np.argsort(-scores[rows], kind="stable")]
    return best
