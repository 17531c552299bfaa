"""Two models on the same calls, compared call by call: tests that may be looked at after every one of them, and whose error holds over all looks.

A difference is -1, 0 or 1. A gambler bets against "its mean is at most m" and multiplies the stake by 1 + f((1 + d) / (1 + m) - 1) at each call, which no gambler
wins at while that is so, whatever came before (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86, 2024). The wealth is the mean over
several fixed f, a mixture of e-processes, so that nothing is tuned and the counts are all that must be known; it refutes where it reaches 1/alpha (Ville's inequality).
Knows nothing about calls and models.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, log1p

from journeyman.measure.intervals import Interval

STAKES = (0.95, 0.75, 0.5, 0.35, 0.25, 0.18, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01)
"""Shares of the wealth that are bet against the lowest difference."""


@dataclass(slots=True)
class Differences:
    """How often each came."""

    losses: int = 0
    ties: int = 0
    wins: int = 0

    def add(self, difference: int) -> None:
        """Raises: ValueError it is not -1, 0 or 1."""
        if difference not in (-1, 0, 1):
            raise ValueError(f"a difference is -1, 0 or 1, got {difference}")
        self.losses += difference < 0
        self.ties += difference == 0
        self.wins += difference > 0

    @property
    def seen(self) -> int:
        return self.losses + self.ties + self.wins

    @property
    def mean(self) -> float:
        return (self.wins - self.losses) / self.seen if self.seen else 0.0

    def mirrored(self) -> Differences:
        return Differences(self.wins, self.ties, self.losses)

    def log_wealth(self, mean: float) -> float:
        """Of the gambler against "the mean is at most ``mean``", in (-1, 1); falls where ``mean`` grows."""
        counts = ((self.losses, 0.0), (self.ties, 1 / (1 + mean)), (self.wins, 2 / (1 + mean)))
        logs = [sum(count * log1p(stake * (value - 1)) for count, value in counts if count) for stake in STAKES]
        most = max(logs)
        return most + log(sum(exp(item - most) for item in logs) / len(logs))

    def refutes(self, mean: float, alpha: float) -> bool:
        """Whether the mean is shown to be above ``mean``."""
        return self.log_wealth(mean) >= -log(alpha)

    def interval(self, alpha: float) -> Interval:
        """The means that are refuted on neither side; each side holds over all looks together at ``alpha``."""
        return Interval(_lower(self, alpha), -_lower(self.mirrored(), alpha))


@dataclass(slots=True)
class PairedWatch:
    """Is the candidate worse by more than ``margin``, or is it not? At most one of the two is ever shown wrongly, at a chance of ``alpha`` each; what was shown first
    stays. ``differences`` are the candidate's less the other's."""

    margin: float
    alpha: float
    alpha_worse: float
    differences: Differences
    found: int = 0
    """1: it is no worse than the margin allows; -1: it is worse; 0: neither is shown."""

    def add(self, difference: int) -> int:
        self.differences.add(difference)
        if self.found == 0 and self.differences.refutes(-self.margin, self.alpha):
            self.found = 1
        elif self.found == 0 and self.differences.mirrored().refutes(self.margin, self.alpha_worse):
            self.found = -1
        return self.found


def _lower(differences: Differences, alpha: float) -> float:
    low, high = -1.0, differences.mean
    if not differences.seen or differences.log_wealth(-1 + 1e-9) < -log(alpha):
        return low
    for _ in range(40):
        middle = (low + high) / 2
        wealth = differences.log_wealth(middle) if middle > -1 else inf
        low, high = (middle, high) if wealth >= -log(alpha) else (low, middle)
    return low
