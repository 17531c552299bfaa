"""Closed schemas: the list of answers is what the verifier accepts, all of it and nothing else."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeyman.core.canonical import dump
from journeyman.task.closed import closed_answers, closed_fields
from journeyman.task.schema import verifier


def _object(fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False} | more


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": ["a", "b"]}, ["a", "b"]),
        ({"type": "boolean"}, [False, True]),
        ({"const": {"k": 1}}, [{"k": 1}]),
        ({"type": ["boolean", "null"]}, [False, True, None]),
        ({"type": "integer", "minimum": 1, "maximum": 3}, [1, 2, 3]),
        ({"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 4}, [4, 8]),
        ({"enum": ["a", "b", 3], "type": "string"}, ["a", "b"]),
        ({"anyOf": [{"const": 1}, {"enum": [1, 2]}]}, [1, 2]),
        (_object({"x": {"$ref": "#/$defs/k"}}, **{"$defs": {"k": {"enum": [1, 2]}}}), [{"x": 1}, {"x": 2}]),
        (_object({"x": {"const": 1}, "y": {"type": "boolean"}}, required=["x"]), None),
    ],
)
def test_the_answers_of_small_schemas(schema: dict[str, Any], expected: list[Any] | None) -> None:
    found = closed_answers(schema)
    if expected is None:
        expected = [{"x": 1, "y": False}, {"x": 1, "y": True}, {"x": 1}]
    assert found == expected


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": "array", "items": {"enum": [1]}},
        {"type": "integer", "minimum": 1},
        {"type": "object", "properties": {"x": {"enum": [1]}}},
        _object({"x": {"enum": [1, 2]}, "free": {"type": "string"}}),
        _object({f"f{index}": {"type": "boolean"} for index in range(11)}),
        {"anyOf": [{"const": 1}, {"type": "number"}]},
        {"$ref": "#"},
    ],
)
def test_open_schemas_have_no_list(schema: dict[str, Any]) -> None:
    assert closed_answers(schema) is None


FIELD = st.one_of(
    st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True).map(lambda items: {"enum": items}),
    st.just({"type": "boolean"}),
    st.integers(0, 3).map(lambda most: {"type": "integer", "minimum": 0, "maximum": most}),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abc"), FIELD, min_size=1), st.data())
def test_no_answer_is_missing(fields: dict[str, Any], data: st.DataObject) -> None:
    required = [name for name in fields if data.draw(st.booleans())]
    schema = _object(fields, required=required)
    values = [*range(6), False, True]
    every = [
        {name: value for name, value in zip(fields, chosen, strict=True) if value != "missing"}
        for chosen in product([*values, "missing"], repeat=len(fields))
    ]
    check = verifier(schema).check_value
    expected = {dump(value) for value in every if check(value).is_valid}  # type: ignore[arg-type]
    found = closed_answers(schema)
    assert found is not None
    assert {dump(value) for value in found} == expected
    assert len(found) == len(expected)


def test_fields_of_a_plain_object_are_chosen_one_by_one() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            "kind": {"$ref": "#/$defs/kind"},
            "urgent": {"type": "boolean"},
            "stars": {"type": "integer", "minimum": 0, "maximum": 999},
            "version": {"const": 2},
        },
        "required": ["kind", "urgent", "stars", "version"],
        "additionalProperties": False,
        "$defs": {"kind": {"enum": ["refund", "other"]}},
    }
    found = closed_fields(schema)
    assert found == [
        ("kind", ["refund", "other"]),
        ("urgent", [False, True]),
        ("stars", list(range(1000))),
        ("version", [2]),
    ]
    assert closed_answers(schema) is None, "4,000 answers have no name each"
    assert closed_fields({"enum": ["a", "b"]}) == [("", ["a", "b"])]
    optional = schema | {"required": ["kind"]}
    assert closed_fields(optional) is None, "what may be missing is no value of a field"
    small: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False}
    assert closed_fields(small) == [("", [{"a": False}, {"a": True}, {}])]
    small["properties"] = {"a": {"type": "boolean"}, "b": {"type": "string"}}
    small["required"] = ["a", "b"]
    assert closed_fields(small) is None
