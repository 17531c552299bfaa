"""What goes wrong at the provider, at the client or under the store while calls are passed on: each is an error that says whose fault it is, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from journeyman.core.errors import ModelError
from journeyman.core.messages import make_message
from journeyman.gateway import forward
from journeyman.gateway.app import make_app
from journeyman.gateway.points import Point
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.routes import GatewaySettings
from journeyman.gateway.server import serve_in_background
from journeyman.models import events, http_client
from journeyman.models.protocol import Request
from journeyman.models.remote import OpenAIModel
from journeyman.store.database import open_store
from tests.gateway.test_forward import ASK, Answer, Passing, chunk, completion, passing, streamed, whole

BODY = {"model": "big", "messages": ASK}
STREAM = BODY | {"stream": True}


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


async def ask(made: Passing, body: dict[str, Any] = BODY) -> tuple[int, bytes]:
    async with made.http.post(f"{made.url}/v1/chat/completions", json=body) as reply:
        return reply.status, await reply.read()


def code(body: bytes) -> str:
    """Of an error, or of the error that a stream ends with."""
    last = body.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: ")
    return str(json.loads(last)["error"]["code"])


def endless(data: bytes, kind: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": kind})
        await reply.prepare(request)
        while True:
            await reply.write(data)

    return answer


def run_passing(runner: asyncio.Runner, folder: Path, work: Any) -> None:
    async def run() -> None:
        async with passing(folder) as made:
            await work(made)

    runner.run(run())


def test_an_endless_body_is_cut(runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 1_000_000)

    async def work(made: Passing) -> None:
        made.answers.append(endless(b"1," * 10_000, "application/json"))
        status, body = await ask(made)
        assert (status, code(body)) == (502, "JM-434")
        assert b"1,000,000 bytes" in body
        assert made.traces()[0].status == "JM-434"

    run_passing(runner, tmp_path, work)


def test_an_event_that_never_ends_is_cut(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST_EVENT_BYTES", 1_000_000)

    async def work(made: Passing) -> None:
        made.answers.append(endless(b"data: " + b"x" * 10_000, "text/event-stream"))
        status, body = await ask(made, STREAM)
        assert (status, code(body)) == (502, "JM-434")

    run_passing(runner, tmp_path, work)


def test_a_stream_that_never_ends_is_cut(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "MOST_STREAM_BYTES", 1_000_000)

    async def work(made: Passing) -> None:
        event = b"data: " + json.dumps(chunk({"content": "word "})).encode() + b"\n\n"
        made.answers.append(endless(event, "text/event-stream"))
        status, body = await ask(made, STREAM)
        assert (status, code(body)) == (200, "JM-426")
        assert 900_000 < len(body) < 1_100_000
        (trace,) = made.traces()
        assert trace.status == "JM-426"
        assert trace.output is not None
        assert trace.output.text.startswith("word word ")

    run_passing(runner, tmp_path, work)


def test_a_teachers_endless_reply_is_cut(
    runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 1_000_000)

    async def work(made: Passing) -> None:
        made.answers.append(endless(b"1," * 10_000, "application/json"))
        model = OpenAIModel("big", made.provider)
        with pytest.raises(ModelError, match="JM-434"):
            await model.complete(_request())
        await model.close()

    run_passing(runner, tmp_path, work)


@pytest.mark.parametrize("status", [204, 226, 600, 999])
def test_a_status_that_is_no_answer(runner: asyncio.Runner, tmp_path: Path, status: int) -> None:
    async def work(made: Passing) -> None:
        for body in (BODY, STREAM):
            made.answers.append(whole({}, status))
            got, said = await ask(made, body)
            assert (got // 100, code(said)) == (5, "JM-434")
        assert [trace.status for trace in made.traces()] == [code(said)] * 2

    run_passing(runner, tmp_path, work)


@pytest.mark.parametrize("count", [2**63, -1, 1e3, True, "7", {}, None])
def test_tokens_that_are_no_count(runner: asyncio.Runner, tmp_path: Path, count: Any) -> None:
    async def work(made: Passing) -> None:
        said = completion() | {"usage": {"prompt_tokens": count, "completion_tokens": count}}
        made.answers += [whole(said), whole(said), whole(completion() | {"usage": count or []})]
        assert (await ask(made))[0] == 200
        assert made.traces()[0].input_tokens is None
        model = OpenAIModel("big", made.provider)
        try:
            for _ in range(2):
                reply = await model.complete(_request())
                assert (reply.text, reply.input_tokens, reply.output_tokens) == ("Done.", None, None)
        finally:
            await model.close()

    run_passing(runner, tmp_path, work)


def _request() -> Request:
    return Request((make_message("user", "x"),))


def test_a_provider_that_says_nothing_is_given_up(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits")

    async def half(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-length": "100"})
        await reply.prepare(request)
        await reply.write(b"{")
        return await hang(request)

    async def work(made: Passing) -> None:
        point = Registry([], lambda _task: None, points=[Point("other", made.provider, "")])
        recorder = Recorder(made.store)
        app = make_app(point, recorder, settings=GatewaySettings(silence_s=0.3))
        async with serve_in_background(app) as url:
            made.answers += [hang, half, hang]
            for body in (BODY, BODY, STREAM):
                async with made.http.post(f"{url}/v1/chat/completions", json=body) as reply:
                    assert (reply.status, code(await reply.read())) == (503, "JM-430")
        recorder.close()
        assert [trace.status for trace in made.traces()] == ["JM-430"] * 3

    run_passing(runner, tmp_path, work)


def test_a_stream_whose_record_fails_says_so(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def work(made: Passing) -> None:
        with open_store(f"sqlite:///{tmp_path / 'locked.db'}", busy_timeout_s=0.2) as store:
            recorder = Recorder(store)
            registry = Registry([], lambda _task: None, points=[Point("other", made.provider, "")])
            async with serve_in_background(make_app(registry, recorder)) as url:
                other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                for is_whole in (True, False):
                    made.answers.append(streamed(chunk({"content": "Hello"}), end=is_whole))
                    async with made.http.post(f"{url}/v1/chat/completions", json=STREAM) as reply:
                        body = await reply.read()
                    assert code(body) == "JM-805"
                    assert b"[DONE]" not in body
                other.execute("ROLLBACK")
                other.close()
                made.answers.append(streamed(chunk({"content": "Hello"})))
                async with made.http.post(f"{url}/v1/chat/completions", json=STREAM) as reply:
                    assert (await reply.read()).endswith(b"data: [DONE]\n\n")
            recorder.close()
            assert [trace.status for trace in store.traces("model:big")] == ["ok"]

    run_passing(runner, tmp_path, work)


def test_a_client_that_leaves_ends_a_stream_that_is_never_short_of_a_next_piece(tmp_path: Path) -> None:
    """A client that read nothing, so that the server had stopped writing."""
    event = b"data: " + json.dumps(chunk({"content": "word "})).encode() + b"\n\n"

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(endless(event * 2000, "text/event-stream"))
            host, port = made.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port), limit=1000)
            data = json.dumps(STREAM).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n"
            writer.write(head.encode() + data)
            await reader.read(10)
            await asyncio.sleep(1.5)
            writer.transport.abort()
            for _ in range(100):
                await asyncio.sleep(0.05)
                if made.left:
                    break
            assert made.left == ["gone"]
            assert [trace.status for trace in made.traces()] == ["http-499"]

    with _uvloop() as runner:
        runner.run(run())


def _uvloop() -> asyncio.Runner:
    uvloop = pytest.importorskip("uvloop")
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@pytest.mark.parametrize("path", ["chat/completions", "completions", "messages", "responses", "embeddings", "feedback"])
def test_a_body_that_is_nested_too_deeply(runner: asyncio.Runner, tmp_path: Path, path: str) -> None:
    async def work(made: Passing) -> None:
        for depth in (140, 200, 1000, 100_000):
            nested = "[" * depth + "]" * depth
            for name in ("messages", "input", "prompt", "instructions", "metadata"):
                body = f'{{"model": "task:none", "max_tokens": 9, "{name}": {nested}}}'
                async with made.http.post(f"{made.url}/v1/{path}", data=body) as reply:
                    assert 400 <= reply.status < 500, (await reply.read(), depth, name)
                    assert depth < 150 or "JM-703" in (await reply.json())["error"]["message"]

    run_passing(runner, tmp_path, work)


def test_a_request_that_breaks_off_is_no_defect(
    runner: asyncio.Runner, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(made: Passing) -> None:
        host, port = made.url.removeprefix("http://").split(":")
        for path in ("/v1/chat/completions", "/v1/completions", "/tasks/none"):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{".encode())
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()
        await asyncio.sleep(0.3)

    with caplog.at_level(logging.WARNING):
        run_passing(runner, tmp_path, work)
    assert caplog.records == []


def test_many_readers_of_streams_leave_a_connection_for_others(runner: asyncio.Runner, tmp_path: Path) -> None:
    """More than a pool of connections usually has."""

    async def begun(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        await reply.write(b": wait\n\n")
        await asyncio.sleep(300)
        return reply

    async def work(made: Passing) -> None:
        made.answers += [begun] * 300
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http, asyncio.TaskGroup() as group:
            slow = [group.create_task(_open(http, made.url)) for _ in range(300)]
            opened = await asyncio.gather(*slow)
            made.answers.append(whole(completion()))
            assert (await asyncio.wait_for(ask(made), 60))[0] == 200
            for reply in opened:
                reply.close()

    run_passing(runner, tmp_path, work)


async def _open(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    return await http.post(f"{url}/v1/chat/completions", json=STREAM)


def test_the_server_takes_as_many_files_as_it_may_have() -> None:
    statements = """
import resource
from journeyman.gateway.server import MOST_FILES, lift_file_limit
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
lift_file_limit()
after = resource.getrlimit(resource.RLIMIT_NOFILE)
assert after[1] == hard
assert after[0] == (MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)), after
"""
    subprocess.run([sys.executable, "-c", statements], check=True)
