"""Tasks whose answers are calls of tools, as their output's schema says it: objects of a tool's name and its arguments, one or a list of them.

    {calls: [{name: const weather, arguments: {city: string}}, or {name: const ..., arguments: ...}]}

Inputs are spread over what a caller can need: each tool, none, one without something that it must be told, several. That an answer's arguments fit the tool's own schema is what the
task's schema says already. Knows nothing about `tools` of a provider's API: a task has no such part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.nodes import Node, resolve
from journeyman.data.synthesis.cells import MOST_VALUES

NAMES, ARGUMENTS = ("name", "tool", "function"), ("arguments", "parameters", "args", "input")
NONE, SEVERAL = "no tool", "several tools"


@dataclass(frozen=True, slots=True)
class ToolAxis:
    """What rows are balanced by: one tool by its name, none, several. ``field`` holds the calls (empty: they are the answer); ``name_key`` is where a call says its tool's."""

    field: str
    name_key: str
    tools: tuple[str, ...]
    has_none: bool
    has_several: bool

    @property
    def values(self) -> tuple[Json, ...]:
        return (*self.tools, *((NONE,) if self.has_none else ()), *((SEVERAL,) if self.has_several else ()))

    def read(self, answer: Json) -> str:
        held = answer.get(self.field) if self.field and isinstance(answer, dict) else answer
        calls = held if isinstance(held, list) else [held] if isinstance(held, dict) else []
        if len(calls) > 1:
            return dump(SEVERAL)
        return dump(calls[0].get(self.name_key) if calls and isinstance(calls[0], dict) else NONE)

    def describe(self, value: Json, number: int) -> str:
        """What the inputs of call ``number`` are to need: in ways that turn when each value had its own."""
        turn = number // len(self.values)
        if value == NONE:
            needs = (
                "answered without any tool, though it looks like something for one",
                "for one tool, but it leaves out something that the tool must be told, and that cannot be guessed",
                "not what any of the tools is for",
            )
            return f"the input is {needs[turn % len(needs)]}; the right answer calls none"
        if value == SEVERAL:
            ways = [f"both {dump(one)} and {dump(other)}" for one, other in combinations(self.tools, 2)]
            ways += [f"{dump(name)} twice, with other arguments" for name in self.tools]
            return f"the input needs more than one call: {ways[turn % len(ways)]}"
        arguments = ("all", "the least possible", "some")[turn % 3]
        return f"the right answer calls the tool {dump(value)} alone; of the arguments that may be left out the input says {arguments}"


def find_tools(schema: Mapping[str, Json] | None) -> ToolAxis | None:
    """None where the answers are no calls, or where there is nothing to spread over."""
    if schema is None:
        return None
    for field, node in _places(schema):
        is_list = node.get("type") == "array"
        held = _follow(node.get("items"), schema) if is_list else node
        branches = list(_branches(held, schema))
        calls = [found for branch in branches if (found := _read_call(branch, schema))]
        empty = [branch for branch in branches if branch.get("type") == "null"]
        if not calls or len(calls) + len(empty) < len(branches) or len({key for key, _names in calls}) > 1:
            continue
        tools = tuple(dict.fromkeys(name for _key, names in calls for name in names))
        most = cast(float, node.get("maxItems", 2)) if is_list else 1
        has_none = not node.get("minItems") if is_list else bool(empty)
        axis = ToolAxis(field, calls[0][0], tools, has_none, most > 1)
        return axis if 2 <= len(axis.values) <= MOST_VALUES else None
    return None


def _places(schema: Node) -> Iterator[tuple[str, Node]]:
    """The answer itself, and its required fields."""
    yield "", schema
    properties, required = schema.get("properties"), schema.get("required")
    for name, node in properties.items() if isinstance(properties, Mapping) else ():
        if isinstance(required, list) and name in required:
            yield name, _follow(node, schema)


def _branches(node: Node, root: Node) -> Iterator[Node]:
    listed = node.get("anyOf") or node.get("oneOf")
    if not isinstance(listed, list):
        yield node
        return
    for item in listed:
        yield from _branches(_follow(item, root), root)


def _read_call(node: Node, root: Node) -> tuple[str, tuple[str, ...]] | None:
    """Where a call says its tool's name, and the names that it can say."""
    properties = node.get("properties")
    if not isinstance(properties, Mapping):
        return None
    key = next((key for key in NAMES if key in properties), "")
    arguments = next((_follow(properties[key], root) for key in ARGUMENTS if key in properties), None)
    named = _follow(properties.get(key), root)
    listed = named.get("enum") if "enum" in named else [named["const"]] if "const" in named else []
    names = tuple(item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
    return (key, names) if names and arguments is not None and arguments.get("type") == "object" else None


def _follow(node: object, root: Node) -> Node:
    for _ in range(8):
        if not isinstance(node, Mapping):
            return {}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        node = resolve(root, reference)
    return {}
