"""Lines: every answer that fits a schema has one text, which reads back; the decoder may write that and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from journeyman.core import reader
from journeyman.core.canonical import Json
from journeyman.core.lines import Lines, find_fields
from journeyman.core.nodes import write_json
from journeyman.task.answer import arrange
from journeyman.task.schema import _byte_tokenizer, constraint_schema, verifier

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["refund", "card lost", 3, None, True]},
        "note": {"type": "string"},
        "total": {"type": "number"},
        "who": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "code": {"type": "string", "pattern": "^[A-Z]{2}$"},
            },
            "required": ["name"],
            "additionalProperties": False,
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "parts": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "integer"}}},
        "more": {
            "type": "object",
            "properties": {"a": {"type": "boolean"}, "b": {"type": ["string", "null"]}, "c": {"type": "string"}},
            "required": ["a"],
            "additionalProperties": False,
            "x-order": "any",
        },
    },
    "required": ["kind", "who", "tags", "parts", "more"],
    "additionalProperties": False,
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def _lines(schema: dict[str, Any]) -> Lines:
    fields = find_fields(schema)
    words = tuple(tuple(f"w{place}" for place, _value in enumerate(field.choices)) for field in fields)
    return Lines(schema, tuple(f"l{place}" for place, _field in enumerate(fields)), words)


def _members(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


@st.composite
def answers(draw: st.DrawFn) -> dict[str, Json]:
    more = {"a": draw(st.booleans()), **draw(_members(b=st.none() | TEXT, c=TEXT))}
    return {
        "kind": draw(st.sampled_from(SCHEMA["properties"]["kind"]["enum"])),
        **draw(
            _members(note=TEXT, total=st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
        ),
        "who": {"name": draw(TEXT.filter(bool)), **draw(_members(code=st.from_regex("[A-Z]{2}", fullmatch=True)))},
        "tags": draw(st.lists(TEXT, max_size=3)),
        "parts": draw(st.lists(st.dictionaries(TEXT, st.integers(-9, 9), max_size=2), max_size=2)),
        "more": {name: more[name] for name in draw(st.permutations(list(more)))},
    }


def _accepts(lines: Lines, text: str, fields: dict[str, Json] | None = None) -> bool:
    grammar = LLMatcher.grammar_from_lark(lines.grammar(constraint_schema(lines.schema, fields)))
    matcher = LLMatcher(_byte_tokenizer(), grammar, log_level=0)
    data = list(text.encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers())
def test_every_answer_reads_back_and_may_be_written(value: dict[str, Json]) -> None:
    assert verifier(SCHEMA).check_value(value).is_valid
    lines = _lines(SCHEMA)
    answer = write_json(arrange(value, SCHEMA))
    text = lines.write(answer)
    assert text != answer
    assert lines.read(text) == answer
    assert _accepts(lines, text), text


def test_the_text_says_what_the_answer_says() -> None:
    value = {
        "kind": "card lost",
        "note": "a\\b\nc",
        "who": {"name": "Ann {x}", "code": "UK"},
        "tags": ["", "y z"],
        "parts": [{"p": 1}],
        "more": {"c": "", "a": True, "b": None},
    }
    text = _lines(SCHEMA).write(write_json(arrange(value, SCHEMA)))
    expected = [
        "w1",
        "l1 a\\\\b\\nc",
        "l3 Ann {x}",
        'l4 "UK"',
        "l5 ",
        "l5 y z",
        'l6 {"p":1}',
        "l9 ",
        "l7 true",
        "l8 null",
    ]
    assert text.split("\n") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w9",
        "w1\nl3 Ann",
        "w1\nl3 Ann\nl7 true\nl7 true",
        "w1\nl3 Ann\nl7 true\n",
        "w1\nl3 Ann\nl7 true\nl99 x",
        "w1\nl3 a\\b\nl7 true",
        "w1\nl3 Ann\nl7 yes",
        "w1\nl3 Ann\nl7 true\nl8 NaN",
        "w1 \nl3 Ann\nl7 true",
        '{"kind":1',
    ],
)
def test_what_is_no_answer_reads_as_none(text: str) -> None:
    lines = _lines(SCHEMA)
    assert not verifier(SCHEMA).check(lines.read(text)).is_valid
    assert not _accepts(lines, text)


def test_lines_out_of_order_are_read_though_not_written() -> None:
    lines = _lines(SCHEMA)
    text = "w0\nl7 false\nl3 Ann"
    assert not _accepts(lines, text)
    assert json.loads(lines.read(text)) == {
        "kind": "refund",
        "who": {"name": "Ann"},
        "tags": [],
        "parts": [],
        "more": {"a": False},
    }


def test_a_copied_value_is_a_span_of_the_text_also_over_its_line_breaks() -> None:
    schema = {
        "type": "object",
        "properties": {
            "who": {"type": "string", "x-copy": "text", "minLength": 1},
            "all": {"type": "array", "items": {"type": "string", "x-copy": "text"}},
        },
        "required": ["all"],
        "additionalProperties": False,
        "x-order": "any",
    }
    schema_in_order = {name: item for name, item in schema.items() if name != "x-order"}
    given = {"text": "Ann\nand \\ Bob"}
    lines = _lines(schema_in_order)
    assert lines.first is None
    assert _accepts(lines, "-\nl0 Ann\\nand \\\\\nl1 Bob\nl1 Ann", given)
    for text in ("-\nl0 Anna", "-\nl0 ", "-\nl0 and \\", "l0 Ann", "-\nl1 Bob\nl0 Ann"):
        assert not _accepts(lines, text, given), text
    anyhow = _lines(schema)
    assert _accepts(anyhow, '-\nl1 ["Bob"]\nl0 Ann', given)
    assert not _accepts(anyhow, "-\nl0 Ann", given), "the list is required, and in JSON where the order is free"


def test_an_answer_that_has_no_lines_stays_json() -> None:
    assert _lines(SCHEMA).write('{"kind":"other"}') == '{"kind":"other"}'
    assert _lines(SCHEMA).write("no JSON") == "no JSON"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"a": True}, "additionalProperties": False},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False, "anyOf": [{}]},
    ],
)
def test_other_outputs_have_no_lines(schema: dict[str, Any]) -> None:
    assert find_fields(schema) == []


@settings(max_examples=100, deadline=None)
@given(answers())
def test_the_reader_that_travels_with_a_release_gives_the_same_answer(value: dict[str, Json]) -> None:
    lines = _lines(SCHEMA)
    text = lines.write(write_json(arrange(value, SCHEMA)))
    assert reader.read(text, json.loads(json.dumps(lines.table()))) == json.loads(lines.read(text))


@pytest.mark.parametrize("text", ["", "w9", "w1\nl3 Ann\nl7", "w1\nl3 Ann\nl3 Bob", "w1\nl99 x", "w1\nl7 yes"])
def test_the_reader_refuses_what_is_no_answer(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        reader.read(text, _lines(SCHEMA).table())


def test_what_the_manifest_holds_is_enough() -> None:
    lines = _lines(SCHEMA)
    assert Lines.from_json(json.loads(json.dumps(lines.to_json())), SCHEMA) == lines


@pytest.mark.parametrize(
    ("node", "choices"),
    [
        ({"enum": ["a", "a", 1, 1.0, None]}, 3),
        ({"enum": ["a", "b"], "type": "string"}, 2),
        ({"enum": ["a", 2], "type": "string"}, 0),
        ({"enum": [1, 2], "type": "integer"}, 0),
        ({"enum": ["a", "bb"], "maxLength": 1}, 0),
        ({"enum": [{"a": 1}]}, 0),
        ({"enum": [str(number) for number in range(257)]}, 0),
        ({"const": "a"}, 0),
    ],
)
def test_choices_have_words_where_the_list_says_it_all(node: dict[str, Any], choices: int) -> None:
    schema = {"type": "object", "properties": {"a": node}, "required": ["a"], "additionalProperties": False}
    (field,) = find_fields(schema)
    assert len(field.choices) == choices
    for value in node.get("enum", ["a"]):
        answer = write_json({"a": value})
        assert _lines(schema).read(_lines(schema).write(answer)) == answer


@given(answers())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_line_is_a_span_of_its_field(value: dict[str, Json]) -> None:
    lines = _lines(SCHEMA)
    text = lines.write(write_json(arrange(value, SCHEMA)))
    spans = list(lines.spans(text))
    data = text.encode()
    assert [data[start:end].decode() for _path, start, end in spans] == text.split("\n")
    labels = dict(zip((".".join(field.path) for field in find_fields(SCHEMA)), lines.labels, strict=True))
    for place, (path, start, end) in enumerate(spans):
        assert not place or data[start:end].decode().startswith(f"{labels[path]} ")
