"""Percentile bootstrap (Efron 1979) for drawing. No gate decides on it: it promises nothing at small n.

Every statistic here is a ratio of weighted sums over rows (a share: 1 over 1 per row; micro-F1: 2TP over 2TP+FP+FN;
a paired difference: the difference of two scores over 1), so that one function draws them all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from journeyman.measure.intervals import Interval

Floats = NDArray[np.float64]

BLOCK = 4_000_000
"""Most cells of one block of resampled counts: 32 MB."""


def bootstrap_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    *,
    alpha: float = 0.05,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval for sum(weights · numerator) / sum(weights · denominator), rows resampled with their weights.

    All arrays have shape (n,); denominator and weights default to ones. A resample whose denominator is zero is left
    out. For a paired difference pass the per-row differences as numerator.

    Raises:
        ValueError: no rows, unequal lengths, or a denominator of zero in total.
    """
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.ones_like(top) if denominator is None else np.asarray(denominator, dtype=np.float64)
    weight = np.ones_like(top) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(top) == len(bottom) == len(weight) > 0:
        raise ValueError(f"expected arrays of one length, got {len(top)}, {len(bottom)}, {len(weight)}")
    if float((weight * bottom).sum()) == 0:
        raise ValueError("the denominator is zero on every row")
    ratios = _resample(weight * top, weight * bottom, draws, np.random.default_rng(seed))
    low, high = np.quantile(ratios, [alpha / 2, 1 - alpha / 2])
    return Interval(float(low), float(high))


def _resample(top: Floats, bottom: Floats, draws: int, rng: np.random.Generator) -> Floats:
    """Ratios of ``draws`` resamples, shape (≤ draws,). Rows are drawn by index, in blocks of bounded memory."""
    n = len(top)
    block = max(1, min(draws, BLOCK // n))
    parts = []
    for start in range(0, draws, block):
        rows = rng.integers(0, n, size=(min(block, draws - start), n))
        tops, bottoms = top[rows].sum(axis=1), bottom[rows].sum(axis=1)
        full = bottoms != 0
        parts.append(tops[full] / bottoms[full])
    return np.concatenate(parts)
