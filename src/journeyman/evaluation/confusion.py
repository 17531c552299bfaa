"""Which value was given where another was expected, for the fields of an answer that are choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Target
from journeyman.evaluation.run import Prediction, Row
from journeyman.task.closed import choices_of
from journeyman.task.task import Task

NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class Confusion:
    """``counts[i][j]``: rows where ``values[i]`` was expected and ``given[j]`` came; ``given`` has one column more, for answers that are missing or
    unreadable, where there are such. Values that neither side has are left out."""

    field: str
    values: tuple[str, ...]
    given: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def find_confusions(task: Task, answered: Sequence[tuple[Row, Prediction]]) -> list[Confusion]:
    """One per field with a choice, of the rows with an expected answer; none where the output has no such field."""
    known = [(row.expected, item.target) for row, item in answered if row.expected is not None]
    return [
        _confusion(field, values, [(wanted, got) for wanted, got in known])
        for field, values in choices_of(task.schema)
        if known
    ]


def _confusion(field: str, values: Sequence[Json], pairs: Sequence[tuple[Target, Target | None]]) -> Confusion:
    counts = Counter((_read(field, wanted), _read(field, got)) for wanted, got in pairs)
    seen = {name for pair in counts for name in pair}
    named = tuple(name for name in map(dump, values) if name in seen)
    given = (*named, NO_ANSWER) if NO_ANSWER in seen else named
    return Confusion(field, named, given, tuple(tuple(counts[wanted, got] for got in given) for wanted in named))


def _read(field: str, target: Target | None) -> str:
    if target is None or target.kind != "object":
        return NO_ANSWER
    if not field:
        return dump(target.value)
    value = target.value.get(field, None) if isinstance(target.value, dict) else None
    is_there = isinstance(target.value, dict) and field in target.value
    return dump(value) if is_there else NO_ANSWER
