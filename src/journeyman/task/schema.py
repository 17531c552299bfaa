"""Schemas as promises: admit what can be enforced, constrain the decoding with it, verify every answer.

    expand(shorthand) ─► admit ─► constraint_schema / grammar ─► decoder
                              └─► Verifier ─► every reply

llguidance decides what can be constrained, jsonschema-rs what is valid. Knows nothing about tasks or models.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import cast

import jsonschema_rs
from llguidance import LLMatcher, LLTokenizer

from journeyman.core.canonical import Json
from journeyman.core.errors import TaskError
from journeyman.core.grammar import COMPACT, bind_copies, copied_fields, find_unreachable, has_words, write_grammar
from journeyman.core.nodes import EXACT, Node, Where, escape, place, rebuild, resolve, subschemas, write_json
from journeyman.task.bounds import has_finite_value, max_answer_tokens
from journeyman.task.shorthand import KEYWORDS, close, expand
from journeyman.task.verify import Checked, Verifier, compile_validator, has_lone_surrogate, read_json, verifier

__all__ = [
    "Checked",
    "Verifier",
    "accepts",
    "admit",
    "admit_verified",
    "close",
    "constraint_schema",
    "expand",
    "grammar",
    "max_answer_tokens",
    "read_json",
    "verifier",
]

VERIFIED_ONLY: Mapping[str, frozenset[str] | None] = {
    # Keyword -> the values that are verified but not constrained (None: all). Everything else that llguidance cannot
    # enforce is refused: an answer that breaks it would fail after decoding far too often.
    "uniqueItems": None,
    "format": frozenset(
        ("uri-reference", "iri", "iri-reference", "uri-template", "regex", "json-pointer", "relative-json-pointer")
    ),
}
LIMITS = ("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum")
REFUSED = {
    "$dynamicRef": "use a plain $ref",
    "$recursiveRef": "use a plain $ref",
    "not": "list what is allowed instead",
    "if": "use anyOf with one closed object per case",
    "dependentSchemas": "use anyOf with one closed object per case",
    "dependentRequired": "use anyOf with one closed object per case",
    "dependencies": "use anyOf with one closed object per case",
    "contains": "remove it and check the list where you use it",
    "propertyNames": "use patternProperties",
    "unevaluatedProperties": "use additionalProperties",
    "unevaluatedItems": "use items",
}


def admit(schema: Node, where: Where) -> tuple[str, ...]:
    """Check that every answer can be held to the schema.

    Returns:
        Notices: what is verified only, left open or ignored.

    Raises:
        TaskError: JM-211 a keyword cannot be enforced, JM-212 not JSON Schema, JM-213 no value fits, JM-214 a
            reference cannot be followed, JM-215 a pattern cannot be enforced; each names keyword and path.
    """
    notices: list[str] = []
    for path, node in subschemas(schema):
        if isinstance(node, Mapping):
            _check_references(node, schema, path, where)
            _check_keywords(node, path, where)
            notices += _notices(node, path)
    _check_words(schema, where)
    _check_shape(schema, where)
    if not has_finite_value(schema):
        keyword, path = _endless(schema)
        raise TaskError(
            "JM-213",
            f"no finite answer fits this schema: {keyword} at {path} allows nothing, or only what contains itself",
            where=place(where, path),
            expected="a way out of the recursion",
            hint="make the recursive property optional, or the list's minItems 0",
        )
    notices += _check_grammar(schema, where)
    return tuple(notices)


def admit_verified(schema: Node, where: Where) -> None:
    """Check that answers can be held against the schema, whether or not they could be constrained by it.

    Raises:
        TaskError: JM-212 not JSON Schema, JM-214 a reference cannot be followed, JM-215 a pattern cannot be read; each names keyword and path.
    """
    try:
        _check_shape(schema, where)
    except TaskError:
        for path, node in subschemas(schema):
            if isinstance(node, Mapping) and "$ref" in node:
                _check_references({"$ref": node["$ref"]}, schema, path, where)
        raise


def constraint_schema(schema: Node, fields: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """The schema for the decoder: verified-only keywords removed, numbers in one form, compact JSON asked for.

    With the input ``fields`` of a call, each ``x-copy`` string may only be a span of its field.
    """
    stripped, has_copies = _stripped(json.dumps(schema))
    return cast(dict[str, Json], bind_copies(stripped, fields)) if has_copies and fields else stripped


@lru_cache(256)
def _stripped(schema: str) -> tuple[dict[str, Json], bool]:
    """Shared by calls, so nobody changes it; and whether anything in it is a copy."""
    stripped = cast(dict[str, Json], rebuild(json.loads(schema), _strip)) | {"x-guidance": COMPACT}
    return stripped, bool(copied_fields(stripped))


def grammar(schema: Node, fields: Mapping[str, Json] | None = None) -> str:
    """The llguidance grammar of ``constraint_schema``: no whitespace, keys in declared order where none is asked for."""
    constraint = constraint_schema(schema, fields)
    if has_words(constraint):
        return LLMatcher.grammar_from_lark(write_grammar(constraint))
    return LLMatcher.grammar_from_json_schema(json.dumps(constraint, ensure_ascii=False))


def accepts(schema: Node, text: str, fields: Mapping[str, Json] | None = None) -> bool:
    """Whether the constrained decoder could write exactly this text."""
    matcher = LLMatcher(_byte_tokenizer(), grammar(schema, fields), log_level=0)
    data = list(text.encode("utf-8", "surrogatepass"))
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


@lru_cache(maxsize=1)
def _byte_tokenizer() -> LLTokenizer:
    return LLTokenizer("byte")


def _check_references(node: Node, root: Node, path: str, where: Where) -> None:
    reference = node.get("$ref")
    if isinstance(reference, str):
        found = resolve(root, reference) if reference.startswith("#") else None
        if found is None:
            raise TaskError(
                "JM-214",
                f"$ref at {path} cannot be followed",
                where=place(where, path),
                expected="a local reference such as #/$defs/name",
                got=reference,
                hint="copy the definition into $defs of this schema",
            )
    if "$id" in node and path != "#":
        raise _refused("$id", path, where, "move the definition into $defs and refer to it by #/$defs/name")


def _check_keywords(node: Node, path: str, where: Where) -> None:
    for keyword, hint in REFUSED.items():
        if keyword in node:
            raise _refused(keyword, path, where, hint)
    fields = node.get("properties")
    for name in fields if isinstance(fields, Mapping) else ():
        if "\x7f" in name or has_lone_surrogate(name):
            raise _refused(f"properties/{escape(name)!r}", path, where, "use a name without control characters")
    for value in _constants(node):
        if isinstance(value, int | float) and not _can_be_written(value):
            keyword = "const" if "const" in node else "enum"
            raise _refused(
                f"the number {value!r:.40} in {keyword}", path, where, "use fewer digits, or write it as text"
            )


def _check_words(schema: Node, where: Where) -> None:
    """``x-order`` and ``x-copy`` where they can be enforced, or not at all."""
    path = find_unreachable(schema)
    if path is not None:
        raise _refused(
            "x-order or x-copy",
            path,
            where,
            "x-order: any stands in a closed object of at most 64 properties, x-copy in a plain string, both inside closed "
            "objects whose keys are all required, or in a list of such",
        )


def _can_be_written(value: float) -> bool:
    """Decoder and verifier read numbers of 17 digits, or from 2^53 on, with small errors of their own."""
    if isinstance(value, int) or value.is_integer():
        return abs(value) < EXACT
    return accepts({"const": value}, write_json(value))


def _refused(keyword: str, path: str, where: Where, hint: str) -> TaskError:
    return TaskError(
        "JM-211",
        f"{keyword} at {path} cannot be enforced while an answer is written",
        where=place(where, path),
        expected="a keyword that constrains decoding",
        got=keyword,
        hint=hint,
    )


def _notices(node: Node, path: str) -> list[str]:
    notices = [
        f"{keyword} at {path} is checked after the answer is written, not while"
        for keyword in VERIFIED_ONLY
        if _is_verified_only(keyword, node.get(keyword))
    ]
    if isinstance(node.get("properties"), Mapping) and "additionalProperties" not in node:
        notices.append(f"the object at {path} is open: write additionalProperties: false to allow no other keys")
    for key in node:
        if key not in KEYWORDS and not key.startswith("x-"):
            near = get_close_matches(key, KEYWORDS, 1, 0.75)
            notices.append(f"{key} at {path} has no effect{f': did you mean {near[0]}?' if near else ''}")
    return notices


def _check_shape(schema: Node, where: Where) -> None:
    try:
        compile_validator(schema)
    except ValueError as error:
        if not isinstance(error, jsonschema_rs.ValidationError):
            raise TaskError(
                "JM-212",
                "the schema cannot be read",
                where=place(where, "#"),
                expected="JSON Schema 2020-12",
                got=f"{error!s:.200}",
                hint="nest it less deeply",
            ) from None
        path = "/".join(["#", *(escape(str(step)) for step in error.instance_path)])
        if error.message.startswith("Unknown meta-schema"):
            path = "#/$schema"
        is_pattern = path.endswith("/pattern") or "/patternProperties" in path
        raise TaskError(
            "JM-215" if is_pattern else "JM-212",
            f"the value at {path} is not JSON Schema",
            where=place(where, path),
            expected="JSON Schema 2020-12",
            got=f"{error.message:.200}",
            hint="see https://json-schema.org/understanding-json-schema",
        ) from None


def _check_grammar(schema: Node, where: Where) -> list[str]:
    is_error, messages = _compile_grammar(schema)
    if not is_error:
        return [str(message) for message in messages]
    path, message = _culprit(schema, messages[0])
    raise _grammar_error(path, message, where, schema)


def _compile_grammar(schema: Node) -> tuple[bool, list[str]]:
    return LLMatcher.validate_grammar_with_warnings(grammar(schema), tokenizer=_byte_tokenizer())


def _endless(schema: Node) -> tuple[str, str]:
    """The keyword without which the innermost endless subschema would end, and the path of that subschema."""
    for path, node in sorted(subschemas(schema), key=lambda item: -item[0].count("/")):
        if isinstance(node, Mapping) and not has_finite_value(_shared(schema) | dict(node)):
            rest = ({key: item for key, item in node.items() if key != name} for name in node)
            ends = (name for name, left in zip(node, rest, strict=True) if has_finite_value(_shared(schema) | left))
            return next(ends, "it"), path
    return "it", "#"


def _shared(schema: Node) -> dict[str, Json]:
    return {key: schema[key] for key in ("$schema", "$defs", "definitions") if key in schema}


def _culprit(schema: Node, message: str) -> tuple[str, str]:
    """The innermost subschema that fails by itself, and why; llguidance names no path."""
    shared = _shared(schema)
    for path, node in sorted(subschemas(schema), key=lambda item: -item[0].count("/")):
        if isinstance(node, Mapping):
            is_error, messages = _compile_grammar({**shared, **node})
            if is_error and "ointer" not in messages[0]:
                return path, messages[0]
    return "#", message


def _grammar_error(path: str, message: str, where: Where, schema: Node) -> TaskError:
    got = " ".join(message.split())[:240]
    if message.startswith("Unsatisfiable"):
        return TaskError(
            "JM-213",
            f"no answer fits the schema at {path}",
            where=place(where, path),
            expected="a schema that some value satisfies",
            got=got,
            hint="compare the limits, enum and required of that place",
        )
    if "regex" in message and "range" not in message:
        return TaskError(
            "JM-215",
            f"{'patternProperties' if 'patternProperty' in message else 'pattern'} at {path} cannot be enforced while an answer is written",
            where=place(where, path),
            expected="a regular expression without look-around, back-references and word boundaries",
            got=got,
            hint="rewrite the pattern, or use enum",
        )
    named = re.search(r"keys: \[\"([^\"]+)|^(oneOf|min/maxProperties)|(format|range)|for '(\w+)'|(Pointer)", message)
    keyword = next((group for group in named.groups() if group), "") if named else "a keyword"
    keyword = "$ref" if keyword == "Pointer" else keyword
    node = resolve(schema, path)
    if keyword == "range" and isinstance(node, Mapping):
        keyword = next((limit for limit in LIMITS if limit in node), keyword)
    hint = "use anyOf, or members that differ in type" if keyword == "oneOf" else "remove it or say it another way"
    return TaskError(
        "JM-211",
        f"{keyword} at {path} cannot be enforced while an answer is written",
        where=place(where, path),
        expected="a keyword that constrains decoding",
        got=got,
        hint=hint,
    )


def _is_verified_only(keyword: str, value: object) -> bool:
    values = VERIFIED_ONLY[keyword]
    return bool(value) if values is None else value in values if isinstance(value, str) else False


def _strip(node: dict[str, Json]) -> dict[str, Json]:
    """Without the keywords that only the verifier knows; constants in the one form that the decoder writes."""
    kept = {key: value for key, value in node.items() if not _is_stripped(key, value)}
    return kept | {key: _one_form(kept[key]) for key in ("enum", "const") if key in kept}


def _is_stripped(key: str, value: Json) -> bool:
    if key in ("default", "examples", "x-guidance"):
        return True
    return key in VERIFIED_ONLY and (_is_verified_only(key, value) or value is False)


def _one_form(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_one_form(item) for item in value]
    return {key: _one_form(item) for key, item in value.items()} if isinstance(value, dict) else value


def _constants(node: Node) -> list[Json]:
    listed = node.get("enum")
    return [*(listed if isinstance(listed, list) else []), *([node["const"]] if "const" in node else [])]
