from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import DataError
from journeyman.core.messages import (
    ImagePart,
    Message,
    TextPart,
    ToolCall,
    make_message,
    message_from_openai,
    message_to_openai,
    messages_from_openai,
)
from tests.core.strategies import JSON, MESSAGES, TEXT


@given(st.lists(MESSAGES, max_size=3))
def test_messages_survive_the_wire(messages: list[Message]) -> None:
    wire = json.loads(json.dumps([message_to_openai(message) for message in messages]))
    assert messages_from_openai(wire) == tuple(messages)


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_text_parts_are_joined_on_the_wire_and_lose_no_text(texts: list[str]) -> None:
    message = Message("user", tuple(TextPart(text) for text in texts))
    back = message_from_openai(message_to_openai(message))
    assert back.text == message.text == "".join(texts)
    assert len(back.parts) == 1


@given(MESSAGES)
def test_plain_text_is_text_without_calls_and_images(message: Message) -> None:
    has_image = any(isinstance(part, ImagePart) for part in message.parts)
    assert message.is_plain_text == (not has_image and not message.tool_calls)


def _refusal(raw: object) -> DataError | None:
    try:
        messages_from_openai(raw, "messages")
    except DataError as error:
        return error
    return None


@given(JSON | st.lists(JSON))
def test_any_json_is_a_list_of_messages_or_one_clear_error(raw: object) -> None:
    error = _refusal(raw)
    assert (error is None) == (raw == [])
    if error:
        assert (error.code, bool(error.expected), bool(error.got)) == ("JM-310", True, True)


@given(st.fixed_dictionaries({"role": st.just("user"), "content": JSON}, optional={"tool_calls": JSON, "name": JSON}))
def test_any_content_is_read_or_one_clear_error(raw: dict[str, object]) -> None:
    if error := _refusal([raw]):
        assert error.code == "JM-310"
        assert error.where.startswith(("messages[0].content", "messages[0].tool_calls"))


def test_the_wire_is_the_one_that_openai_documents() -> None:
    call = ToolCall("call_1", "weather", '{"city":"Bern"}')
    assert message_to_openai(make_message("user", "Hi")) == {"role": "user", "content": "Hi"}
    assert message_to_openai(Message("assistant", tool_calls=(call,))) == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bern"}'}}
        ],
    }
    picture = Message("user", (TextPart("what is it?"), ImagePart("", "", url="https://example.org/a.png")))
    assert message_to_openai(picture)["content"] == [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]


@given(st.dictionaries(TEXT, JSON, max_size=3))
def test_arguments_that_a_server_logged_as_an_object_become_json_text(arguments: dict[str, object]) -> None:
    raw = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "weather", "arguments": arguments}}]}
    (call,) = message_from_openai(raw).tool_calls
    assert json.loads(call.arguments) == arguments


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
def test_every_spelling_of_a_text_part_is_read(kind: str) -> None:
    assert message_from_openai({"role": "user", "content": [{"type": kind, "text": "a"}]}).text == "a"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (
            [{"role": "user", "content": "a"}, "b"],
            "JM-310 request.messages[1]: this is not a chat message\n"
            "  expected: an object with role and content\n  got: 'b'",
        ),
        (
            [{"role": "robot", "content": "a"}],
            "JM-310 request.messages[0].role: this is not a chat message\n"
            "  expected: system | developer | user | assistant | tool\n  got: 'robot'",
        ),
        (
            [{"role": "user", "content": 5}],
            "JM-310 request.messages[0].content: this is not a chat message\n"
            "  expected: text or a list of parts\n  got: 5",
        ),
        (
            [{"role": "user", "content": [{"type": "audio"}]}],
            "JM-310 request.messages[0].content[0]: this is not a chat message\n"
            "  expected: a part of type text or image_url\n  got: {'type': 'audio'}",
        ),
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}],
            "JM-310 request.messages[0].tool_calls[0]: this is not a chat message\n"
            "  expected: an object with function.name and function.arguments\n  got: {'id': '1'}",
        ),
        (
            "hello",
            "JM-310 request.messages: this is not a chat message\n  expected: a list of messages\n  got: 'hello'",
        ),
    ],
)
def test_what_is_not_a_message_is_named_with_its_place(raw: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        messages_from_openai(raw, "request.messages")
    assert str(caught.value) == message


def test_a_long_wrong_value_is_cut() -> None:
    with pytest.raises(DataError) as caught:
        messages_from_openai("x" * 10_000)
    assert len(caught.value.got) == 80
