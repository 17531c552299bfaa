from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from journeyman.core.canonical import Json
from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served
from journeyman.gateway.server import serve_in_background
from journeyman.models.llamacpp import LlamaCpp
from journeyman.models.local import LocalModel
from journeyman.models.protocol import Decoding
from journeyman.models.template import Template, load_base_template, make_student_template
from journeyman.store.database import Store, open_store
from journeyman.task.task import Task

SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"intent": {"enum": ["refund", "card_lost", "other"]}, "urgent": {"type": "boolean"}},
    "required": ["intent", "urgent"],
    "additionalProperties": False,
}
TICKETS = Task("tickets", "Sort a bank customer's message.", {"message": {"type": "string"}}, SCHEMA)
TITLES = Task("titles", "Give the message a title.", {"message": {"type": "string"}}, None)
# Only a surrogate fits: what leaves is checked after the value is put back, so the task itself takes any text.
CONTACTS = Task(
    "contacts",
    "Find the mail address.",
    {"message": {"type": "string"}},
    {
        "type": "object",
        "properties": {"mail": {"enum": ["<EMAIL_1>", "ada@example.org"]}},
        "required": ["mail"],
        "additionalProperties": False,
    },
)
LIVE, OLD = "a1b2" + "0" * 60, "a1ff" + "0" * 60


@dataclass
class Gateway:
    """A running server over real parts, its clients, and what it stored."""

    url: str
    client: openai.AsyncOpenAI
    http: aiohttp.ClientSession
    store: Store
    engine: LlamaCpp
    live: dict[str, str] = field(default_factory=dict)

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Any, Any]:
        """Status, parsed body and headers."""
        data = {"data": body} if isinstance(body, bytes) else {"json": body}
        async with self.http.post(self.url + path, headers=headers, **data) as reply:
            return reply.status, await reply.json(), reply.headers

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.http.get(self.url + path) as reply:
            return reply.status, await reply.json()


@asynccontextmanager
async def open_gateway(base: Path, folder: Path) -> AsyncIterator[Gateway]:
    """A structured task with two releases, a free-text one, and the base, all on one engine."""
    async with AsyncExitStack() as stack:
        engine = await LlamaCpp.start(base, threads=1, slots=2, context=512)
        stack.push_async_callback(engine.close)
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'gateway.db'}"))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        student, short = make_student_template(base), Decoding(max_tokens=24)
        # A tiny random model repeats its last token: this template ends in a letter, so that it writes something.
        wordy = Template(student.source + "{{ 'x' }}", student.tokenizer)
        live = {"tickets": LIVE, "titles": LIVE, "contacts": LIVE}
        served = [
            Served(f"tickets@{LIVE}", LocalModel(engine, student, "student"), TICKETS, LIVE, Decoding(max_tokens=64)),
            Served(f"tickets@{OLD}", LocalModel(engine, student, "student"), TICKETS, OLD, Decoding(max_tokens=2)),
            Served(f"titles@{LIVE}", LocalModel(engine, wordy, "student"), TITLES, LIVE, short),
            Served(f"contacts@{LIVE}", LocalModel(engine, student, "student"), CONTACTS, LIVE, Decoding(max_tokens=64)),
            Served("base:tiny", LocalModel(engine, load_base_template(base), "base:tiny"), decoding=short),
        ]
        url = await stack.enter_async_context(serve_in_background(make_app(Registry(served, live.get), recorder)))
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        stack.push_async_callback(client.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Gateway(url, client, http, store, engine, live)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="module")
def gateway(runner: asyncio.Runner, tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    opened = open_gateway(tiny_gguf, tmp_path_factory.mktemp("gateway"))
    yield runner.run(opened.__aenter__())
    runner.run(opened.__aexit__(None, None, None))
