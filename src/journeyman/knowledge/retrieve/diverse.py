"""Maximal marginal relevance: each further chunk is as relevant as possible and as little like those that were taken (Carbonell and Goldstein, SIGIR 1998).

Legend: ``n`` candidates, ``d`` numbers of a vector.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def choose_diverse(
    question: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], most: int, relevance: float = 0.7
) -> list[int]:
    """Rows of ``vectors`` [n, d], unit length, in the order taken; ``relevance`` 1 is the plain order by similarity to ``question`` [d]."""
    near = vectors @ question
    likest = np.full(len(vectors), -np.inf, np.float32)
    taken: list[int] = []
    for _ in range(min(most, len(vectors))):
        worth = relevance * near - (1 - relevance) * np.maximum(likest, 0 if not taken else -np.inf)
        worth[taken] = -np.inf
        best = int(np.argmax(worth))
        taken.append(best)
        likest = np.maximum(likest, vectors @ vectors[best])
    return taken
