"""Whether two JSON Schemas admit the same answers, as far as their form tells.

Annotations, the order of ``required`` and ``enum``, a ``type`` that an ``enum`` already implies and the place of a
definition do not count. Two schemas that differ otherwise are different, even if a proof could show them equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from journeyman.core.canonical import Json, content_hash, dump
from journeyman.core.nodes import resolve

ANNOTATIONS = (
    "title",
    "description",
    "$schema",
    "$id",
    "$comment",
    "default",
    "examples",
    "deprecated",
    "x-guidance",
    "x-order",
    "x-copy",
)
NAMED = ("properties", "patternProperties")
TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def has_same_shape(first: Mapping[str, Json], second: Mapping[str, Json]) -> bool:
    return content_hash(_shape(dict(first), first, ())) == content_hash(_shape(dict(second), second, ()))


def _shape(node: Json, root: Mapping[str, Json], seen: tuple[str, ...]) -> Json:
    if isinstance(node, list):
        return [_shape(item, root, seen) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if key not in ANNOTATIONS}
    reference = node.get("$ref")
    if isinstance(reference, str) and reference not in seen and len(node) == 1:
        return _shape(cast(Json, resolve(root, reference)), root, (*seen, reference))
    kept = {key: _keyword(key, value, root, seen) for key, value in node.items() if key not in ("$defs", "definitions")}
    if "const" in kept:
        kept["enum"] = [kept.pop("const")]
    if isinstance(kept.get("enum"), list) and _implies(cast(list[Json], kept["enum"]), kept.get("type")):
        kept.pop("type", None)
    return kept


def _keyword(key: str, value: Json, root: Mapping[str, Json], seen: tuple[str, ...]) -> Json:
    if key in NAMED and isinstance(value, dict):
        return {name: _shape(item, root, seen) for name, item in value.items()}
    if key == "const":
        return value
    if key in ("required", "enum", "type") and isinstance(value, list):
        return sorted(value, key=dump)
    return _shape(value, root, seen)


def _implies(values: list[Json], types: Json) -> bool:
    names = types if isinstance(types, list) else [types]
    allowed = [kind for name in names for kind in TYPES.get(str(name), ())]
    return all(type(value) in allowed for value in values)
