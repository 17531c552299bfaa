"""How far two raters agree beyond chance: a judge and people, or two people."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from journeyman.measure.intervals import Interval, clopper_pearson

Floats = NDArray[np.float64]
NOTHING_KNOWN = Interval(-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Kappa:
    """``agreed`` is the plain share of equal ratings with its interval; ``kappa`` is 0 for chance and 1 for full agreement."""

    kappa: float
    interval: Interval
    agreed: float
    agreed_interval: Interval
    n: int


def cohens_kappa(
    one: Sequence[Hashable],
    other: Sequence[Hashable],
    alpha: float = 0.05,
    groups: Sequence[Hashable] | None = None,
) -> Kappa:
    """Cohen's kappa (1960) for unordered ratings; ratings of one group are not independent (default: each its own).

    The interval has the variance of Fleiss, Cohen and Everitt (1969), summed by group, on the scale of Fisher's z with Student's t: near 1 kappa is
    so skewed that the plain interval's lower end is wrong twice as often as it says at n = 50. Where the ratings agree always or never it is that of
    the share of equal ratings. Where both raters gave one rating throughout, chance explains everything and kappa is 0, from -1 to 1.

    Raises:
        ValueError: no ratings, or unequal lengths.
    """
    units = range(len(one)) if groups is None else groups
    if not len(one) == len(other) == len(units) or not one:
        raise ValueError(f"expected equally many ratings and at least one, got {len(one)} and {len(other)}")
    names = {name: place for place, name in enumerate(dict.fromkeys([*one, *other]))}
    left, right = (np.array([names[name] for name in side]) for side in (one, other))
    rows, columns = (np.bincount(side, minlength=len(names)) / len(one) for side in (left, right))
    same = (left == right).astype(np.float64)
    agreed, chance = float(same.mean()), float(rows @ columns)
    members = _number(units)
    independent = int(members.max()) + 1
    plain = clopper_pearson(round(agreed * independent), independent, alpha)
    if chance >= 1:
        return Kappa(0.0, NOTHING_KNOWN, agreed, plain, len(one))
    kappa = (agreed - chance) / (1 - chance)
    if same.min() == same.max():
        ends = Interval((plain.low - chance) / (1 - chance), (plain.high - chance) / (1 - chance))
        return Kappa(kappa, Interval(max(-1.0, ends.low), ends.high), agreed, plain, len(one))
    # What each pair of ratings adds: the derivative of kappa by the share agreed and by what chance agrees on.
    moves = (same - agreed) / (1 - chance) - (1 - agreed) / (1 - chance) ** 2 * (
        columns[left] + rows[right] - 2 * chance
    )
    return Kappa(kappa, _interval(kappa, np.bincount(members, moves) / len(one), alpha), agreed, plain, len(one))


def _interval(kappa: float, moves: Floats, alpha: float) -> Interval:
    """``moves`` [groups]: what each independent unit adds to the error of kappa."""
    independent = len(moves)
    if independent < 2:
        return NOTHING_KNOWN
    deviation = sqrt(independent / (independent - 1) * float((moves**2).sum()))
    reach = float(stdtrit(independent - 1, 1 - alpha / 2)) * deviation / (1 - kappa**2)
    return Interval(tanh(atanh(kappa) - reach), tanh(atanh(kappa) + reach))


def _number(units: Sequence[Hashable]) -> NDArray[np.int64]:
    places: dict[Hashable, int] = {}
    return np.array([places.setdefault(unit, len(places)) for unit in units], dtype=np.int64)
