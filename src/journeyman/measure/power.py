"""How many more labels a verdict needs, if the next rows are like those seen.

A forecast for people, not a promise: the power is 0.8 and the shares are the observed ones.
"""

from __future__ import annotations

from math import ceil, expm1, inf, log, log1p, sqrt

from journeyman.measure.betting import STAKE
from journeyman.measure.intervals import Paired, normal_quantile, restricted_variance

POWER = 0.8
MOST = 1_000_000
"""Beyond this many labels the honest answer is that no affordable number settles it."""


def labels_for_difference(pairs: Paired, margin: float, alpha: float, power: float = POWER) -> int | None:
    """Further labelled rows until the paired gate leaves -margin on one side; None where no affordable number does.

    n = ((z_alpha · s0 + z_power · s1) / (difference + margin))², s0² the variance of a pair at the margin (restricted
    maximum likelihood), s1² the one at the observed shares p10, p01: Nam, "Establishing equivalence of two treatments
    and sample size requirements in matched-pairs design", Biometrics 53 (1997) 1422-1430; Liu, Hsueh, Hsieh and Chen,
    Statistics in Medicine 21 (2002) 231-245.
    """
    p10, p01 = pairs.n10 / pairs.n, pairs.n01 / pairs.n
    at_margin = restricted_variance(p10, p01, -margin)
    observed = p10 + p01 - (p10 - p01) ** 2
    return _further(at_margin, observed, pairs.difference + margin, pairs.n, alpha, power)


def labels_for_share(k: int, n: int, floor: float, alpha: float, power: float = POWER) -> int | None:
    """Further labelled rows until the share ``k / n`` is shown to be on one side of ``floor``.

    The one-sample formula (Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions, 2003).
    """
    share = k / n
    return _further(floor * (1 - floor), share * (1 - share), share - floor, n, alpha, power)


def labels_for_weighted(
    variance: float,
    mean: float,
    limit: float,
    least: float,
    n: int,
    effective: float,
    scale: float,
    alpha: float,
    power: float = POWER,
) -> int | None:
    """The same for the betting bound on weighted units, whose width is about sqrt(2 ln(1/alpha) · variance / n).

    ``variance`` of one unit's value, ``least`` the least one; ``effective`` the size (Σw)²/Σw² (Kish 1965) of the ``n`` rows, ``scale`` the mean
    weight over the heaviest. The answer is in rows that repeat as those seen do; it is no less than what the largest stake needs.
    """
    distance = mean - limit
    if distance == 0:
        return None
    odds = log(1 / alpha)
    room = limit - least if distance > 0 else 1 - limit
    wanted = ((sqrt(2 * odds) + normal_quantile(power)) ** 2) * variance / distance**2
    capped = odds / log1p(STAKE * scale * abs(distance) / room) if room > 0 else wanted
    return _whole(max(wanted, capped) * n / effective - n)


def _further(at_limit: float, observed: float, distance: float, n: int, alpha: float, power: float) -> int | None:
    if distance == 0:
        return None
    spread = normal_quantile(1 - alpha) * sqrt(at_limit) + normal_quantile(power) * sqrt(max(observed, 0.0))
    return _whole((spread / distance) ** 2 - n)


def _whole(further: float) -> int | None:
    return None if further > MOST else max(1, ceil(further))


def labels_to_draw(
    certain: float,
    drawn: float,
    distance: float,
    room: float,
    units: int,
    heaviest: float,
    differing: int,
    asked: int,
    alpha: float,
    power: float = POWER,
) -> int | None:
    """Further rows to draw among ``differing`` ones, of which ``asked`` are labelled, until the betting bound leaves the limit on one side; None where
    labels of all of them would not do.

    The sum of payoffs is ``distance`` from 0 and has the sums of squares ``certain`` of what is known for sure and ``drawn`` / probability of what
    was drawn, in calls; there are ``units`` groups. ``room`` is the most that a call may lose, ``heaviest`` what a group weighs at the most where every
    differing row is labelled.
    """
    if distance == 0 or asked >= differing:
        return None
    odds = log(1 / alpha)
    spare = (distance / (sqrt(2 * odds) + normal_quantile(power))) ** 2 - certain
    # What the largest stake needs, as in `labels_for_weighted`: heavier draws are smaller bets.
    stake = STAKE * abs(distance) / (units * room * heaviest * expm1(odds / units)) if room > 0 else inf
    if spare <= 0 or stake < 1:
        return None
    share = max(drawn / spare, 1 / stake)
    return max(1, ceil(share * differing) - asked) if share <= 1 else None
