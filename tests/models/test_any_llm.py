"""A provider behind any-llm as a model, and what is said where it cannot be one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from journeyman.core.errors import ModelError
from journeyman.core.messages import ToolCall, make_message
from journeyman.models import any_llm
from journeyman.models.any_llm import AnyLlmModel
from journeyman.models.protocol import Decoding, Request
from tests.models.anthropic_provider import (
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
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
ASK = Request((make_message("system", "Be short."), make_message("user", "Hi")), Decoding(max_tokens=9), (TOOL,))


def complete(*answers: Answer) -> tuple[Any, AnyLlmModel, list[dict[str, Any]]]:
    async def run() -> tuple[Any, AnyLlmModel, list[dict[str, Any]]]:
        async with speaking(*answers) as provider:
            model = AnyLlmModel("teacher", "anthropic", provider.url.removesuffix("/v1"), KEY, model="claude-x")
            try:
                return await model.complete(ASK), model, provider.seen
            finally:
                await model.close()

    return asyncio.run(run())


def test_an_answer_with_its_calls_comes_back_and_what_is_refused_by_name_is_left_out() -> None:
    answer = message(text_block("So"), tool_block("c1", "add", {"a": 1}), stop="tool_use")
    reply, model, seen = complete(whole(answer))
    assert (reply.text, reply.finish_reason, reply.input_tokens, reply.output_tokens) == ("So", "tool_calls", 9, 2)
    (call,) = reply.tool_calls
    assert (call.id, call.name, call.arguments.replace(" ", "")) == ("c1", "add", '{"a":1}')
    assert isinstance(call, ToolCall)
    assert model.adaptations == {"temperature"}  # this client has no such word
    assert (seen[0]["model"], seen[0]["max_tokens"]) == ("claude-x", 9)


def test_a_stream_comes_in_pieces() -> None:
    async def run() -> list[str]:
        async with speaking(streamed(events_of(message(text_block("Hello there"))))) as provider:
            model = AnyLlmModel("teacher", "anthropic", provider.url.removesuffix("/v1"), KEY)
            pieces = [piece async for piece in model.stream(ASK)]
            await model.close()
            return pieces

    pieces = asyncio.run(run())
    assert "".join(pieces) == "Hello there"
    assert len(pieces) > 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(429, "slow down"), "JM-431"),
        (refusal(401, f"bad key {KEY}"), "JM-433"),
        (refusal(404, "no such model"), "JM-432"),
    ],
)
def test_failures_are_typed_and_never_show_the_key(answer: Answer, code: str) -> None:
    with pytest.raises(ModelError) as caught:
        complete(answer)
    assert caught.value.code == code
    assert KEY not in str(caught.value)
    assert KEY not in repr(AnyLlmModel("teacher", "openai", "http://x", KEY))


def test_a_provider_that_nobody_knows_and_a_missing_package_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="JM-444"):
        asyncio.run(AnyLlmModel("teacher", "nobody").complete(ASK))
    monkeypatch.setattr(any_llm, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r'JM-443[^$]*pip install "journeyman\[providers\]"'):
        AnyLlmModel("teacher", "mistral")
