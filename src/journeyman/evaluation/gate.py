"""The gate: is the candidate no worse than the margin allows? One decision, on binary scores.

``level`` is the one-sided chance of a wrong pass that the ledger grants this look. All bounds are one-sided at it:
``low`` decides a pass, its mirror ``high`` a fail, and what neither decides is inconclusive.

Which bound: with every count equal, each distinct row is one draw and the bounds are Tango's score interval (a paired
difference) or Clopper-Pearson's (a share). With unequal counts each distinct row is still the unit, the score is its
mean over calls, and the bound is the betting bound of ``measure.betting``, which holds at any size and is wider. The
choice looks at the counts only, never at a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from journeyman.core.errors import GateError
from journeyman.core.example import Target
from journeyman.evaluation.run import Predictions, Row
from journeyman.measure.betting import betting_interval, weighted_mean
from journeyman.measure.intervals import Interval, Paired, clopper_pearson, tango
from journeyman.measure.metrics import METRICS
from journeyman.measure.power import labels_for_difference, labels_for_share, labels_for_weighted
from journeyman.task.task import Against, Gate, GateMetric

VerdictName = Literal["pass", "fail", "inconclusive"]
Method = Literal["tango", "clopper_pearson", "betting"]


@dataclass(frozen=True, slots=True)
class Score:
    """One distinct row. ``reference`` is the teacher's score where the gate compares against the teacher."""

    candidate: bool
    reference: bool | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision.

    ``difference``, ``low`` and ``high`` are candidate minus teacher for ``against: teacher``, and the candidate's share
    itself for ``floor`` and ``agreement`` (agreement is no measure of quality). They are weighted by count; ``n`` and
    n11..n00 count distinct rows (candidate first, reference second; without a reference n11 is right, n01 wrong: the
    reference is right by definition). ``needed``: further labelled rows, for an inconclusive verdict that some
    affordable number would settle.
    """

    verdict: VerdictName
    against: Against
    metric: GateMetric
    difference: float
    low: float
    high: float
    margin: float | None
    floor: float | None
    level: float
    n: int
    needed: int | None
    method: Method
    n11: int
    n10: int
    n01: int
    n00: int


def score_rows(gate: Gate, rows: Sequence[Row], predictions: Predictions) -> tuple[Score, ...]:
    """The scores that this gate looks at.

    ``teacher``: rows with both gold and a recorded answer, both scored on gold. ``floor``: rows with gold.
    ``agreement``: rows with a recorded answer, the candidate scored on it. A recorded answer is valid by admission.

    Raises:
        GateError: JM-603 predictions of other rows, JM-604 no row fits the rule.
    """
    if [row.hash for row in rows] != [item.row for item in predictions.items]:
        raise GateError(
            "JM-603",
            "the predictions are not those of these rows",
            expected=f"one for each of {len(rows)} rows, in their order",
            got=f"{len(predictions.items)} of {predictions.model}",
        )
    scores = []
    for row, item in zip(rows, predictions.items, strict=True):
        wanted = row.teacher if gate.against == "agreement" else row.gold
        if wanted is None or (gate.against == "teacher" and row.teacher is None):
            continue
        reference = _is_right(gate, wanted, row.teacher) if gate.against == "teacher" else None
        scores.append(Score(_is_right(gate, wanted, item.target), reference, row.count))
    if not scores:
        raise _no_fitting_rows(gate, len(rows))
    return tuple(scores)


def decide(gate: Gate, scores: Sequence[Score], level: float) -> Verdict:
    """Decide the gate at a one-sided ``level``.

    Passes when ``low`` reaches the limit (-margin, the floor, or 1 - margin for agreement), fails when ``high`` stays
    below it.

    Raises:
        GateError: JM-605 fewer than two rows, JM-606 a rule without its number, JM-607 scores that do not fit the rule,
            JM-608 an impossible level.
    """
    _check(gate, scores, level)
    limit = _limit(gate)
    pairs = _count_pairs(scores)
    is_weighted = len({score.count for score in scores}) > 1
    if is_weighted:
        point, interval = _bet(gate, scores, level)
    else:
        point, interval = _bound(gate, pairs, level)
    verdict: VerdictName = "pass" if interval.low >= limit else "fail" if interval.high < limit else "inconclusive"
    return Verdict(
        verdict=verdict,
        against=gate.against,
        metric=gate.metric,
        difference=point,
        low=interval.low,
        high=interval.high,
        margin=gate.margin if gate.against != "floor" else None,
        floor=gate.floor if gate.against == "floor" else None,
        level=level,
        n=len(scores),
        needed=_needed(gate, scores, pairs, level, is_weighted) if verdict == "inconclusive" else None,
        method="betting" if is_weighted else "tango" if gate.against == "teacher" else "clopper_pearson",
        n11=pairs.n11,
        n10=pairs.n10,
        n01=pairs.n01,
        n00=pairs.n00,
    )


def _bound(gate: Gate, pairs: Paired, level: float) -> tuple[float, Interval]:
    if gate.against == "teacher":
        return pairs.difference, tango(pairs, level, sides=1)
    return pairs.n11 / pairs.n, clopper_pearson(pairs.n11, pairs.n, level, sides=1)


def _bet(gate: Gate, scores: Sequence[Score], level: float) -> tuple[float, Interval]:
    values, weights = _values(gate, scores)
    least = -1.0 if gate.against == "teacher" else 0.0
    return weighted_mean(values, weights), betting_interval(values, weights, level, least)


def _needed(gate: Gate, scores: Sequence[Score], pairs: Paired, level: float, is_weighted: bool) -> int | None:
    if is_weighted:
        values, weights = _values(gate, scores)
        mean = weighted_mean(values, weights)
        variance = weighted_mean((values - mean) ** 2, weights)
        effective = float(weights.sum() ** 2 / (weights**2).sum())
        return labels_for_weighted(variance, mean - _limit(gate), len(scores), effective, level)
    if gate.against == "teacher":
        return labels_for_difference(pairs, -_limit(gate), level)
    return labels_for_share(pairs.n11, pairs.n, _limit(gate), level)


def _values(gate: Gate, scores: Sequence[Score]) -> tuple[np.ndarray, np.ndarray]:
    """Per-row values (differences in {-1, 0, 1}, or scores in {0, 1}) and counts, both of shape (n,)."""
    taken = [float(score.reference or False) if gate.against == "teacher" else 0.0 for score in scores]
    values = np.array([float(score.candidate) for score in scores]) - np.array(taken)
    return values, np.array([float(score.count) for score in scores])


def _count_pairs(scores: Sequence[Score]) -> Paired:
    table = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    for score in scores:
        table[(score.candidate, score.reference is not False)] += 1
    return Paired(table[(True, True)], table[(True, False)], table[(False, True)], table[(False, False)])


def _is_right(gate: Gate, expected: Target, got: Target | None) -> bool:
    return METRICS[gate.metric].score(expected, got)[0] == 1


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


def _check(gate: Gate, scores: Sequence[Score], level: float) -> None:
    if len(scores) < 2:
        raise GateError(
            "JM-605",
            "a gate cannot decide on so few rows",
            expected="at least two rows, and some hundreds for a useful margin",
            got=str(len(scores)),
            hint="label more rows, then run `journeyman assess TASK` again",
        )
    if not 0 < level < 0.5:
        raise GateError("JM-608", "the level of a look must lie between 0 and 0.5", got=str(level))
    if METRICS[gate.metric].kind != "binary":
        raise GateError("JM-607", f"the metric {gate.metric} is not right-or-wrong", expected="exact_match or valid")
    for index, score in enumerate(scores):
        if (score.reference is None) == (gate.against == "teacher") or score.count < 1:
            raise GateError(
                "JM-607",
                "a score does not fit the gate",
                where=f"row {index}",
                expected=f"a count of at least 1 and {'a' if gate.against == 'teacher' else 'no'} reference",
                got=repr(score),
            )


def _no_fitting_rows(gate: Gate, n: int) -> GateError:
    wanted = {
        "teacher": "rows with both `gold` and a recorded answer of the teacher",
        "floor": "rows with `gold`",
        "agreement": "rows with a recorded answer of the teacher",
    }[gate.against]
    other = "`against: agreement`" if gate.against != "agreement" else "`against: floor`"
    return GateError(
        "JM-604",
        f"no row of the split can decide a gate against {gate.against}",
        expected=wanted,
        got=f"{n} rows, none of them such",
        hint=f"run `journeyman label TASK`, or set {other} in the task file",
    )
