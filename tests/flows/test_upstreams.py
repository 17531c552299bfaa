"""Providers that journeyman.toml names, whoever asks them: a task's teacher, and calls that are passed on by a prefix."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from journeyman.core.errors import ServeError
from journeyman.flows.answers import open_desk
from journeyman.flows.costs import Prices
from journeyman.flows.routing import open_registry
from journeyman.flows.serving import open_budgets
from journeyman.flows.states import examine
from journeyman.flows.upstream import find_upstream
from journeyman.flows.workspace import Workspace, open_workspace
from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.server import serve_in_background
from tests.flows.projects import TASK, make_project
from tests.models.anthropic_provider import Answer, Provider, message, speaking, text_block, whole

ASK: list[Any] = [{"role": "user", "content": "Hi"}]
RIGHT = '{"colour": "red", "many": true}'
KEY = "sk-ant-the-projects-own-1234567890"


def settings(url: str) -> str:
    """A default provider, one that speaks Messages with prices by model, and one behind any-llm."""
    return f"""
[teacher]
model = "other/claude-x"
[providers.other]
kind = "anthropic"
url = "{url}"
api_key_env = "OTHER_KEY"
input_usd_per_million = 3
output_usd_per_million = 15
models = {{"claude-small-*" = {{input_usd_per_million = 1, output_usd_per_million = 5}}}}
[providers.third]
kind = "any-llm"
provider = "openai"
url = "{url}"
api_key_env = "OTHER_KEY"
"""


@asynccontextmanager
async def opened(folder: Path, *answers: Answer, more: str = "") -> AsyncIterator[tuple[Workspace, Provider]]:
    async with speaking(*answers) as provider:
        make_project(folder, Path("/nowhere.gguf"), settings=settings(provider.url) + more)
        with open_workspace(folder) as workspace:
            yield workspace, provider


@asynccontextmanager
async def serving(workspace: Workspace) -> AsyncIterator[openai.AsyncOpenAI]:
    async with AsyncExitStack() as stack:
        recorder = Recorder(workspace.store)
        stack.callback(recorder.close)
        tasks = workspace.tasks()
        registry = open_registry(stack, workspace, [], tasks, is_passing=True)
        budgets = await open_budgets(stack, workspace, tasks)
        url = await stack.enter_async_context(serve_in_background(make_app(registry, recorder, budgets=budgets)))
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        stack.push_async_callback(client.close)
        yield client


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_KEY", KEY)


def test_a_task_is_answered_by_a_teacher_that_speaks_messages(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "p", whole(message(text_block(RIGHT)))) as (workspace, provider):
            assert any(found.name == "teacher's key" and found.is_well for found in examine(workspace.project))
            async with AsyncExitStack() as stack:
                desk = await open_desk(stack, workspace, workspace.task("paint"))
                answer = await desk.ask({"line": "two red"}, "ask")
            assert (json.loads(answer.text), answer.by) == (json.loads(RIGHT), "teacher: no release")
            (sent,) = provider.seen
            assert (sent["model"], sent["_headers"]["x-api-key"]) == ("claude-x", KEY)
            assert sent["output_config"]["format"]["type"] == "json_schema"
            (trace,) = workspace.store.traces("paint")
            assert (trace.status, trace.cost_usd) == ("ok", pytest.approx((9 * 3 + 2 * 15) / 1e6))

    asyncio.run(run())


def test_a_task_names_its_own_provider(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path / "p") as (workspace, _provider):
            task_file = tmp_path / "p/tasks/paint.yaml"
            task_file.write_text(f"{TASK}teacher: other/claude-small-1\n")
            task = workspace.task("paint")
            upstream = find_upstream(workspace.project, task)
            assert (upstream.name, upstream.key, upstream.price) == ("claude-small-1", KEY, (1, 5))
            prices = Prices.read(workspace, task)
            assert (prices.input, prices.output) == (1, 5)
            assert KEY not in repr(upstream) + repr(upstream.open()) + upstream.describe()
            task_file.write_text(f"{TASK}teacher: third/gpt-x\n")
            upstream = find_upstream(workspace.project, workspace.task("paint"))
            assert (upstream.name, upstream.provider.kind, upstream.price) == ("gpt-x", "any-llm", None)
            assert type(upstream.open()).__name__ == "AnyLlmModel"

    asyncio.run(run())


def test_calls_are_passed_on_by_prefix_and_a_budget_pays_for_stated_prices_alone(tmp_path: Path) -> None:
    said, plain = whole(message()), {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}
    answers = [said, said, said, whole(plain | {"choices": [choice]})]

    async def run() -> None:
        async with opened(tmp_path / "a", *answers) as (workspace, provider), serving(workspace) as client:
            for name in ("claude-x", "other/claude-small-1", "other/unknown", "third/gpt-x"):
                reply = await client.chat.completions.create(model=name, messages=ASK)
                assert reply.choices[0].message.content == "Hello"
            assert [sent["model"] for sent in provider.seen] == ["claude-x", "claude-small-1", "unknown", "gpt-x"]
            assert [sent["_path"] for sent in provider.seen] == ["/v1/messages"] * 3 + ["/v1/chat/completions"]
            costs = [
                next(iter(workspace.store.traces(f"model:{name}"))).cost_usd for name in ("claude-x", "other/unknown")
            ]
            assert costs == [pytest.approx((9 * 3 + 2 * 15) / 1e6)] * 2  # a figure, where no budget counts on it
        budget = "\n[budget]\nusd_per_day = 1\n"
        async with (
            opened(tmp_path / "b", said, said, more=budget) as (workspace, provider),
            serving(workspace) as client,
        ):
            for name in ("claude-x", "other/claude-small-1"):
                await client.chat.completions.create(model=name, messages=ASK)
            for name in ("claude-dear", "other/claude-dear", "third/gpt-x"):
                with pytest.raises(openai.InternalServerError, match="JM-744"):
                    await client.chat.completions.create(model=name, messages=ASK)
            assert len(provider.seen) == 2

    asyncio.run(run())


def test_a_teacher_without_a_key_is_told_by_its_own_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    folder = make_project(tmp_path / "p", Path("/nowhere.gguf"), settings='[teacher]\nmodel = "anthropic/claude-x"\n')

    async def run(workspace: Workspace) -> None:
        async with AsyncExitStack() as stack:
            await open_desk(stack, workspace, workspace.task("paint"))

    with open_workspace(folder) as workspace, pytest.raises(ServeError, match="JM-730") as caught:
        asyncio.run(run(workspace))
    assert "teacher claude-x, ANTHROPIC_API_KEY not set" in str(caught.value)
