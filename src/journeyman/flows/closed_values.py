"""What a task's rows choose among: the closed fields of the answer, where other fields may be open."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import Example
from journeyman.task.closed import choices_among, closed_answers
from journeyman.task.task import Task

MOST_VALUES = 128


def closed_among(task: Task) -> list[tuple[str, list[Json]]]:
    """The closed fields of a task's answer with their values; the whole answer under the name "" where it is one choice."""
    if task.schema is None:
        return []
    fields = choices_among(task.schema, MOST_VALUES)
    if not fields and (whole := closed_answers(task.schema, MOST_VALUES)) is not None:
        fields = [("", whole)]
    return [(name, values) for name, values in fields if len(values) > 1]


def read_value(row: Example, field: str) -> Json:
    """Of the row's answer; the whole of it under the name ""."""
    value = row.answer.value if row.answer is not None else None
    return value.get(field) if field and isinstance(value, dict) else value
