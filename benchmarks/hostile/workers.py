"""`kill -9` of the llama.cpp worker that answers for two adapters: it comes back, and every answer is that of the adapter that was asked."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from hostile.project import Tally
from journeyman.flows.fleet import Fleet
from journeyman.gateway.app import make_app
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry, Served
from journeyman.gateway.server import serve_in_background
from journeyman.models.local import LocalModel
from journeyman.models.pool import Habits
from journeyman.models.protocol import Decoding
from journeyman.models.template import Template, make_student_template
from journeyman.store.database import open_store
from journeyman.store.engine import sqlite_url
from journeyman.task.task import Task
from tests.models.adapters import write_adapter
from tests.tiny import write_tiny_llama

TITLES = Task("titles", "Give the message a title.", {"message": {"type": "string"}}, None)
QUESTIONS = tuple(f"Where is parcel {number}?" for number in range(12))
CLIENTS = 8
WORKER_FAULTS = ("JM-421", "JM-424")
MUCH = 10_000_000_000
Answers = Mapping[tuple[str, str], str]


@dataclass
class Front:
    """Its releases are the adapters' hashes."""

    url: str
    http: aiohttp.ClientSession
    releases: list[str]
    answered: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    async def ask(self, release: str, question: str, *, is_streamed: bool = False) -> str | None:
        """The answer; None where there is none."""
        messages = [{"role": "user", "content": question}]
        body = {"model": f"titles@{release}", "messages": messages, "stream": is_streamed}
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body) as reply:
            if is_streamed and reply.status == 200:
                return _read_stream(await reply.read())
            said = await reply.json()
        if reply.status == 200:
            return str(said["choices"][0]["message"]["content"])
        code = str(said["error"]["code"])
        self.failed[code] = self.failed.get(code, 0) + 1
        return None


def run(folder: Path, *, is_small: bool) -> Tally:
    tally = Tally()
    asyncio.run(_kill_often(folder, tally, 3 if is_small else 20))
    return tally


async def _kill_often(folder: Path, tally: Tally, kills: int) -> None:
    draw = random.Random(0)
    async with _fronting(folder) as front:
        before = {(release, text): await front.ask(release, text) for release in front.releases for text in QUESTIONS}
        own = {place: str(answer) for place, answer in before.items()}
        differing = [text for text in QUESTIONS if len({own[release, text] for release in front.releases}) > 1]
        tally.counts["questions that the adapters answer differently"] = len(differing)
        tally.check(len(differing) >= len(QUESTIONS) // 2, "the adapters answer alike: nothing could be seen")
        until = asyncio.Event()
        asking = [asyncio.create_task(_ask_on(front, own, place, until, tally)) for place in range(CLIENTS)]
        pids = set()
        for _ in range(kills):
            answered = front.answered
            await asyncio.sleep(draw.uniform(0.05, 0.5))
            pid = await asyncio.to_thread(_find_worker, pids)
            os.kill(pid, signal.SIGKILL)
            pids.add(pid)
            tally.add("kills")
            for _ in range(600):
                await asyncio.sleep(0.05)
                if front.answered > answered + 2 * CLIENTS and _workers() - pids:
                    break
            else:
                tally.check(False, f"after {pid} was killed nothing was answered for 30 s")
        until.set()
        await asyncio.gather(*asking)
        again = {place: await front.ask(*place) for place in own}
        tally.check(again == own, "the answers after the kills are not those before")
        tally.counts |= {"answered": front.answered, "failed": dict(front.failed)}
        strange = set(front.failed) - {*WORKER_FAULTS, "JM-426"}
        tally.check(not strange, f"calls failed with {strange}")
        tally.check(front.answered > 20 * kills, f"only {front.answered} calls were answered")


async def _ask_on(front: Front, own: Answers, place: int, until: asyncio.Event, tally: Tally) -> None:
    draw = random.Random(place)
    while not until.is_set():
        release, text = draw.choice(front.releases), draw.choice(QUESTIONS)
        answer = await front.ask(release, text, is_streamed=place % 4 == 3)
        if answer is None:
            await asyncio.sleep(0.02)
            continue
        front.answered += 1
        (other,) = [own[name, text] for name in front.releases if name != release]
        tally.check(answer == own[release, text] or answer != other, f"{text} was answered by the other adapter")
        tally.check(answer == own[release, text], f"{text} was answered {answer!r}, before {own[release, text]!r}")


def _read_stream(data: bytes) -> str | None:
    """What it said; None where it broke off, which it says."""
    import json

    if not data.endswith(b"data: [DONE]\n\n"):
        assert b'"error"' in data, "a stream ended without a mark and without an error"
        return None
    events = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


def _workers() -> set[int]:
    found = psutil.Process().children(recursive=True)
    return {child.pid for child in found if child.is_running() and "llamacpp_worker" in " ".join(_words(child))}


def _words(child: psutil.Process) -> list[str]:
    try:
        return child.cmdline() if child.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


def _find_worker(dead: set[int]) -> int:
    (pid,) = _workers() - dead
    return pid


@asynccontextmanager
async def _fronting(folder: Path) -> AsyncIterator[Front]:
    base = write_tiny_llama(folder / "tiny.gguf")
    adapters = dict(write_adapter(folder / f"{seed}.gguf", seed=seed, width=64) for seed in (1, 2))
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(Fleet(Habits(MUCH), 1, slots=2, context=512))
        engine = await fleet.open(stack, base, adapters)
        store = stack.enter_context(open_store(sqlite_url(folder / "gateway.db")))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        student = make_student_template(base)
        # A tiny random model repeats its last token: this template ends in a letter, so that it writes something.
        wordy = Template(student.source + "{{ 'x' }}", student.tokenizer)
        served = [
            Served(f"titles@{name}", LocalModel(engine, wordy, "student", name), TITLES, name, Decoding(max_tokens=24))
            for name in adapters
        ]
        app = make_app(Registry(served, lambda _task: None), recorder)
        url = await stack.enter_async_context(serve_in_background(app))
        timeout = aiohttp.ClientTimeout(total=60)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        yield Front(url, http, list(adapters))
