"""A JSON Schema as Anthropic's constrained decoding takes it: closed objects, lists, values and references; every other word becomes part of the description.

Which words it takes: its documentation of structured outputs, "JSON Schema limitations". What is not held by the decoding is still verified in the answer by who asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json, dump
from journeyman.core.nodes import Node, rebuild, resolve, subschemas

KEPT = (
    "type",
    "enum",
    "const",
    "anyOf",
    "allOf",
    "$ref",
    "$defs",
    "definitions",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "title",
    "description",
)
FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
SILENT = ("$schema", "$id", "$comment", "default", "examples", "deprecated")
STRUCTURE = ("patternProperties", "prefixItems", "$anchor", "$dynamicRef")


def fit_schema(schema: Node) -> dict[str, Json] | None:
    """None where it cannot be held to the same shape: an open object, values that are no scalars, a reference that comes back to itself."""
    if not all(_is_closed(node) for _, node in subschemas(schema)) or _is_endless(schema, schema, ()):
        return None
    fitted = rebuild(dict(schema), _fit)
    return fitted if isinstance(fitted, dict) else None


def _fit(node: dict[str, Json]) -> dict[str, Json]:
    kept = {word: value for word, value in node.items() if _is_kept(word, value)}
    if "oneOf" in node and "anyOf" not in node:
        kept["anyOf"] = node["oneOf"]
    lost = {word: value for word, value in node.items() if word not in kept and word not in (*SILENT, "oneOf")}
    told = {word: value for word, value in lost.items() if not word.startswith("x-")}
    if told:
        kept["description"] = f"{node['description']} {dump(told)}" if node.get("description") else dump(told)
    return kept


def _is_kept(word: str, value: Json) -> bool:
    return word in KEPT or (word == "format" and value in FORMATS) or (word == "minItems" and value in (0, 1))


def _is_closed(node: Json | Node) -> bool:
    if not isinstance(node, Mapping):
        return node is False  # of additionalProperties; true lets anything through
    types = node.get("type")
    is_object = "properties" in node or types == "object" or (isinstance(types, list) and "object" in types)
    values = node.get("enum") or [node.get("const")]
    is_plain = isinstance(values, list) and not any(isinstance(value, list | dict) for value in values)
    is_known = not any(word in node for word in STRUCTURE)
    return is_plain and is_known and (not is_object or node.get("additionalProperties") is False)


def _is_endless(node: Json | Node, root: Node, seen: tuple[str, ...]) -> bool:
    """Whether following references from ``node`` comes back to one that is being followed, or leaves the document."""
    for _, part in subschemas(node):
        reference = part.get("$ref") if isinstance(part, Mapping) else None
        if reference is None:
            continue
        if not isinstance(reference, str) or not reference.startswith("#/") or reference in seen:
            return True
        if _is_endless(resolve(root, reference) or {}, root, (*seen, reference)):
            return True
    return False
