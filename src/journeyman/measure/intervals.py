"""Intervals for one proportion and for the difference of two paired proportions.

``alpha`` is the chance of error. With ``sides=2`` an interval misses the truth with chance ``alpha``, half on each
side; with ``sides=1`` each end is a bound of its own that misses with chance ``alpha`` (the upper end mirrors the lower
one). Nothing here knows about rows, weights or gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import Literal

from scipy.special import betaincinv

Sides = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Paired:
    """Counts of pairs: the first digit is the candidate, the second the reference; 1 is right, 0 is wrong."""

    n11: int
    n10: int
    n01: int
    n00: int

    def __post_init__(self) -> None:
        if min(self.n11, self.n10, self.n01, self.n00) < 0 or self.n == 0:
            raise ValueError(f"counts of pairs must not be negative, nor all zero, got {self}")

    @property
    def n(self) -> int:
        return self.n11 + self.n10 + self.n01 + self.n00

    @property
    def difference(self) -> float:
        """Share right of the candidate minus that of the reference."""
        return (self.n10 - self.n01) / self.n

    @property
    def discordance(self) -> float:
        """Share of the pairs on which the two differ."""
        return (self.n10 + self.n01) / self.n

    @property
    def swapped(self) -> Paired:
        return Paired(self.n11, self.n01, self.n10, self.n00)


def normal_quantile(share: float) -> float:
    return NormalDist().inv_cdf(share)


def clopper_pearson(k: int, n: int, alpha: float = 0.05, sides: Sides = 2) -> Interval:
    """Exact interval for a proportion, ``k`` of ``n`` (Clopper and Pearson, Biometrika 26, 1934).

    Raises:
        ValueError: not 0 ≤ k ≤ n with n ≥ 1, or alpha outside (0, 1).
    """
    if n < 1 or not 0 <= k <= n:
        raise ValueError(f"expected 0 <= k <= n and n >= 1, got k={k}, n={n}")
    tail = _tail(alpha, sides)
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return Interval(low, high)


def tango(pairs: Paired, alpha: float = 0.05, sides: Sides = 2) -> Interval:
    """Score interval for candidate minus reference, without continuity correction.

    Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17 (1998) 891-908. It needs no discordant pair: with none it is ± z² / (n + z²).

    Raises:
        ValueError: alpha outside (0, 1), or outside (0, 0.5] with ``sides=1`` (the ends would cross).
    """
    tail = _tail(alpha, sides)
    if tail > 0.5:
        raise ValueError(f"expected alpha <= 0.5 for an interval, got {alpha}; `tango_lower` takes any")
    return Interval(tango_lower(pairs, tail), -tango_lower(pairs.swapped, tail))


def tango_lower(pairs: Paired, alpha: float) -> float:
    """One-sided lower bound at any alpha in (0, 1): the least difference that the score test does not reject.

    The score falls from +inf at -1 to -inf at 1, so that bisection always ends; 60 halvings leave less than 2e-18.
    """
    z = normal_quantile(1 - _tail(alpha, 1))
    low, high = (-1.0, pairs.difference) if z >= 0 else (pairs.difference, 1.0)
    for _ in range(60):
        middle = (low + high) / 2
        if tango_score(pairs, middle) > z:
            low = middle
        else:
            high = middle
    return low


def tango_score(pairs: Paired, difference: float) -> float:
    """Tango's score statistic for the hypothesis that candidate minus reference is ``difference``.

    Positive when the data show more than ``difference``; ±inf where the variance under the hypothesis is zero.
    """
    if difference < 0:
        return -tango_score(pairs.swapped, -difference)
    excess = pairs.n10 - pairs.n01 - pairs.n * difference
    variance = pairs.n * restricted_variance(pairs.n10 / pairs.n, pairs.n01 / pairs.n, difference)
    if variance > 0:
        return excess / sqrt(variance)
    return inf if excess > 0 else -inf if excess < 0 else 0.0


def restricted_variance(p10: float, p01: float, difference: float) -> float:
    """Variance of one pair's difference at the maximum of the likelihood restricted to ``difference`` (Nam 1997).

    ``p10`` and ``p01`` are the observed or expected shares of discordant pairs. For a negative difference the roles
    are swapped, which keeps the discriminant above zero and the bound exactly antisymmetric.
    """
    if difference < 0:
        p10, p01, difference = p01, p10, -difference
    b = (2 - p10 + p01) * difference - p10 - p01
    c = -p01 * difference * (1 - difference)
    root = sqrt(b * b - 8 * c)
    # The two forms of the same root: the one that does not subtract nearly equal numbers.
    share = (root - b) / 4 if b <= 0 else -2 * c / (b + root)
    return 2 * share + difference * (1 - difference)


def _tail(alpha: float, sides: Sides) -> float:
    if not 0 < alpha < 1:
        raise ValueError(f"expected alpha between 0 and 1, got {alpha}")
    return alpha / sides
