"""Answers as text: what a student is taught to write, and how a reply is read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import TaskError
from journeyman.core.example import Target, object_target, text_target
from journeyman.core.nodes import Node, resolve, write_json
from journeyman.task.schema import verifier
from journeyman.task.task import Task

APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf", "$defs", "definitions")


def answer_text(task: Task, target: Target) -> str:
    """What a student writes for this target: compact JSON with keys in declared order, or the text itself.

    Raises:
        TaskError: JM-236 the target is of another kind than the task's answers.
    """
    wanted = "object" if task.schema is not None else "text"
    if target.kind != wanted:
        raise TaskError(
            "JM-236",
            "this answer is of another kind than the task's",
            where=f"task {task.name}",
            expected=wanted,
            got=target.kind,
            hint="import the row again: its output must fit the task's output",
        )
    return target.text if task.schema is None else write_json(arrange(target.value, task.schema))


def read_answer(task: Task, text: str) -> tuple[Target | None, str]:
    """Read and verify a reply.

    Returns:
        The target and ``""``, or None and what is wrong with the text.
    """
    if task.schema is None:
        return (text_target(text), "") if text.strip() else (None, "the answer is empty")
    checked = verifier(task.schema).check(text)
    return (object_target(checked.value), "") if checked.is_valid else (None, checked.problem)


def arrange(value: Json, schema: Node) -> Json:
    """The value with object keys in the order that the schema declares them, at every depth.

    Keywords count in written order (``properties``, ``$ref``, ``allOf``, the first fitting branch of ``anyOf``), then
    ``required`` names without a property, then other keys as they come: the order that llguidance writes. Keys of an
    object with ``x-order: any`` stay as they come.
    """
    return _arrange(value, [schema], schema)


def _arrange(value: Json, nodes: list[Node], root: Node) -> Json:
    if isinstance(value, list):
        return [_arrange(item, _item_nodes(nodes, index, value, root), root) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    flat = [part for node in nodes for part in _flatten(node, value, root)]
    constant = next((item for node in flat for item in _constants(node) if dump(item) == dump(value)), None)
    if isinstance(constant, dict):
        return constant
    fixed = [node for node in flat if node.get("x-order") != "any"]
    order = dict.fromkeys([name for node in fixed for name in _names(node, "properties")])
    order |= dict.fromkeys([name for node in fixed for name in _names(node, "required")])
    keys = [*(name for name in order if name in value), *(name for name in value if name not in order)]
    return {name: _arrange(value[name], _field_nodes(flat, name), root) for name in keys}


def _flatten(node: Node, value: Json, root: Node, seen: frozenset[str] = frozenset()) -> Iterator[Node]:
    """The keyword groups that apply to a value, in written order: the node itself stands where its properties do."""
    own = {key: item for key, item in node.items() if key not in APPLICATORS}
    reference = node.get("$ref")
    for key, item in node.items():
        if key == "properties":
            yield own
        elif key == "$ref" and isinstance(reference, str) and reference not in seen:
            target = resolve(root, reference)
            if isinstance(target, Mapping):
                yield from _flatten(target, value, root, seen | {reference})
        elif key in ("allOf", "anyOf", "oneOf"):
            for part in _chosen(key, cast(list[Json], item), value, root):
                yield from _flatten(part, value, root, seen)
    if "properties" not in node:
        yield own


def _chosen(key: str, parts: list[Json], value: Json, root: Node) -> list[Node]:
    """Every part of ``allOf``, the first fitting one of ``anyOf`` and ``oneOf``."""
    fitting = parts if key == "allOf" else [part for part in parts if _fits(part, value, root)][:1]
    return [part for part in fitting if isinstance(part, dict)]


def _fits(branch: Json, value: Json, root: Node) -> bool:
    if not isinstance(branch, dict):
        return branch is True
    whole = {key: item for key, item in root.items() if key not in ("$schema", "$id")}
    inner = {key: item for key, item in branch.items() if key not in ("$defs", "$schema")}
    schema = {**cast(dict[str, Json], _moved(inner)), "$defs": {"root": _moved(whole)}}
    if "$schema" in root:
        schema["$schema"] = root["$schema"]
    return verifier(schema).check_value(value).is_valid


def _moved(node: Json) -> Json:
    """The node with its references pointing into ``#/$defs/root``, where the whole schema will lie."""
    if isinstance(node, list):
        return [_moved(item) for item in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(item) for key, item in node.items()}
    reference = node.get("$ref")
    if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
        moved["$ref"] = f"#/$defs/root{reference[1:]}"
    return moved


def _field_nodes(nodes: list[Node], name: str) -> list[Node]:
    found: list[Json] = []
    for node in nodes:
        fields, patterns = node.get("properties"), node.get("patternProperties")
        if isinstance(fields, dict) and name in fields:
            found.append(fields[name])
            continue
        matching = [item for key, item in patterns.items() if _matches(key, name)] if isinstance(patterns, dict) else []
        found += matching or [node.get("additionalProperties")]
    return [node for node in found if isinstance(node, dict)]


def _matches(pattern: str, name: str) -> bool:
    return verifier({"pattern": pattern}).check_value(name).is_valid


def _item_nodes(nodes: list[Node], index: int, value: Json, root: Node) -> list[Node]:
    found: list[Json] = []
    for node in (part for outer in nodes for part in _flatten(outer, value, root)):
        first = node.get("prefixItems")
        if isinstance(first, list) and index < len(first):
            found.append(first[index])
        elif "items" in node:
            found.append(node["items"])
    return [node for node in found if isinstance(node, dict)]


def _names(node: Node, key: str) -> list[str]:
    value = node.get(key)
    return [str(name) for name in value] if isinstance(value, list | dict) else []


def _constants(node: Node) -> list[Json]:
    listed = node.get("enum")
    return [*(listed if isinstance(listed, list) else []), *([node["const"]] if "const" in node else [])]
