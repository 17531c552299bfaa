"""Did it help: the weak spots of the student before, on the dev rows that both students answered. Sealed rows are not looked at.

A spot was picked because the student before erred in it, so its errors fall a little with any other student; those of all rows have no such part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from journeyman.core.example import Target
from journeyman.evaluation.grid import ERROR, Difference, compare_scores
from journeyman.evaluation.run import Prediction, Row
from journeyman.evaluation.weak import WeakSpot, find_weak_spots
from journeyman.measure.metrics import METRICS
from journeyman.task.task import Task

EXACT = METRICS["exact_match"]
IsError = Callable[[Target, Target | None], bool]


@dataclass(frozen=True, slots=True)
class Both:
    """A dev row with an expected answer, and what the student before and the one after it said."""

    row: Row
    expected: Target
    before: Prediction
    after: Prediction


@dataclass(frozen=True, slots=True)
class Change:
    """Errors ``before`` and ``after`` of ``rows`` (a row that came often counts as often). ``difference``: after less before, as a share; None where fewer than two rows could
    have the error."""

    name: str
    rows: int
    before: int
    after: int
    difference: Difference | None


def compare_students(task: Task, both: Sequence[Both], heaviest: float) -> tuple[Change, tuple[Change, ...]]:
    """Of all rows, and of each weak spot of the student before on these very rows."""
    return compare_spots(find_weak_spots(task, [(item.row, item.before) for item in both]), both, heaviest)


def compare_spots(
    spots: Sequence[WeakSpot], both: Sequence[Both], heaviest: float
) -> tuple[Change, tuple[Change, ...]]:
    """Of all rows, and of each spot; all intervals together hold with 95 %."""
    open_rows = [[item for item in both if spot.is_open_to(item.expected)] for spot in spots]
    error = ERROR / (1 + sum(len(rows) > 1 for rows in open_rows))
    changes = [
        _compare(spot.name, spot.is_in, rows, error, heaviest) for spot, rows in zip(spots, open_rows, strict=True)
    ]
    return _compare("all rows", lambda expected, got: got != expected, both, error, heaviest), tuple(changes)


def _compare(name: str, is_error: IsError, both: Sequence[Both], error: float, heaviest: float) -> Change:
    before = [is_error(item.expected, item.before.target) for item in both]
    after = [is_error(item.expected, item.after.target) for item in both]
    rows = [item.row for item in both]
    counts = [row.count for row in rows]
    return Change(
        name,
        sum(counts),
        sum(count for count, is_wrong in zip(counts, before, strict=True) if is_wrong),
        sum(count for count, is_wrong in zip(counts, after, strict=True) if is_wrong),
        compare_scores(EXACT, rows, list(map(float, after)), list(map(float, before)), error, heaviest)
        if len(rows) > 1
        else None,
    )
