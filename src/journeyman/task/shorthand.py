"""Shorthand for schemas: ``intent: {enum: [a, b]}``, ``tags: [string]``, ``note?: string``, ``due: date?``.

A mapping that already is JSON Schema is taken as it is. What shorthand makes is closed, with keys in declared order.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.grammar import COPY, ORDER
from journeyman.core.nodes import LISTS, MAPS, SINGLES, Where, escape, place

SCALARS: Mapping[str, dict[str, Json]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "date-time": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
    "uri": {"type": "string", "format": "uri"},
    "uuid": {"type": "string", "format": "uuid"},
}
TYPES = ("string", "integer", "number", "boolean", "object", "array", "null")
KEYWORDS = frozenset(
    (
        *MAPS,
        *LISTS,
        *SINGLES,
        *("$schema", "$id", "$ref", "$anchor", "$comment", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "type"),
        *("enum", "const", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"),
        *("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "uniqueItems"),
        *("minContains", "maxContains", "required", "minProperties", "maxProperties", "dependentRequired"),
        *("dependencies", ORDER, COPY),
    )
)
SIGNS = ("$schema", "$ref", "$defs", "$id", "anyOf", "oneOf", "allOf", "const", "enum")


def expand(raw: object, where: Where, path: str = "#") -> dict[str, Json]:
    """Turn shorthand into JSON Schema; JSON Schema comes back as it is.

    Args:
        raw: a type name, a list of one item, a mapping of fields, or JSON Schema.
        where: place for error messages; ``path`` is where ``raw`` stands in what was written.

    Raises:
        TaskError: JM-210 not understood, JM-217 could be read both ways.
    """
    if isinstance(raw, str):
        return _expand_name(raw, where, path)
    if isinstance(raw, list):
        if len(raw) != 1:
            raise _not_understood("a list type has exactly one item", "[string]", repr(raw), where, path)
        return {"type": "array", "items": expand(raw[0], where, f"{path}/0")}
    if isinstance(raw, Mapping):
        if is_json_schema(raw, where, path):
            return cast(dict[str, Json], _copy(raw))
        return _expand_object(raw, where, path)
    raise _not_understood("this is not a type", " | ".join(SCALARS), repr(raw), where, path)


def is_json_schema(raw: Mapping[str, object], where: Where = "", path: str = "#") -> bool:
    """Whether a mapping is JSON Schema rather than shorthand for an object's fields.

    It is when every key is a keyword and ``type`` names JSON types, or ``properties``, ``enum``, ``$ref`` and the
    like have the form they have there.

    Raises:
        TaskError: JM-217 when both readings are sensible, as in ``{type: string, title: string}``.
    """
    if not set(raw) <= KEYWORDS and not any(key.startswith("$") for key in raw):
        return False
    typed = raw.get("type")
    has_type = _names_types(typed)
    has_sign = any(_is_sign(key, raw[key]) for key in SIGNS if key in raw)
    has_fields = isinstance(raw.get("properties"), Mapping) and _is_schema_map(raw["properties"])
    if not (has_type or has_sign or has_fields):
        return False
    rivals = [key for key in ("title", "description", "format", "pattern", "default") if raw.get(key) in SCALARS]
    rivals = [key for key in rivals if not (key == "format" and typed == "string")]
    if has_type and not has_fields and rivals:
        raise TaskError(
            "JM-217",
            f"{path} can be read as JSON Schema and as an object's fields",
            where=place(where, path),
            expected="one reading",
            got=f"{{{', '.join(map(str, raw))}}}",
            hint="for an object write {type: object, properties: {...}, required: [...], additionalProperties: false}; "
            f"for one value, another text than a type's name for {rivals[0]}",
        )
    return True


def close(schema: Mapping[str, Json]) -> dict[str, Json]:
    """The schema with ``additionalProperties: false`` on every object that lists properties and does not say."""
    closed = cast(dict[str, Json], _copy(schema))
    _close(closed)
    return closed


def _close(node: Json) -> None:
    if isinstance(node, list):
        for item in node:
            _close(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
        node["additionalProperties"] = False
    for key, value in node.items():
        if key in MAPS and isinstance(value, dict):
            for item in value.values():
                _close(item)
        elif key in LISTS or key in SINGLES:
            _close(value)


def _expand_name(raw: str, where: Where, path: str) -> dict[str, Json]:
    name = raw.removesuffix("?")
    if name not in SCALARS:
        near = get_close_matches(name, SCALARS, 1)
        hint = f"did you mean {near[0]}?" if near else "use a type's name, [item], {enum: [...]}, fields or JSON Schema"
        raise _not_understood("unknown type", " | ".join(SCALARS), repr(raw), where, path, hint)
    schema = dict(SCALARS[name])
    if raw.endswith("?"):
        schema["type"] = [schema["type"], "null"]
    return schema


def _expand_object(raw: Mapping[str, object], where: Where, path: str) -> dict[str, Json]:
    if not raw:
        raise _not_understood("an object without fields", "at least one field", "{}", where, path)
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for key, item in raw.items():
        name = key.removesuffix("?")
        if not name or name in properties:
            raise _not_understood("a field needs a name of its own", "name or name?", repr(key), where, path)
        properties[name] = expand(item, where, f"{path}/{escape(key)}")
        if not key.endswith("?"):
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _names_types(value: object) -> bool:
    return (
        value in TYPES
        if isinstance(value, str)
        else isinstance(value, list) and bool(value) and all(item in TYPES for item in value)
    )


def _is_sign(key: str, value: object) -> bool:
    if key == "const":
        return True
    if key == "enum":
        return isinstance(value, list)
    if key in ("anyOf", "oneOf", "allOf"):
        return isinstance(value, list) and all(isinstance(item, Mapping | bool) for item in value)
    return isinstance(value, Mapping) if key == "$defs" else isinstance(value, str)


def _is_schema_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(item, Mapping | bool) for item in value.values())


def _copy(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy(item) for item in value]
    return value


def _not_understood(what: str, expected: str, got: str, where: Where, path: str, hint: str = "") -> TaskError:
    return TaskError(
        "JM-210", f"{what} at {path}", where=place(where, path), expected=expected, got=f"{got:.120}", hint=hint
    )
