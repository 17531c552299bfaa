"""The YAML at the top of a note: scalars and lists of scalars as facts. What YAML cannot read is taken line by line, with a note."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

from journeyman.knowledge.document import Fact

MOST_CHARS = 32_000
BITS, MOST_BITS = 64, 10_000  # of a number: what JSON's readers hold, what Python writes in digits
OPENED = re.compile(r"---[^\S\r\n]*(?:\r\n?|\n)")
CLOSED = re.compile(r"^(?:---|\.\.\.)[^\S\r\n]*(?:\r\n?|\n|\Z)", re.MULTILINE)
FIELD = re.compile(r"^([^\s:#-][^\r\n:]{0,99}):[^\S\r\n]*([^\r\n]*)", re.MULTILINE)
UNREADABLE = (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError, AttributeError, LookupError)
"""What PyYAML's constructors raise for hostile values besides its own errors."""


class _Loader(yaml.SafeLoader):
    """Without references to other values: with them a few lines can stand for any amount."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("references are not read")
        return super().compose_node(parent, index)


@dataclass(frozen=True, slots=True)
class Frontmatter:
    """``end`` is where the note itself begins."""

    end: int = 0
    facts: Mapping[str, Fact] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_frontmatter(text: str) -> Frontmatter:
    """What stands between two rules at the top, where it has fields: a text between rules is a text."""
    opened = OPENED.match(text)
    closed = CLOSED.search(text.replace("\r\n", "\n\n").replace("\r", "\n"), opened.end()) if opened else None
    if opened is None or closed is None:
        return Frontmatter()
    closed = CLOSED.match(text, closed.start()) or closed
    inner = text[opened.end() : closed.start()]
    if len(inner) > MOST_CHARS:
        return Frontmatter()
    if not inner.strip():
        return Frontmatter(closed.end())
    try:
        values = yaml.load(inner, _Loader)
    except UNREADABLE:
        found: dict[str, Fact] = {line[1].strip(): line[2].strip().strip("\"'") for line in FIELD.finditer(inner)}
        note = "the frontmatter is not plain YAML and was read line by line"
        return Frontmatter(closed.end(), found, (note,)) if found else Frontmatter()
    return Frontmatter(closed.end(), *_keep(values)) if isinstance(values, dict) else Frontmatter()


def _keep(values: Mapping[object, object]) -> tuple[dict[str, Fact], tuple[str, ...]]:
    found: dict[str, Fact] = {}
    left_out: list[str] = []
    for key, value in values.items():
        name = str(_fact(key))[:100]
        kept = _fact(value)
        if kept is not None:
            found[name] = kept
        elif value not in (None, [], {}):
            left_out.append(name)
    return found, (f"nested in the frontmatter and left out: {', '.join(left_out)[:300]}",) if left_out else ()


def _fact(value: object) -> Fact | None:
    match value:
        case bool() | str():
            return value
        case int():
            return value if value.bit_length() < BITS else str(value) if value.bit_length() < MOST_BITS else None
        case float():
            return value if math.isfinite(value) else str(value)
        case date():  # and moments
            return value.isoformat()
        case list() if value:
            items = [item for item in value if item is not None]
            is_flat = not any(isinstance(item, list | dict | set | tuple | bytes) for item in items)
            return tuple(str(_fact(item)) for item in items) if is_flat else None
        case _:
            return None
