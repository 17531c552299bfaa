"""Bounds for a weighted mean that hold at every sample size: a gambler who wins against the hypothesis refutes it.

Units (rows, or groups of rows that belong together) are independent draws of (weight, value), and what is bounded is
E[weight · value] / E[weight], the mean over calls. No unit may weigh more than ``heaviest``, which is fixed before any value is seen: units
that are rarer than the sample is large could otherwise carry the mean without ever being drawn.
"""

from __future__ import annotations

from functools import lru_cache
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


def betting_interval(values: Floats, weights: Floats, alpha: float, least: float, heaviest: float) -> Interval:
    """One-sided bounds, each with error ``alpha``, for values in [least, 1] with least = -1 or 0.

    Raises:
        ValueError: no rows, a weight outside (0, heaviest], a value out of range, alpha outside (0, 1).
    """
    low = betting_lower(values, weights, alpha, least, heaviest)
    # Mirrored, values in [least, 1] lie in [-1, -least]; shifted by 1 + least they lie in [least, 1] again.
    high = 1 + least - betting_lower(1 + least - values, weights, alpha, least, heaviest)
    return Interval(low, high)


def betting_refutes(values: Floats, weights: Floats, alpha: float, least: float, heaviest: float, mean: float) -> bool:
    """Whether the lower bound lies at ``mean`` or above, without the search for the bound itself."""
    return betting_log_wealth(values, weights, alpha, least, heaviest, mean) >= -log(alpha)


def betting_log_wealth(
    values: Floats, weights: Floats, alpha: float, least: float, heaviest: float, mean: float
) -> float:
    """Log of the wealth against "the weighted mean is at most ``mean``"; exp(-it), at most 1, is a p-value. ``alpha`` plans the bets.

    Raises:
        ValueError: as `betting_interval`.
    """
    _check(values, weights, alpha, least, heaviest)
    return _log_wealth(*_lay_out(values, weights / heaviest, alpha), mean, least)


def betting_lower(values: Floats, weights: Floats, alpha: float, least: float, heaviest: float) -> float:
    """Lower bound for the weighted mean: the largest mean that a bettor of fixed plan refutes at ``alpha``.

    Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024):
    the predictable plug-in bet for a fixed sample size, with the payoff w(v - m)/heaviest for the ratio of means. The
    wealth falls in m, so that bisection finds the bound.
    """
    _check(values, weights, alpha, least, heaviest)
    value, weight, bets = _lay_out(values, weights / heaviest, alpha)
    low, high = least, weighted_mean(values, weights)
    for _ in range(50):
        middle = (low + high) / 2
        if _log_wealth(value, weight, bets, middle, least) >= -log(alpha):
            low = middle
        else:
            high = middle
    return low


def _lay_out(values: Floats, weights: Floats, alpha: float) -> tuple[Floats, Floats, Floats]:
    """Values, weights and bets in each of the random orders; shapes (orders, n)."""
    orders = _orders(len(values))
    value, weight = values[orders], weights[orders]
    return value, weight, _plan(value, weight, alpha)


@lru_cache(maxsize=16)
def _orders(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).permuted(np.tile(np.arange(n), (ORDERS, 1)), axis=1)


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


def _check(values: Floats, weights: Floats, alpha: float, least: float, heaviest: float) -> None:
    if len(values) == 0 or len(values) != len(weights):
        raise ValueError(f"expected as many weights as values and at least one, got {len(weights)} and {len(values)}")
    if not 0 < alpha < 1:
        raise ValueError(f"expected alpha between 0 and 1, got {alpha}")
    if not (weights.min() > 0 and weights.max() <= heaviest < float("inf")):
        raise ValueError(f"a weight must be positive and at most {heaviest}, got {weights.min()} to {weights.max()}")
    if not (values.min() >= least and values.max() <= 1):
        raise ValueError(f"values must lie in [{least}, 1], got [{values.min()}, {values.max()}]")
