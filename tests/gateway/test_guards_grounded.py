"""The guard `grounded` with a threshold: answers whose claims their passages do not support, through a real server, a real index and a real student."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from journeyman.core.canonical import Json
from journeyman.flows.knowledge import add
from journeyman.flows.retrieving import Shelves
from journeyman.flows.workspace import open_workspace
from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Policy, Registry, Served, Way
from journeyman.gateway.server import serve_in_background
from journeyman.guards.finders import compile_guards
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Decoding
from journeyman.models.remote import OpenAIModel
from journeyman.models.template import Template, make_student_template
from journeyman.store.database import open_store
from journeyman.task.guard import GuardSpec
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Knowledge, Task
from tests.gateway.conftest import LIVE
from tests.gateway.test_forward import completion
from tests.gateway.test_guards_passed import outcomes
from tests.gateway.test_guards_tasks import Desk

pytestmark = pytest.mark.model
FIELDS: dict[str, dict[str, Json]] = {"question": {"type": "string"}, "passages": {"type": "string"}}
ANSWER: dict[str, Json] = {
    "type": "object",
    "properties": {"answer": {"type": ["string", "null"]}, "tone": {"enum": ["kind", "short"]}},
    "required": ["answer", "tone"],
    "additionalProperties": False,
}
USE = Knowledge("documents", "question", "passages", top=2)
HELP = Task("help", "Answer from the passages.", FIELDS, None, knowledge=USE)
FACTS = Task("facts", "Answer from the passages.", FIELDS, ANSWER, knowledge=USE)
PAGES = {
    "mill.md": "The old mill was built by Anna Berg in 1871. It burned down three years later.",
    "light.md": "The lighthouse was built by Otto Lind. Its lamp was lit in 1903.",
}
RIGHT = "It was built by Anna Berg in 1871."
WRONG = "It was sold to a circus from abroad by the council."
Run = Callable[[GuardSpec, Policy, Callable[[Desk], Awaitable[None]]], None]


@asynccontextmanager
async def desk(base: Path, folder: Path, spec: GuardSpec, policy: Policy) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'gateway.db'}"))
        made = Desk("", store)
        app = web.Application()

        async def teach(request: web.Request) -> web.StreamResponse:
            made.seen.append(await request.json())
            return web.json_response(completion(content=made.said.pop(0)))

        app.router.add_post("/v1/chat/completions", teach)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        teacher = OpenAIModel("big", f"http://127.0.0.1:{runner.addresses[0][1]}/v1", "sk-key")
        stack.push_async_callback(teacher.close)
        engine = await LlamaCpp.start(base, threads=1, slots=1, context=1024)
        stack.push_async_callback(engine.close)
        template = make_student_template(base)
        wordy = Template(template.source + "{{ 'x' }}", template.tokenizer)
        student = Served(f"help@{LIVE}", LocalModel(engine, wordy, "s"), HELP, LIVE, Decoding(max_tokens=24))
        guards = compile_guards([spec])
        ways = {
            task.name: Way(Served("big", teacher, task, write=teacher_messages), policy, guards=guards)
            for task in (HELP, FACTS)
        }
        knower = stack.enter_context(Shelves(stack.enter_context(open_workspace(folder))))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        registry = Registry([student], {"help": LIVE}.get, ways)
        server = make_app(registry, recorder, knower=knower)
        made.url = await stack.enter_async_context(serve_in_background(server))
        yield made


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grounded")
    (folder / "journeyman.toml").touch()
    for name, text in PAGES.items():
        (folder / name).write_text(text)
    with open_workspace(folder) as workspace:
        add(workspace, [str(folder / name) for name in PAGES])
    return folder


@pytest.fixture
def run(tiny_gguf: Path, indexed: Path) -> Run:
    def all_of_it(spec: GuardSpec, policy: Policy, work: Callable[[Desk], Awaitable[None]]) -> None:
        async def inside() -> None:
            async with desk(tiny_gguf, indexed, spec, policy) as made:
                await work(made)

        asyncio.run(inside())

    return all_of_it


def grounded(mode: Any, **more: Any) -> GuardSpec:
    return GuardSpec("grounded", mode, "output", threshold=0.7, **more)


def test_an_answer_without_support_is_refused_or_flagged(run: Run) -> None:
    async def block(made: Desk) -> None:
        made.said += [RIGHT, WRONG, WRONG, "Not in the documents."]
        reply = await made.ask("help", "who built the old mill?")
        assert reply.parse().choices[0].message.content == RIGHT
        for is_streamed in (False, True):
            with pytest.raises(
                openai.UnprocessableEntityError, match="JM-781 help: the guard grounded refuses the answer"
            ):
                await made.ask("help", "who built the old mill?", stream=is_streamed)
        trace = made.last("help")
        assert (trace.status, outcomes(trace)) == ("JM-781", [("grounded", "output", "block", "blocked", 1)])
        reply = await made.ask("help", "who owns the moon?")
        assert outcomes(made.last("help")) == [("grounded", "output", "block", "passed", 0)]

    async def flag(made: Desk) -> None:
        made.said.append(f"{RIGHT} {WRONG}")
        reply = await made.ask("help", "who built the old mill?")
        assert reply.headers["x-journeyman-guards"] == "grounded=flagged"
        assert outcomes(made.last("help")) == [("grounded", "output", "flag", "flagged", 1)]

    run(grounded("block"), "teacher", block)
    run(grounded("flag"), "teacher", flag)


def test_values_of_an_object_are_held_with_the_question(run: Run) -> None:
    async def work(made: Desk) -> None:
        for answer, outcome in (
            ("Anna Berg", "passed"),
            ("Otto Lind", "flagged"),
            ("Ada Frank", "flagged"),
            (None, "passed"),
        ):
            made.said.append(json.dumps({"answer": answer, "tone": "kind"}))
            await made.ask("facts", "who built the old mill?")
            assert outcomes(made.last("facts"))[0][3] == outcome, answer
        made.said.append(json.dumps({"answer": "Ada Frank", "tone": "kind"}))
        own = {"question": "who built it?", "passages": "[1] It was built by Ada Frank."}
        async with aiohttp.ClientSession() as http, http.post(f"{made.url}/tasks/facts", json=own) as reply:
            assert reply.status == 200
        assert outcomes(made.last("facts"))[0][3] == "passed", "a caller's own passages are what counts"

    run(grounded("flag"), "teacher", work)


def test_a_students_answer_without_support_is_the_teachers_to_give(run: Run) -> None:
    async def work(made: Desk) -> None:
        for is_streamed in (False, True):
            made.said.append(RIGHT)
            reply = await made.ask("help", "who built the old mill?", stream=is_streamed)
            assert reply.headers["x-journeyman-guards"] == "grounded=escalated"
        trace = made.last("help")
        assert trace.output is not None
        assert (trace.output.text, trace.model) == (RIGHT, "big")
        assert trace.verdicts["route"]["why"] == "guarded"  # type: ignore[index, call-overload]
        assert trace.verdicts["student"]["output"]  # type: ignore[index, call-overload]
        assert [item[3] for item in outcomes(trace)] == ["escalated", "passed"]
        made.said.append(WRONG)
        with pytest.raises(openai.UnprocessableEntityError, match="JM-781"):
            await made.ask("help", "who built the old mill?")
        assert [item[3] for item in outcomes(made.last("help"))] == ["escalated", "blocked"]
        with pytest.raises(openai.UnprocessableEntityError, match="JM-781"):  # a release alone has no teacher behind it
            await made.client().chat.completions.create(
                model=f"help@{LIVE[:6]}", messages=[{"role": "user", "content": "who built the old mill?"}]
            )

    run(grounded("escalate"), "student", work)
