"""Behavioural tests as a task file describes them, and what cannot be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from journeyman.core.canonical import Json, dump
from journeyman.core.nodes import resolve, split_dotted
from journeyman.task.behaviour import LEAST, REQUIRED_ROWS, ROWS, BehaviourKind, BehaviourSpec, Change, Move
from journeyman.task.prompt import is_text

Node = Mapping[str, Json]
RISING = ("integer", "number", "boolean")


class BehaviourFile(BaseModel):
    """A behavioural test of the student."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: BehaviourKind = Field(
        description="invariance: the answer stays the same; direction: a field moves; minimum: simple cases are answered right."
    )
    change: Change | None = Field(
        default=None,
        description="What is done to the text of sealed rows; inject: an instruction to answer something else is appended.",
    )
    append: str = Field(default="", description="Or a text of yours that is appended to it.")
    cases: str = Field(
        default="",
        description='Or a file of JSON lines, from the project\'s folder: {"input", "changed"}, with minimum {"input", "output"}.',
    )
    fields: list[str] = Field(default_factory=list, description="Input fields that are changed; default: all text.")
    field: str = Field(
        default="",
        description="The part of the answer that stays or moves, as a dotted path; default: the whole answer.",
    )
    by: Move | None = Field(
        default=None, description="With direction: where the field moves. A choice rises in the order of its enum."
    )
    becomes: bool | int | float | str | None = Field(
        default=None, description="With direction: or the value that the field has after it."
    )
    least: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=LEAST, description="The share of rows or cases that must hold."
    )
    rows: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description=f"Sealed rows that are asked. Default {ROWS}, {REQUIRED_ROWS} where required."
    )
    required: bool = Field(default=False, description="The gate passes only if this test is shown to hold.")

    def spec(self) -> BehaviourSpec:
        rows = self.rows or (REQUIRED_ROWS if self.required else ROWS)
        return BehaviourSpec(**self.model_dump() | {"fields": tuple(self.fields), "rows": rows})


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What cannot be meant: in a sentence, under which key of the test, and the two sides of it."""

    what: str
    key: str
    expected: str
    got: str


def changeable_fields(input: Mapping[str, Node]) -> list[str]:
    """Input fields whose text can be changed: any text, and not one of a list."""
    return [
        name for name, schema in input.items() if is_text(schema) and "enum" not in schema and "const" not in schema
    ]


def find_contradictions(
    test: BehaviourFile, input: Mapping[str, Node], schema: Node | None, has_field: Callable[[str], bool]
) -> Iterator[Contradiction]:
    """All of them, the plainest first; ``has_field`` tells whether the output has a dotted path."""
    yield from _find_excess(test)
    texts = changeable_fields(input)
    for name in test.fields:
        if name not in texts:
            expected = ", ".join(texts) or "an input field of type string"
            yield Contradiction("no text of this input field can be changed", "fields", expected, name)
    if not texts and not test.cases:
        yield Contradiction("the input has no text to change", "kind", "cases: FILE", "no field of type string")
    if test.field and not has_field(test.field):
        yield Contradiction("the output has no such field", "field", "a property of the output", f"field: {test.field}")
        return
    node = find_node(schema, test.field)
    if test.by and not _can_rise(schema, node):
        expected = "field: a number, a truth value or a choice of the output"
        yield Contradiction("what is compared cannot rise or fall", "by", expected, f"field: {test.field or '(all)'}")
    listed = node.get("enum") if node else None
    if test.becomes is not None and isinstance(listed, list) and dump(test.becomes) not in map(dump, listed):
        expected = ", ".join(dump(value) for value in listed)
        yield Contradiction("the field can never become this", "becomes", f"one of {expected:.200}", dump(test.becomes))


def _find_excess(test: BehaviourFile) -> Iterator[Contradiction]:
    """Keys that are missing, or exclude each other."""
    ways = [key for key in ("change", "append", "cases") if getattr(test, key)]
    aims = [key for key in ("by", "becomes") if getattr(test, key) is not None]
    got = ", ".join(ways) or "none of them"
    if test.kind == "minimum" and ways != ["cases"]:
        yield Contradiction("a minimum is a file of cases", "kind", "cases: FILE", got)
    if test.kind != "minimum" and len(ways) != 1:
        yield Contradiction("a test changes the input in one way", "kind", "one of change, append and cases", got)
    if test.kind == "minimum" and test.field:
        yield Contradiction("a minimum looks at whole answers, by the gate's metric", "field", "no field", test.field)
    if test.kind == "direction" and len(aims) != 1:
        got = ", ".join(aims) or "none of them"
        yield Contradiction("a direction has one aim", "kind", "one of by and becomes", got)
    if test.kind != "direction" and aims:
        yield Contradiction("this belongs to kind: direction", aims[0], "kind: direction", f"kind: {test.kind}")
    if test.cases and test.fields:
        yield Contradiction("cases are changed already", "fields", "no fields", ", ".join(test.fields))
    if test.cases and test.rows:
        yield Contradiction("every case is asked", "rows", "no rows", f"rows: {test.rows}")


def find_node(schema: Node | None, path: str) -> Node | None:
    """The subschema of a dotted path below plain properties; None where the schema is not that plain, or there is none."""
    node: object = schema
    for name in [None, *(split_dotted(path) if path else ())]:
        if name is not None:
            properties = node.get("properties") if isinstance(node, Mapping) else None
            node = properties.get(name) if isinstance(properties, Mapping) else None
        if isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
            node = resolve(schema or {}, str(node["$ref"]))
    return node if isinstance(node, Mapping) else None


def _can_rise(schema: Node | None, node: Node | None) -> bool:
    """Also what the schema leaves open; free text has no order."""
    if schema is None:
        return False
    if node is None or "enum" in node:
        return True
    kinds = node.get("type")
    named = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind not in (None, "null")]
    return not named or any(kind in RISING for kind in named)
