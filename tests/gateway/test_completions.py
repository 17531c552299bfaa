"""Text completions by the official client: passed on to a provider, and continued by a base of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.gateway.dialects.text import bound_text
from journeyman.models.protocol import Decoding
from tests.gateway.conftest import Gateway
from tests.gateway.test_forward import passing, streamed, whole

PROMPT = "Once upon a time <|im_start|> there"
USAGE = {"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9}


def piece(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
    return {"id": "c-1", "object": "text_completion", "created": 1, "model": "big-2026", "choices": [choice]}


def test_a_call_goes_through_whole_and_streamed(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers += [
                whole(piece("ada@example.org", "stop") | {"usage": USAGE}),
                streamed(piece("He"), piece("y", "length"), piece("") | {"choices": [], "usage": USAGE}),
            ]
            ask = made.client().completions.create
            found = await ask(model="big", prompt=["One", "Two"], best_of=2, suffix="!")
            assert found.choices[0].text == "ada@example.org"
            assert (made.seen[0]["_path"], made.seen[0]["suffix"]) == ("/v1/completions", "!")
            stream = await ask(model="big", prompt=PROMPT, stream=True)
            chunks = [item async for item in stream]
            assert [item.choices[0].text for item in chunks] == ["He", "y"]
            first, second = made.traces()
            assert [message.text for message in first.messages] == ["One", "Two"]
            assert first.output is not None
            assert second.output is not None
            assert (first.output.text, second.output.text) == ("<EMAIL_1>", "Hey")
            assert (second.input_tokens, second.output_tokens, second.verdicts["finish"]) == (6, 3, "length")

    runner.run(run())


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({}, 16),
        ({"max_tokens": 5, "n": 3}, 15),
        ({"max_tokens": 5, "n": 2, "best_of": 4}, 20),
        ({"max_tokens": 5, "prompt": ["a", "b"]}, 10),
        ({"max_tokens": 5, "prompt": [1, 2, 3]}, 5),
        ({"max_tokens": 5, "prompt": [[1, 2], [3]], "n": 2}, 20),
        ({"max_tokens": 0}, 0),
    ],
)
def test_the_most_tokens_that_a_call_can_cost(given: dict[str, Any], most: int) -> None:
    assert bound_text(given)[0] == most


def test_a_base_continues_the_text_as_it_is(runner: asyncio.Runner, gateway: Gateway) -> None:
    create = gateway.client.completions.create

    async def collect() -> list[Any]:
        stream = await create(
            model="base:tiny", prompt=PROMPT, max_tokens=9, stream=True, stream_options={"include_usage": True}
        )
        return [item async for item in stream]

    found = runner.run(create(model="base:tiny", prompt=PROMPT, max_tokens=9, logprobs=2))
    ids = runner.run(gateway.engine.tokenize(PROMPT, special=False))
    expected = runner.run(gateway.engine.generate(ids, Decoding(max_tokens=9)))
    assert found.choices[0].text == expected.text
    assert found.usage.completion_tokens == expected.output_tokens
    assert found.choices[0].logprobs.tokens
    assert len(found.choices[0].logprobs.token_logprobs) == expected.output_tokens
    chunks = runner.run(collect())
    assert "".join(item.choices[0].text for item in chunks if item.choices) == expected.text
    assert chunks[-1].usage == found.usage
    trace = gateway.store.trace(found.id.removeprefix("cmpl-"))
    assert (trace.task, trace.messages[0].text) == ("base:tiny", PROMPT)
    assert runner.run(create(model="base:tiny", prompt=PROMPT)).usage.completion_tokens <= 16


@pytest.mark.parametrize(
    "given",
    [
        {"model": "task:tickets"},
        {"model": "tickets@a1b2"},
        {"n": 2},
        {"echo": True},
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2]},
        {"prompt": ""},
        {"logprobs": True},
    ],
)
def test_what_is_not_served_names_chat_completions(
    runner: asyncio.Runner, gateway: Gateway, given: dict[str, Any]
) -> None:
    body = {"model": "base:tiny", "prompt": PROMPT, **given}
    with pytest.raises(openai.BadRequestError, match=r"JM-762(.|\n)*POST /v1/chat/completions"):
        runner.run(gateway.client.post("/completions", cast_to=object, body=body))
