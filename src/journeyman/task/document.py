"""YAML as plain data with line numbers.

YAML 1.2 scalars: only ``true`` and ``false`` are booleans (``yes``, ``no`` and ``on`` are text), dates are text.
Refused: repeated keys, tags, anchors and aliases, more than one document, 1 MB, 64 levels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError

LIMIT_BYTES = 1_000_000
LIMIT_DEPTH = 64
INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
KEYWORDS: Mapping[str, Json] = {"true": True, "True": True, "false": False, "False": False, "null": None, "~": None}

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """``value`` and, for the path of every value in it, its line (from 1). ``name`` is the file as people know it."""

    value: Json
    lines: Mapping[Place, int]
    name: str

    def where(self, path: Place = ()) -> str:
        """``file:line`` of the nearest value at or above a path; only the name where there are no lines."""
        while path and path not in self.lines:
            path = path[:-1]
        line = self.lines.get(path)
        return f"{self.name}:{line}" if line else self.name

    def where_in(self, base: Place, pointer: str) -> str:
        """``file:line`` for a JSON pointer into the schema that stands at ``base``, written out or in shorthand.

        Steps that shorthand leaves out (``properties``, ``items``) are skipped.
        """
        path = base
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            steps: tuple[str | int, ...] = (name, f"{name}?", int(name)) if name.isdecimal() else (name, f"{name}?")
            steps = (*steps, 0) if name == "items" else steps
            path = next(((*path, item) for item in steps if (*path, item) in self.lines), path)
        return f"{self.where(path)} ({'.'.join(str(item) for item in base)})"


def load_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        TaskError: JM-200 missing, unreadable, too large, not UTF-8 or empty; JM-201 not the YAML that we take.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise _unreadable(
            path, "cannot be read", error.strerror or "", "journeyman new NAME writes a task file"
        ) from None
    if len(data) > LIMIT_BYTES:
        raise _unreadable(path, "is too large", "more than 1 MB", "keep examples in a data file and import them")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, "is not UTF-8", f"byte {error.start}", "save the file as UTF-8") from None
    return read_document(text, str(path))


def read_document(text: str, name: str) -> Document:
    """Parse one YAML document; raises as ``load_document`` does."""
    try:
        _check_events(text, name)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise _malformed(
            f"{name}{line}", error.problem or "not YAML", "indent with spaces, quote text with : or #"
        ) from None
    except yaml.YAMLError as error:
        raise _malformed(name, " ".join(str(error).split()), "remove control characters from the file") from None
    if node is None:
        raise _unreadable(Path(name), "is empty", "nothing", "journeyman new NAME writes a task file")
    lines: dict[Place, int] = {}
    return Document(_value(node, (), lines, name), lines, name)


def _check_events(text: str, name: str) -> None:
    """Refuse what could be large or odd before a tree is built from it."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{name}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _malformed(where, "a second document starts here", "write one task per file")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _malformed(where, "an anchor or alias", "write the value out in both places")
        if tag := getattr(event, "tag", None):
            raise _malformed(where, f"the tag {tag}", "remove the tag")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > LIMIT_DEPTH:
                raise _malformed(where, f"more than {LIMIT_DEPTH} levels", "make the schema flatter")
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _value(node: yaml.Node, path: Place, lines: dict[Place, int], name: str) -> Json:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines, name)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), lines, name) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Place, lines: dict[Place, int], name: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key_node, item in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise _malformed(f"{name}:{line}", "a key that is not text", "write the key as plain text")
        key = str(key_node.value)
        if key in found:
            raise _malformed(f"{name}:{line}", f"the key {key!r} a second time", "keep one of the two")
        lines[(*path, key)] = line
        found[key] = _value(item, (*path, key), lines, name)
    return found


def _scalar(node: yaml.Node) -> Json:
    text = str(node.value)
    return text if getattr(node, "style", None) is not None else read_plain(text)


def read_plain(text: str) -> Json:
    """What a text without quotes stands for."""
    if text in KEYWORDS or text == "":
        return KEYWORDS.get(text)
    if INTEGER.fullmatch(text):
        return int(text)
    if FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def _unreadable(path: Path, what: str, got: str, hint: str) -> TaskError:
    return TaskError("JM-200", f"the task file {what}", where=str(path), expected="a YAML file", got=got, hint=hint)


def _malformed(where: str, got: str, hint: str) -> TaskError:
    return TaskError(
        "JM-201", "the task file cannot be understood", where=where, expected="plain YAML", got=got, hint=hint
    )
