"""Prompts: fields to messages and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from journeyman.core.canonical import Json, dump
from journeyman.core.errors import TaskError
from journeyman.core.messages import ImagePart, Message, ToolCall, make_message
from journeyman.task.prompt import (
    check_input,
    parse_template,
    read_messages,
    student_messages,
    teacher_messages,
    user_text,
)
from journeyman.task.task import Task

STRING = {"type": "string"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def make_task(input: dict[str, Any], prompt: str = "") -> Task:
    return Task("t", "Do  this.\nWell.", input, None, prompt)


ONE = make_task({"message": STRING})
TWO = make_task({"title": STRING, "count": {"type": "integer"}})
TEMPLATE = make_task({"a": STRING, "b": {"type": ["object", "null"]}}, "Take {{{b}}} and ({a})!")


@pytest.mark.parametrize(
    ("task", "fields", "text"),
    [
        (ONE, {"message": "hi {you}"}, "hi {you}"),
        (TWO, {"count": 3, "title": "x"}, "title: x\ncount: 3"),
        (TEMPLATE, {"a": "A", "b": {"k": [1, "é"]}}, 'Take {{"k":[1,"é"]}} and (A)!'),
    ],
)
def test_user_text(task: Task, fields: dict[str, Json], text: str) -> None:
    assert user_text(task, fields) == text
    assert student_messages(task, fields) == (make_message("user", text),)
    assert teacher_messages(task, fields) == (make_message("system", task.instruction), make_message("user", text))


@given(TEXT)
def test_one_text_field_is_read_back_whatever_it_holds(text: str) -> None:
    assert read_messages(ONE, teacher_messages(ONE, {"message": text})) == {"message": text}


@given(TEXT, st.none() | st.dictionaries(TEXT, TEXT | st.integers() | st.booleans(), max_size=3))
def test_templates_are_read_back_or_refused_as_ambiguous(text: str, value: Any) -> None:
    fields: dict[str, Json] = {"a": text, "b": value}
    messages = teacher_messages(TEMPLATE, fields)
    if "} and (" in text or "} and (" in dump(value):
        with pytest.raises(TaskError, match="JM-246"):
            read_messages(TEMPLATE, messages)
    else:
        assert read_messages(TEMPLATE, messages) == fields


@given(TEXT, st.integers())
def test_lines_are_read_back(title: str, count: int) -> None:
    assume("\ncount: " not in title)
    fields: dict[str, Json] = {"title": title, "count": count}
    assert read_messages(TWO, student_messages(TWO, fields)) == fields


def test_the_instruction_is_dropped_up_to_whitespace() -> None:
    for role in ("system", "developer"):
        messages = [Message(role, make_message("system", " Do this. Well. ").parts), make_message("user", "x")]
        assert read_messages(ONE, messages) == {"message": "x"}


USER = make_message("user", "x")
IMAGE = Message("user", (*USER.parts, ImagePart("", "", "https://example.com/a.png")))
CALL = Message("assistant", (), (ToolCall("1", "look", "{}"),))


@pytest.mark.parametrize(
    ("task", "messages", "code", "message"),
    [
        (ONE, [make_message("system", "Be rude."), USER], "JM-240", "another system text, of 8 characters"),
        (ONE, [make_message("developer", ""), USER], "JM-240", "another developer text"),
        (ONE, [USER, make_message("assistant", "y"), USER], "JM-241", "an earlier assistant turn"),
        (ONE, [USER, USER], "JM-241", "2 user messages"),
        (ONE, [USER, CALL], "JM-242", "a tool call or its result"),
        (ONE, [USER, make_message("tool", "y")], "JM-242", "a tool call or its result"),
        (ONE, [IMAGE], "JM-243", "an image"),
        (ONE, [], "JM-244", "no user message"),
        (TEMPLATE, [USER], "JM-245", "expected: the prompt 'Take {{b}} and ({a})!'"),
        (TEMPLATE, [make_message("user", "Take {1} and (")], "JM-245", "of 14 characters that does not fit"),
        (TEMPLATE, [make_message("user", "Take {1} and (} and ()!")], "JM-246", "in several ways"),
        (TWO, [make_message("user", "title: x\ncount: many")], "JM-247", "field 'count' is not JSON"),
        (TWO, [make_message("user", "title: x\ncount: 1.5")], "JM-232", "'count' has a wrong value"),
    ],
)
def test_other_shapes_are_refused(task: Task, messages: list[Message], code: str, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        read_messages(task, messages)
    assert caught.value.code == code
    assert message in str(caught.value)
    assert caught.value.where == "task t"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"title": "x", "count": 1, "more": 1}, "JM-230", "'more'"),
        ({"title": "x"}, "JM-231", "'count'"),
        ({"title": 1, "count": 1}, "JM-232", "'title'"),
        ({"title": "\ud800", "count": 1}, "JM-232", "half a surrogate pair"),
    ],
)
def test_input_is_checked_field_by_field(fields: dict[str, Json], code: str, message: str) -> None:
    with pytest.raises(TaskError) as caught:
        check_input(TWO, fields)
    assert caught.value.code == code
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{a} {c}", "names '{c}', which is no input field"),
        ("{a}", "leaves out {b}"),
        ("{a}{b}", "nothing stands between {a} and {b}"),
        ("{a} {b} {a}", "names {a} twice"),
        ("{a} { {b}", "names '{', which is no input field"),
    ],
)
def test_templates_that_cannot_be_read_back_are_refused(prompt: str, message: str) -> None:
    with pytest.raises(TaskError, match="JM-207") as caught:
        parse_template(prompt, ["a", "b"], "t.yaml:3")
    assert message in str(caught.value)
