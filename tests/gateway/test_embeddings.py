"""Embeddings by the official client: passed on to a provider, and made on this machine."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from journeyman.flows.embedding import find_embedders
from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import serve_in_background
from journeyman.models.embedder import open_embedder
from journeyman.store.database import Store, open_store
from tests.gateway.test_forward import KEY, passing, whole

NAME = "embed:all-minilm-l6-v2"
TEXTS = ["They stole my card!", "Where is my parcel? Write to ada@example.org"]
ROWS = [[0.5, -0.25], [0.125, 1.0]]


def reply(rows: list[Any]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)]
    return {"object": "list", "data": data, "model": "e-1", "usage": {"prompt_tokens": 12, "total_tokens": 12}}


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[openai.AsyncOpenAI, Store]]:
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'gateway.db'}"))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        app = make_app(Registry([], lambda _task: None), recorder, embedders=find_embedders(threads=1))
        url = await stack.enter_async_context(serve_in_background(app))
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        stack.push_async_callback(client.close)
        yield client, store


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


def test_a_call_goes_through_as_it_came_and_no_vector_is_kept(runner: asyncio.Runner, tmp_path: Path) -> None:
    coded = [base64.b64encode(np.array(row, "<f4").tobytes()).decode() for row in ROWS]

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers += [whole(reply(coded)), whole(reply(ROWS))]
            ask = made.client().embeddings.create
            found = await ask(model="other/big", input=TEXTS, dimensions=2)
            assert [item.embedding for item in found.data] == ROWS
            plain = await ask(model="big", input=[[1, 2], [3]], encoding_format="float")
            assert [item.embedding for item in plain.data] == ROWS
            first, second = made.seen
            assert (first["_path"], first["_key"]) == ("/v1/embeddings", f"Bearer {KEY}")
            assert (first["model"], first["input"], first["dimensions"]) == ("big", TEXTS, 2)
            assert (first["encoding_format"], second["input"]) == ("base64", [[1, 2], [3]])
            (trace,) = made.traces("model:other/big")
            assert (trace.status, trace.input_tokens, trace.output_tokens, trace.output) == ("ok", 12, 0, None)
            assert trace.cost_usd == pytest.approx(12 * 2 / 1e6)
            assert [message.text for message in trace.messages] == [TEXTS[0], "Where is my parcel? Write to <EMAIL_1>"]
            assert made.traces("model:big")[0].messages == ()
            assert coded[0] not in json.dumps(trace.to_json())

    runner.run(run())


def test_what_the_provider_refuses_and_one_that_is_gone(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(whole({"error": {"message": "too many"}}, 429, {"retry-after": "3"}))
            with pytest.raises(openai.RateLimitError, match="too many"):
                await made.client().embeddings.create(model="big", input="x")
            assert [trace.status for trace in made.traces()] == ["http-429"]

    runner.run(run())


@pytest.mark.model
def test_the_models_of_this_machine(runner: asyncio.Runner, tmp_path: Path) -> None:
    expected = open_embedder(threads=1).embed(TEXTS)

    async def run() -> None:
        async with serving(tmp_path) as (client, store):
            assert [item.id for item in (await client.models.list()).data] == [NAME]
            assert (await client.models.retrieve(NAME)).id == NAME
            coded = await client.embeddings.create(model=NAME, input=TEXTS)
            plain = await client.embeddings.create(
                model=NAME, input=TEXTS, encoding_format="float", dimensions=len(expected.vectors[0])
            )
            one = await client.embeddings.create(model=NAME, input=TEXTS[0])
            for found in (coded, plain):
                rows = np.array([item.embedding for item in found.data], np.float32)
                assert np.array_equal(rows, expected.vectors)
                assert found.usage.prompt_tokens == found.usage.total_tokens == int(expected.tokens.sum())
            assert np.array_equal(np.array(one.data[0].embedding, np.float32), expected.vectors[0])
            traces = list(store.traces(NAME))
            assert [trace.input_tokens for trace in traces][-1] == int(expected.tokens[0])
            assert traces[0].messages[1].text.endswith("<EMAIL_1>")
            assert {trace.output for trace in traces} == {None}
            many = await asyncio.gather(*(client.embeddings.create(model=NAME, input=f"text {i}") for i in range(20)))
            assert len({tuple(item.data[0].embedding) for item in many}) == 20

    runner.run(run())


@pytest.mark.model
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"input": [1, 2, 3]}, "token ids are another model's"),
        ({"input": [[1, 2], [3]]}, "token ids are another model's"),
        ({"input": []}, "a list of 1 to 2048 texts"),
        ({"input": ["x"] * 2049}, "a list of 2049"),
        ({"input": ["x", ""]}, r"input\[1\] of this embedding"),
        ({"input": {"a": 1}}, "a text, or a list"),
        ({"input": "x", "dimensions": 64}, "384, which this model has"),
        ({"input": "x", "encoding_format": "int8"}, "float or base64"),
        ({"input": ["short", "where is my card " * 200]}, r"input\[1\].*\n.*at most 256 tokens"),
    ],
)
def test_what_a_local_model_does_not_take_is_said(
    runner: asyncio.Runner, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (client, store):
            with pytest.raises(openai.BadRequestError, match=said) as caught:
                await client.post("/embeddings", cast_to=object, body={"model": NAME, **given})
            assert caught.value.code == "JM-760"
            assert store.count_traces(NAME) == 0

    runner.run(run())


def test_what_makes_no_embeddings(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as (client, _store):
            with pytest.raises(openai.NotFoundError, match="JM-761 task:x makes no embeddings"):
                await client.embeddings.create(model="task:x", input="Hello")
            with pytest.raises(openai.NotFoundError, match="JM-761 there is no embedding model embed:x"):
                await client.embeddings.create(model="embed:x", input="Hello")

    runner.run(run())
