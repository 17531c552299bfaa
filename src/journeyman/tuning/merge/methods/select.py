"""The k-th largest magnitude without a sort: positive floats order as their bit patterns do, so two histograms find it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from journeyman.tuning.merge.blocks import Array

LOW_BITS = 16
SIGN = np.int32(0x7FFFFFFF)  # all bits but the sign


@dataclass(frozen=True, slots=True)
class Edge:
    """Magnitudes above ``value`` are among the largest, and the first ``equals`` of those that equal it."""

    value: np.float32
    equals: int


def find_edge(blocks: Callable[[], Iterator[Array]], size: int, count: int) -> Edge:
    """The edge of the ``count`` largest magnitudes of a tensor of ``size`` numbers that comes in blocks.

    ``blocks`` yields the tensor anew each time: two passes of 2^15 and 2^16 bins over the bit pattern find the edge.
    """
    if count >= size:
        return Edge(np.float32(-1), 0)
    if count <= 0:
        return Edge(np.float32(np.inf), 0)
    high = sum(np.bincount(_bits(x) >> LOW_BITS, minlength=1 << 15) for x in blocks())
    top, above = _find(np.asarray(high), count)
    low = np.zeros(1 << LOW_BITS, np.int64)
    for x in blocks():
        bits = _bits(x)
        low += np.bincount(bits[bits >> LOW_BITS == top] & ((1 << LOW_BITS) - 1), minlength=1 << LOW_BITS)
    last, larger = _find(low, count - above)
    return Edge(np.array([(top << LOW_BITS) | last], np.int32).view(np.float32)[0], count - above - larger)


class Largest:
    """Keeps what lies above an edge in one pass over the tensor's blocks, which come in order."""

    def __init__(self, edge: Edge) -> None:
        self._edge, self._equals = edge.value, edge.equals

    def keep(self, x: Array) -> Array:
        """Set what is not kept to zero, in place."""
        magnitude = np.abs(x)
        is_kept = magnitude > self._edge
        equals = np.flatnonzero(magnitude == self._edge)[: self._equals]
        is_kept.ravel()[equals] = True
        self._equals -= len(equals)
        x *= is_kept
        return x


def _bits(x: Array) -> NDArray[np.int32]:
    return np.bitwise_and(x.ravel().view(np.int32), SIGN)


def _find(histogram: NDArray[np.int64], count: int) -> tuple[int, int]:
    """The bin that holds the ``count``-th element from above, and how many lie above that bin."""
    from_above = np.cumsum(histogram[::-1])
    place = int(np.searchsorted(from_above, count))
    return len(histogram) - 1 - place, int(from_above[place] - histogram[::-1][place])
