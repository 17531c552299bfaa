"""Tasks whose answers are calls of tools, as their output's schema says it: objects of a tool's name and its arguments, one or a list of them.

    output: {calls: [{name: const weather, arguments: {city: string}}, or {name: const ..., arguments: ...}]}     the task's tools
    output: {calls: [{name: string, arguments: object}]}, input: {tools: [{name: string, parameters: object}]}     those that an input offers

Inputs are spread over what a caller can need: each tool, none, one without something that it must be told, several. That arguments fit the tool's own schema is what the task's schema
says of the task's tools; of offered ones it is checked here. Knows nothing about `tools` of a provider's API: a task has no such part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import TaskError
from journeyman.core.nodes import Node, resolve
from journeyman.data.synthesis.cells import MOST_VALUES
from journeyman.task.schema import admit_verified, verifier
from journeyman.task.task import Task

NAMES, ARGUMENTS = ("name", "tool", "function"), ("arguments", "parameters", "args", "input")
OFFERED = ("parameters", "arguments", "input_schema")
ONE, NONE, SEVERAL = "one tool", "no tool", "several tools"
NOTHING = (
    "answered without any tool, though it looks like something for one",
    "for one tool, but it leaves out something that the tool must be told, and that cannot be guessed",
    "not what any of the tools is for",
)
TOLD = ("all", "the least possible", "some")


@dataclass(frozen=True, slots=True)
class Calls:
    """Where an answer has them: ``field`` (empty: they are the answer), and the keys of a call. ``names``: the tools that it can call, none where any text is a name."""

    field: str
    name_key: str
    arguments_key: str
    names: tuple[str, ...]
    has_none: bool
    has_several: bool

    def of(self, answer: Json) -> list[Node]:
        held = answer.get(self.field) if self.field and isinstance(answer, dict) else answer
        listed = held if isinstance(held, list) else [held]
        return [item for item in listed if isinstance(item, dict)]

    @property
    def others(self) -> tuple[Json, ...]:
        """What can be wanted besides one tool."""
        return (*((NONE,) if self.has_none else ()), *((SEVERAL,) if self.has_several else ()))


@dataclass(frozen=True, slots=True)
class ToolAxis:
    """What rows are balanced by: one tool of the task by its name, none, several."""

    calls: Calls

    @property
    def field(self) -> str:
        return self.calls.field

    @property
    def values(self) -> tuple[Json, ...]:
        return (*self.calls.names, *self.calls.others)

    def read(self, answer: Json) -> str:
        calls = self.calls.of(answer)
        return dump(SEVERAL if len(calls) > 1 else calls[0].get(self.calls.name_key) if calls else NONE)

    def describe(self, value: Json, number: int) -> str:
        """What the inputs of call ``number`` are to need: in ways that turn when each value had its own."""
        turn = number // len(self.values)
        if value == NONE:
            return f"the input is {NOTHING[turn % len(NOTHING)]}; the right answer calls none"
        if value == SEVERAL:
            ways = [f"both {dump(one)} and {dump(other)}" for one, other in combinations(self.calls.names, 2)]
            ways += [f"{dump(name)} twice, with other arguments" for name in self.calls.names]
            return f"the input needs more than one call: {ways[turn % len(ways)]}"
        said = f"of the arguments that may be left out the input says {TOLD[turn % len(TOLD)]}"
        return f"the right answer calls the tool {dump(value)} alone; {said}"


@dataclass(frozen=True, slots=True)
class OfferedAxis:
    """The same where each input offers tools of its own, in its field ``offered``, whose ``schema_key`` holds a tool's JSON Schema."""

    calls: Calls
    offered: str
    schema_key: str

    @property
    def field(self) -> str:
        return self.calls.field

    @property
    def values(self) -> tuple[Json, ...]:
        return (ONE, *self.calls.others)

    def read(self, answer: Json) -> str:
        count = len(self.calls.of(answer))
        return dump(SEVERAL if count > 1 else ONE if count else NONE)

    def describe(self, value: Json, number: int) -> str:
        turn = number // len(self.values)
        tools = f"{self.offered} has {(1, 3, 2, 5)[turn % 4]}, others than in the examples, whose {self.schema_key} are JSON Schema"
        if value == NONE:
            return f"{tools}; the input is {NOTHING[turn % len(NOTHING)]}; the right answer calls none"
        if value == SEVERAL:
            way = ("two of them", "one of them twice, with other arguments")[turn % 2]
            return f"{tools}; the input needs more than one call: {way}"
        return f"{tools}; the right answer calls one of them; of the arguments that may be left out the input says {TOLD[turn % len(TOLD)]}"

    def is_sound(self, fields: Mapping[str, Json]) -> bool:
        """Whether the tools have names of their own, and schemas that arguments can be held against."""
        tools = [item for item in cast(list[Json], fields[self.offered]) if isinstance(item, dict)]
        schemas = [item.get(self.schema_key) for item in tools]
        try:
            for schema in schemas:
                admit_verified(cast(Node, schema), "a tool")
        except TaskError:
            return False
        return bool(tools) and len({dump(item["name"]) for item in tools}) == len(tools)

    def is_fit(self, fields: Mapping[str, Json], answer: Json) -> bool:
        """Whether each call is of a tool that the input offers, with arguments that fit it."""
        tools = {str(item["name"]): item for item in cast(list[dict[str, Json]], fields[self.offered])}
        for call in self.calls.of(answer):
            tool = tools.get(str(call.get(self.calls.name_key)))
            if tool is None:
                return False
            schema = cast(dict[str, Json], tool[self.schema_key])
            if not verifier(schema).check_value(call.get(self.calls.arguments_key)).is_valid:
                return False
        return True


def find_tools(schema: Mapping[str, Json] | None) -> ToolAxis | None:
    """None where the answers are no calls of known tools, or where there is nothing to spread over."""
    calls = _find_calls(schema)
    axis = ToolAxis(calls) if calls and calls.names else None
    return axis if axis and 2 <= len(axis.values) <= MOST_VALUES else None


def find_offered(task: Task) -> OfferedAxis | None:
    """None where answers call no tools of any name, or the input does not offer them in one field."""
    calls = _find_calls(task.schema)
    if calls is None or calls.names:
        return None
    found = [(name, key) for name, node in task.input.items() if (key := _read_offer(node))]
    axis = OfferedAxis(calls, *found[0]) if len(found) == 1 else None
    return axis if axis and len(axis.values) > 1 else None


def _find_calls(schema: Mapping[str, Json] | None) -> Calls | None:
    for field, node in _places(schema) if schema is not None else ():
        is_list = node.get("type") == "array"
        held = _follow(node.get("items"), schema or {}) if is_list else node
        branches = list(_branches(held, schema or {}))
        found = [call for branch in branches if (call := _read_call(branch, schema or {}))]
        empty = [branch for branch in branches if branch.get("type") == "null"]
        keys = {(name, arguments) for name, arguments, _names in found}
        if not found or len(found) + len(empty) < len(branches) or len(keys) > 1:
            continue
        names = tuple(dict.fromkeys(name for _key, _arguments, known in found for name in known))
        most = cast(float, node.get("maxItems", 2)) if is_list else 1
        has_none = not node.get("minItems") if is_list else bool(empty)
        return Calls(field, *found[0][:2], names, has_none, most > 1)
    return None


def _read_offer(node: Node) -> str:
    """Where a tool of a list of them says what it must be told; empty where this is no such list."""
    items = node.get("items") if node.get("type") == "array" else None
    properties = items.get("properties") if isinstance(items, dict) else None
    required = items.get("required") if isinstance(items, dict) else None
    if (
        not isinstance(properties, dict)
        or not isinstance(required, list)
        or properties.get("name") != {"type": "string"}
    ):
        return ""
    held = [key for key in OFFERED if isinstance(part := properties.get(key), dict) and part.get("type") == "object"]
    return held[0] if held and {"name", held[0]} <= set(required) else ""


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


def _read_call(node: Node, root: Node) -> tuple[str, str, tuple[str, ...]] | None:
    """Where a call says its tool's name and the arguments, and the names that it can say: none, where it can be any text."""
    properties, required = node.get("properties"), node.get("required")
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return None
    key = next((key for key in NAMES if key in properties), "")
    held = next((key for key in ARGUMENTS if key in properties), "")
    named, arguments = _follow(properties.get(key), root), _follow(properties.get(held), root)
    listed = named.get("enum") if "enum" in named else [named["const"]] if "const" in named else []
    names = tuple(item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
    is_call = {key, held} <= set(required) and arguments.get("type") == "object"
    return (key, held, names) if is_call and (names or named.get("type") == "string") else None


def _follow(node: object, root: Node) -> Node:
    for _ in range(8):
        if not isinstance(node, Mapping):
            return {}
        reference = node.get("$ref")
        if not isinstance(reference, str):
            return node
        node = resolve(root, reference)
    return {}
