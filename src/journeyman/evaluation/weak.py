"""Where a student errs on dev: wrong rows by what is wrong with them, named, the most frequent first. Sealed rows are not looked at.

A row has one spot: the first closed field that is wrong (what was expected, and what came), else the first field that is missing, other or too much, else the
answer as a whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Target
from journeyman.evaluation.run import Prediction, Row
from journeyman.measure.metrics import flatten
from journeyman.task.closed import MOST_VALUES, choices_among, closed_answers
from journeyman.task.task import Task

MOST_LETTERS = 80
"""Of a field or a value in a name."""
Kind = Literal["taken for another", "missing", "other than expected", "too much", "no answer", "another text"]


@dataclass(frozen=True, slots=True)
class WeakSpot:
    """``errors`` of the ``rows`` that could have it: whose expected answer has ``field`` (with that ``value``, where its values are few), or has it not, where it came too much."""

    field: str
    kind: Kind
    value: Json
    given: Json
    errors: int
    rows: int

    @property
    def name(self) -> str:
        """For people: what a field or a value holds of control characters is written out."""
        field = _plain(self.field) or "the answer"
        if self.kind == "taken for another":
            return f"{field} {_plain(dump(self.value))} taken for {_plain(dump(self.given))}"
        return f"{field} {self.kind}"

    @property
    def identity(self) -> list[Json]:
        """What it is about, without how often it came."""
        return [self.field, self.kind, self.value, self.given]

    def is_open_to(self, expected: Target) -> bool:
        """Whether a row with this expected answer could have the error."""
        if self.kind in ("no answer", "another text"):
            return True
        wanted = _leaves(expected)
        if self.kind == "taken for another":
            return self.field in wanted and dump(wanted[self.field]) == dump(self.value)
        return (self.field in wanted) != (self.kind == "too much")

    def is_in(self, expected: Target, got: Target | None) -> bool:
        """Whether an answer has the error, whatever else is wrong with it."""
        if got is None or self.kind == "no answer":
            return got is None and self.kind == "no answer"
        if self.kind == "another text":
            return got != expected
        if not self.is_open_to(expected):
            return False
        wanted, given = _leaves(expected), _leaves(got)
        if self.kind == "taken for another":
            return dump(given.get(self.field)) == dump(self.given)
        if self.kind == "other than expected":
            return self.field in given and given[self.field] != wanted[self.field]
        return (self.field in given) == (self.kind == "too much")

    def is_part_of(self, answer: Target) -> bool:
        """Whether a row with this answer teaches what the student lacks: of two values that it takes for each other, one with either. Errors without a part of their own, and
        fields that came too much, have no such rows."""
        leaves = _leaves(answer)
        if self.kind == "taken for another":
            return self.field in leaves and dump(leaves[self.field]) in (dump(self.value), dump(self.given))
        return self.kind in ("missing", "other than expected") and self.field in leaves

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name} | {name: getattr(self, name) for name in self.__dataclass_fields__}


def find_weak_spots(task: Task, answered: Sequence[tuple[Row, Prediction]], most: int = 10) -> list[WeakSpot]:
    """The ``most`` frequent of them, weighted by how often a row came."""
    closed = _closed_fields(task)
    known = [(row.expected, item.target, row.count) for row, item in answered if row.expected is not None]
    errors: Counter[tuple[str, Kind, str, str]] = Counter()
    for expected, got, count in known:
        if got != expected:
            errors[_find_spot(expected, got, closed)] += count
    spots = []
    for (field, kind, value, given), count in errors.most_common(most):
        spot = WeakSpot(field, kind, _parse(value), _parse(given), count, 0)
        spots.append(replace(spot, rows=sum(times for expected, _got, times in known if spot.is_open_to(expected))))
    return spots


def _closed_fields(task: Task) -> set[str]:
    """Fields that are choices; the answer itself, "", where it is one."""
    if task.schema is None:
        return set()
    if "properties" not in task.schema and closed_answers(task.schema, MOST_VALUES):
        return {""}
    return {field for field, _values in choices_among(task.schema, MOST_VALUES)}


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


def _leaves(target: Target) -> dict[str, Json]:
    return flatten(target.value) if target.kind == "object" else {}


def _plain(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[: MOST_LETTERS + 1])
    return shown if len(shown) <= MOST_LETTERS else shown[: MOST_LETTERS - 1] + "…"


def _parse(text: str) -> Json:
    return cast(Json, json.loads(text)) if text else None
