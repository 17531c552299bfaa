"""The fields of an answer as a person who labels goes through them: read, set, and read back from what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import DataError
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.nodes import write_json
from journeyman.data.record import parse_json
from journeyman.task.answer import answer_text, arrange
from journeyman.task.closed import MOST_VALUES, SHARED, choices_among, closed_answers
from journeyman.task.schema import verifier
from journeyman.task.task import Task

NO_ANSWER = "(no answer that can be read)"


@dataclass(frozen=True, slots=True)
class Part:
    """A field of the answer, or the whole of it under the name "". ``values`` where they are few."""

    name: str
    values: tuple[Json, ...] = ()


def parts_of(task: Task) -> tuple[Part, ...]:
    """The fields that the task states; else the whole answer."""
    if task.schema is None:
        return (Part(""),)
    properties = task.schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return (Part("", tuple(closed_answers(task.schema, MOST_VALUES) or ())),)
    closed = dict(choices_among(task.schema, MOST_VALUES))
    return tuple(Part(name, tuple(closed.get(name, ()))) for name in properties)


def get_value(target: Target | None, name: str) -> Json:
    if target is None:
        return None
    if not name:
        return target.text if target.kind == "text" else target.value
    return target.value.get(name) if isinstance(target.value, dict) else None


def set_value(task: Task, target: Target | None, name: str, value: Json) -> Target:
    """The answer with this value; None takes a field away where the schema has no null for it."""
    if task.schema is None:
        return text_target(str(value))
    if not name:
        return object_target(value)
    fields = dict(target.value) if target is not None and isinstance(target.value, dict) else {}
    if value is None and not _fits(task, name, None):
        fields.pop(name, None)
    else:
        fields[name] = value
    return object_target(arrange(fields, task.schema))


def show_value(value: Json) -> str:
    """Text as it is, nothing for null, else JSON."""
    return value if isinstance(value, str) else "" if value is None else write_json(value)


def read_value(task: Task, name: str, text: str) -> tuple[Json, str]:
    """A field's value as somebody wrote it, as plain text where that fits, else as JSON; and what is wrong with it. Nothing written is no value."""
    if not text.strip() and (name not in _required(task) or _fits(task, name, None)):
        return None, ""
    candidates: list[Json] = [text]
    with suppress(DataError):
        candidates.append(parse_json(text))
    for value in candidates:
        if _fits(task, name, value):
            return value, ""
    schema = _field_schema(task, name)
    assert schema is not None, "what has no schema fits"
    return None, f"{name}: {verifier(schema).check_value(candidates[-1]).problem}"


def show_answer(task: Task, target: Target | None) -> str:
    """An answer as people are shown it: both in one form, so that none gives away whose it is."""
    if target is None:
        return NO_ANSWER
    if target.kind == ("object" if task.is_structured else "text"):
        return answer_text(task, target)
    return target.text or dump(target.to_json())


def _field_schema(task: Task, name: str) -> Mapping[str, Json] | None:
    assert task.schema is not None
    field = cast(Mapping[str, Json], task.schema["properties"])[name]
    if not isinstance(field, Mapping):
        return None
    return {**{key: task.schema[key] for key in SHARED if key in task.schema}, **field}


def _fits(task: Task, name: str, value: Json) -> bool:
    schema = _field_schema(task, name)
    return schema is None or verifier(schema).check_value(value).is_valid


def _required(task: Task) -> Sequence[str]:
    assert task.schema is not None
    return cast(Sequence[str], task.schema.get("required") or ())
