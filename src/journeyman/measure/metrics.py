"""Metrics of one answer against what was expected, and their sums over rows.

Every metric is a ratio of sums over rows: ``score`` gives one row's numerator and denominator. An answer that is
missing or unreadable (``got`` None) scores as wrong on every metric; no row is ever left out.

Fields (``field_f1`` and the per-field table):

* A field is a leaf of the answer, named by its dotted path (``address.city``; a dot or backslash in a key is written
  with a backslash before it). A list is one leaf, compared as a sequence. A bare value or free text is the field ``""``.
* An absent key, null, ``""``, ``[]`` and ``{}`` all say "no value": neither asking for one nor giving one counts.
* Right value: true positive. Another value: false positive and false negative. No value where one is expected: false
  negative. A value where none is expected: false positive.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Target
from journeyman.core.nodes import dotted
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import Interval, clopper_pearson

# A dot that separates: an even number of backslashes before it.
_DOT = re.compile(r"(?<!\\)(?:\\\\)*\.")


MetricKind = Literal["binary", "graded", "ratio"]
Part = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Call:
    """What an answer took. None: it was not measured. ``is_paid``: its tokens have a price; else the machine's time has."""

    latency_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    is_paid: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """One row: what was expected and what the model's answer was read as (None: missing or unreadable).

    ``count`` is how often the row came; ``input`` is what was asked and ``call`` what the answer took, for metrics that read them.
    """

    expected: Target
    got: Target | None
    count: int = 1
    input: Mapping[str, Json] = field(default_factory=dict)
    call: Call = Call()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; ``n`` is the number of distinct rows behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Metric:
    """``kind`` binary: 0 or 1 over 1; graded: a score in [0, 1] over 1; both fit for a gate. ratio: micro-averaged over rows, for reading
    only. ``score`` gives each row's numerator and denominator.

    Raises (``score``):
        GateError: JM-61x, a user's function that fails.
    """

    name: str
    kind: MetricKind
    score: Callable[[Sequence[Pair]], list[Part]]


@dataclass(frozen=True, slots=True)
class FieldCounts:
    """True positives, false positives, false negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: FieldCounts) -> FieldCounts:
        return FieldCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)


@dataclass(frozen=True, slots=True)
class FieldScore:
    """One field over all rows; each of ``precision``, ``recall`` and ``f1`` with the rows it rests on.

    Precision rests on the rows where a value was given, recall on those where one was expected, F1 on either; a figure
    that rests on none is 0 with the interval 0 to 1.
    """

    field: str
    precision: Estimate
    recall: Estimate
    f1: Estimate


def exact_match(expected: Target, got: Target | None) -> bool:
    """Equal as parsed: key order and ``1`` against ``1.0`` do not matter; text must be the same to the letter."""
    if got is None or got.kind != expected.kind:
        return False
    if expected.kind == "object":
        return same_value(expected.value, got.value)
    if expected.kind == "text":
        return expected.text == got.text
    if expected.kind == "tool_calls":
        return call_values(expected) == call_values(got)
    return True


def count_fields(expected: Target, got: Target | None) -> dict[str, FieldCounts]:
    """Counts by path, for each path on which either side has a value."""
    wanted, given = _fields(expected), _fields(got)
    counts = {}
    for path in wanted.keys() | given.keys():
        if path not in given:
            counts[path] = FieldCounts(fn=1)
        elif path not in wanted:
            counts[path] = FieldCounts(fp=1)
        elif same_value(wanted[path], given[path]):
            counts[path] = FieldCounts(tp=1)
        else:
            counts[path] = FieldCounts(fp=1, fn=1)
    return counts


def differing_fields(expected: Target, got: Target | None) -> tuple[str, ...]:
    """Paths on which the two differ, sorted."""
    return tuple(sorted(path for path, count in count_fields(expected, got).items() if count.fp or count.fn))


def flatten(value: Json, path: str | None = None) -> dict[str, Json]:
    """Leaves by dotted path below ``path`` (None: the root); leaves without a value are left out."""
    if isinstance(value, dict):
        leaves: dict[str, Json] = {}
        for key, item in value.items():
            leaves |= flatten(item, dotted([key]) if path is None else f"{path}.{dotted([key])}")
        return leaves
    return {} if value is None or value == "" or value == [] else {path or "": value}


def micro_f1(counts: Iterable[FieldCounts]) -> float:
    """2TP / (2TP + FP + FN); 1 when there was nothing to find and nothing was found."""
    total = sum(counts, FieldCounts())
    bottom = 2 * total.tp + total.fp + total.fn
    return 2 * total.tp / bottom if bottom else 1.0


def row_f1(expected: Target, got: Target | None) -> float:
    """F1 over the fields of one answer; 1 where there was nothing to find and nothing was found, 0 where there is no answer."""
    return 0.0 if got is None else micro_f1(count_fields(expected, got).values())


def field_f1(pairs: Sequence[Pair], under: str = "", *, draws: int = 2000) -> Estimate:
    """Micro-F1 over the fields below the path ``under`` (all when empty), weighted by count, with a drawn interval."""
    return _estimate_ratio(pairs, [_f1_parts(pair.expected, pair.got, under) for pair in pairs], draws)


def estimate(metric: Metric, pairs: Sequence[Pair], *, draws: int = 2000) -> Estimate:
    """A metric over rows, weighted by count, with a 95 % interval.

    Clopper-Pearson for a binary metric with equal counts, else the percentile bootstrap (for drawing).

    Raises:
        ValueError: no rows.
    """
    parts = metric.score(pairs)
    if metric.kind == "binary" and len({pair.count for pair in pairs}) == 1:
        return _estimate_share(round(sum(top for top, _ in parts)), len(parts))
    return _estimate_ratio(pairs, parts, draws)


def score_fields(pairs: Sequence[Pair], *, draws: int = 1000) -> tuple[FieldScore, ...]:
    """The per-field table, fields sorted by name, weighted by count; an object of several fields has the line ``path.*`` too."""
    counted = [count_fields(pair.expected, pair.got) for pair in pairs]
    leaves = {name for counts in counted for name in counts}
    inside = Counter(parent for name in leaves for parent in _parents(name))
    groups = {parent for parent, size in inside.items() if size > 1}
    counted = [_with_groups(counts, groups) for counts in counted]
    names = sorted({name for counts in counted for name in counts})
    return tuple(_score_field(name, pairs, counted, draws) for name in names)


def _parents(path: str) -> list[str]:
    """The objects around a leaf, as ``path.*``: ``a.b.c`` lies in ``a.*`` and ``a.b.*``."""
    return [f"{path[: dot.end() - 1]}.*" for dot in _DOT.finditer(path)]


def _with_groups(counts: Mapping[str, FieldCounts], groups: AbstractSet[str]) -> dict[str, FieldCounts]:
    summed = dict(counts)
    for name, count in counts.items():
        for parent in _parents(name):
            if parent in groups:
                summed[parent] = summed.get(parent, FieldCounts()) + count
    return summed


def _score_field(
    name: str, pairs: Sequence[Pair], counted: Sequence[Mapping[str, FieldCounts]], draws: int
) -> FieldScore:
    rows = [(pair, counts[name]) for pair, counts in zip(pairs, counted, strict=True) if name in counts]

    def share(parts: Sequence[tuple[Pair, tuple[int, int]]]) -> Estimate:
        kept = [(pair, part) for pair, part in parts if part[1]]
        if not kept:
            return Estimate(0.0, 0.0, 1.0, 0)
        if len({pair.count for pair, _ in kept}) == 1 and all(bottom == 1 for _, (_, bottom) in kept):
            return _estimate_share(sum(top for _, (top, _) in kept), len(kept))
        return _estimate_ratio([pair for pair, _ in kept], [part for _, part in kept], draws)

    return FieldScore(
        field=name,
        precision=share([(pair, (item.tp, item.tp + item.fp)) for pair, item in rows]),
        recall=share([(pair, (item.tp, item.tp + item.fn)) for pair, item in rows]),
        f1=share([(pair, (2 * item.tp, 2 * item.tp + item.fp + item.fn)) for pair, item in rows]),
    )


def _estimate_share(k: int, n: int) -> Estimate:
    interval = clopper_pearson(k, n)
    return Estimate(k / n, interval.low, interval.high, n)


def _estimate_ratio(pairs: Sequence[Pair], parts: Sequence[tuple[float, float]], draws: int) -> Estimate:
    top, bottom = np.array(parts, dtype=np.float64).reshape(-1, 2).T
    weights = np.array([pair.count for pair in pairs], dtype=np.float64)
    total = float((weights * bottom).sum())
    if total == 0:
        if not pairs:
            raise ValueError("a metric needs at least one row")
        return Estimate(1.0, 0.0, 1.0, len(pairs))  # nothing to find, nothing found: no information
    value = float((weights * top).sum()) / total
    drawn = bootstrap_ratio(top, bottom, weights, draws=draws)
    interval = Interval(min(drawn.low, value), max(drawn.high, value))
    return Estimate(value, interval.low, interval.high, len(pairs))


def _f1_parts(expected: Target, got: Target | None, under: str = "") -> tuple[int, int]:
    counts = count_fields(expected, got)
    inside = [count for path, count in counts.items() if not under or path == under or path.startswith(under + ".")]
    total = sum(inside, FieldCounts())
    return 2 * total.tp, 2 * total.tp + total.fp + total.fn


def _fields(target: Target | None) -> dict[str, Json]:
    if target is None or target.kind == "abstain":
        return {}
    if target.kind == "object":
        return flatten(target.value)
    if target.kind == "text":
        return flatten(target.text)
    return flatten(call_values(target))


def call_values(target: Target) -> list[Json]:
    """Tool calls as JSON values ``{"name", "arguments"}``, in their order."""
    return [_call(item.name, item.arguments) for item in target.tool_calls]


def _call(name: str, arguments: str) -> Json:
    """A tool call as a JSON value; arguments that are not JSON are compared as text."""
    try:
        value: Json = json.loads(arguments)
    except ValueError:
        value = arguments
    return {"name": name, "arguments": value}


def same_value(left: Json, right: Json) -> bool:
    """Equal in canonical form, so that true is not 1. A value that JSON does not have (NaN) equals nothing."""
    try:
        return dump(left) == dump(right)
    except ValueError:
        return False


def of_rows(name: str, kind: MetricKind, score: Callable[[Target, Target | None], float | Part]) -> Metric:
    """A metric of one answer and what was expected; a bare number is over 1."""

    def every(pairs: Sequence[Pair]) -> list[Part]:
        scored = [score(pair.expected, pair.got) for pair in pairs]
        return [value if isinstance(value, tuple) else (float(value), 1.0) for value in scored]

    return Metric(name, kind, every)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        of_rows("exact_match", "binary", exact_match),
        of_rows("row_f1", "graded", row_f1),
        of_rows("field_f1", "ratio", _f1_parts),
        of_rows("valid", "binary", lambda _expected, got: got is not None),
    )
}
"""What every report shows."""
