"""How small and how large an answer to a schema can be.

Knows nothing about tokenizers: a token is at least one byte of the answer, so bytes bound tokens from above.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.nodes import Node, resolve, write_json

NUMBER_BYTES = 32
END_OF_TURN_TOKENS = 1
CHARACTER_BYTES = 6  # one code point: at most 4 bytes of UTF-8, or an escape of 6
FORMAT_BYTES = {"date": 12, "time": 32, "date-time": 48, "uuid": 38, "ipv4": 17, "ipv6": 47}


def has_finite_value(schema: Node) -> bool:
    """Whether some finite value can satisfy the schema's nesting: false for an object that must contain itself."""
    return _is_finite(schema, schema, frozenset())


def max_answer_tokens(schema: Node) -> int | None:
    """An upper bound of the answer's tokens with its end-of-turn, or None where the schema sets none.

    Unbounded numbers count as 32 bytes; strings without ``maxLength``, open objects, lists without ``maxItems``,
    recursion and ``allOf`` have no bound.
    """
    size = _max_bytes(schema, schema, frozenset())
    return None if size is None else size + END_OF_TURN_TOKENS


def _is_finite(node: object, root: Node, seen: frozenset[str]) -> bool:
    if not isinstance(node, Mapping):
        return node is not False
    reference = node.get("$ref")
    if isinstance(reference, str) and (
        reference in seen or not _is_finite(resolve(root, reference), root, seen | {reference})
    ):
        return False
    if not all(_is_finite(item, root, seen) for item in _list(node, "allOf")):
        return False
    for key in ("anyOf", "oneOf"):
        if key in node and not any(_is_finite(item, root, seen) for item in _list(node, key)):
            return False
    return _has_finite_type(node, root, seen)


def _has_finite_type(node: Node, root: Node, seen: frozenset[str]) -> bool:
    kinds = node.get("type", ["null"])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind == "object":
            fields = _map(node, "properties")
            rest = node.get("additionalProperties", True)
            needed = [fields.get(cast(str, name), rest) for name in _list(node, "required")]
        elif kind == "array":
            first = _list(node, "prefixItems")
            count = cast(int, node.get("minItems", 0))
            needed = [*first[:count], *([node.get("items", True)] if count > len(first) else [])]
        else:
            return True
        if all(_is_finite(item, root, seen) for item in needed):
            return True
    return False


def _max_bytes(node: object, root: Node, seen: frozenset[str]) -> int | None:
    if not isinstance(node, Mapping) or "allOf" in node:
        return None
    if "enum" in node or "const" in node:
        values = _list(node, "enum") if "enum" in node else [cast(Json, node["const"])]
        return max((len(write_json(value).encode("utf-8", "surrogatepass")) for value in values), default=0)
    reference = node.get("$ref")
    if isinstance(reference, str):
        return None if reference in seen else _max_bytes(resolve(root, reference), root, seen | {reference})
    for key in ("anyOf", "oneOf"):
        if key in node:
            return _largest([_max_bytes(item, root, seen) for item in _list(node, key)])
    kinds = node.get("type")
    names = kinds if isinstance(kinds, list) else [kinds]
    return _largest([_type_bytes(name, node, root, seen) for name in names])


def _type_bytes(kind: object, node: Node, root: Node, seen: frozenset[str]) -> int | None:
    if kind == "null":
        return 4
    if kind == "boolean":
        return 5
    if kind in ("integer", "number"):
        return NUMBER_BYTES
    if kind == "string":
        limit = node.get("maxLength")
        if isinstance(limit, int):
            return limit * CHARACTER_BYTES + 2
        return FORMAT_BYTES.get(str(node.get("format")))
    if kind == "object":
        return _object_bytes(node, root, seen)
    return _array_bytes(node, root, seen) if kind == "array" else None


def _object_bytes(node: Node, root: Node, seen: frozenset[str]) -> int | None:
    if node.get("additionalProperties") is not False or "patternProperties" in node:
        return None
    total = 2
    for name, item in _map(node, "properties").items():
        size = _max_bytes(item, root, seen)
        if size is None:
            return None
        total += len(write_json(name).encode("utf-8", "surrogatepass")) + 2 + size
    return total


def _array_bytes(node: Node, root: Node, seen: frozenset[str]) -> int | None:
    first = _list(node, "prefixItems")
    rest = node.get("items", True)
    limit = len(first) if rest is False else node.get("maxItems")
    if not isinstance(limit, int):
        return None
    sizes = [_max_bytes(item, root, seen) for item in first[:limit]]
    if limit > len(first):
        size = _max_bytes(rest, root, seen)
        sizes += [size] * (limit - len(first))
    if any(size is None for size in sizes):
        return None
    return 2 + sum(cast(int, size) + 1 for size in sizes)


def _largest(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return max(known, default=None) if len(known) == len(sizes) else None


def _list(node: Node, key: str) -> list[Json]:
    value = node.get(key)
    return value if isinstance(value, list) else []


def _map(node: Node, key: str) -> dict[str, Json]:
    value = node.get(key)
    return value if isinstance(value, dict) else {}
