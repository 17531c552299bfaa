"""More rows from the rows at hand: values that are copied from the input change places between rows that answer alike.

*Add Blue Train to my jazz list* and *Put Yesterday on road trip* also say *Add Yesterday to my road trip list*. What may change places is
what the task marks with `x-copy`: the value is replaced in the input's text and in the answer by another row's value of the same field,
among rows whose closed values (enums, booleans) are the same. A value that stands in the text twice, or inside another one, stays.
Knows nothing about models; the rows it is given are the training split's alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.example import Example, object_target
from journeyman.core.nodes import Node

Path = tuple[str, ...]
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Copied:
    """A string of an answer that stands in the input: its field, where it is (with list places) and which kind of value it is."""

    field: str
    place: Place
    path: Path
    value: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """``pool`` holds the values by (closed values of the answer, path). ``schema`` is the task's output."""

    schema: Node
    pool: Mapping[tuple[str, Path], Sequence[str]]

    def vary(self, example: Example, generator: random.Random, share: float = 0.5) -> Example:
        """The row with each of its copied values exchanged with probability ``share``; the row itself when none could be."""
        answer = example.answer
        if answer is None or answer.kind != "object":
            return example
        input, value = dict(example.input), answer.value
        kind = closed_values(value, self.schema)
        copied = list(copied_values(value, self.schema))
        for index, item in enumerate(copied):
            if generator.random() >= share:
                continue
            other = generator.choice(self.pool[(kind, item.path)])
            text = str(input[item.field])
            rest = [each.value for place, each in enumerate(copied) if place != index]
            where = _only_place(item.value, text, rest)
            if where is None or other in text or any(other in each or each in other for each in rest):
                continue
            input[item.field] = text[: where[0]] + other + text[where[1] :]
            value = _put(value, item.place, other)
            copied[index] = replace(item, value=other)
        if input == example.input:
            return example
        return replace(example, input=input, target=object_target(value), gold=None)


def make_exchange(schema: Node | None, rows: Sequence[Example]) -> Exchange | None:
    """None when the task copies nothing, or no row could take another's value."""
    pool: dict[tuple[str, Path], list[str]] = {}
    for row in rows if schema is not None else ():
        if row.answer is not None and row.answer.kind == "object":
            kind = closed_values(row.answer.value, cast(Node, schema))
            for item in copied_values(row.answer.value, cast(Node, schema)):
                if isinstance(row.input.get(item.field), str):
                    pool.setdefault((kind, item.path), []).append(item.value)
    is_useful = any(len(set(values)) > 1 for values in pool.values())
    return Exchange(cast(Node, schema), pool) if is_useful else None


def copied_values(value: Json, schema: Node) -> Iterator[Copied]:
    """Every non-empty string of the answer whose schema says `x-copy`."""
    for place, node, leaf in _leaves(value, schema, ()):
        field = node.get("x-copy")
        if isinstance(field, str) and isinstance(leaf, str) and leaf:
            path = tuple(step for step in place if isinstance(step, str))
            yield Copied(field, place, path, leaf)


def closed_values(value: Json, schema: Node) -> str:
    """The answer's values of few possible ones, as one text."""
    closed = [(list(place), leaf) for place, node, leaf in _leaves(value, schema, ()) if _is_closed(node)]
    return dump(cast(Json, closed))


def _is_closed(node: Node) -> bool:
    return "enum" in node or "const" in node or node.get("type") == "boolean"


def _leaves(value: Json, schema: Json | Node, place: Place) -> Iterator[tuple[Place, Node, Json]]:
    """Scalars with their place and their schema, through `properties` and `items`."""
    if not isinstance(schema, Mapping):
        return
    if isinstance(value, dict):
        properties = schema.get("properties")
        for name, item in value.items():
            if isinstance(properties, Mapping) and name in properties:
                yield from _leaves(item, properties[name], (*place, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, schema.get("items"), (*place, index))
    else:
        yield place, schema, value


def _only_place(value: str, text: str, others: Sequence[str]) -> tuple[int, int] | None:
    """Where the value stands, when it does so once, as whole words, and neither holds another value nor lies in one."""
    if any(value in other or other in value for other in others):
        return None
    found = list(re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", text))
    return found[0].span() if len(found) == 1 else None


def _put(value: Json, place: Place, leaf: str) -> Json:
    if not place:
        return leaf
    step, *rest = place
    if isinstance(value, dict):
        return {name: _put(item, tuple(rest), leaf) if name == step else item for name, item in value.items()}
    return [
        _put(item, tuple(rest), leaf) if index == step else item for index, item in enumerate(cast(list[Json], value))
    ]
