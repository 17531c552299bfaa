"""Anthropic's Messages as a model: what goes out, what comes back, and what is left out where a model does not take it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import jsonschema_rs
import pytest
from aiohttp import web

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError
from journeyman.core.messages import ImagePart, Message, TextPart, ToolCall, make_message
from journeyman.models.anthropic import AnthropicModel
from journeyman.models.anthropic_schema import fit_schema
from journeyman.models.protocol import Decoding, Request
from tests.models.anthropic_provider import (
    CACHED,
    Answer,
    events_of,
    message,
    refusal,
    speaking,
    streamed,
    text_block,
    tool_block,
    whole,
)

KEY = "sk-ant-not-a-real-key-1234"
ASK = Request((make_message("system", "Be short."), make_message("user", "Hi")))
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "mark": {"type": "integer", "minimum": 1}},
    "required": ["name", "mark"],
    "additionalProperties": False,
}
OPEN: dict[str, Json] = {"type": "object", "additionalProperties": {"type": "string"}}


def complete(request: Request, *answers: Answer) -> tuple[Any, list[dict[str, Any]]]:
    async def run() -> tuple[Any, list[dict[str, Any]]]:
        async with speaking(*answers) as provider:
            model = AnthropicModel("teacher", provider.url, KEY, model="claude-x")
            try:
                return await model.complete(request), provider.seen
            finally:
                await model.close()

    return asyncio.run(run())


def stream(request: Request, *answers: Answer) -> str:
    async def run() -> str:
        async with speaking(*answers) as provider:
            model = AnthropicModel("teacher", provider.url, KEY)
            try:
                return "".join([piece async for piece in model.stream(request)])
            finally:
                await model.close()

    return asyncio.run(run())


def test_what_is_asked_and_what_comes_back() -> None:
    decoding = Decoding(max_tokens=7, stop=("x",), seed=3, logprobs=True)
    reply, [sent] = complete(Request(ASK.messages, decoding, headers={"x-a": "b"}), whole(message(usage=CACHED)))
    assert (reply.text, reply.model, reply.finish_reason) == ("Hello", "claude-2026", "stop")
    assert (reply.input_tokens, reply.output_tokens) == (150, 2)
    headers, path = sent.pop("_headers"), sent.pop("_path")
    assert path == "/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"], headers["x-a"]) == (KEY, "2023-06-01", "b")
    assert "authorization" not in headers
    assert sent == {
        "model": "claude-x",
        "max_tokens": 7,
        "system": "Be short.",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.0,
        "stop_sequences": ["x"],
    }


def test_a_talk_with_tools_and_pictures_goes_out_whole() -> None:
    calls = (ToolCall("c1", "add", '{"a":1}'), ToolCall("c2", "add", '{"a":2}'))
    talk = (
        Message("user", (TextPart("See"), ImagePart("", "", "data:image/png;base64,aGk="))),
        Message("assistant", (TextPart("I add."),), calls),
        Message("tool", (TextPart("2"),), tool_call_id="c1"),
        Message("tool", (TextPart("3"),), tool_call_id="c2"),
        Message("user", (ImagePart("", "", "https://example.org/a.png"),)),
    )
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    answer = message(text_block("Now"), tool_block("c3", "add", {"a": 5}), stop="tool_use")
    reply, [sent] = complete(Request(talk, Decoding(), (tool,)), whole(answer))
    assert (reply.finish_reason, reply.tool_calls) == ("tool_calls", (ToolCall("c3", "add", '{"a":5}'),))
    assert sent["tools"] == [{"name": "add", "input_schema": {"type": "object"}}]
    assert sent["max_tokens"] == 4096
    first, second, third = sent["messages"]
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    assert first["content"] == [text_block("See"), picture]
    assert second["content"] == [
        text_block("I add."),
        tool_block("c1", "add", {"a": 1}),
        tool_block("c2", "add", {"a": 2}),
    ]
    assert [block["type"] for block in third["content"]] == ["tool_result", "tool_result", "image"]
    assert third["content"][2]["source"] == {"type": "url", "url": "https://example.org/a.png"}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [("max_tokens", "length"), ("refusal", "content_filter"), ("stop_sequence", "stop"), ("pause_turn", "stop")],
)
def test_why_it_stopped(stop: str, reason: str) -> None:
    assert complete(ASK, whole(message(stop=stop)))[0].finish_reason == reason


def test_a_schema_is_held_by_the_decoding_and_its_other_words_are_told() -> None:
    asked = Request(ASK.messages, Decoding(schema=SCHEMA))
    reply, [sent] = complete(asked, whole(message(text_block('{"name":"a","mark":1}'))))
    assert json.loads(reply.text) == {"name": "a", "mark": 1}
    form = sent["output_config"]["format"]
    assert form["type"] == "json_schema"
    assert form["schema"]["properties"]["mark"] == {"type": "integer", "description": '{"minimum":1}'}
    assert form["schema"]["additionalProperties"] is False
    assert form["schema"] == anthropic.transform_schema(form["schema"])  # the official client changes nothing more


@pytest.mark.parametrize("is_refused", [True, False])
def test_a_schema_that_cannot_be_held_becomes_the_input_of_a_tool(is_refused: bool) -> None:
    schema = SCHEMA if is_refused else OPEN
    given = {"name": "a", "mark": 1}
    answer = message(tool_block("c1", "answer", given), stop="tool_use")
    refused = [refusal(400, "output_config: Extra inputs are not permitted")] if is_refused else []
    asked = Request(ASK.messages, Decoding(schema=schema))
    reply, seen = complete(asked, *refused, whole(answer))
    assert json.loads(reply.text) == given
    assert (reply.finish_reason, reply.tool_calls) == ("stop", ())
    assert len(seen) == 1 + is_refused
    assert seen[-1]["tool_choice"] == {"type": "tool", "name": "answer"}
    assert seen[-1]["tools"][0]["input_schema"] == schema
    assert json.loads(stream(asked, *refused, streamed(events_of(answer)))) == given


def test_a_schema_that_holds_itself_or_is_open_does_not_fit() -> None:
    endless: dict[str, Json] = {
        "$defs": {"node": {**SCHEMA, "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
    }
    twice: dict[str, Json] = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/x"}, "b": {"$ref": "#/$defs/x"}},
        "additionalProperties": False,
        "$defs": {"x": {"oneOf": [{"type": "string", "format": "date"}, {"type": "null"}]}},
    }
    assert fit_schema(endless) is None
    assert fit_schema(OPEN) is None
    assert fit_schema({"enum": [{"a": 1}]}) is None
    fitted = fit_schema(twice)
    assert fitted is not None
    assert jsonschema_rs.is_valid(fitted, {"a": "2026-01-01", "b": None})
    assert not jsonschema_rs.is_valid(fitted, {"a": 1})


def test_what_a_model_does_not_take_is_left_out_from_then_on() -> None:
    async def run() -> list[dict[str, Any]]:
        refused = refusal(400, "`temperature` is deprecated for this model.")
        async with speaking(refused, whole(message()), whole(message())) as provider:
            model = AnthropicModel("teacher", provider.url, KEY)
            for _ in range(2):
                await model.complete(ASK)
            await model.close()
            assert model.adaptations == {"temperature"}
            return provider.seen

    seen = asyncio.run(run())
    assert ["temperature" in sent for sent in seen] == [True, False, False]


def test_a_value_that_is_out_of_range_is_not_taken_for_a_word_that_is_unknown() -> None:
    refused = refusal(400, "temperature: Input should be less than or equal to 1")
    with pytest.raises(ModelError, match="JM-432"):
        complete(Request(ASK.messages, Decoding(temperature=2.0)), refused)


def test_a_stream_gives_its_texts_and_ends_in_an_error_where_the_provider_does() -> None:
    events = events_of(message(text_block("Hello there"), tool_block("c", "add", {"a": 1})))
    assert stream(ASK, streamed(events)) == "Hello there"
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    with pytest.raises(ModelError, match="Overloaded"):
        stream(ASK, streamed([*events[:3], error]))


async def moved(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect(f"http://localhost:{request.url.port}/v1/elsewhere")


@pytest.mark.parametrize(
    ("answer", "code", "retryable"),
    [
        (refusal(429, "slow down", "rate_limit_error"), "JM-431", True),
        (refusal(529, "Overloaded", "overloaded_error"), "JM-431", True),
        (refusal(401, f"bad key {KEY}", "authentication_error"), "JM-433", False),
        (refusal(404, "model: claude-x", "not_found_error"), "JM-432", False),
        (whole({"type": "message"}), "JM-434", False),
        (whole(["?"]), "JM-434", False),
        (moved, "JM-445", False),
    ],
)
def test_failures_are_typed_and_never_show_the_key(answer: Answer, code: str, retryable: bool) -> None:
    with pytest.raises(ModelError) as caught:
        complete(ASK, answer)
    assert (caught.value.code, caught.value.retryable) == (code, retryable)
    assert KEY not in str(caught.value)
    assert KEY not in repr(AnthropicModel("teacher", "http://x/v1", KEY))


def test_a_picture_that_is_not_here_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ModelError, match=r"JM-432.*image_url"):
        complete(Request((Message("user", (ImagePart("ab12", "image/png"),)),)))
