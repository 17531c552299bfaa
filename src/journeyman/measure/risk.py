"""The threshold of the cascade with its promise: of what is accepted, at most ``error`` is wrong, with confidence 1 - ``delta``.

Learn then Test (Angelopoulos, Bates, Candès, Jordan and Lei, arXiv:2110.01052) with fixed-sequence testing: an order of thresholds is fixed on
one half of the rows; on the other half each is tested in that order, and the first that is not shown to keep the promise ends it. The order
begins where the first half predicts the smallest p-value and goes towards more coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, exp, log, log1p

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from journeyman.measure.betting import STAKE, betting_log_wealth
from journeyman.measure.intervals import Interval, clopper_pearson

Floats = npt.NDArray[np.float64]
GRID = 100
"""Most thresholds of the order."""


@dataclass(frozen=True)
class Scored:
    """Rows with a confidence and an outcome, 0 or 1; all of shape (n,). ``weights`` is how often a row came; rows with one number in ``groups``
    are no independent draws, and a group counts ``heaviest`` at the most, which is fixed before any outcome is seen."""

    confidence: Floats
    wrong: Floats
    weights: Floats
    groups: npt.NDArray[np.int64]
    heaviest: float = 1.0

    @staticmethod
    def of(confidence: npt.ArrayLike, wrong: npt.ArrayLike) -> Scored:
        """Rows that are groups of their own and came once."""
        said = np.asarray(confidence, dtype=np.float64)
        return Scored(said, np.asarray(wrong, dtype=np.float64), np.ones_like(said), np.arange(len(said)))

    def __post_init__(self) -> None:
        if not len(self.confidence) == len(self.wrong) == len(self.weights) == len(self.groups):
            raise ValueError("expected equally many confidences, outcomes, weights and groups")
        if not np.all(np.isfinite(self.confidence)):
            raise ValueError("a confidence must be a number")
        if not np.all((self.wrong == 0) | (self.wrong == 1)):
            raise ValueError("an outcome is 0 or 1")
        if not np.all((self.weights > 0) & np.isfinite(self.weights)):
            raise ValueError("a weight must be above 0")

    @cached_property
    def _is_apart(self) -> bool:
        """Every row is a group of its own."""
        return len(np.unique(self.groups)) == len(self.groups)

    def accepted(self, threshold: float) -> Units:
        """What is at the threshold or above it, summed up by group."""
        taken = self.confidence >= threshold
        if self._is_apart:
            weights = np.minimum(self.weights[taken], self.heaviest)
            return Units(self.wrong[taken], weights, self.heaviest, bool((weights == self.heaviest).all()))
        names, place = np.unique(self.groups[taken], return_inverse=True)
        if not len(names):
            return Units(np.empty(0), np.empty(0), self.heaviest, True)
        total = np.bincount(place, self.weights[taken])
        share = np.bincount(place, (self.weights * self.wrong)[taken]) / total
        weights = np.minimum(total, self.heaviest)
        is_plain = len(names) == taken.sum() and bool((weights == self.heaviest).all())
        return Units(share, weights, self.heaviest, is_plain)


@dataclass(frozen=True, slots=True)
class Units:
    """Groups of accepted rows: the share of each that is wrong, and its weight. ``is_plain``: each is one row, and all weigh the same."""

    wrong: Floats
    weights: Floats
    heaviest: float
    is_plain: bool

    @property
    def mean(self) -> float:
        total = float(self.weights.sum())
        return float((self.weights * self.wrong).sum()) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """One threshold on the rows that decide: the share of calls accepted, the share of those that is wrong with its 95 % interval (for drawing:
    with unequal weights that of as many rows as they are worth, Kish 1965), the p-value of the promise, the independent units accepted."""

    threshold: float
    coverage: float
    wrong: float
    interval: Interval
    p_value: float
    accepted: int


@dataclass(frozen=True, slots=True)
class Promise:
    """``threshold`` is None when none can promise it; ``needed`` is then the least number of accepted units that could, where the first threshold
    had fewer and the rows that fix the order have no more wrong there than is promised."""

    threshold: float | None
    error: float
    delta: float
    curve: tuple[Point, ...]
    needed: int | None = None


def least_accepted(error: float, delta: float) -> int:
    """Rows that must be accepted, and all right, before a promise can be kept: ⌈ln δ / ln(1 - ε)⌉.

    Raises:
        ValueError: a share outside (0, 1).
    """
    if not 0 < error < 1 or not 0 < delta < 1:
        raise ValueError(f"expected shares between 0 and 1, got {error} and {delta}")
    return ceil(log(delta) / log(1 - error))


def promise(fit: Scored, decide: Scored, error: float, delta: float) -> Promise:
    """The lowest threshold in a row of thresholds that keep the promise; ``fit`` fixes the row, ``decide`` is looked at by nothing else.

    Raises:
        ValueError: no rows in ``fit``, a share outside (0, 1).
    """
    if len(fit.confidence) == 0:
        raise ValueError("expected rows to fix the thresholds on")
    grid = _grid(fit)
    predicted = [_p_value(fit.accepted(threshold), error, delta) for threshold in grid]
    curve = tuple(_point(decide, threshold, error, delta) for threshold in grid)
    first = int(np.argmin(predicted))
    chosen: float | None = None
    for point in curve[first:]:
        if not point.p_value <= delta:
            break
        chosen = point.threshold
    least = _least_units(decide.accepted(grid[first]), error, delta)
    is_short = chosen is None and curve[first].accepted < least and fit.accepted(grid[first]).mean <= error
    return Promise(chosen, error, delta, curve, least if is_short else None)


def _least_units(units: Units, error: float, delta: float) -> int:
    """Accepted units, all right, that a promise takes: as many rows as the exact test needs, or as many bets at the largest stake."""
    if units.is_plain or not len(units.weights):
        return least_accepted(error, delta)
    scale = float(units.weights.mean()) / units.heaviest
    return ceil(log(1 / delta) / log1p(STAKE * scale * error / (1 - error)))


def _grid(fit: Scored) -> list[float]:
    """Thresholds from high to low: confidences that were seen, at equal steps of rank."""
    distinct = np.unique(fit.confidence)[::-1]
    if len(distinct) > GRID:
        distinct = np.unique(np.quantile(fit.confidence, np.linspace(0, 1, GRID), method="nearest"))[::-1]
    return [float(value) for value in distinct]


def _point(rows: Scored, threshold: float, error: float, delta: float) -> Point:
    units = rows.accepted(threshold)
    total = float(units.weights.sum())
    size = round(total**2 / float((units.weights**2).sum())) if total else 0
    interval = clopper_pearson(round(units.mean * size), size) if size else Interval(0.0, 1.0)
    every = rows.accepted(-np.inf).weights.sum()
    coverage = total / float(every) if every else 0.0
    return Point(threshold, coverage, units.mean, interval, _p_value(units, error, delta), len(units.weights))


def _p_value(units: Units, error: float, delta: float) -> float:
    """Of the hypothesis that more than ``error`` of the accepted calls are wrong: exact where rows are single draws, else by betting."""
    if not len(units.weights):
        return 1.0
    if units.is_plain:
        return float(bdtr(float(units.wrong.sum()), len(units.wrong), error))
    wealth = betting_log_wealth(1 - units.wrong, units.weights, delta, 0.0, units.heaviest, 1 - error)
    return exp(min(0.0, -wealth))
