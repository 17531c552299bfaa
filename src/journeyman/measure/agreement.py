"""How far raters agree beyond chance: a judge and people, or people with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Alpha:
    """``alpha`` is 0 for chance and 1 for full agreement; ``n`` units that two or more rated, with so many ``ratings``. ``apart`` of them have ratings that differ."""

    alpha: float
    interval: Interval
    n: int
    ratings: int
    apart: int


def krippendorffs_alpha(units: Sequence[Sequence[Hashable]], alpha: float = 0.05) -> Alpha | None:
    """Krippendorff's alpha for unordered ratings (Content Analysis, 2004, section 11.3): each unit's ratings by whoever rated it, in any order. A unit with one rating says nothing;
    None where no unit has two.

    The interval is the jackknife over units (Efron and Stein, 1981), on the scale of Fisher's z with Student's t. Where all agree everywhere its lower end is that of the share of units
    on which all agree. Where there is one rating throughout, chance explains everything and alpha is 0, from -1 to 1.
    """
    rated = [Counter(unit) for unit in units if len(unit) > 1]
    if not rated:
        return None
    names = {name: place for place, name in enumerate(dict.fromkeys(name for unit in rated for name in unit))}
    counts = np.zeros((len(rated), len(names)))
    for place, unit in enumerate(rated):
        for name, count in unit.items():
            counts[place, names[name]] = count
    sizes = counts.sum(axis=1)
    observed = (sizes**2 - (counts**2).sum(axis=1)) / (sizes - 1)  # of each unit: ordered pairs that differ, by m - 1
    n, total, values = len(rated), sizes.sum(), counts.sum(axis=0)
    apart = int((observed > 0).sum())
    expected = total**2 - float((values**2).sum())
    if expected == 0:
        return Alpha(0.0, NOTHING_KNOWN, n, int(total), 0)
    found = float(_alpha(observed.sum(), total, expected))
    if apart == 0:
        share, chance = clopper_pearson(n, n, alpha), 1 - expected / (total * (total - 1))
        return Alpha(1.0, Interval(max(-1.0, (share.low - chance) / (1 - chance)), 1.0), n, int(total), 0)
    rest = total - sizes
    without = rest**2 - ((values - counts) ** 2).sum(axis=1)
    is_known = without > 0
    left = np.full(n, found)
    left[is_known] = _alpha((observed.sum() - observed)[is_known], rest[is_known], without[is_known])
    return Alpha(found, _spread(found, left, alpha), n, int(total), apart)


def _alpha(observed: Any, total: Any, expected: Any) -> Any:
    """One minus observed disagreement by what chance would give."""
    return 1 - (total - 1) * observed / expected


def _spread(found: float, left: Floats, alpha: float) -> Interval:
    """``left`` [n]: the value without each unit."""
    n = len(left)
    if n < 2 or found <= -1:
        return NOTHING_KNOWN
    deviation = sqrt((n - 1) / n * float(((left - left.mean()) ** 2).sum()))
    reach = float(stdtrit(n - 1, 1 - alpha / 2)) * deviation / (1 - found**2)
    return Interval(tanh(atanh(found) - reach), tanh(atanh(found) + reach))


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
