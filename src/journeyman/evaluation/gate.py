"""The gate: is the candidate no worse than the margin allows? One decision, on scores in [0, 1].

``level`` is the one-sided chance of a wrong pass that the ledger grants this look. All bounds are one-sided at it:
``low`` decides a pass, its mirror ``high`` a fail, and what neither decides is inconclusive.

Which bound: where every score is 0 or 1, every row a group of its own and every weight the heaviest, each row is one draw and the bounds
are Tango's score interval (a paired difference) or Clopper-Pearson's (a share). Everything else (graded scores, unequal counts or drawing
probabilities, near copies or rows of one conversation in a group) has the group as its unit: the score is the weighted mean, a group counting
``heaviest`` at the most, and the bound is the betting bound of ``measure.betting`` on each group's sum, which holds at any size and is wider. The choice looks at the metric, the
weights and the groups only, never at a score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.evaluation.pairs import make_pair, refuse_others
from journeyman.evaluation.run import Predictions, Row
from journeyman.measure.betting import betting_interval, weighted_mean
from journeyman.measure.intervals import Interval, Paired, clopper_pearson, tango
from journeyman.measure.metrics import Metric, MetricKind, Pair
from journeyman.measure.power import labels_for_difference, labels_for_share, labels_for_weighted
from journeyman.task.task import Against, Gate

Floats = NDArray[np.float64]
VerdictName = Literal["pass", "fail", "inconclusive"]
Method = Literal["tango", "clopper_pearson", "betting"]
DRAWN = 0.05
"""The two-sided chance of error of the interval that is drawn beside the one that decides."""
WANTED: Mapping[Against, str] = {
    "teacher": "rows with both `gold` and a recorded answer of the teacher",
    "floor": "rows with `gold`",
    "agreement": "rows with a recorded answer of the teacher",
}
"""The rows that each rule looks at."""


@dataclass(frozen=True, slots=True)
class Score:
    """One distinct row: scores in [0, 1]. ``reference`` is the teacher's where the gate compares against the teacher. ``weight`` is how often
    the row came, over the probability with which it was drawn to be labelled; rows of one ``group`` are not independent ("": its own)."""

    candidate: float
    reference: float | None = None
    weight: float = 1.0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision.

    ``difference``, ``low`` and ``high`` are candidate minus teacher for ``against: teacher``, and the candidate's mean
    itself for ``floor`` and ``agreement`` (agreement is no measure of quality), weighted; ``low_95`` and ``high_95`` are the ends of a two-sided
    95 % interval, for drawing. ``n`` counts distinct rows, ``groups`` independent ones. ``counts``: rows by candidate and reference where the
    metric is right or wrong (without a reference n11 is right, n01 wrong: the reference is right by definition). ``needed``: further labelled
    rows, for an inconclusive verdict that some affordable number would settle. ``heaviest``: what a group counted at the most, and ``cut`` the share
    of calls that this moved from heavy groups to others.
    """

    verdict: VerdictName
    against: Against
    metric: str
    difference: float
    low: float
    high: float
    low_95: float
    high_95: float
    margin: float | None
    floor: float | None
    level: float
    n: int
    groups: int
    needed: int | None
    method: Method
    counts: Paired | None
    heaviest: float = 1.0
    cut: float = 0.0


@dataclass(frozen=True, slots=True)
class Units:
    """Independent units: each group's weighted mean score (a difference where there is a reference) and its weight, both of shape (groups,);
    no weight is above ``heaviest``."""

    values: Floats
    weights: Floats
    heaviest: float

    @property
    def mean(self) -> float:
        return weighted_mean(self.values, self.weights)


def score_rows(gate: Gate, metric: Metric, rows: Sequence[Row], predictions: Predictions) -> tuple[Score, ...]:
    """The scores that this gate looks at, by its metric.

    ``teacher``: rows with both gold and a recorded answer, both scored on gold. ``floor``: rows with gold.
    ``agreement``: rows with a recorded answer, the candidate scored on it. A recorded answer is valid by admission.

    Raises:
        GateError: JM-603 predictions of other rows, JM-604 no row fits the rule; what the metric raises.
    """
    refuse_others(rows, predictions)
    chosen, given, taught = [], [], []
    for row, item in zip(rows, predictions.items, strict=True):
        wanted = _wanted(gate, row)
        if wanted is None:
            continue
        chosen.append(row)
        given.append(make_pair(wanted, row, item))
        taught.append(Pair(wanted, row.teacher, row.count, row.input))
    if not chosen:
        raise _no_fitting_rows(gate, rows)
    references = _scores(metric, taught) if gate.against == "teacher" else [None] * len(chosen)
    return tuple(
        Score(score, reference, float(row.count), row.group)
        for score, reference, row in zip(_scores(metric, given), references, chosen, strict=True)
    )


def fitting_rows(gate: Gate, rows: Sequence[Row]) -> list[Row]:
    """The rows that the rule looks at, in their order: those that `score_rows` has a score for."""
    return [row for row in rows if _wanted(gate, row) is not None]


def _wanted(gate: Gate, row: Row) -> Target | None:
    """What an answer is scored on; None where the rule does not look at the row."""
    if gate.against == "agreement":
        return row.teacher
    return None if gate.against == "teacher" and row.teacher is None else row.gold


def _scores(metric: Metric, pairs: Sequence[Pair]) -> list[float]:
    return [top / bottom for top, bottom in metric.score(pairs)] if metric.kind != "ratio" else [0.0] * len(pairs)


def decide(
    gate: Gate, scores: Sequence[Score], level: float, kind: MetricKind = "binary", heaviest: float = 1.0
) -> Verdict:
    """Decide the gate at a one-sided ``level``; ``kind`` is its metric's. A group counts ``heaviest`` at the most, which is fixed before any
    answer is seen.

    Passes when ``low`` reaches the limit (-margin, the floor, or 1 - margin for agreement), fails when ``high`` stays
    below it.

    Raises:
        GateError: JM-605 fewer than two rows, JM-606 a rule without its number, JM-607 scores that do not fit the rule,
            JM-608 an impossible level.
    """
    _check(gate, scores, level, kind, heaviest)
    limit = _limit(gate)
    units = group_units(scores, heaviest)
    counts = count_pairs(scores) if kind == "binary" else None
    is_plain = counts is not None and len(units.values) == len(scores) and bool((units.weights == heaviest).all())
    plain = counts if is_plain else None
    interval = _bound(gate, units, plain, level, 1)
    drawn = _bound(gate, units, plain, DRAWN, 2)
    verdict: VerdictName = "pass" if interval.low >= limit else "fail" if interval.high < limit else "inconclusive"
    return Verdict(
        verdict=verdict,
        against=gate.against,
        metric=gate.metric,
        difference=_point(gate, units, plain),
        low=interval.low,
        high=interval.high,
        low_95=drawn.low,
        high_95=drawn.high,
        margin=gate.margin if gate.against != "floor" else None,
        floor=gate.floor if gate.against == "floor" else None,
        level=level,
        n=len(scores),
        groups=len(units.values),
        needed=_needed(gate, units, plain, len(scores), level) if verdict == "inconclusive" else None,
        method="betting" if plain is None else "tango" if gate.against == "teacher" else "clopper_pearson",
        counts=counts,
        heaviest=heaviest,
        cut=_moved(group_units(scores, float("inf")).weights, units.weights),
    )


def find_heaviest(rows: Sequence[Row]) -> float:
    """What a group may weigh at most: the 99th percentile of the groups' counts in ``rows``, which are not those that decide; at least 1."""
    totals: dict[str, float] = {}
    for row in rows:
        name = row.group or row.hash
        totals[name] = totals.get(name, 0.0) + row.count
    return max(1.0, float(np.quantile(list(totals.values()), 0.99, method="higher"))) if totals else 1.0


def group_units(scores: Sequence[Score], heaviest: float) -> Units:
    """Rows summed up by group, in the order in which the groups come; a heavier group keeps its mean and counts ``heaviest``."""
    places: dict[str, int] = {}
    place = np.array([places.setdefault(score.group or f"\0{row}", len(places)) for row, score in enumerate(scores)])
    weights = np.array([score.weight for score in scores], dtype=np.float64)
    values = np.array([score.candidate - (score.reference or 0.0) for score in scores], dtype=np.float64)
    total = np.bincount(place, weights)
    return Units(np.bincount(place, weights * values) / total, np.minimum(total, heaviest), heaviest)


def _moved(before: Floats, after: Floats) -> float:
    """Total variation between two weightings of the same groups."""
    return float(np.abs(before / before.sum() - after / after.sum()).sum() / 2)


def _point(gate: Gate, units: Units, plain: Paired | None) -> float:
    if plain is None:
        return units.mean
    return plain.difference if gate.against == "teacher" else plain.n11 / plain.n


def _bound(gate: Gate, units: Units, plain: Paired | None, alpha: float, sides: Literal[1, 2]) -> Interval:
    if plain is None:
        least = -1.0 if gate.against == "teacher" else 0.0
        return betting_interval(np.clip(units.values, least, 1.0), units.weights, alpha / sides, least, units.heaviest)
    if gate.against == "teacher":
        return tango(plain, alpha, sides)
    return clopper_pearson(plain.n11, plain.n, alpha, sides)


def _needed(gate: Gate, units: Units, plain: Paired | None, rows: int, level: float) -> int | None:
    """Further rows, in groups as large as those seen."""
    limit = _limit(gate)
    if plain is None:
        mean = units.mean
        variance = weighted_mean((units.values - mean) ** 2, units.weights)
        effective = float(units.weights.sum() ** 2 / (units.weights**2).sum())
        scale = float(units.weights.mean()) / units.heaviest
        least = -1.0 if gate.against == "teacher" else 0.0
        return labels_for_weighted(variance, mean, limit, least, rows, effective, scale, level)
    if gate.against == "teacher":
        return labels_for_difference(plain, -limit, level)
    return labels_for_share(plain.n11, plain.n, limit, level)


def count_pairs(scores: Sequence[Score]) -> Paired:
    table = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for score in scores:
        table[(score.candidate == 1, score.reference != 0)] += 1
    return Paired(table[(True, True)], table[(True, False)], table[(False, True)], table[(False, False)])


def _limit(gate: Gate) -> float:
    number = gate.floor if gate.against == "floor" else gate.margin
    name = "floor" if gate.against == "floor" else "margin"
    if number is None or not 0 <= number <= 1:
        raise GateError(
            "JM-606",
            f"a gate against {gate.against} needs a {name}",
            expected="a share from 0 to 1, such as 0.05 for five points",
            got=str(number),
            hint=f"set `gate.{name}` in the task file",
        )
    return number if gate.against == "floor" else 1 - number if gate.against == "agreement" else -number


def _check(gate: Gate, scores: Sequence[Score], level: float, kind: MetricKind, heaviest: float) -> None:
    if len(scores) < 2:
        raise GateError(
            "JM-605",
            "a gate cannot decide on so few rows",
            expected="at least two rows, and some hundreds for a useful margin",
            got=str(len(scores)),
            hint=f"{describe_more(gate.against)}, then run `journeyman assess TASK` again",
        )
    if not 0 < level < 0.5:
        raise GateError("JM-608", "the level of a look must lie between 0 and 0.5", got=str(level))
    if not (heaviest > 0 and isfinite(heaviest)):
        raise GateError("JM-607", "the heaviest weight must be above 0", got=str(heaviest))
    if kind == "ratio":
        raise GateError(
            "JM-607",
            f"{gate.metric} is a ratio over all rows, which no gate decides on",
            expected="a metric of one row, such as exact_match or row_f1",
            hint="set `gate.metric` in the task file",
        )
    for index, score in enumerate(scores):
        given = [score.candidate] if score.reference is None else [score.candidate, score.reference]
        fits = all(isfinite(value) and 0 <= value <= 1 and (kind == "graded" or value in (0, 1)) for value in given)
        if (
            (score.reference is None) == (gate.against == "teacher")
            or not fits
            or not (score.weight > 0 and isfinite(score.weight))
        ):
            raise GateError(
                "JM-607",
                "a score does not fit the gate",
                where=f"row {index}",
                expected=f"a weight above 0, {'a' if gate.against == 'teacher' else 'no'} reference, "
                f"{'0 or 1' if kind == 'binary' else 'scores from 0 to 1'}",
                got=repr(score),
            )


def describe_more(against: Against, is_judged: bool = False, count: int | None = None) -> str:
    """What gives a gate more rows to decide on. ``is_judged``: its metric asks a model, which no label of a row helps."""
    more = "more" if count is None else f"{count:,} more"
    if against == "floor":
        return f"import {more} sealed rows with gold"
    if against == "agreement" or is_judged:
        return f"import {more} sealed rows with a recorded answer of the teacher"
    return f"label {more} rows"


def describe_lack(gate: Gate, rows: Sequence[Row]) -> str:
    """The next step where none of ``rows``, or hardly one, fits the gate's rule: labels help only where the teacher's answers are there."""
    has_teacher = any(row.teacher is not None for row in rows)
    has_gold = any(row.gold is not None for row in rows)
    if gate.against == "floor":
        other = ", or set `against: agreement` in the task file" if has_teacher else ""
        return f"import rows with gold{other}"
    if gate.against == "teacher" and has_teacher:
        return "run `journeyman label TASK --draw N`, import gold beside the recorded answers, or set `against: agreement` in the task file"
    other = ", or set `against: floor` in the task file" if has_gold else ""
    return f"import rows with a recorded answer of the teacher{other}"


def _no_fitting_rows(gate: Gate, rows: Sequence[Row]) -> GateError:
    return GateError(
        "JM-604",
        f"no row of the split can decide a gate against {gate.against}",
        expected=WANTED[gate.against],
        got=f"{len(rows)} rows, none of them such",
        hint=describe_lack(gate, rows),
    )
