"""Maximal marginal relevance: each further chunk is as relevant as possible and as little like those that were taken (Carbonell and Goldstein, SIGIR 1998).

Legend: ``n`` candidates, ``d`` numbers of a vector.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def choose_diverse(scores: Floats, vectors: Floats, most: int, relevance: float = 0.7) -> list[int]:
    """Rows of ``vectors`` [n, d], unit length, in the order taken; ``relevance`` 1 is the order of ``scores`` [n], of which the best counts as 1 and the least as 0, as likeness does."""
    spread = float(np.ptp(scores))
    worthy = (scores - scores.min()) / np.float32(spread) if spread else np.ones_like(scores)
    likest = np.zeros(len(vectors), np.float32)
    taken: list[int] = []
    for _ in range(min(most, len(vectors))):
        worth = relevance * worthy - (1 - relevance) * likest
        worth[taken] = -np.inf
        taken.append(int(np.argmax(worth)))
        likest = np.maximum(likest, vectors @ vectors[taken[-1]])
    return taken
