"""Where a student is good and where it is not: parts of the sealed rows by expected values, by length, by script of the input.

For reading: no gate decides on a slice. All intervals of one table hold together with 95 % (``measure.slices``).
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from journeyman.core.canonical import dump
from journeyman.evaluation.gate import Score
from journeyman.evaluation.run import Row
from journeyman.measure.metrics import flatten
from journeyman.measure.slices import SliceInterval, slice_intervals

LEAST = 10  # rows of a slice
MOST = 40  # slices of a table
LONGEST = 40  # letters of a value that names a slice
SHORT, LONG = 0.25, 0.75
LETTERS = 60  # of a text, to tell its script by


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
    masks = list(members.values())
    places = {name: place for place, name in enumerate(dict.fromkeys(_group(row) for row in rows))}
    groups = np.array([places[_group(row)] for row in rows], dtype=np.int64)
    weights = np.array([score.weight for score in scores])
    values = np.array([score.candidate for score in scores])
    whole = float((values * weights).sum() / weights.sum())
    found = slice_intervals(values, weights, groups, masks)
    differences: list[SliceInterval | None] = [None] * len(masks)
    if all(score.reference is not None for score in scores):
        gained = np.array([score.candidate - cast(float, score.reference) for score in scores])
        differences = slice_intervals(gained, weights, groups, masks)
    slices = [
        Slice(name, score, difference, score.high < whole)
        for name, score, difference in zip(members, found, differences, strict=True)
        if score is not None
    ]
    return sorted(slices, key=lambda item: item.score.value)


def _group(row: Row) -> str:
    return row.group or row.hash


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
