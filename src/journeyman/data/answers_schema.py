"""A schema that answers show without anybody having written it: objects with the same keys, values of the same type.

Knows no enumerations: that a value was not seen does not say that it cannot come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json

NUMBERS = frozenset({"integer", "number"})


@dataclass(frozen=True, slots=True)
class Shape:
    """``types`` are JSON Schema's names; ``fields`` of an object, in the order of the first one; ``items`` of lists, None while all were empty."""

    types: frozenset[str]
    fields: tuple[tuple[str, Shape], ...] = ()
    items: Shape | None = None


def read_shape(value: Json) -> Shape | None:
    """None for what has no schema worth having: a list of values of several types."""
    if isinstance(value, dict):
        fields = [(name, read_shape(item)) for name, item in value.items()]
        if any(shape is None for _, shape in fields):
            return None
        return Shape(frozenset({"object"}), tuple(cast("list[tuple[str, Shape]]", fields)))
    if isinstance(value, list):
        items: Shape | None = None
        for place, item in enumerate(value):
            shape = read_shape(item)
            items = shape if not place or items is None or shape is None else merge_shapes(items, shape)
            if items is None:
                return None
        return Shape(frozenset({"array"}), items=items)
    return Shape(frozenset({_name(value)}))


def merge_shapes(one: Shape, other: Shape | None) -> Shape | None:
    """What fits both; None where they are of two types, or are objects with other keys."""
    if other is None:
        return None
    types = one.types | other.types
    plain = types - {"null"}
    if len(plain) > 1 and plain != NUMBERS:
        return None
    if "object" in one.types and "object" in other.types:
        theirs = dict(other.fields)
        if theirs.keys() != dict(one.fields).keys():
            return None
        merged = [(name, merge_shapes(shape, theirs[name])) for name, shape in one.fields]
        if any(shape is None for _, shape in merged):
            return None
        return Shape(types, tuple(cast("list[tuple[str, Shape]]", merged)))
    if "array" in one.types and "array" in other.types and one.items is not None and other.items is not None:
        items = merge_shapes(one.items, other.items)
        return None if items is None else Shape(types, items=items)
    return replace(one, types=types, fields=one.fields or other.fields, items=one.items or other.items)


def write_schema(shape: Shape | None) -> dict[str, Json] | None:
    """JSON Schema of objects; None where the answers are no objects, or have no key."""
    return _write(shape) if shape is not None and shape.types == {"object"} and shape.fields else None


def _write(shape: Shape) -> dict[str, Json]:
    plain = shape.types - {"null"}
    name = "number" if plain == NUMBERS else next(iter(plain), "null")
    schema: dict[str, Json] = {"type": [name, "null"] if "null" in shape.types and plain else name}
    if name == "object":
        schema["properties"] = {key: _write(item) for key, item in shape.fields}
        schema["required"] = [key for key, _ in shape.fields]
        schema["additionalProperties"] = False
    if name == "array":
        schema["items"] = _write(shape.items) if shape.items is not None else {"type": "string"}
    return schema


def _name(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "number" if isinstance(value, float) else "string"
