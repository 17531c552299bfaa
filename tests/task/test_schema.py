"""Schemas: shorthand, admission, constraint, bounds."""

from __future__ import annotations

import json
from functools import reduce
from typing import Any

import pytest
from llguidance import LLMatcher

from journeyman.core.errors import TaskError
from journeyman.task.schema import (
    VERIFIED_ONLY,
    Verifier,
    accepts,
    admit,
    close,
    constraint_schema,
    expand,
    grammar,
    max_answer_tokens,
    verifier,
)

STRING = {"type": "string"}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("raw", "schema"),
    [
        ("string", STRING),
        ("date?", {"type": ["string", "null"], "format": "date"}),
        (["integer"], {"type": "array", "items": {"type": "integer"}}),
        ({"enum": ["b", "a"]}, {"enum": ["b", "a"]}),
        ({"b": "string", "a": "number"}, closed(b=STRING, a={"type": "number"})),
        ({"a?": "string"}, {**closed(a=STRING), "required": []}),
        (
            {"rows": [{"x": "uuid"}]},
            closed(rows={"type": "array", "items": closed(x={"type": "string", "format": "uuid"})}),
        ),
        ({"type": "string", "maxLength": 3}, {"type": "string", "maxLength": 3}),
        ({"type": "object", "properties": {"a": STRING}}, {"type": "object", "properties": {"a": STRING}}),
        ({"properties": {"a": STRING}}, {"properties": {"a": STRING}}),
        ({"anyOf": [STRING]}, {"anyOf": [STRING]}),
        ({"title": "string", "description": "string"}, closed(title=STRING, description=STRING)),
        ({"type": "string", "amount": "string"}, closed(type=STRING, amount=STRING)),
        ({"items": ["string"]}, closed(items={"type": "array", "items": STRING})),
        ({"type": {"enum": ["x"]}}, closed(type={"enum": ["x"]})),
        ({"price": {"type": "number", "minimum": 0}}, closed(price={"type": "number", "minimum": 0})),
    ],
)
def test_shorthand(raw: Any, schema: Any) -> None:
    expanded = expand(raw, "t")
    assert json.dumps(expanded) == json.dumps(schema)
    admit(expanded, "t")


@pytest.mark.parametrize(
    ("raw", "code", "message"),
    [
        ("strng", "JM-210", "did you mean string?"),
        ({"a": {"b": "int"}}, "JM-210", "unknown type at #/a/b"),
        ([], "JM-210", "exactly one item"),
        (["string", "string"], "JM-210", "exactly one item"),
        (3, "JM-210", "this is not a type"),
        (None, "JM-210", "this is not a type"),
        ({}, "JM-210", "an object without fields"),
        ({"a": "string", "a?": "string"}, "JM-210", "a name of its own"),
        ({"type": "string", "title": "string"}, "JM-217", "read as JSON Schema and as an object's fields"),
    ],
)
def test_shorthand_that_is_refused(raw: Any, code: str, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        expand(raw, "tasks/t.yaml:4")
    assert caught.value.code == code
    assert message in str(caught.value)
    assert "tasks/t.yaml:4" in str(caught.value)


NESTED = reduce(lambda schema, _: {"items": schema}, range(300), STRING)
REFUSED: list[tuple[Any, str, str]] = [
    ({"not": STRING}, "JM-211", "not at #"),
    ({"if": STRING, "then": {"minLength": 1}}, "JM-211", "if at #"),
    (closed(a={"type": "array", "contains": STRING}), "JM-211", "contains at #/properties/a"),
    ({"dependentRequired": {"a": ["b"]}}, "JM-211", "dependentRequired at #"),
    ({"type": "object", "unevaluatedProperties": False}, "JM-211", "unevaluatedProperties at #"),
    (closed(a={"oneOf": [STRING, {"type": "string", "minLength": 2}]}), "JM-211", "oneOf at #/properties/a"),
    ({"type": "object", "properties": {"a": STRING}, "maxProperties": 1}, "JM-211", "min/maxProperties at #"),
    ({"enum": [900720.0421365949]}, "JM-211", "the number 900720.0421365949 in enum at #"),
    ({"enum": [2**53]}, "JM-211", "the number 9007199254740992 in enum at #"),
    (closed(**{"a\x7f": STRING}), "JM-211", "properties/"),
    ({"$defs": {"a": {"$id": "b", "type": "string"}}, "$ref": "#/$defs/a"}, "JM-211", "$id at #/$defs/a"),
    (closed(a={"type": "str"}), "JM-212", "#/properties/a/type"),
    ({"type": "string", "format": "colour"}, "JM-212", "Unknown format: 'colour'"),
    ({"minLength": -1}, "JM-212", "#/minLength"),
    ({"type": "integer", "minimum": 5, "maximum": 2}, "JM-213", "no answer fits the schema at #"),
    (
        closed(a=closed(b={"type": "string", "minLength": 5, "maxLength": 2})),
        "JM-213",
        "at #/properties/a/properties/b",
    ),
    (closed(a={"enum": []}), "JM-213", "#/properties/a"),
    (
        {"$defs": {"n": closed(c={"$ref": "#/$defs/n"})}, "$ref": "#/$defs/n"},
        "JM-213",
        "$ref at #/$defs/n/properties/c",
    ),
    ({"allOf": [True, False]}, "JM-213", "allOf at #"),
    ({"$ref": "#/$defs/none", "$defs": {"none": False}}, "JM-213", "$ref at #"),
    (closed(a={"type": "number", "maximum": 2**64}), "JM-211", "maximum at #/properties/a"),
    ({"patternProperties": {"f.*": {}, "b.*": STRING}}, "JM-215", "patternProperties at #"),
    (NESTED, "JM-212", "Recursion limit"),
    ({"type": "array", "maxItems": 2.0}, "JM-211", "maxItems at #"),
    ({"examples": [STRING], "$ref": "#/examples/0"}, "JM-211", "$ref at #"),
    ({"$schema": "https://example.com/own"}, "JM-212", "#/$schema"),
    ({"$ref": "https://example.com/a"}, "JM-214", "local reference"),
    (closed(a={"$ref": "#/$defs/b"}), "JM-214", "$ref at #/properties/a"),
    (closed(a={"type": "string", "pattern": "^(?=a)b"}), "JM-215", "pattern at #/properties/a"),
    (closed(a={"type": "string", "pattern": r"^\bfoo$"}), "JM-215", "pattern at #/properties/a"),
    (closed(a={"type": "string", "pattern": r"(a)\1"}), "JM-215", "pattern at #/properties/a"),
    ({"type": "string", "pattern": "("}, "JM-215", "#/pattern"),
]


@pytest.mark.parametrize(("schema", "code", "message"), REFUSED)
def test_what_cannot_be_enforced_is_refused_by_name_and_path(schema: Any, code: str, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        admit(schema, "tasks/t.yaml:7")
    assert caught.value.code == code
    assert message in str(caught.value)
    assert "tasks/t.yaml:7" in caught.value.where
    assert caught.value.hint


def test_recursion_and_local_references_are_admitted() -> None:
    node = {**closed(name=STRING, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})}
    assert admit({"$defs": {"node": node}, "$ref": "#/$defs/node"}, "t") == ()
    assert admit({"$defs": {"a": {"$anchor": "x", "type": "string"}}, **closed(a={"$ref": "#x"})}, "t") == ()


def test_notices_tell_what_is_not_constrained() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": STRING, "uniqueItems": True},
            "n": {"type": "string", "maxLenght": 3},
        },
    }
    notices = admit(schema, "t")
    assert "the object at # is open: write additionalProperties: false to allow no other keys" in notices
    assert "uniqueItems at #/properties/tags is checked after the answer is written, not while" in notices
    assert "maxLenght at #/properties/n has no effect: did you mean maxLength?" in notices


def test_verified_only_keywords_are_stripped_for_decoding_and_verified_after() -> None:
    assert set(VERIFIED_ONLY) == {"uniqueItems", "format"}
    schema = closed(
        uniqueItems={"type": "array", "items": STRING, "uniqueItems": True}, format={"format": "json-pointer"}
    )
    stripped = constraint_schema(schema)
    assert stripped["properties"] == {"uniqueItems": {"type": "array", "items": STRING}, "format": {}}
    assert accepts(schema, '{"uniqueItems":["a","a"],"format":"x"}')
    assert "non-unique" in Verifier(schema).check('{"uniqueItems":["a","a"],"format":"/x"}').problem
    assert Verifier(schema).check('{"uniqueItems":["a"],"format":"x"}').problem
    assert Verifier(schema).check('{"uniqueItems":["a"],"format":"/x"}').is_valid


def test_every_plain_format_is_constrained_or_verified() -> None:
    for name in (
        "date",
        "time",
        "date-time",
        "email",
        "uri",
        "uuid",
        "ipv4",
        "ipv6",
        "hostname",
        "duration",
        "iri",
        "regex",
    ):
        notices = admit({"type": "string", "format": name}, "t")
        assert bool(notices) == (name in (VERIFIED_ONLY["format"] or ()))


def test_the_grammar_has_no_whitespace_and_overrides_the_users_own_options() -> None:
    schema = {**closed(a={"type": "integer"}), "x-guidance": {"whitespace_flexible": True}}
    assert accepts(schema, '{"a":1}')
    assert not accepts(schema, '{"a": 1}')
    assert not accepts(schema, '{"a":1} ')
    assert LLMatcher.validate_grammar(grammar(schema)) == ""


def test_close_shuts_what_lists_properties_and_does_not_say() -> None:
    schema: Any = {
        "$defs": {"a": {"properties": {"properties": STRING}}},
        "additionalProperties": True,
        "properties": {},
    }
    assert close(schema) == {
        "$defs": {"a": {"properties": {"properties": STRING}, "additionalProperties": False}},
        "additionalProperties": True,
        "properties": {},
    }
    assert "additionalProperties" not in schema["$defs"]["a"]


@pytest.mark.parametrize(
    ("schema", "tokens"),
    [
        ({"enum": ["a", "bcd"]}, 6),
        ({"type": "boolean"}, 6),
        (closed(a={"enum": ["x"]}), len('{"a":"x"}') + 2),
        ({"type": "array", "items": {"type": "null"}, "maxItems": 2}, 2 + 2 * 5 + 1),
        ({"type": ["string", "null"], "maxLength": 2}, 15),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": False}, 5),
        (STRING, None),
        ({"type": "array", "items": {"type": "null"}}, None),
        ({"type": "object"}, None),
        (closed(a=STRING), None),
        ({"$defs": {"n": {**closed(c={"$ref": "#/$defs/n"}), "required": []}}, "$ref": "#/$defs/n"}, None),
        ({"allOf": [{"enum": ["a"]}]}, None),
    ],
)
def test_max_answer_tokens(schema: Any, tokens: int | None) -> None:
    assert max_answer_tokens(schema) == tokens


def test_verifiers_are_compiled_once() -> None:
    assert verifier(STRING) is verifier(dict(STRING))
