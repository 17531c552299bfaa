"""Where a student is good and where it is not: parts of the sealed rows by expected values, by length, by script of the input.

For reading: no gate decides on a slice. All intervals of one table hold together with 95 %: each has its part of the error (Bonferroni), and is exact where rows
are single and right or wrong (Clopper-Pearson, Tango), else a betting bound on groups. A percentile bootstrap has no width where a slice is all right, and
tables of good students are mostly that.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from journeyman.core.canonical import dump
from journeyman.evaluation.gate import Score, count_pairs, group_units
from journeyman.evaluation.run import Row
from journeyman.measure.betting import betting_interval
from journeyman.measure.intervals import Interval, clopper_pearson, tango
from journeyman.measure.metrics import flatten

ALPHA = 0.05  # that any interval of a table misses
LEAST = 10  # rows of a slice
MOST = 40  # slices of a table
LONGEST = 40  # letters of a value that names a slice
SHORT, LONG = 0.25, 0.75
LETTERS = 60  # of a text, to tell its script by


@dataclass(frozen=True, slots=True)
class SliceInterval:
    """A weighted mean over a slice's ``n`` rows with its interval."""

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class Slice:
    """``score`` is the candidate's mean; ``difference`` that of candidate and teacher, where there is one. ``is_low``: the interval lies below the
    mean of all rows."""

    name: str
    score: SliceInterval
    difference: SliceInterval | None
    is_low: bool


def find_slices(rows: Sequence[Row], scores: Sequence[Score]) -> list[Slice]:
    """The slices of these rows with their scores, the worst first; nothing where no part has enough rows."""
    members = _members(rows)
    if not members:
        return []
    has_teacher = all(score.reference is not None for score in scores)
    error = ALPHA / (len(members) * (2 if has_teacher else 1))
    heaviest = float(group_units(scores, float("inf")).weights.max())
    whole = _mean([replace(score, reference=None) for score in scores])
    slices = []
    for name, mask in members.items():
        inside = [score for score, is_in in zip(scores, mask, strict=True) if is_in]
        alone = [replace(score, reference=None) for score in inside]
        score = SliceInterval(_mean(alone), _interval(alone, error, heaviest), len(inside))
        difference = (
            SliceInterval(_mean(inside), _interval(inside, error, heaviest), len(inside)) if has_teacher else None
        )
        slices.append(Slice(name, score, difference, score.interval.high < whole))
    return sorted(slices, key=lambda item: item.score.value)


def _mean(scores: Sequence[Score]) -> float:
    return group_units(scores, float("inf")).mean


def _interval(scores: Sequence[Score], error: float, heaviest: float) -> Interval:
    """Two-sided, with ``error`` in all."""
    is_plain = len({score.weight for score in scores}) == 1 and all(score.candidate in (0, 1) for score in scores)
    names = [score.group for score in scores if score.group]
    if is_plain and len(set(names)) == len(names) and all(score.reference in (None, 0, 1) for score in scores):
        counts = count_pairs(scores)
        if scores[0].reference is not None:
            return tango(counts, error)
        return clopper_pearson(counts.n11, counts.n, error)
    units = group_units(scores, heaviest)
    least = -1.0 if scores[0].reference is not None else 0.0
    return betting_interval(np.clip(units.values, least, 1.0), units.weights, error / 2, least, heaviest)


def _members(rows: Sequence[Row]) -> dict[str, NDArray[np.bool_]]:
    """By name, the largest first: those that are neither too small nor everything."""
    named = [set(_names(row)) for row in rows]
    lengths = np.array([sum(map(len, _texts(row))) for row in rows])
    low, high = np.quantile(lengths, [SHORT, LONG]) if len(rows) else (0, 0)
    for names, length in zip(named, lengths, strict=True):
        if low < high:
            names |= {"shortest quarter"} if length <= low else {"longest quarter"} if length >= high else set()
    counts = Counter(name for names in named for name in names)
    kept = [name for name, count in counts.most_common() if LEAST <= count < len(rows)][:MOST]
    return {name: np.array([name in names for names in named]) for name in kept}


def _names(row: Row) -> Iterator[str]:
    if row.expected is not None and row.expected.kind == "object":
        for path, value in flatten(row.expected.value).items():
            yield f"{path or 'answer'} is given"
            if len(text := dump(value)) <= LONGEST:
                yield f"{path or 'answer'} = {text}"
    for call in row.expected.tool_calls if row.expected is not None else ():
        yield f"calls {call.name}"
    if script := _script("".join(_texts(row))):
        yield f"in {script} letters"


def _texts(row: Row) -> list[str]:
    return [value for value in row.input.values() if isinstance(value, str)]


def _script(text: str) -> str:
    """The script of most letters, as Unicode's names begin."""
    counts = Counter(unicodedata.name(letter, "?").split(" ")[0] for letter in text[:LETTERS] if letter.isalpha())
    return counts.most_common(1)[0][0].capitalize() if counts else ""
