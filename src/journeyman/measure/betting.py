"""Bounds for a weighted mean that hold at every sample size: a gambler who wins against the hypothesis refutes it.

For rows that came more than once. The distinct row is the unit: rows are independent draws of (weight, value), and
what is bounded is E[weight · value] / E[weight], the mean over calls. The weights bound themselves: the statement is
about rows that repeat no more often than the most repeated one seen.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

from journeyman.measure.intervals import Interval

Floats = NDArray[np.float64]

ORDERS = 16
"""Random orders whose wealths are averaged; an average of e-values is an e-value, and it depends less on the order."""

STAKE = 0.75
"""Largest share of the wealth that one bet may lose."""


def weighted_mean(values: Floats, weights: Floats) -> float:
    return float((values * weights).sum() / weights.sum())


def betting_interval(values: Floats, weights: Floats, alpha: float, least: float) -> Interval:
    """One-sided bounds, each with error ``alpha``, for values in [least, 1] with least = -1 or 0.

    Raises:
        ValueError: no rows, a weight that is not positive, a value out of range, alpha outside (0, 1).
    """
    low = betting_lower(values, weights, alpha, least)
    # Mirrored, values in [least, 1] lie in [-1, -least]; shifted by 1 + least they lie in [least, 1] again.
    high = 1 + least - betting_lower(1 + least - values, weights, alpha, least)
    return Interval(low, high)


def betting_lower(values: Floats, weights: Floats, alpha: float, least: float) -> float:
    """Lower bound for the weighted mean: the largest mean that a bettor of fixed plan refutes at ``alpha``.

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024):
    the predictable plug-in bet for a fixed sample size, with the payoff w(v - m)/max(w) for the ratio of means. The
    wealth falls in m, so that bisection finds the bound.
    """
    _check(values, weights, alpha, least)
    scaled = weights / weights.max()
    orders = np.stack([np.random.default_rng(seed).permutation(len(values)) for seed in range(ORDERS)])
    value, weight = values[orders], scaled[orders]
    bets = _plan(value, weight, alpha)
    low, high = least, weighted_mean(values, weights)
    for _ in range(50):
        middle = (low + high) / 2
        if _log_wealth(value, weight, bets, middle, least) >= -log(alpha):
            low = middle
        else:
            high = middle
    return low


def _log_wealth(value: Floats, weight: Floats, bets: Floats, mean: float, least: float) -> float:
    """Log of the wealth averaged over orders, betting that the mean is above ``mean``. value, weight, bets: (orders, n)."""
    cap = STAKE / (mean - least) if mean > least else np.inf
    gains = np.log1p(np.minimum(bets, cap) * weight * (value - mean)).sum(axis=1)
    return float(np.logaddexp.reduce(gains) - log(len(gains)))


def _plan(value: Floats, weight: Floats, alpha: float) -> Floats:
    """Each bet from the rows before it alone: sqrt(2 ln(1/alpha) / (n · variance so far)). Shapes (orders, n)."""
    n = value.shape[1]
    seen = np.arange(1, n + 1)
    total = np.cumsum(weight, axis=1)
    mean = np.cumsum(weight * value, axis=1) / total
    payoff = (weight * (value - mean)) ** 2
    variance = (0.25 + np.cumsum(payoff, axis=1)) / (1 + seen)
    before = np.concatenate([np.full((value.shape[0], 1), 0.25), variance[:, :-1]], axis=1)
    return np.asarray(np.sqrt(2 * log(1 / alpha) / (n * before)), dtype=np.float64)


def _check(values: Floats, weights: Floats, alpha: float, least: float) -> None:
    if len(values) == 0 or len(values) != len(weights):
        raise ValueError(f"expected as many weights as values and at least one, got {len(weights)} and {len(values)}")
    if not 0 < alpha < 1:
        raise ValueError(f"expected alpha between 0 and 1, got {alpha}")
    if weights.min() <= 0:
        raise ValueError(f"a weight must be positive, got {weights.min()}")
    if values.min() < least or values.max() > 1:
        raise ValueError(f"values must lie in [{least}, 1], got [{values.min()}, {values.max()}]")
