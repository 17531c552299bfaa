"""Input fields that are conversations, and whose turn it is."""

from __future__ import annotations

from typing import Any

import pytest

from journeyman.core.example import Example, text_target
from journeyman.data.synthesis.asking import Sizes
from journeyman.data.synthesis.conversations import LENGTHS, Conversation, ask_turn, find_conversation, read_turn
from journeyman.task.task import Task

SIZES = Sizes(50, 50)


def turns(*roles: str, text: str = "content") -> dict[str, Any]:
    properties = {"role": {"enum": list(roles)}, text: {"type": "string"}}
    return {"type": "array", "items": {"type": "object", "properties": properties, "required": ["role", text]}}


def make_task(node: dict[str, Any], schema: dict[str, Any] | None = None) -> Task:
    return Task("desk", "Help {them}.", {"customer": {"type": "string"}, "talk": node}, schema)


def test_a_field_of_turns_is_found_by_its_shape() -> None:
    assert find_conversation(make_task(turns("user", "assistant")), []) == Conversation(
        "talk", "role", "content", "assistant"
    )
    assert find_conversation(make_task(turns("system", "user", "agent", text="said")), []) == Conversation(
        "talk", "role", "said", "agent"
    )


@pytest.mark.parametrize(
    "node",
    [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}},
        turns("buyer", "seller"),
        {"type": "array", "items": {"type": "object", "properties": {"role": {"enum": ["user", "assistant"]}}}},
    ],
)
def test_other_fields_are_no_conversation(node: dict[str, Any]) -> None:
    assert find_conversation(make_task(node), []) is None


def test_who_speaks_last_is_as_in_the_examples() -> None:
    task = make_task(turns("user", "assistant"))
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    ends = [find_conversation(task, [Example({"customer": "x", "talk": said[:count]}, None)]) for count in (1, 2)]
    assert [found and found.is_answered for found in ends] == [False, True]
    assert [found.length(0) for found in ends if found] == [LENGTHS[0], LENGTHS[0] + 1]


def test_turns_alternate_and_the_assistants_is_the_tasks_own_call_where_it_answers_in_text() -> None:
    task = make_task(turns("user", "assistant"))
    conversation = find_conversation(task, [])
    assert conversation is not None
    fields = conversation.begin({"customer": "Ann", "talk": " My parcel {is} late. "})
    request = ask_turn(task, conversation, fields, [Example(fields, text_target("When?"))], SIZES, 3)
    assert request.messages[0].text == task.instruction
    assert read_turn(request, " Which one? ") == "Which one?"
    fields = conversation.add(fields, " Which one? ")
    request = ask_turn(task, conversation, fields, [], SIZES, 3)
    assert "Person: My parcel {is} late.\n\nAssistant: Which one?" in request.messages[0].text
    assert read_turn(request, '{"message": " The blue one. "}') == "The blue one."
    assert [read_turn(request, text) for text in ("", "no JSON {", '{"message": 3}', "[]")] == ["", "", "", ""]
    sorted_task = make_task(turns("user", "assistant"), {"enum": ["a", "b"]})
    request = ask_turn(sorted_task, conversation, conversation.begin({"customer": "Ann", "talk": "x"}), [], SIZES, 3)
    assert "You play an assistant" in request.messages[0].text
