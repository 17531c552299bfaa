"""Closed schemas: those that allow a short list of answers and nothing else, so that each answer can have a name of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, product
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.nodes import Node, resolve
from journeyman.task.answer import arrange
from journeyman.task.schema import verifier

MOST = 1024  # answers; more of them are no choice
MOST_VALUES = 128  # of a choice that people look at: tables, doubts, labels
Values = list[Json]
SHARED = ("$defs", "definitions")
PLAIN = {"type", "properties", "required", "additionalProperties", "title", "description", "$schema", *SHARED}


def closed_answers(schema: Node, most: int = MOST) -> list[Json] | None:
    """Every value that fits the schema, in the order in which it states them; None when there are more than ``most``, or no end of them."""
    found = _values(schema, schema, most, frozenset())
    if found is None:
        return None
    check = verifier(schema).check_value
    distinct = {dump(value): arrange(value, schema) for value in found if check(value).is_valid}
    return list(distinct.values())


def closed_fields(schema: Node, most: int = MOST) -> list[tuple[str, list[Json]]] | None:
    """What is chosen, and from which values: each field of a plain object by its name, or the whole answer under the name "".

    None: some field is open, or has more than ``most`` values.
    """
    if not _is_plain_object(schema):
        whole = closed_answers(schema, most)
        return None if whole is None else [("", whole)]
    closed = choices_among(schema, most)
    return closed if len(closed) == len(cast(Mapping[str, Json], schema["properties"])) else None


def choices_among(schema: Node, most: int = MOST) -> list[tuple[str, list[Json]]]:
    """The fields of an object that are choices, whatever the others are; nothing for other schemas."""
    properties, shared = schema.get("properties"), {key: schema[key] for key in SHARED if key in schema}
    if not isinstance(properties, Mapping):
        return []
    found = [
        (name, closed_answers({**shared, **field}, most))
        for name, field in properties.items()
        if isinstance(field, Mapping)
    ]
    return [(name, values) for name, values in found if values is not None]


def choices_of(schema: Node | None, most: int = MOST_VALUES) -> list[tuple[str, list[Json]]]:
    """What there is to choose, whatever else the answer holds: the closed fields of an object, or the whole answer under the name "", with more than one value each."""
    if schema is None:
        return []
    fields = choices_among(schema, most)
    if not fields and (whole := closed_answers(schema, most)) is not None:
        fields = [("", whole)]
    return [(name, values) for name, values in fields if len(values) > 1]


def _is_plain_object(schema: Node) -> bool:
    """Whether its answers are all combinations of its fields' values."""
    fields, required = schema.get("properties"), schema.get("required")
    return (
        schema.keys() <= PLAIN
        and isinstance(fields, Mapping)
        and all(isinstance(field, Mapping) for field in fields.values())
        and isinstance(required, list)
        and set(required) == set(fields)
        and schema.get("additionalProperties") is False
    )


def _values(node: object, root: Node, most: int, seen: frozenset[str]) -> Values | None:
    """Candidates: all that fit, perhaps some that do not. None: too many."""
    if not isinstance(node, Mapping):
        return None
    if "const" in node:
        return [node["const"]]
    listed = node.get("enum")
    if isinstance(listed, list):
        return _at_most(listed, most)
    reference = node.get("$ref")
    if isinstance(reference, str):
        return None if reference in seen else _values(resolve(root, reference), root, most, seen | {reference})
    for key in ("anyOf", "oneOf"):
        branches = node.get(key)
        if isinstance(branches, list):
            return _union([_values(branch, root, most, seen) for branch in branches], most)
    kinds = node.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return _union([_of_kind(kind, node, root, most, seen) for kind in kinds], most)


def _of_kind(kind: object, node: Node, root: Node, most: int, seen: frozenset[str]) -> Values | None:
    if kind == "boolean":
        return [False, True]
    if kind == "null":
        return [None]
    if kind == "integer":
        least, largest = node.get("minimum"), node.get("maximum")
        is_short = isinstance(least, int) and isinstance(largest, int) and largest - least < most
        return list(range(least, largest + 1)) if is_short else None  # type: ignore[arg-type,operator]
    return _objects(node, root, most, seen) if kind == "object" else None


def _objects(node: Node, root: Node, most: int, seen: frozenset[str]) -> Values | None:
    """The product of the fields' values; a field that may be missing has one value more."""
    fields, required = node.get("properties"), node.get("required")
    if not isinstance(fields, Mapping) or node.get("additionalProperties") is not False or "patternProperties" in node:
        return None
    needed = required if isinstance(required, list) else []
    count, columns = 1, []
    for name, field in fields.items():
        values = _values(field, root, most, seen)
        if values is None:
            return None
        pairs: list[dict[str, Json]] = [{name: value} for value in values] + ([] if name in needed else [{}])
        count *= len(pairs)
        if count > most:
            return None
        columns.append(pairs)
    return [dict(chain.from_iterable(part.items() for part in parts)) for parts in product(*columns)]


def _union(parts: Sequence[Values | None], most: int) -> Values | None:
    known: Iterator[Values] = (part for part in parts if part is not None)
    found = list(chain.from_iterable(known))
    return None if any(part is None for part in parts) else _at_most(found, most)


def _at_most(values: Values, most: int) -> Values | None:
    return list(values) if len(values) <= most else None
