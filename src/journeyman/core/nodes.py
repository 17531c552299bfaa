"""Walking a JSON Schema: its subschemas with their paths, copies with changes, local references, the writing of values.

Paths are JSON pointers with a leading ``#`` (``#/properties/a``). Knows nothing about tasks or decoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import cast

from journeyman.core.canonical import Json

Node = Mapping[str, Json]
Where = str | Callable[[str], str]
"""A place for error messages: a text, or a function from a path in the schema to one (a file's line)."""

EXACT = 2**53  # every integer below it is a float

MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
SINGLES = (
    "items",
    "additionalProperties",
    "additionalItems",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contentSchema",
)


def subschemas(node: Json | Node, path: str = "#") -> Iterator[tuple[str, Json | Node]]:
    """Every subschema (objects and booleans) with its path, outermost first; values such as ``enum`` are not entered."""
    if isinstance(node, bool):
        yield path, node
    if not isinstance(node, Mapping):
        return
    yield path, node
    for key, value in node.items():
        if key in MAPS and isinstance(value, Mapping):
            for name, item in value.items():
                yield from subschemas(item, f"{path}/{key}/{escape(name)}")
        elif key in LISTS and isinstance(value, list):
            for index, item in enumerate(value):
                yield from subschemas(item, f"{path}/{key}/{index}")
        elif key in SINGLES:
            yield from subschemas(value, f"{path}/{key}")


def rebuild(node: Json, change: Callable[[dict[str, Json]], dict[str, Json]]) -> Json:
    """A copy in which each subschema that is an object went through ``change``, innermost first."""
    if not isinstance(node, dict):
        return node
    rebuilt: dict[str, Json] = {}
    for key, value in node.items():
        if key in MAPS and isinstance(value, dict):
            rebuilt[key] = {name: rebuild(item, change) for name, item in value.items()}
        elif key in LISTS and isinstance(value, list):
            rebuilt[key] = [rebuild(item, change) for item in value]
        else:
            rebuilt[key] = rebuild(value, change) if key in SINGLES else value
    return change(rebuilt)


def escape(name: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def dotted(names: Iterable[str]) -> str:
    """A place in an answer: the names of its keys with dots between, dots inside them escaped."""
    return ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)


def split_dotted(path: str) -> list[str]:
    """The names of a dotted path."""
    return [re.sub(r"\\(.)", r"\1", name) for name in re.split(r"(?<!\\)\.", path)]


def resolve(root: Node, reference: str) -> Json | Node | None:
    """The subschema that a local ``#/…`` or ``#anchor`` names, or None."""
    if reference in ("#", ""):
        return root
    if not reference.startswith("#/"):
        wanted = reference.removeprefix("#")
        found = (node for _, node in subschemas(root) if isinstance(node, Mapping) and node.get("$anchor") == wanted)
        return next(found, None)
    node: object = root
    for step in reference[2:].split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return cast(Json, node) if isinstance(node, Mapping | bool) else None


def write_json(value: Json) -> str:
    """Compact JSON as the constrained decoder writes it.

    Integral floats below 2^53 are written as integers, others without exponent (a bounded number's grammar has none);
    DEL is escaped. Mapping order is kept.

    Raises:
        ValueError: NaN or infinity.
    """
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, float):
        return _write_float(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{write_json(key)}:{write_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(write_json(item) for item in value) + "]"
    return json.dumps(value)


def _write_float(value: float) -> str:
    if value - value != 0:
        raise ValueError(f"{value} is not a JSON number")
    if value.is_integer() and abs(value) < EXACT:
        return str(int(value))
    text = format(Decimal(repr(value)), "f")
    return text if "." in text else f"{text}.0"


def place(where: Where, path: str) -> str:
    """The text that names a place of the schema in an error."""
    return where if isinstance(where, str) else where(path)
