"""A JSON Schema as the grammar that llguidance decodes by, with two words that JSON Schema does not have.

``x-order: any`` on a closed object: its keys come in any order, none twice (JSON Schema alone would fix the declared order here).
``x-copy: FIELD`` on a string: a span of that input field, letter by letter; ``bind_copies`` puts the field's text in its place.

Everything else is written by llguidance itself (``%json``). Both words hold on a path of closed objects whose keys are all required, of
``x-order`` objects, and of plain lists; ``find_unreachable`` names a place outside of it. Order without repetition is a parametric
grammar: one bit per key that was written (llguidance, docs/parametric.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from journeyman.core.canonical import Json
from journeyman.core.nodes import Node, escape, rebuild, subschemas

COMPACT: Json = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
ORDER, COPY, TEXT = "x-order", "x-copy", "x-copy-text"
MOST_KEYS = 64  # the bits of llguidance's parameter
NOT_HERE = ("anyOf", "oneOf", "allOf", "enum", "const", "patternProperties", "minProperties", "maxProperties")
NOT_IN_LISTS = ("prefixItems", "minItems", "maxItems", "uniqueItems")


def write_grammar(schema: Node) -> str:
    """The grammar in llguidance's Lark dialect: compact JSON, keys in declared order but for ``x-order: any``.

    Raises:
        ValueError: one of the words stands where it cannot be enforced; see `find_unreachable`.
    """
    if (path := find_unreachable(schema)) is not None:
        raise ValueError(f"x-order or x-copy at {path} cannot be enforced")
    writer = GrammarWriter(schema)
    writer.rules["start"] = writer.write(schema)
    return writer.text()


def bind_copies(schema: Json, fields: Mapping[str, Json]) -> Json:
    """The schema for one call: each ``x-copy`` gets the text of its input field."""

    def bind(node: dict[str, Json]) -> dict[str, Json]:
        text = fields.get(str(node[COPY])) if COPY in node else None
        return {**node, TEXT: text} if isinstance(text, str) else node

    return rebuild(schema, bind)


def strip_words(schema: Json) -> Json:
    """The schema as other engines take it, without words of our own."""
    return rebuild(
        schema, lambda node: {key: item for key, item in node.items() if key not in (ORDER, COPY, TEXT, "x-guidance")}
    )


def find_unreachable(schema: Node) -> str | None:
    """The path of a word that `write_grammar` cannot enforce, or that is no word; None when all is well."""
    words = {path for path, _node in _words(schema)}
    return min(words - set(_reachable(schema, "#")), default=None)


def has_words(node: Node) -> bool:
    """Whether ``x-order`` or ``x-copy`` stands anywhere in it."""
    return any(True for _ in _words(node))


def copied_fields(schema: Node) -> set[str]:
    """Names of the input fields that ``x-copy`` refers to."""
    return {str(node[COPY]) for _path, node in _words(schema) if COPY in node}


def _words(schema: Node) -> Iterator[tuple[str, Node]]:
    for path, node in subschemas(schema):
        if isinstance(node, Mapping) and (ORDER in node or COPY in node):
            yield path, node


def _reachable(node: Node, path: str) -> Iterator[str]:
    if COPY in node:
        if node.get("type") == "string" and not {"enum", "const", "pattern", "format", "maxLength"} & set(node):
            yield path
    elif _is_object(node):
        yield path
        for name, item in properties_of(node).items():
            yield from _reachable(item, f"{path}/properties/{escape(name)}")
    elif _is_list(node):
        items = node["items"]
        assert isinstance(items, Mapping)
        yield from _reachable(items, f"{path}/items")


def _is_object(node: Node) -> bool:
    """Closed, plain, and its keys either all required or in any order."""
    names = set(properties_of(node))
    if not names or node.get("additionalProperties") is not False or any(key in node for key in NOT_HERE):
        return False
    wanted = required_names(node)
    if not wanted <= names:
        return False
    return node[ORDER] == "any" and len(names) <= MOST_KEYS if ORDER in node else wanted == names


def required_names(node: Node) -> set[str]:
    required = node.get("required", [])
    return set(map(str, required)) if isinstance(required, list) else set()


def _is_list(node: Node) -> bool:
    return isinstance(node.get("items"), Mapping) and not any(key in node for key in (*NOT_IN_LISTS, *NOT_HERE))


def properties_of(node: Node) -> dict[str, Node]:
    properties = node.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {name: item for name, item in properties.items() if isinstance(item, Mapping)}


@dataclass(slots=True)
class GrammarWriter:
    """Rules by name, innermost first; ``root`` is the schema whose definitions they refer to."""

    root: Node
    rules: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The whole grammar, once there is a rule ``start``."""
        return "\n".join(f"{name}: {body}" for name, body in reversed(self.rules.items()))

    def write(self, node: Node) -> str:
        """The body of a rule for ``node`` as JSON."""
        if not has_words(node):
            shared = {key: self.root[key] for key in ("$schema", "$defs", "definitions") if key in self.root}
            return "%json " + json.dumps({**shared, **node, "x-guidance": COMPACT}, ensure_ascii=False)
        if COPY in node:
            return self._write_copy(node)
        if ORDER in node:
            return self._write_any_order(node)
        if _is_list(node):
            items = node["items"]
            assert isinstance(items, Mapping)
            item = self.add(self.write(items))
            return f'"[" ({item} ("," {item})*)? "]"'
        members = [f"{_literal(name)} {self.add(self.write(item))}" for name, item in properties_of(node).items()]
        return '"{" ' + ' "," '.join(members) + ' "}"'

    def add(self, body: str, prefix: str = "r") -> str:
        """A rule of its own for ``body``; equal bodies share one. Names of terminals are in capitals."""
        known = next((name for name, text in self.rules.items() if text == body), "")
        if not known:
            known = f"{prefix}{len(self.rules)}"
            self.rules[known] = body
        return known

    def add_any_order(
        self, members: Mapping[str, str], wanted: Set[str], first: Mapping[str, str] | None = None
    ) -> str:
        """A reference to a rule for ``members`` in any order, none twice, the wanted ones for certain.

        ``first`` are the forms that a member has where it comes first. Bit k of the rule's parameter says that member k was written.
        """
        bits = [bit for bit, name in enumerate(members) if name in wanted]
        end = _all_of([f"is_ones([{bit}:{bit + 1}])" for bit in bits])
        more = f"more{len(self.rules)}"
        start = more if first is None else f"first{len(self.rules)}"
        for name, forms in {more: members, start: first or members}.items():
            written = (f"{form} {more}::set_bit({bit}) %if bit_clear({bit})" for bit, form in enumerate(forms.values()))
            self.rules[f"{name}::_"] = "\n  | ".join([f'""{end}', *written])
        return f"{start}::0x0"

    def _write_any_order(self, node: Node) -> str:
        """``{`` a first member, further ones after commas ``}``."""
        values = {name: self.add(self.write(item)) for name, item in properties_of(node).items()}
        after = {name: f"{_literal(name, ',')} {value}" for name, value in values.items()}
        first = {name: f"{_literal(name)} {value}" for name, value in values.items()}
        return f'"{{" {self.add_any_order(after, required_names(node), first)} "}}"'

    def _write_copy(self, node: Node) -> str:
        """A JSON string of one span of the text; the pieces are letters as JSON escapes them, so none is cut."""
        text = node.get(TEXT)
        if not isinstance(text, str):
            plain = {key: item for key, item in node.items() if key != COPY}
            return self.write(plain)
        span = self.add_span([_escape(letter) for letter in text], is_some=bool(node.get("minLength")))
        return f'"\\"" {span} "\\""'

    def add_span(self, pieces: Sequence[str], *, is_some: bool) -> str:
        """The name of a terminal for pieces that follow each other; ``is_some``: for one at least."""
        chunks = json.dumps({"substring_chunks": list(pieces)}, ensure_ascii=False)
        name = self.add(f"%regex {chunks}", "SPAN")
        return self.add(f"{name} & /(.|\\n)+/", "SOME") if is_some else name


def _all_of(conditions: Sequence[str]) -> str:
    if not conditions:
        return ""
    whole = conditions[0]
    for condition in conditions[1:]:
        whole = f"and({whole}, {condition})"
    return f" %if {whole}"


def _literal(name: str, before: str = "") -> str:
    """A key with its colon, as JSON, as a Lark string."""
    return json.dumps(f"{before}{json.dumps(name, ensure_ascii=False)}:", ensure_ascii=False)


def _escape(letter: str) -> str:
    return "\\u007f" if letter == "\x7f" else json.dumps(letter, ensure_ascii=False)[1:-1]
