"""What a student may answer by itself: its confidence made a chance of being right, and the threshold with a promise.

The calibrator is fitted on the ``fit`` half of the calibration split, the promise decided on the ``threshold`` half, which nothing else looks
at; how well both did is read off the sealed rows, where it decides nothing. An answer is right where the metric gives it all that it can give.
An answer that is missing or unreadable is wrong, with no confidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from journeyman.core.canonical import Json, dump
from journeyman.core.nodes import dotted
from journeyman.evaluation.pairs import make_pairs
from journeyman.evaluation.run import Prediction, Row
from journeyman.measure.calibration import Bin, brier_score, debiased_error, debiased_interval, reliability
from journeyman.measure.calibrators import Calibrator, choose
from journeyman.measure.intervals import Interval, clopper_pearson
from journeyman.measure.metrics import METRICS, Metric, Pair
from journeyman.measure.risk import Promise, Scored, promise

Floats = NDArray[np.float64]
Answered = Sequence[tuple[Row, Prediction]]
FULL = 1 - 1e-9
MOST_DISAGREEMENT = 0.99


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Answers with a known truth: confidence, right (0 or 1) and count of each, shape (n,), the group names, and for how many rows the truth is
    reviewed and not the teacher's answer."""

    confidence: Floats
    right: Floats
    weights: Floats
    groups: tuple[str, ...]
    gold: int = 0

    def scored(self, calibrator: Calibrator, heaviest: float) -> Scored:
        """The same with calibrated confidence, for the promise."""
        names = {name: place for place, name in enumerate(dict.fromkeys(self.groups))}
        places = np.array([names[name] for name in self.groups], dtype=np.int64)
        said = np.where(self.confidence > 0, calibrator(self.confidence), 0.0)
        return Scored(said, 1 - self.right, self.weights, places, heaviest)


@dataclass(frozen=True, slots=True)
class Trust:
    """``losses``: each kind's cross-validated log loss on the rows that the calibrator was chosen and fitted on, ``fitted`` of them. ``brier``,
    ``error`` and ``bins`` are those of calibrated confidence on ``shown`` other rows; ``raw_error`` that of confidence as it came."""

    calibrator: Calibrator
    losses: dict[str, float]
    fitted: int
    promise: Promise | None
    decided: int
    gold: int
    brier: float
    error: float
    interval: Interval
    raw_error: float
    bins: tuple[Bin, ...]
    shown: int


@dataclass(frozen=True, slots=True)
class FieldTrust:
    """Confidence of single values: the map was chosen and fitted on ``fitted`` of them, ``error`` and the like are of ``shown`` others. The interval is from a bootstrap over rows,
    for the values of one row are alike."""

    calibrator: Calibrator
    losses: dict[str, float]
    fitted: int
    brier: float
    error: float
    interval: Interval
    raw_error: float
    bins: tuple[Bin, ...]
    shown: int


def outcomes(metric: Metric, answered: Answered) -> Outcomes:
    """The rows that have an expected answer. Raises what the metric raises."""
    known = [(row, item) for row, item in answered if row.expected is not None]
    right = are_right(metric, make_pairs(known))
    sure = [item.confidence.whole if item.confidence and item.target is not None else 0.0 for _row, item in known]
    return Outcomes(
        np.clip(np.array(sure, dtype=np.float64), 0.0, 1.0),
        np.array(right, dtype=np.float64),
        np.array([row.count for row, _item in known], dtype=np.float64),
        tuple(row.group or row.hash for row, _item in known),
        sum(row.gold is not None for row, _item in known),
    )


def field_outcomes(answered: Answered) -> Outcomes:
    """Every value that was said with a confidence of its own, lists apart from what is in them: right where the expected answer has it at the same place, in whichever
    row of a list."""
    sure, right, weights, groups = list[float](), list[float](), list[float](), list[str]()
    for row, item in answered:
        if row.expected is None or item.target is None or item.confidence is None:
            continue
        wanted = Counter((name, dump(value)) for _path, name, value in _values(row.expected.value))
        for path, name, value in _values(item.target.value):
            if path in item.confidence.fields:
                said = (name, dump(value))
                sure.append(min(1.0, max(0.0, item.confidence.fields[path])))
                right.append(float(wanted[said] > 0))
                wanted[said] -= 1
                weights.append(row.count)
                groups.append(row.group or row.hash)
    return Outcomes(np.array(sure), np.array(right), np.array(weights, dtype=np.float64), tuple(groups))


def trust_fields(fit: Outcomes, shown: Outcomes) -> FieldTrust | None:
    """Calibrate on ``fit``, describe on ``shown``; None where nothing can be fitted or shown."""
    if not len(fit.right) or not len(shown.right):
        return None
    calibrator, losses = choose(fit.confidence, fit.right, fit.weights, fit.groups)
    said = calibrator(shown.confidence)
    return FieldTrust(
        calibrator=calibrator,
        losses=losses,
        fitted=len(fit.right),
        brier=brier_score(said, shown.right),
        error=debiased_error(said, shown.right),
        interval=debiased_interval(said, shown.right, groups=shown.groups),
        raw_error=debiased_error(shown.confidence, shown.right),
        bins=reliability(said, shown.right),
        shown=len(shown.right),
    )


def _values(node: Json, path: str = "", name: str = "") -> Iterator[tuple[str, str, Json]]:
    """Dotted path, field (a list's rows have one name) and value; nothing for null and empty text."""
    if isinstance(node, Mapping):
        for key, item in node.items():
            step = dotted([key])
            yield from _values(item, f"{path}.{step}" if path else step, f"{name}.{step}" if name else step)
    elif isinstance(node, list):
        for place, item in enumerate(node):
            yield from _values(item, f"{path}.{place}", f"{name}[]")
    elif node is not None and node != "":
        yield path, name, node


def are_right(metric: Metric, pairs: Sequence[Pair]) -> list[bool]:
    """Where the metric gives an answer all that it can give; one that does not compare answers leaves it to exact match. Raises what the metric raises."""
    judge = METRICS["exact_match"] if metric.name == "valid" or metric.kind == "ratio" else metric
    return [top >= FULL * bottom for top, bottom in judge.score(pairs)] if pairs else []


def disagreement(metric: Metric, answered: Answered, trust: Trust, delta: float) -> float | None:
    """How often what the student answers itself may differ from the teacher's answers, at the most (Clopper-Pearson, one-sided at ``delta``), by the rows that
    have an answer of the teacher, one of each group; None where none of those is accepted. What audits are compared with: the promise counts gold where there is some."""
    threshold = trust.promise.threshold if trust.promise else None
    if threshold is None:
        return None
    accepted = {
        row.group or row.hash: Pair(row.teacher, item.target, row.count, row.input)
        for row, item in answered
        if row.teacher is not None
        and item.target is not None
        and item.confidence is not None
        and float(trust.calibrator(item.confidence.whole)) >= threshold
    }
    pairs = list(accepted.values())
    wrong = len(pairs) - sum(are_right(metric, pairs))
    return min(clopper_pearson(wrong, len(pairs), delta, 1).high, MOST_DISAGREEMENT) if pairs else None


def trust(
    fit: Outcomes, decide: Outcomes, shown: Outcomes, error: float, delta: float, heaviest: float
) -> Trust | None:
    """Calibrate on ``fit``, promise on ``decide``, describe on ``shown``; None where nothing can be fitted or shown."""
    if not len(fit.right) or not len(shown.right):
        return None
    calibrator, losses = choose(fit.confidence, fit.right, fit.weights, fit.groups)
    kept = promise(fit.scored(calibrator, heaviest), decide.scored(calibrator, heaviest), error, delta)
    said = np.where(shown.confidence > 0, calibrator(shown.confidence), 0.0)
    return Trust(
        calibrator=calibrator,
        losses=losses,
        fitted=len(fit.right),
        promise=kept if len(decide.right) else None,
        decided=len(decide.right),
        gold=decide.gold,
        brier=brier_score(said, shown.right),
        error=debiased_error(said, shown.right),
        interval=debiased_interval(said, shown.right),
        raw_error=debiased_error(shown.confidence, shown.right),
        bins=reliability(said, shown.right),
        shown=len(shown.right),
    )
