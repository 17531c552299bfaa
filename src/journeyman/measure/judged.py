"""What a judge of pairs is worth, by pairs that people labelled: accuracy, agreement beyond chance, and how much it looks at the position.

Which answer of a pair stands first in a file of labels is of no meaning, so that nothing here may change when the two change places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from journeyman.measure.agreement import cohens_kappa
from journeyman.measure.betting import betting_interval
from journeyman.measure.intervals import clopper_pearson
from journeyman.measure.metrics import Estimate

Better = Literal["one", "two", "tie"]
Position = Literal["first", "second"]
MIRRORED: Mapping[Better, Better] = {"one": "two", "two": "one", "tie": "tie"}


@dataclass(frozen=True, slots=True)
class Worth:
    """Of ``n`` pairs in ``groups`` independent groups. ``accuracy``: a tie of one side only counts half. ``kappa`` is None where it is not
    defined. ``position_bias``: of the pairs that were asked about, those where it picked one position in both orders, ``first`` and ``second`` times.
    """

    n: int
    groups: int
    accuracy: Estimate
    kappa: Estimate | None
    position_bias: Estimate
    first: int
    second: int
    ties: int
    ties_of_people: int


def measure_worth(
    people: Sequence[Better],
    judge: Sequence[Better],
    favoured: Sequence[Position | Literal["neither"] | None],
    groups: Sequence[Hashable] | None = None,
) -> Worth:
    """``favoured``: the position that the judge picked in both orders, None for a pair that it was not asked about. Pairs of one group are not
    independent (default: each its own).

    Raises:
        ValueError: no pairs, or unequal lengths.
    """
    units = list(range(len(people)) if groups is None else groups)
    if not len(people) == len(judge) == len(favoured) == len(units) or not people:
        raise ValueError(f"expected equally many labels and verdicts and at least one, got {len(people)}, {len(judge)}")
    asked = [(place, unit) for place, unit in zip(favoured, units, strict=True) if place is not None]
    count = Counter(favoured)
    return Worth(
        n=len(people),
        groups=len(set(units)),
        accuracy=_estimate([_score(*pair) for pair in zip(people, judge, strict=True)], units),
        kappa=paired_kappa(people, judge, units),
        position_bias=_estimate([float(place != "neither") for place, _ in asked], [unit for _, unit in asked]),
        first=count["first"],
        second=count["second"],
        ties=judge.count("tie"),
        ties_of_people=people.count("tie"),
    )


def paired_kappa(people: Sequence[Better], judge: Sequence[Better], groups: Sequence[Hashable]) -> Estimate | None:
    """Cohen's kappa over every pair and its mirror image; None where both sides say tie throughout.

    Without the mirror images a file that always names the better answer first would leave nothing to agree on beyond chance. A pair and its image
    are one draw, so they widen nothing and narrow nothing.
    """
    if set(people) == set(judge) == {"tie"}:
        return None
    doubled = [[*side, *(MIRRORED[label] for label in side)] for side in (people, judge)]
    found = cohens_kappa(doubled[0], doubled[1], groups=[*groups, *groups])
    return Estimate(found.kappa, found.interval.low, found.interval.high, len(people))


def _score(label: Better, verdict: Better) -> float:
    return 1.0 if label == verdict else 0.5 if "tie" in (label, verdict) else 0.0


def _estimate(values: Sequence[float], groups: Sequence[Hashable]) -> Estimate:
    """A mean of values in [0, 1] with a 95 % interval: Clopper-Pearson's for right and wrong alone, else one that bets on each group's mean."""
    if not values:
        return Estimate(0.0, 0.0, 1.0, 0)
    mean, sizes = float(np.mean(values)), Counter(groups)
    if len(sizes) == len(values) and set(values) <= {0.0, 1.0}:
        interval = clopper_pearson(round(sum(values)), len(values))
        return Estimate(mean, interval.low, interval.high, len(values))
    sums = dict.fromkeys(sizes, 0.0)
    for value, group in zip(values, groups, strict=True):
        sums[group] += value
    weights = np.array(list(sizes.values()), dtype=np.float64)
    bounds = betting_interval(np.array(list(sums.values())) / weights, weights, 0.025, 0.0, float(weights.max()))
    return Estimate(mean, bounds.low, bounds.high, len(values))
