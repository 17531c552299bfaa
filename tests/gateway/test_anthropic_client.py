"""Anthropic's own client against the server: what it reads of whole replies, of streams and of errors."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.gateway.conftest import LIVE, SCHEMA, Gateway
from tests.gateway.test_forward import CALL, Passing, chunk, completion, passing, streamed, whole
from tests.gateway.test_keys import door

ASK: list[Any] = [{"role": "user", "content": "They stole my card!"}]
TOOL: Any = {"name": "send", "description": "Send it.", "input_schema": {"type": "object", "properties": {}}}
USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}


def client_of(url: str, key: str = "none") -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0)


def test_a_task_answers_whole_and_streamed(gateway: Gateway, runner: asyncio.Runner) -> None:
    async def work() -> None:
        async with client_of(gateway.url) as client:
            given: Any = {"model": "task:tickets", "max_tokens": 64, "messages": ASK}
            reply = await client.messages.create(**given)
            assert isinstance(reply, anthropic.types.Message)
            (block,) = reply.content
            assert block.type == "text"
            value = json.loads(block.text)
            assert set(value) == set(SCHEMA["properties"])
            assert (reply.role, reply.stop_reason, reply.model) == ("assistant", "end_turn", f"tickets@{LIVE}")
            assert reply.usage.output_tokens > 0
            async with client.messages.stream(**given) as stream:
                text = "".join([piece async for piece in stream.text_stream])
                last = await stream.get_final_message()
            assert json.loads(text) == value
            assert last.usage.output_tokens == reply.usage.output_tokens

    runner.run(work())


def test_tools_of_another_model_come_whole_and_streamed(tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        made.answers.append(whole(completion(content=None, tool_calls=[CALL])))
        call = {**CALL, "index": 0}
        made.answers.append(
            streamed(chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls"), USAGE)
        )
        given: Any = {"model": "big", "max_tokens": 64, "messages": ASK, "tools": [TOOL]}
        async with client_of(made.url, "sk-ant-own") as client:
            reply = await client.messages.create(**given)
            (used,) = [block for block in reply.content if block.type == "tool_use"]
            assert (used.name, used.input) == ("send", {"to": "ada@example.org"})
            async with client.messages.stream(**given) as stream:
                last = await stream.get_final_message()
            assert [block.input for block in last.content if block.type == "tool_use"] == [{"to": "ada@example.org"}]
            assert (last.stop_reason, last.usage.output_tokens) == ("tool_use", 2)

    async def run() -> None:
        async with passing(tmp_path) as made:
            await work(made)

    asyncio.run(run())


def test_its_errors_are_the_clients_own_classes(tmp_path: Path) -> None:
    async def work() -> None:
        async with door(tmp_path) as made:
            given: Any = {"max_tokens": 16, "messages": ASK}
            async with client_of(made.url, "jm-never") as client:
                with pytest.raises(anthropic.AuthenticationError, match="JM-740"):
                    await client.messages.create(model="task:tickets", **given)
            async with client_of(made.url, made.key(tasks=("tickets",), models=(), usd=0.00002).api_key) as client:
                with pytest.raises(anthropic.PermissionDeniedError, match="JM-741"):
                    await client.messages.create(model="task:salaries", **given)
                with pytest.raises(anthropic.NotFoundError, match="JM-704"):
                    await client.messages.create(model="tickets@abcdef", **given)
                with pytest.raises(anthropic.RateLimitError, match="JM-742"):
                    await client.messages.create(model="task:tickets", **given)
            assert made.seen == []

    asyncio.run(work())
