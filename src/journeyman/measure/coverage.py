"""A few rows that stand for many: facility location, the sum over all rows of their similarity to the nearest chosen one, by greedy choice (Nemhauser, Wolsey and Fisher 1978:
within 1 - 1/e of the best) with lazy evaluation (Minoux 1978), which chooses the same rows.

Knows nothing about labels and texts. Legend: ``n`` rows, ``d`` numbers of a vector.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TIE = 1e-6
"""Of a gain: sums of float32 differ by less for their order alone."""


def cover(vectors: Single, count: int, weights: Single | None = None) -> Ints:
    """The ``count`` rows of ``vectors`` [n, d], of length one, that cover all best, the most useful first. ``weights`` [n] say how much a row wants to be covered.

    Takes n² numbers of four bytes. Similarities below 0 are none.

    Raises:
        ValueError: more rows are asked for than there are.
    """
    size = len(vectors)
    if not 0 <= count <= size:
        raise ValueError(f"expected at most {size} rows, got {count}")
    similar = vectors @ vectors.T
    np.maximum(similar, 0.0, out=similar)
    wanted = np.ones(size, dtype=np.float32) if weights is None else weights.astype(np.float32)
    covered = np.zeros(size, dtype=np.float32)
    heap = [(-float(gain), row) for row, gain in enumerate(similar @ wanted)]
    heapify(heap)
    chosen = list[int]()
    while len(chosen) < count:
        bound, row = heappop(heap)
        gain = float(np.maximum(similar[row] - covered, 0.0) @ wanted)
        if heap and gain + TIE * abs(bound) < -heap[0][0]:
            heappush(heap, (-gain, row))
            continue
        chosen.append(row)
        np.maximum(covered, similar[row], out=covered)
    return np.array(chosen, dtype=np.int64)


def share_out(sizes: npt.NDArray[np.int64], count: int, power: float) -> Ints:
    """How many of ``count`` each group gets: by its size to the ``power`` (1: its share, 0: all alike), one at least where there is one for each, and no more than it has. By highest
    averages (Sainte-Laguë).

    Raises:
        ValueError: the groups have fewer than ``count`` together.
    """
    if count > int(sizes.sum()):
        raise ValueError(f"expected at most {int(sizes.sum())} rows, got {count}")
    found = np.zeros(len(sizes), dtype=np.int64)
    if np.count_nonzero(sizes) <= count:
        found[sizes > 0] = 1
    shares = sizes.astype(np.float64) ** power
    heap = [(-shares[group] / (2 * found[group] + 1), group) for group in np.flatnonzero(sizes > found)]
    heapify(heap)
    for _ in range(count - int(found.sum())):
        group = heappop(heap)[1]
        found[group] += 1
        if found[group] < sizes[group]:
            heappush(heap, (-shares[group] / (2 * found[group] + 1), group))
    return found
