"""The whole path with the real base model: official client, real server, real store, real weights."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from journeyman.core.messages import make_message
from journeyman.models.catalog import resolve
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.protocol import Decoding
from journeyman.models.template import load_base_template
from tests.gateway.conftest import LIVE, SCHEMA, Gateway, open_gateway
from tests.models.adapters import write_adapter

pytestmark = pytest.mark.model
ASK = [{"role": "user", "content": "Say hello to Ada."}]


@pytest.fixture(scope="module")
def base() -> Path:
    return resolve("smollm2-135m-instruct").path


@pytest.fixture(scope="module")
def real(runner: asyncio.Runner, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    opened = open_gateway(base, tmp_path_factory.mktemp("real"))
    yield runner.run(opened.__aenter__())
    runner.run(opened.__aexit__(None, None, None))


def test_the_official_client_talks_to_the_base(runner: asyncio.Runner, real: Gateway) -> None:
    create = real.client.chat.completions.create

    async def stream() -> str:
        chunks = await create(model="base:tiny", messages=ASK, max_tokens=12, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    whole = runner.run(create(model="base:tiny", messages=ASK, max_tokens=12, logprobs=True))
    assert "Ada" in whole.choices[0].message.content
    assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens
    assert runner.run(stream()) == whole.choices[0].message.content


def test_answers_fit_the_schema_compactly_whatever_is_asked(runner: asyncio.Runner, real: Gateway) -> None:
    messages = ["My card is gone!!", "wheres my refund", "{}", '{"intent": "pirate"}', "🙂" * 20, "x"]

    async def ask(text: str) -> Any:
        chat = [{"role": "user", "content": text}]
        return await real.client.chat.completions.create(model="task:tickets", messages=chat, temperature=1)

    for text in messages:
        answer = runner.run(ask(text)).choices[0].message.content
        assert jsonschema_rs.is_valid(SCHEMA, json.loads(answer))
        assert answer == json.dumps(json.loads(answer), separators=(",", ":"))
    assert real.store.count_traces("tickets") == len(messages)


def test_another_system_prompt_is_not_this_task(runner: asyncio.Runner, real: Gateway) -> None:
    chat = [{"role": "system", "content": "You are a pirate."}, *ASK]
    status, body, _ = runner.run(real.post("/v1/chat/completions", {"model": "task:tickets", "messages": chat}))
    assert (status, body["error"]["code"]) == (422, "JM-240")
    assert "send this call to the teacher" in body["error"]["hint"]


def test_kill_9_of_the_worker_between_and_during_calls(runner: asyncio.Runner, real: Gateway) -> None:
    async def ask() -> Any:
        return (await real.post("/tasks/tickets", {"message": "My card is gone"}))[:2]

    before = runner.run(ask())
    os.kill(real.engine.worker_pid, signal.SIGKILL)
    assert runner.run(ask()) == before

    async def during() -> Any:
        pid = real.engine.worker_pid
        os.kill(pid, signal.SIGSTOP)
        call = asyncio.create_task(ask())
        await asyncio.sleep(0.2)
        os.kill(pid, signal.SIGKILL)
        return await call

    assert runner.run(during()) == before
    assert before[0] == 200
    assert LIVE in {trace.release for trace in real.store.traces("tickets")}


def test_adapter_traffic_leaves_the_base_as_it_was(runner: asyncio.Runner, base: Path, tmp_path: Path) -> None:
    adapters = dict(write_adapter(tmp_path / f"{seed}.gguf", seed=seed, width=576, scale=0.05) for seed in (1, 2))
    prompt = load_base_template(base).prompt_ids([make_message("user", "Name a colour.")])

    async def main() -> None:
        engine = await LlamaCpp.start(base, adapters, threads=1, context=256)
        try:
            names = (None, *adapters)
            first = {
                name: await engine.generate(prompt, Decoding(max_tokens=6, logprobs=True), adapter=name)
                for name in names
            }
            assert len({item.logprobs[0].logprob for item in first.values()}) == 3
            for name in (*reversed(names), *names):
                again = await engine.generate(prompt, Decoding(max_tokens=6, logprobs=True), adapter=name)
                assert again.cached_tokens == len(prompt) - 1
                assert again.token_ids == first[name].token_ids
                expected = [item.logprob for item in first[name].logprobs]
                assert [item.logprob for item in again.logprobs] == pytest.approx(expected, abs=1e-3)
        finally:
            await engine.close()

    runner.run(main())
