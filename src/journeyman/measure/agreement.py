"""How far two raters agree beyond chance: a judge and people, or two people."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from journeyman.measure.intervals import Interval, clopper_pearson, normal_quantile


@dataclass(frozen=True, slots=True)
class Kappa:
    """``agreed`` is the plain share of equal ratings with its interval; ``kappa`` is 0 for chance and 1 for full agreement."""

    kappa: float
    interval: Interval
    agreed: float
    agreed_interval: Interval
    n: int


def cohens_kappa(one: Sequence[Hashable], other: Sequence[Hashable], alpha: float = 0.05) -> Kappa:
    """Cohen's kappa (1960) for unordered ratings, with the large-sample interval of Fleiss, Cohen and Everitt (1969).

    Where both raters gave one rating throughout, chance explains everything and kappa is 0, from -1 to 1.

    Raises:
        ValueError: no ratings, or unequal lengths.
    """
    if len(one) != len(other) or not one:
        raise ValueError(f"expected equally many ratings and at least one, got {len(one)} and {len(other)}")
    names = {name: place for place, name in enumerate(dict.fromkeys([*one, *other]))}
    table = np.zeros((len(names), len(names)))
    for left, right in zip(one, other, strict=True):
        table[names[left], names[right]] += 1
    n = len(one)
    shares = table / n
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    agreed, chance = float(np.trace(shares)), float(rows @ columns)
    plain = clopper_pearson(round(agreed * n), n, alpha)
    if chance >= 1:
        return Kappa(0.0, Interval(-1.0, 1.0), agreed, plain, n)
    kappa = (agreed - chance) / (1 - chance)
    diagonal = np.diag(shares)
    # The three terms of the variance: on the diagonal, off it, and of the chance agreement.
    on = float((diagonal * (1 - (rows + columns) * (1 - kappa)) ** 2).sum())
    sums = (columns[:, None] + rows[None, :]) ** 2
    off = float((1 - kappa) ** 2 * ((shares * sums).sum() - (diagonal * np.diag(sums)).sum()))
    if agreed == 1:  # the formula has no spread there: what the share of equal ratings may be at the least
        return Kappa(1.0, Interval((plain.low - chance) / (1 - chance), 1.0), agreed, plain, n)
    variance = (on + off - (kappa - chance * (1 - kappa)) ** 2) / ((1 - chance) ** 2 * n)
    reach = normal_quantile(1 - alpha / 2) * sqrt(max(variance, 0.0))
    return Kappa(kappa, Interval(max(-1.0, kappa - reach), min(1.0, kappa + reach)), agreed, plain, n)
