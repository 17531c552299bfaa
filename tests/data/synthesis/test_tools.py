"""Tasks whose answers are calls, found by their output's schema, and what their inputs are spread over."""

from __future__ import annotations

from typing import Any

import pytest

from journeyman.core.canonical import dump
from journeyman.data.synthesis.asking import vote
from journeyman.data.synthesis.cells import make_cells
from journeyman.data.synthesis.tools import NONE, ONE, SEVERAL, find_offered, find_tools
from journeyman.task.task import Task


def call(name: str, **arguments: str) -> dict[str, Any]:
    fields = {key: {"type": kind} for key, kind in arguments.items()}
    held = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": held},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


WEATHER, CLOCK = call("weather", city="string"), call("clock", zone="integer")


def several(**more: Any) -> dict[str, Any]:
    calls = {"type": "array", "items": {"anyOf": [WEATHER, CLOCK]}, **more}
    return {"type": "object", "properties": {"calls": calls}, "required": ["calls"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        (several(), ("weather", "clock", NONE, SEVERAL)),
        (several(maxItems=1), ("weather", "clock", NONE)),
        (several(minItems=1), ("weather", "clock", SEVERAL)),
        (several()["properties"]["calls"], ("weather", "clock", NONE, SEVERAL)),
        ({"oneOf": [WEATHER, CLOCK, {"type": "null"}]}, ("weather", "clock", NONE)),
        ({"$defs": {"c": WEATHER}, "type": "array", "items": {"$ref": "#/$defs/c"}}, ("weather", NONE, SEVERAL)),
        (
            {
                "type": "object",
                "properties": {"tool": {"enum": ["a", "b"]}, "args": {"type": "object"}},
                "required": ["tool", "args"],
            },
            ("a", "b"),
        ),
    ],
)
def test_calls_are_found_in_whatever_holds_them(schema: dict[str, Any], values: tuple[str, ...]) -> None:
    axis = find_tools(schema)
    assert axis is not None
    assert axis.values == values


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": "string"},
        {"type": "object", "properties": {"name": {"const": "x"}}, "required": ["name"]},
        {"oneOf": [WEATHER, {"type": "string"}]},
        {"oneOf": [WEATHER]},
        {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        {"type": "array"},
    ],
)
def test_other_answers_are_no_calls(schema: dict[str, Any] | None) -> None:
    assert find_tools(schema) is None


def test_an_answer_is_counted_by_what_it_calls() -> None:
    axis = find_tools(several())
    assert axis is not None
    one = {"name": "weather", "arguments": {"city": "Ghent"}}
    assert [axis.read({"calls": calls}) for calls in ([one], [one, one], [])] == [
        dump("weather"),
        dump(SEVERAL),
        dump(NONE),
    ]


def test_cells_ask_for_each_tool_for_none_and_for_several_in_words() -> None:
    axis = find_tools(several())
    needs = {cell.need for cell in make_cells(0, 48, axis, {})}
    assert {dump(value) for value in ("weather", "clock")} <= {word for need in needs for word in need.split()}
    for words in ("leaves out something that the tool must be told", "without any tool", 'both "weather" and "clock"'):
        assert any(words in need for need in needs), words
    lone = find_tools({"type": "array", "items": WEATHER})
    assert lone is not None
    assert '"weather" twice' in lone.describe(SEVERAL, 0)


def test_arguments_that_do_not_fit_their_tool_are_votes_for_nothing() -> None:
    task = Task("t", "Call.", {"text": {"type": "string"}}, several())
    texts = [
        '{"calls":[{"name":"clock","arguments":{"zone":"two"}}]}',
        '{"calls":[{"name":"clock","arguments":{"city":"Ghent"}}]}',
        '{"calls":[{"name":"clock","arguments":{"zone":2}}]}',
        '{"calls":[{"name":"moon","arguments":{}}]}',
    ]
    target, share, others = vote(task, texts, 4)
    assert target is not None
    assert (target.value, share, others) == ({"calls": [{"name": "clock", "arguments": {"zone": 2}}]}, 0.25, [])


OPEN_CALL = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "arguments": {"type": "object"}},
    "required": ["name", "arguments"],
    "additionalProperties": False,
}
OFFER = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
        "required": ["name", "parameters"],
    },
}


def offered_task(offer: Any = OFFER) -> Task:
    return Task("t", "Call.", {"text": {"type": "string"}, "tools": offer}, {"type": "array", "items": OPEN_CALL})


def test_tools_that_an_input_offers_hold_its_answer() -> None:
    axis = find_offered(offered_task())
    assert axis is not None
    assert find_tools(offered_task().schema) is None
    assert axis.values == (ONE, NONE, SEVERAL)
    fields: dict[str, Any] = {
        "text": "x",
        "tools": [
            {
                "name": "clock",
                "parameters": {"type": "object", "properties": {"zone": {"type": "integer"}}, "required": ["zone"]},
            },
            {"name": "moon", "parameters": {"type": "object", "additionalProperties": False}},
        ],
    }
    assert axis.is_sound(fields)
    right, wrong = {"name": "clock", "arguments": {"zone": 2}}, {"name": "clock", "arguments": {}}
    assert [axis.is_fit(fields, calls) for calls in ([right], [], [right, wrong], [{**right, "name": "sun"}])] == [
        True,
        True,
        False,
        False,
    ]
    assert [axis.read(calls) for calls in ([right], [], [right, right])] == [dump(ONE), dump(NONE), dump(SEVERAL)]
    described = {axis.describe(value, number) for number in range(24) for value in axis.values}
    assert any("leaves out something" in text for text in described)
    assert any("more than one call" in text for text in described)


@pytest.mark.parametrize(
    "tools",
    [
        [],
        [{"name": "a", "parameters": {"type": "dict"}}],
        [{"name": "a", "parameters": {"$ref": "#/$defs/none"}}],
        [{"name": "a", "parameters": {}}, {"name": "a", "parameters": {}}],
    ],
)
def test_tools_that_nothing_can_be_held_against_are_told(tools: list[dict[str, Any]]) -> None:
    axis = find_offered(offered_task())
    assert axis is not None
    assert not axis.is_sound({"text": "x", "tools": tools})


def test_an_input_without_tools_offers_none() -> None:
    assert find_offered(offered_task({"type": "string"})) is None
    assert find_offered(offered_task({"type": "array", "items": {"type": "object"}})) is None
