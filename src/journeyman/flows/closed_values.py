"""What a task's rows choose among: the closed fields of the answer, where other fields may be open."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.task.closed import choices_of
from journeyman.task.task import Task

MOST_VALUES = 128


def closed_among(task: Task) -> list[tuple[str, list[Json]]]:
    """The closed fields of a task's answer with their values; the whole answer under the name "" where it is one choice."""
    return choices_of(task.schema, MOST_VALUES)


def read_value(row: Example, field: str) -> Json:
    """Of the row's answer; the whole of it under the name ""."""
    value = row.answer.value if row.answer is not None else None
    return value.get(field) if field and isinstance(value, dict) else value
