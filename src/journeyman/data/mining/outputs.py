"""The schema that a prompt's answers show: what was asked for, else a choice of words, an object's keys, the arguments of one tool, or text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from journeyman.core.canonical import Json, content_hash
from journeyman.core.errors import UserError
from journeyman.data.answers_schema import Shape, merge_shapes, read_shape, write_schema
from journeyman.data.mining.call import Seen, tool_name
from journeyman.task.schema import admit

NEARLY_ALL = 0.9
MOST_CHOICES, TIMES = 20, 10
"""A text is one of a few where there are so many at the most, each came twice or more, and there are so many times more answers than choices."""
LONGEST_CHOICE = 60


def infer_schema(calls: Sequence[Seen]) -> dict[str, Json] | None:
    """None for free text. A task can keep what is returned."""
    answered = [seen for seen in calls if seen.call.answer.kind]
    if not answered:
        return None
    for make in (_requested, _object, _arguments, _choice):
        schema = make(answered)
        if schema is not None and _is_admitted(schema):
            return schema
    return None


def find_choices(texts: Iterable[str]) -> list[str]:
    """The values of a closed text, the most common first; none where it is not shown to be one."""
    counts = Counter(texts)
    is_closed = (
        1 < len(counts) <= MOST_CHOICES
        and counts.total() >= TIMES * len(counts)
        and min(counts.values()) > 1
        and all(0 < len(text) <= LONGEST_CHOICE for text in counts)
    )
    return [text for text, _ in counts.most_common()] if is_closed else []


def _requested(calls: Sequence[Seen]) -> dict[str, Json] | None:
    """What nearly all calls asked for."""
    asked = {content_hash(dict(seen.schema)): seen.schema for seen in calls if seen.schema is not None}
    counts = Counter(content_hash(dict(seen.schema)) for seen in calls if seen.schema is not None)
    if not counts:
        return None
    hash, count = counts.most_common(1)[0]
    return dict(asked[hash]) if count >= NEARLY_ALL * len(calls) else None


def _object(calls: Sequence[Seen]) -> dict[str, Json] | None:
    """Of objects the keys that they have; a key that some lack is not required."""
    values = [seen.call.answer.value for seen in calls if isinstance(seen.call.answer.value, dict)]
    if len(values) < NEARLY_ALL * len(calls):
        return None
    return _describe(values)


def _describe(values: Sequence[Json]) -> dict[str, Json] | None:
    objects = [value for value in values if isinstance(value, dict)]
    counts = Counter(key for value in objects for key in value)
    names = [name for name in dict.fromkeys(key for value in objects for key in value) if counts[name] > 1]
    fields: dict[str, Json] = {}
    for name in names:
        found = [value[name] for value in objects if name in value]
        schema = _field(found)
        if schema is None:
            return None
        fields[name] = schema
    if not fields or any(counts[name] < 0.02 * len(objects) for name in fields):
        return None
    required: list[Json] = [name for name in fields if counts[name] == len(objects)]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def _field(values: Sequence[Json]) -> dict[str, Json] | None:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) == len(values) and (choices := find_choices(texts)):
        return {"type": "string", "enum": cast(list[Json], sorted(choices))}
    if values and all(isinstance(value, dict) for value in values):
        return _describe(values)
    merged: Shape | None = None
    for place, value in enumerate(values):
        shape = read_shape(value)
        merged = shape if not place else merge_shapes(merged, shape) if merged and shape else None
        if merged is None:
            return None
    whole = write_schema(Shape(frozenset({"object"}), (("field", cast(Shape, merged)),)))
    return cast(dict[str, dict[str, Json]], cast(dict[str, Json], whole)["properties"])["field"]


def _arguments(calls: Sequence[Seen]) -> dict[str, Json] | None:
    """Where one tool is called by nearly all: what it takes, as it was sent; else what it was given."""
    named = Counter(seen.call.answer.keys for seen in calls if seen.call.answer.kind == "calls")
    keys, count = named.most_common(1)[0] if named else ((), 0)
    if len(keys) != 1 or count < NEARLY_ALL * len(calls):
        return None
    for tool in calls[-1].tool_schemas:
        inner = cast(Mapping[str, Json], tool.get("function") or tool)
        parameters = inner.get("parameters") or inner.get("input_schema")
        if tool_name(tool) == keys[0] and isinstance(parameters, dict) and parameters.get("properties"):
            return dict(parameters)
    return None


def _choice(calls: Sequence[Seen]) -> dict[str, Json] | None:
    """A text that is one of a few, in nearly all answers."""
    labels = Counter(seen.call.answer.label for seen in calls if seen.call.answer.label)
    common = [label for label, count in labels.most_common() if count > max(1, 0.002 * len(calls))]
    if sum(labels[label] for label in common) < 0.95 * len(calls):
        return None
    choices = find_choices(label for label in common for _ in range(labels[label]))
    return {"type": "string", "enum": cast(list[Json], sorted(choices))} if choices else None


def _is_admitted(schema: Mapping[str, Json]) -> bool:
    try:
        admit(schema, "discover")
    except UserError:
        return False
    return True
