"""Schemas of public sets against a real server: a base that is constrained, a teacher and a passed-on provider that say what they are told to.

`benchmarks/schemas.py` runs all of it, `test_schema_guarantee.py` a sample. The provider answers a call that says ``answer N`` with text N.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from journeyman.core.errors import TaskError
from journeyman.gateway.app import make_app
from journeyman.gateway.points import Point
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served, Way
from journeyman.gateway.server import serve_in_background
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.remote import OpenAIModel
from journeyman.models.template import load_base_template
from journeyman.store.database import open_store
from journeyman.task.file import task_from_mapping
from journeyman.task.prompt import teacher_messages
from journeyman.task.task import Task

DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
PIECE = 7  # characters of a streamed chunk


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A schema with instances: ``labelled`` by the set itself as valid or not; ``text`` is something to extract from."""

    origin: str
    name: str
    schema: Any
    labelled: tuple[tuple[str, bool], ...] = ()
    text: str = "Give me an example."


@dataclass(frozen=True, slots=True)
class Asked:
    """One call: ``label`` is what the set says of ``answer``, None where it says nothing."""

    case: Case
    way: str
    answer: str | None = None
    label: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Got:
    """What came back; ``text`` is the answer, where the status is 200 and a stream has no error in it."""

    asked: Asked
    status: int
    code: str = ""
    message: str = ""
    text: str | None = None


def read_suite(folder: Path) -> Iterator[Case]:
    """Every schema of the suite, each with its draft named in it."""
    for draft, dialect in DRAFTS.items():
        for path in sorted((folder / "tests" / draft).rglob("*.json")):
            name = str(path.relative_to(folder / "tests" / draft))
            for group in json.loads(path.read_text(encoding="utf-8")):
                schema = group["schema"]
                if isinstance(schema, dict):
                    schema = {"$schema": dialect} | schema
                # Formats are annotations by default in 2020-12; here they always hold.
                has_labels = name != "format.json" or draft == "draft7"
                labelled = tuple((json.dumps(test["data"]), bool(test["valid"])) for test in group["tests"])
                yield Case(draft, f"{name}: {group['description']}", schema, labelled if has_labels else ())


def read_extraction(folder: Path) -> Iterator[Case]:
    """Each distinct schema once, with the gold answer of its first row."""
    seen = set()
    for line in (folder / "extraction.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        key = json.dumps(row["schema"], sort_keys=True)
        if key not in seen:
            seen.add(key)
            gold = json.dumps(row["gold"])
            yield Case("bfcl_extraction", row["id"], row["schema"], ((gold, True),), row["text"])


def spoil(case: Case) -> list[str]:
    """Texts that are no JSON, or not only, or not of one meaning: none may leave under any schema."""
    good = next((text for text, is_valid in case.labelled if is_valid), '{"a": 1}')
    return [
        good[:-1] if good[-1] in '"]}' else good + "e",
        f"```json\n{good}\n```",
        f"{good} That is all.",
        '{"a": 1, "a": 2}',
        "NaN",
        '{"a": Infinity}',
        "",
        '"\\ud800"',
        *("[" * depth + "]" * depth for depth in (102, 300, 900, 2000)),
    ]


@dataclass
class Rig:
    """A running server; ``admitted`` are the cases whose task there is, by name, ``refused`` why the others have none."""

    url: str
    http: aiohttp.ClientSession
    answers: list[str]
    base: str
    tasks: dict[Case, str] = field(default_factory=dict)
    refused: dict[Case, TaskError] = field(default_factory=dict)

    async def ask(self, asked: Asked) -> Got:
        is_streamed = asked.way.endswith("streamed")
        path = "responses" if asked.way.startswith("responses") else "chat/completions"
        async with self.http.post(f"{self.url}/v1/{path}", json=self._body(asked, is_streamed)) as reply:
            raw = await reply.read()
            if reply.status != 200:
                error = json.loads(raw)["error"]
                return Got(asked, reply.status, str(error["code"]), str(error["message"]))
            said = _read_stream(raw) if is_streamed else _read_whole(json.loads(raw))
            return Got(asked, 200, text=said) if said is not None else Got(asked, 200, "stream error")

    async def ask_all(self, calls: Iterable[Asked], at_once: int = 4) -> list[Got]:
        gate = asyncio.Semaphore(at_once)

        async def one(asked: Asked) -> Got:
            async with gate:
                return await self.ask(asked)

        return list(await asyncio.gather(*map(one, calls)))

    def _body(self, asked: Asked, is_streamed: bool) -> dict[str, Any]:
        said, way = asked.case.text, asked.way.partition(",")[0]
        if asked.answer is not None:
            self.answers.append(asked.answer)
            said = f"answer {len(self.answers) - 1}"
        schema = {"name": "answer", "strict": True, "schema": asked.case.schema}
        body: dict[str, Any] = {"messages": [{"role": "user", "content": said}], "stream": is_streamed}
        if way == "responses":
            return {"model": "big", "input": said, "stream": is_streamed, "text": {"format": {"type": "json_schema"} | schema}}  # fmt: skip
        if way == "task":
            return body | {"model": f"task:{self.tasks[asked.case]}"}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
        # Few, where nothing bounds most answers; more, where there is something to extract.
        most = 48 if asked.case.origin == "bfcl_extraction" else 24
        return body | ({"model": self.base, "max_tokens": most} if way == "base" else {"model": "big"})


def plan_base(cases: Iterable[Case]) -> list[Asked]:
    """Each schema once, whole and streamed by turns, answered by the base itself."""
    return [Asked(case, ("base", "base, streamed")[place % 2]) for place, case in enumerate(cases)]


def plan_scripted(cases: Iterable[Case]) -> list[Asked]:
    """Each labelled instance in all six ways, each spoiled text in one of them by turns."""
    calls, ways = [], [f"{way}{form}" for way in ("task", "passed", "responses") for form in ("", ", streamed")]
    for place, case in enumerate(cases):
        calls += [Asked(case, way, text, label) for text, label in case.labelled for way in ways]
        calls += [Asked(case, ways[(place + index) % 6], text, False) for index, text in enumerate(spoil(case))]
    return calls


def named_keyword(schema: Any, message: str) -> str:
    """The first word of a refusal that is a key of the refused schema; "" where there is none."""
    said = message.partition(": ")[2] if message.startswith("JM-") else message
    keys = set(_keys(schema))
    got = re.search(r"\n  got: (.*)", message)
    if got and got[1] in keys and said.startswith(f"{got[1]} "):
        return got[1]
    return next((word for word in re.findall(r"\$?\w+", said) if word in keys), "")


def _keys(node: Any) -> Iterator[str]:
    for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _keys(item)
    if isinstance(node, dict):
        yield from node


@asynccontextmanager
async def open_rig(weights: Path, folder: Path, cases: Sequence[Case], base: str = "base:tiny") -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'schemas.db'}"))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        engine = await LlamaCpp.start(weights, threads=1, slots=2, context=1024)
        stack.push_async_callback(engine.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        rig = Rig("", http, [], base)
        provider = await _start_provider(stack, rig.answers)
        teacher = OpenAIModel("big", provider)
        stack.push_async_callback(teacher.close)
        ways = {task.name: Way(Served("big", teacher, task, write=teacher_messages)) for task in _admit(rig, cases)}
        served = [Served(base, LocalModel(engine, load_base_template(weights), base))]
        registry = Registry(served, lambda _task: None, ways, points=[Point("teacher", provider, "sk-none")])
        rig.url = await stack.enter_async_context(serve_in_background(make_app(registry, recorder)))
        yield rig


def _admit(rig: Rig, cases: Sequence[Case]) -> Iterator[Task]:
    """Tasks as their files make them."""
    for index, case in enumerate(cases):
        if not isinstance(case.schema, dict):
            continue
        name = f"case-{index}"
        output = {"$schema": DRAFTS["draft2020-12"]} | case.schema
        try:
            task = task_from_mapping(
                {
                    "edition": 1,
                    "name": name,
                    "instruction": "Answer.",
                    "input": {"message": "string"},
                    "output": output,
                },
                name,
            )
        except TaskError as error:
            rig.refused[case] = error
            continue
        rig.tasks[case] = name
        yield task


async def _start_provider(stack: AsyncExitStack, answers: list[str]) -> str:
    async def reply(request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        said = json.dumps(asked.get("messages") or asked["input"])
        text = answers[int(re.findall(r"answer (\d+)", said)[-1])]
        is_chat = request.path.endswith("completions")
        if asked.get("stream"):
            return await _stream(request, _chunks(text) if is_chat else _events(text))
        return web.json_response(_completion(text) if is_chat else _response(text))

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/{path:.+}", reply)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


async def _stream(request: web.Request, events: Iterable[str]) -> web.StreamResponse:
    reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await reply.prepare(request)
    await reply.write("".join(f"data: {event}\n\n" for event in events).encode())
    return reply


def _completion(text: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "big", "choices": [choice]}


def _chunks(text: str) -> Iterator[str]:
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    for delta, finish in [*(({"content": piece}, None) for piece in pieces), ({}, "stop")]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        yield json.dumps(
            {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "big", "choices": [choice]}
        )
    yield "[DONE]"


def _response(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": [part]}
    return {"id": "r", "object": "response", "created_at": 1, "model": "big", "status": "completed", "output": [item]}


def _events(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        place = {"output_index": 0, "content_index": 0, "delta": text[start : start + PIECE]}
        yield json.dumps({"type": "response.output_text.delta"} | place)
    yield json.dumps({"type": "response.completed", "response": _response(text)})


def _read_whole(raw: dict[str, Any]) -> str:
    if "choices" in raw:
        return str(raw["choices"][0]["message"]["content"])
    return str(raw["output"][0]["content"][0]["text"])


def _read_stream(raw: bytes) -> str | None:
    """None where the stream ends in an error."""
    found = [line[6:] for line in raw.decode().split("\n") if line.startswith("data: ") and line != "data: [DONE]"]
    chunks = [json.loads(line) for line in found]
    if any("error" in chunk and chunk["error"] for chunk in chunks):
        return None
    if any("choices" in chunk for chunk in chunks):
        return "".join(
            choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices") or ()
        )
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "response.output_text.delta")
