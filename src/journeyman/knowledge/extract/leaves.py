"""An answer's values one by one, with what its schema says of them: what kind each is, and by which words a document may call it.

Null, empty text and yes or no are no values that a document says word for word; the first two are left out, the last is a choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias, cast

from journeyman.core.canonical import Json
from journeyman.core.nodes import Node, resolve

Path: TypeAlias = tuple[str | int, ...]
"""Names of keys, and places in lists."""
LeafKind = Literal["text", "number", "date", "choice"]
"""A choice is one of what the schema lists: a document need not say it in these words."""
_NAME = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])|\d+")
_WORD = re.compile(r"[^\W\d_]{4,}")
_REFERENCES = 50
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """``names`` are the words of its key, ``words`` those of its description, in small letters."""

    path: Path
    value: str | int | float | bool
    kind: LeafKind
    names: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    @property
    def written(self) -> str:
        """As it is looked for; nothing for yes and no."""
        return write_value(self.value)


def find_leaves(answer: Json, schema: Node) -> list[Leaf]:
    """In the order in which the answer says them."""
    return list(_find(answer, schema, schema, ()))


def write_value(value: Json) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return f"{Decimal(repr(value)).normalize():f}"
    return str(value)


def field_of(path: Path) -> str:
    """The field that a value belongs to, whichever row it stands in: ``items[].amount``."""
    said = "".join("[]" if isinstance(step, int) else f".{step}" for step in path)
    return said.removeprefix(".")


def write_path(path: Path) -> str:
    """``items[0].amount``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def without(answer: Json, paths: Iterable[Path]) -> Json:
    """A copy with null at these places; a list's items of which nothing is left that was there go with them."""
    gone = frozenset(paths)
    return _without(answer, (), gone) if gone else answer


def _without(node: Json, path: Path, gone: frozenset[Path]) -> Json:
    if isinstance(node, dict):
        return {key: _without(item, (*path, key), gone) for key, item in node.items()}
    if isinstance(node, list):
        kept = ((item, _without(item, (*path, place), gone)) for place, item in enumerate(node))
        return [left for item, left in kept if _says(left) or not _says(item)]
    return None if path in gone else node


def _says(node: Json) -> bool:
    if isinstance(node, dict):
        return any(_says(item) for item in node.values())
    if isinstance(node, list):
        return any(_says(item) for item in node)
    return node is not None and node != "" and not isinstance(node, bool)


def _find(value: Json, node: Json | Node, root: Node, path: Path) -> Iterator[Leaf]:
    known = _fitting(node, root, value)
    if isinstance(value, dict):
        fields = cast(Mapping[str, Json], known.get("properties") or {})
        for key, item in value.items():
            yield from _find(item, fields.get(key, known.get("additionalProperties", {})), root, (*path, key))
    elif isinstance(value, list):
        first = known.get("prefixItems")
        for place, item in enumerate(value):
            own = first[place] if isinstance(first, list) and place < len(first) else known.get("items", {})
            yield from _find(item, own, root, (*path, place))
    elif value is not None and value != "":
        names, words = _words(known, path)
        yield Leaf(path, value, _kind(value, known), names, words)


def _fitting(node: Json | Node, root: Node, value: Json) -> Mapping[str, Json]:
    """The schema of this value, behind references and alternatives."""
    for _ in range(_REFERENCES):
        if not isinstance(node, Mapping):
            return {}
        reference, options = node.get("$ref"), node.get("anyOf") or node.get("oneOf")
        if isinstance(reference, str):
            node = cast(Node, resolve(root, reference))
        elif isinstance(options, list):
            node = next((option for option in options if _fits(option, root, value)), {})
        else:
            return node
    return {}


def _fits(node: Json, root: Node, value: Json) -> bool:
    if isinstance(node, Mapping) and isinstance(reference := node.get("$ref"), str):
        node = cast(Json, resolve(root, reference))
    if not isinstance(node, Mapping):
        return node is True
    kinds = node.get("type")
    said = _TYPES.get(type(value), "null")
    return (
        kinds is None
        or said in (kinds if isinstance(kinds, list) else [kinds])
        or (said == "integer" and kinds == "number")
    )


def _kind(value: Json, node: Mapping[str, Json]) -> LeafKind:
    if isinstance(value, bool) or "enum" in node or "const" in node:
        return "choice"
    if isinstance(value, int | float):
        return "number"
    return "date" if node.get("format") == "date" else "text"


def _words(node: Mapping[str, Json], path: Path) -> tuple[frozenset[str], frozenset[str]]:
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    said = f"{node.get('title') or ''} {node.get('description') or ''}"
    names = frozenset(word.lower() for word in _NAME.findall(name))
    return names, frozenset(word.casefold() for word in _WORD.findall(said)) - names
