"""Answers as lines: what a student writes instead of JSON, so that tokens are spent on what an answer says and not on its form.

A line is a label and a value; a newline begins it. Fields of required objects are lines of the whole answer, so braces and quotes
are gone; the first field has no label where it is required; a field that is left out has no line; a list of plain values is a line
for each. A value is a word that stands for it (choices), a text with ``\\`` and line breaks escaped, or JSON on one line (all else).

    {"intent":"PlayMusic","slots":{"artist":"Max Richter","sort":"newest"}}      Music
                                                                                artist Max Richter
                                                                                sort newest

Every answer that fits the schema has one such text, and `Lines.read` gives its JSON back. Labels and words come from a vocabulary
(``models.codes``) and travel in the release's manifest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from journeyman.core.canonical import Json, dump
from journeyman.core.grammar import COPY, MOST_KEYS, NOT_HERE, ORDER, TEXT, GrammarWriter, properties_of, required_names
from journeyman.core.nodes import Node, dotted, write_json

NEWLINE = "\n"
NO_FIRST = "-"  # stands where the first field may be left out
MOST_WORDS = 256  # choices with a word of their own
ABOUT = {"title", "description", "examples", "default", "deprecated", "$comment", "x-guidance"}
PLAIN_TEXT = ABOUT | {"type", "minLength", COPY, TEXT}
PLAIN_CHOICE = ABOUT | {"type", "enum"}
PLAIN_LIST = ABOUT | {"type", "items"}
LETTER = r"([^\\\n\r]|\\[\\nr])"
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
PLAIN = {escape: letter for letter, escape in ESCAPES.items()}

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A place of the answer with lines of its own. ``node`` is what one line's value must fit."""

    path: Place
    node: Node
    is_required: bool
    is_list: bool = False

    @property
    def choices(self) -> list[Json]:
        """The values of a choice that can have a word each; empty for other fields."""
        listed = self.node.get("enum")
        if not isinstance(listed, list) or set(self.node) - PLAIN_CHOICE:
            return []
        distinct = list({dump(value): value for value in listed}.values())
        wanted = str if self.node.get("type") == "string" else object if "type" not in self.node else ()
        is_plain = all(isinstance(value, wanted) and not isinstance(value, dict | list) for value in distinct)
        return distinct if is_plain and len(distinct) <= MOST_WORDS else []

    @property
    def is_text(self) -> bool:
        least = self.node.get("minLength", 0)
        return self.node.get("type") == "string" and not set(self.node) - PLAIN_TEXT and least in (0, 1)


def find_fields(schema: Node) -> list[Field]:
    """The fields that an answer's lines are for, in declared order; none: the schema is no closed object, so it has no such text."""
    return list(_fields(schema, ())) if _is_object(schema) else []


@dataclass(frozen=True)
class Lines:
    """``labels[i]`` begins the lines of field i, ``words[i]`` stand for its choices (empty: it has none)."""

    schema: Node
    labels: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]

    def write(self, answer: str) -> str:
        """The lines of a compact JSON text; a text that is no answer of the schema comes back as it is."""
        try:
            text = "".join(self._lines(json.loads(answer)))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return answer
        return text if self.read(text) == answer else answer

    def read(self, text: str) -> str:
        """The compact JSON of lines; a text that is none comes back as it is, and will fit no schema."""
        try:
            return write_json(self._build(self._values(text)))
        except (ValueError, KeyError, IndexError):
            return text

    def spans(self, text: str) -> Iterator[tuple[str, int, int]]:
        """By line: the field's dotted path, and where the line with its label begins and ends in the text's bytes."""
        at = 0
        for number, line in enumerate(text.split(NEWLINE)):
            end = at + len(line.encode())
            field = self._labelled.get(line.partition(" ")[0]) if number or self.first is None else self.first
            if field is not None:
                yield dotted(field.path), at, end
            at = end + 1

    def grammar(self, schema: Node, end: int | None = None) -> str:
        """What the decoder may write, in llguidance's Lark dialect: ``schema`` is this one, as it binds one call (``x-copy``).

        ``end`` is the token that ends a turn. A text may end where it could go on, and there engines allow one token of their own choice.
        """
        writer = GrammarWriter(schema)
        values = {path: writer.add(self._value_rule(writer, field, schema)) for path, field in self.fields.items()}
        first = values[self.first.path] if self.first else f'"{NO_FIRST}"'
        last = [] if end is None else [f"<[{end}]>"]
        writer.rules["start"] = " ".join([first, *self._object_rule(writer, schema, (), values), *last])
        return writer.text()

    def to_json(self) -> list[Json]:
        return [[label, list(words)] for label, words in zip(self.labels, self.words, strict=True)]

    @classmethod
    def from_json(cls, raw: Sequence[tuple[str, Sequence[str]]], schema: Node) -> Lines:
        return cls(schema, tuple(label for label, _ in raw), tuple(tuple(words) for _, words in raw))

    def table(self) -> dict[str, Json]:
        """What ``core.reader`` reads these lines by."""
        described: dict[str, Json] = {}
        for label, (path, field) in zip(self.labels, self.fields.items(), strict=True):
            words = dict(zip(self._words[path].values(), field.choices, strict=True)) if path in self._words else None
            described[label] = {
                "path": list(path),
                "words": words,
                "is_text": field.is_text,
                "is_list": field.is_list,
            }
        first = self._label[self.first.path] if self.first else None
        return {"first": first, "empty": self._build({}), "fields": described}

    @cached_property
    def fields(self) -> dict[Place, Field]:
        return {field.path: field for field in find_fields(self.schema)}

    @cached_property
    def _label(self) -> dict[Place, str]:
        return dict(zip(self.fields, self.labels, strict=True))

    @cached_property
    def _labelled(self) -> dict[str, Field]:
        return dict(zip(self.labels, self.fields.values(), strict=True))

    @cached_property
    def _words(self) -> dict[Place, dict[str, str]]:
        """By path: a choice's JSON -> its word."""
        return {
            path: dict(zip(map(dump, field.choices), words, strict=True))
            for (path, field), words in zip(self.fields.items(), self.words, strict=True)
            if words
        }

    @cached_property
    def first(self) -> Field | None:
        """The field whose line needs no label: it is there in every answer, once, before all others."""
        first = next(iter(self.fields.values()))
        above = [_at(self.schema, first.path[:depth]) for depth in range(len(first.path))]
        is_fixed = not any(ORDER in node for node in above)
        return first if is_fixed and first.is_required and not first.is_list else None

    def _lines(self, value: Json) -> Iterator[str]:
        if self.first is None:
            yield NO_FIRST
        for field, item in self._found(self.schema, (), value):
            text = self._write_value(field, item)
            yield text if field is self.first else f"\n{self._label[field.path]} {text}"

    def _found(self, node: Node, path: Place, value: Json) -> Iterator[tuple[Field, Json]]:
        """The answer's fields with their values, a list's one by one, in the order of the text."""
        assert isinstance(value, dict)
        properties = properties_of(node)
        for name in value if ORDER in node else properties:
            field = self.fields.get((*path, name))
            if field is None:
                yield from self._found(properties[name], (*path, name), value[name])
            elif name in value:
                for item in cast(list[Json], value[name]) if field.is_list else [value[name]]:
                    yield field, item

    def _write_value(self, field: Field, value: Json) -> str:
        if field.path in self._words:
            return self._words[field.path][dump(value)]
        if field.is_text:
            return "".join(ESCAPES.get(letter, letter) for letter in cast(str, value))
        return write_json(value)

    def _values(self, text: str) -> dict[Place, Json]:
        """By path, in the order of the text. Raises: ValueError, KeyError for a text that is no lines."""
        first, *rest = text.split("\n")
        found: dict[Place, Json] = {}
        if self.first is not None:
            found[self.first.path] = self._read_value(self.first, first)
        elif first != NO_FIRST:
            raise ValueError("no first line")
        for line in rest:
            label, space, written = line.partition(" ")
            field = self._labelled[label]
            if not space or (field.path in found and not field.is_list):
                raise ValueError("a line without a value, or twice")
            value = self._read_value(field, written)
            if field.is_list:
                cast(list[Json], found.setdefault(field.path, [])).append(value)
            else:
                found[field.path] = value
        return found

    def _read_value(self, field: Field, text: str) -> Json:
        if field.path in self._words:
            words = list(self._words[field.path].values())
            return field.choices[words.index(text)]
        if field.is_text:
            if not re.fullmatch(f"{LETTER}*", text):
                raise ValueError("a text with a letter that is escaped in lines")
            return re.sub(r"\\[\\nr]", lambda match: PLAIN[match[0]], text)
        return cast(Json, json.loads(text))

    def _build(self, values: Mapping[Place, Json], node: Node | None = None, path: Place = ()) -> dict[str, Json]:
        node = self.schema if node is None else node
        properties, depth = properties_of(node), len(path)
        written = [place[depth] for place in values if place[:depth] == path and len(place) > depth]
        built: dict[str, Json] = {}
        for name in dict.fromkeys(written) if ORDER in node else properties:
            field = self.fields.get((*path, name))
            if field is None:
                built[name] = self._build(values, properties[name], (*path, name))
            elif field.path in values:
                built[name] = values[field.path]
            elif field.is_list:
                built[name] = []
        return built

    def _object_rule(
        self, writer: GrammarWriter, node: Node, path: Place, values: Mapping[Place, str]
    ) -> Iterator[str]:
        """What follows the first field, one part per member."""
        members = {name: (*path, name) for name in properties_of(node)}
        lines = {
            name: f"{_literal(f'{NEWLINE}{self._label[place]} ')} {values[place]}"
            for name, place in members.items()
            if place in values
        }
        if ORDER in node:
            yield writer.add_any_order(lines, required_names(node))
            return
        for name, place in members.items():
            if place not in values:
                yield from self._object_rule(writer, properties_of(node)[name], place, values)
            elif self.first is None or place != self.first.path:
                field = self.fields[place]
                times = "*" if field.is_list else "" if field.is_required else "?"
                yield f"({lines[name]}){times}"

    def _value_rule(self, writer: GrammarWriter, field: Field, schema: Node) -> str:
        if field.path in self._words:
            return " | ".join(map(_literal, self._words[field.path].values()))
        node = _at(schema, field.path)
        node = cast(Node, node["items"]) if field.is_list else node
        if not field.is_text:
            return writer.write(node)
        is_some = bool(node.get("minLength"))
        text = node.get(TEXT)
        if isinstance(text, str):
            return writer.add_span([ESCAPES.get(letter, letter) for letter in text], is_some=is_some)
        return writer.add(f"/{LETTER}{'+' if is_some else '*'}/", "TEXT")


def _fields(node: Node, path: Place) -> Iterator[Field]:
    required = required_names(node)
    for name, item in properties_of(node).items():
        place = (*path, name)
        is_required = name in required
        if is_required and ORDER not in node and _is_object(item):
            yield from _fields(item, place)
        elif is_required and ORDER not in node and item.get("type") == "array" and _is_plain_list(item):
            yield Field(place, cast(Node, item["items"]), is_required, is_list=True)
        else:
            yield Field(place, item, is_required)


def _is_object(node: Node) -> bool:
    """Closed, with known keys, and nothing said about them together."""
    properties = node.get("properties")
    return (
        node.get("type") == "object"
        and isinstance(properties, Mapping)
        and 0 < len(properties) <= MOST_KEYS
        and all(isinstance(item, Mapping) for item in properties.values())
        and node.get("additionalProperties") is False
        and not any(key in node for key in (*NOT_HERE, "$ref"))
        and required_names(node) <= set(properties)
    )


def _is_plain_list(node: Node) -> bool:
    return isinstance(node.get("items"), Mapping) and not set(node) - PLAIN_LIST


def _literal(text: str) -> str:
    """A Lark string."""
    return json.dumps(text, ensure_ascii=False)


def _at(schema: Node, path: Place) -> Node:
    for name in path:
        schema = properties_of(schema)[name]
    return schema
