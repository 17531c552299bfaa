"""Where a student errs on dev: wrong rows by what is wrong with them, named, the most frequent first. Sealed rows are not looked at.

A row has one spot: the first closed field that is wrong (what was expected, and what came), else the first field that is missing, other or too much, else the
answer as a whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Target
from journeyman.evaluation.run import Prediction, Row
from journeyman.measure.metrics import flatten
from journeyman.task.closed import choices_among
from journeyman.task.task import Task

MOST_VALUES = 128
Kind = Literal["taken for another", "missing", "other than expected", "too much", "no answer", "another text"]


@dataclass(frozen=True, slots=True)
class WeakSpot:
    """``errors`` of the ``rows`` on which the expected answer has ``field`` (with that ``value``, where its values are few)."""

    field: str
    kind: Kind
    value: Json
    given: Json
    errors: int
    rows: int

    @property
    def name(self) -> str:
        field = self.field or "the answer"
        if self.kind == "taken for another":
            return f"{field} {dump(self.value)} taken for {dump(self.given)}"
        return f"{field} {self.kind}"

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name} | {name: getattr(self, name) for name in self.__dataclass_fields__}


def find_weak_spots(task: Task, answered: Sequence[tuple[Row, Prediction]], most: int = 10) -> list[WeakSpot]:
    """The ``most`` frequent of them, weighted by how often a row came."""
    closed = {field for field, _values in choices_among(task.schema, MOST_VALUES)} if task.schema else set()
    errors: Counter[tuple[str, Kind, str, str]] = Counter()
    having: Counter[tuple[str, str]] = Counter()
    for row, item in answered:
        if row.expected is None:
            continue
        wanted = flatten(row.expected.value)
        having.update({(field, ""): row.count for field in wanted} | {("", ""): row.count})
        having.update({(field, dump(value)): row.count for field, value in wanted.items() if field in closed})
        if item.target != row.expected:
            errors[_find_spot(row.expected, item.target, closed)] += row.count
    spots = []
    for (field, kind, value, given), count in errors.most_common(most):
        rows = having[field, value if kind == "taken for another" else ""] or having["", ""]
        spots.append(WeakSpot(field, kind, _parse(value), _parse(given), count, rows))
    return spots


def _find_spot(expected: Target, got: Target | None, closed: set[str]) -> tuple[str, Kind, str, str]:
    if got is None:
        return "", "no answer", "", ""
    if expected.kind != "object" or got.kind != "object":
        return "", "another text", "", ""
    wanted, given = flatten(expected.value), flatten(got.value)
    for field in [name for name in wanted if name in closed]:
        if wanted[field] != given.get(field):
            return field, "taken for another", dump(wanted[field]), dump(given.get(field))
    for field, value in wanted.items():
        if field not in given:
            return field, "missing", "", ""
        if given[field] != value:
            return field, "other than expected", "", ""
    extra = next((field for field in given if field not in wanted), "")
    return extra, "too much", "", ""


def _parse(text: str) -> Json:
    return cast(Json, json.loads(text)) if text else None
