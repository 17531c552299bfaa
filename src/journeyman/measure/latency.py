"""Quantiles of latencies, with intervals that assume nothing about their distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from scipy.special import bdtr


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile and its interval, in the unit of the values. ``high`` is inf where so few values give no upper bound."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    p50: Quantile
    p95: Quantile


def measure_latency(values_ms: Sequence[float]) -> Latency:
    """Raises: ValueError without values."""
    return Latency(quantile(values_ms, 0.5), quantile(values_ms, 0.95))


def quantile(values: Sequence[float], share: float, alpha: float = 0.05) -> Quantile:
    """The smallest value with at least ``share`` of the values at or below it, between two order statistics.

    The number of values below the true quantile is binomial, so that order statistics bound it with error at most
    ``alpha`` whatever the distribution (David and Nagaraja, Order Statistics, 2003, chapter 7). Where no order
    statistic is far enough out, the end is open: 0 below, inf above.

    Raises:
        ValueError: no values, or share outside (0, 1).
    """
    n = len(values)
    if n == 0 or not 0 < share < 1:
        raise ValueError(f"expected values and a share between 0 and 1, got {n} values and {share}")
    ordered = sorted(values)
    below = np.asarray(bdtr(np.arange(n + 1), n, share))  # P(at most r values lie below the quantile), r = 0..n
    lows = np.flatnonzero(below[:-1] <= alpha / 2)
    highs = np.flatnonzero(below[:-1] >= 1 - alpha / 2)
    return Quantile(
        value=ordered[max(0, ceil(share * n - 1e-9) - 1)],
        low=ordered[int(lows[-1])] if len(lows) else 0.0,
        high=ordered[int(highs[0])] if len(highs) else inf,
        n=n,
    )
