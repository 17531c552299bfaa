"""A provider that does everything wrong, asked through every route: each call ends in a valid answer or in an error that says whose fault it is, and the next one is
answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from hostile.project import SILENCE_S, Document, Server, Tally, make_project, name_providers, serving
from hostile.provider import FAULTS, providing

ASK = [{"role": "user", "content": "Where is my parcel?"}]
ROUTES: Mapping[str, tuple[str, Document, str]] = {
    "chat": ("/v1/chat/completions", {"messages": ASK}, "choices"),
    "messages": ("/v1/messages", {"messages": ASK, "max_tokens": 9}, "content"),
    "responses": ("/v1/responses", {"input": "Where is my parcel?"}, "output"),
    "completions": ("/v1/completions", {"prompt": "Where"}, "choices"),
    "embeddings": ("/v1/embeddings", {"input": "Where is my parcel?"}, "data"),
}
"""Path, body, and what holds a whole answer."""
UPSTREAM = ("JM-426", "JM-430", "JM-431", "JM-432", "JM-433", "JM-434", "JM-442", "JM-445", "JM-764")
"""Errors that lay the fault at the provider."""
SAID = {"failed": 500, "failed-page": 502, "busy": 429, "status-999": 999, "no-content": 204}
"""What the provider says of itself, and is handed on."""
ENDS = (b"data: [DONE]", b"event: message_stop", b"event: response.completed")
HEAVY = tuple(name for name in FAULTS if name.startswith("endless") or name == "gzip-bomb")
PATIENCE_S = 30.0
MOST_BYTES = 900_000_000
"""Resident; five routes at once, each with 128 MiB that are collected and then joined."""


def run(folder: Path, *, is_small: bool) -> Tally:
    tally = Tally()
    with providing() as provider:
        make_project(folder / "project", provider.url, more=name_providers(*ROUTES))
        with serving(folder / "project") as server:
            tally.counts["bytes at first"] = server.bytes
            rounds = 1 if is_small else 5
            asyncio.run(_ask_all(server, tally, rounds, is_small=is_small))
            tally.check(server.process.poll() is None, "the server ended")
            tally.counts["bytes at the end"] = server.bytes
            tally.counts["descriptors at the end"] = server.descriptors
        log = (folder / "project/serve.log").read_text(encoding="utf-8")
        tally.check("Traceback" not in log, "the server logged a defect: " + log[:1500])
    return tally


async def _ask_all(server: Server, tally: Tally, rounds: int, *, is_small: bool) -> None:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    watching = asyncio.create_task(_watch(server, tally))
    async with aiohttp.ClientSession(timeout=timeout) as http:
        await asyncio.gather(*(_ask_route(http, server.url, name, tally, rounds, is_small) for name in ROUTES))
        for _ in range(rounds * 40):
            await _ask_task(http, server.url, tally)
    watching.cancel()
    tally.check(tally.counts["most bytes"] < MOST_BYTES, f"{tally.counts['most bytes']:,} bytes were resident")


async def _watch(server: Server, tally: Tally) -> None:
    while True:
        tally.counts["most bytes"] = max(tally.counts.get("most bytes", 0), server.bytes)
        await asyncio.sleep(0.05)


async def _ask_route(
    http: aiohttp.ClientSession, url: str, route: str, tally: Tally, rounds: int, is_small: bool
) -> None:
    """Each fault whole and, where the route streams, as a stream; a good call after each."""
    for _ in range(rounds):
        for fault in FAULTS:
            is_heavy = is_small and fault in HEAVY and route not in ("chat", "embeddings")
            if is_heavy or fault == "long-stream":
                continue
            times = 20 if fault == "spoilt" else 1
            for is_streamed in (False, True) if route != "embeddings" else (False,):
                for _ in range(times):
                    await _ask(http, url, route, fault, tally, is_streamed=is_streamed)
                status, said, _ = await _call(http, url, route, "fine", is_streamed=is_streamed)
                tally.check(status == 200, f"{route}: after {fault} a good call got {status} {said[:200]!r}")
                tally.add("good calls in between")


async def _ask(
    http: aiohttp.ClientSession, url: str, route: str, fault: str, tally: Tally, *, is_streamed: bool
) -> None:
    started = time.monotonic()
    status, body, is_whole = await _call(http, url, route, fault, is_streamed=is_streamed)
    told = f"{route} {fault} stream={is_streamed}"
    tally.add("calls")
    tally.add(f"status {status}")
    is_late = time.monotonic() - started > PATIENCE_S - 1
    tally.check(not is_late, f"{told}: it took longer than {PATIENCE_S} s, the provider may be silent for {SILENCE_S}")
    if status == 200:
        tally.check(is_whole, f"{told}: the connection broke")
        problem = _stream_problem(body) if is_streamed else _whole_problem(body, ROUTES[route][2])
        tally.check(not problem, f"{told}: {problem}: {body[:200]!r}")
    elif SAID.get(fault) != status:
        code = _code(body)
        tally.add(code)
        tally.check(code in UPSTREAM and status >= 500, f"{told}: {status} {body[:200]!r}")


async def _ask_task(http: aiohttp.ClientSession, url: str, tally: Tally) -> None:
    """A task whose teacher the provider is; its answers fit its schema, whatever comes."""
    async with http.post(f"{url}/tasks/tickets", json={"message": "Where is my parcel?"}) as reply:
        body = await reply.read()
        tally.add("calls of a task")
        is_right = reply.status == 200 and json.loads(body) == {"intent": "refund"}
        tally.check(is_right, f"task: {reply.status} {body[:200]!r}")


async def _call(
    http: aiohttp.ClientSession, url: str, route: str, model: str, *, is_streamed: bool
) -> tuple[int, bytes, bool]:
    """Status, body, and whether it came to its end."""
    path, body, _ = ROUTES[route]
    sent = {"model": f"{route}/{model}", **body} | ({"stream": True} if is_streamed else {})
    data = b""
    try:
        async with http.post(url + path, json=sent) as reply:
            try:
                async for piece in reply.content.iter_any():
                    data += piece
            except aiohttp.ClientError:
                return reply.status, data, False
            return reply.status, data, True
    except TimeoutError:
        return 0, data, False
    except aiohttp.ClientError as error:
        return 0, repr(error).encode(), False


def _whole_problem(body: bytes, key: str) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return "not JSON"
    return "" if isinstance(said, dict) and isinstance(said.get(key), list) else "no answer"


def _stream_problem(body: bytes) -> str:
    """A stream ends in its mark, or in an error event."""
    last = body.rstrip().rpartition(b"\n\n")[2]
    return "" if last.startswith(ENDS) or b'"error"' in last else "it ends without a mark and without an error"


def _code(body: bytes) -> str:
    try:
        error: Any = json.loads(body)["error"]
        return str(error.get("code") or error["message"].split()[0])
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "no error of ours"
