"""Calls that are passed on to a provider: nothing of them is lost, and every one is in the store before its last byte goes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from aiohttp import web

from journeyman.core.trace import Trace
from journeyman.gateway.app import make_app
from journeyman.gateway.points import Point
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import serve_in_background
from journeyman.guards.finders import Guard
from journeyman.store.database import Store, open_store

KEY, OWN = "sk-the-project-key-1234567890", "sk-the-client-key-1234567890"
ASK: list[Any] = [{"role": "user", "content": "Write to ada@example.org"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": '{"to": "ada@example.org"}'}}
TOOL: Any = {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Passing:
    """A gateway in front of a provider on loopback, which answers as ``answer`` says."""

    url: str
    store: Store
    http: aiohttp.ClientSession
    seen: list[dict[str, Any]]
    left: list[str]
    began: asyncio.Event
    answers: list[Answer] = field(default_factory=list)
    provider: str = ""

    def client(self, key: str = OWN) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)

    def traces(self, name: str = "model:big") -> list[Trace]:
        return list(self.store.traces(name))


def completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done.", **message}}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    return {
        "id": "x-1",
        "object": "chat.completion",
        "created": 1,
        "model": "big-2026",
        "choices": [choice],
        "usage": usage,
    }


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x-1", "object": "chat.completion.chunk", "created": 1, "model": "big-2026", "choices": [choice]}


def whole(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def streamed(*events: Any, end: bool = True, wait_s: float = 0.0) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for event in events:
            await reply.write(b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n")
            await asyncio.sleep(wait_s)
        if end:
            await reply.write(b"data: [DONE]\n\n")
        return reply

    return answer


@asynccontextmanager
async def passing(folder: Path, key: str = KEY, guards: tuple[Guard, ...] = ()) -> AsyncIterator[Passing]:
    seen: list[dict[str, Any]] = []
    left: list[str] = []
    async with AsyncExitStack() as stack:
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'gateway.db'}"))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        made = Passing("", store, http, seen, left, asyncio.Event())

        async def reply(request: web.Request) -> web.StreamResponse:
            made.began.set()
            seen.append(await request.json() | {"_key": request.headers.get("authorization"), "_path": request.path})
            try:
                return await made.answers.pop(0)(request)
            except (asyncio.CancelledError, ConnectionResetError):
                left.append("gone")
                raise

        app = web.Application()
        app.router.add_post("/v1/{path:.+}", reply)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.provider = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        point = Point("other", made.provider, key, (2.0, 8.0))
        registry = Registry([], lambda _task: None, points=[point], guards=guards)
        made.url = await stack.enter_async_context(serve_in_background(make_app(registry, recorder)))
        yield made


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


def test_a_call_goes_through_whole_and_its_record_is_redacted(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(whole(completion(content=None, tool_calls=[CALL], extra={"kept": True})))
            reply = await made.client().chat.completions.with_raw_response.create(
                model="other/big", messages=ASK, tools=[TOOL], n=1, logit_bias={"5": 1}, extra_body={"unknown": [1]}
            )
            body = json.loads(reply.text)
            assert body["choices"][0]["message"]["extra"] == {"kept": True}
            assert reply.parse().choices[0].message.tool_calls[0].function.name == "send"  # type: ignore[index, union-attr]
            (seen,) = made.seen
            assert seen["_key"] == f"Bearer {KEY}"
            assert (seen["model"], seen["unknown"], seen["logit_bias"]) == ("big", [1], {"5": 1})
            assert seen["messages"] == ASK
            (trace,) = made.traces("model:other/big")
            assert trace.id == reply.headers["x-journeyman-trace"]
            assert (trace.status, trace.model, trace.input_tokens, trace.output_tokens) == ("ok", "big", 9, 2)
            assert trace.cost_usd == pytest.approx((9 * 2 + 2 * 8) / 1e6)
            assert trace.messages[0].text == "Write to <EMAIL_1>"
            assert trace.output is not None
            assert json.loads(trace.output.tool_calls[0].arguments) == {"to": "<EMAIL_1>"}
            assert trace.tools == (TOOL,)

    runner.run(run())


def test_without_a_key_of_its_own_the_clients_is_passed_on_and_never_kept(
    runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def run() -> None:
        async with passing(tmp_path, key="") as made:
            made.answers.append(whole(completion()))
            await made.client().chat.completions.create(model="big", messages=ASK)
            assert made.seen[0]["_key"] == f"Bearer {OWN}"

    runner.run(run())
    assert OWN.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))


@pytest.mark.parametrize("with_usage", [True, False])
def test_a_stream_goes_through_and_its_usage_is_known_either_way(
    runner: asyncio.Runner, tmp_path: Path, with_usage: bool
) -> None:
    usage = {"id": "x-1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}
    one = {"index": 0, **CALL, "function": {"name": "send", "arguments": '{"to": '}}
    two = {"index": 0, "function": {"arguments": '"x"}'}}

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(
                streamed(
                    chunk({"role": "assistant", "content": "He"}),
                    chunk({"content": "y"}),
                    chunk({"tool_calls": [one]}),
                    chunk({"tool_calls": [two]}),
                    chunk({}, "tool_calls"),
                    usage,
                )
            )
            options: Any = {"stream_options": {"include_usage": True}} if with_usage else {}
            stream = await made.client().chat.completions.create(model="big", messages=ASK, stream=True, **options)
            chunks = [item async for item in stream]
            assert made.seen[0]["stream_options"] == {"include_usage": True}
            assert "".join(item.choices[0].delta.content or "" for item in chunks if item.choices) == "Hey"
            assert [item.usage is not None for item in chunks] == [False] * 5 + [True] * with_usage
            (trace,) = made.traces()
            assert (trace.status, trace.input_tokens, trace.verdicts["finish"]) == ("ok", 9, "tool_calls")
            assert trace.output is not None
            assert trace.output.tool_calls[0].arguments == '{"to": "x"}'

    runner.run(run())


def test_what_the_provider_refuses_is_handed_on_as_it_said_it(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            for is_streamed in (False, True):
                made.answers.append(
                    whole({"error": {"message": "slow down", "code": "busy"}}, 429, {"retry-after": "7"})
                )
                with pytest.raises(openai.RateLimitError, match="slow down") as caught:
                    await made.client().chat.completions.create(model="big", messages=ASK, stream=is_streamed)
                assert caught.value.response.headers["retry-after"] == "7"
            assert [trace.status for trace in made.traces()] == ["http-429"] * 2

    runner.run(run())


def test_a_stream_that_breaks_off_is_an_error_and_what_came_is_kept(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(streamed(chunk({"content": "Half"}), end=False))
            stream = await made.client().chat.completions.create(model="big", messages=ASK, stream=True)
            assert (await anext(stream)).choices[0].delta.content == "Half"
            with pytest.raises(openai.APIError, match="JM-426"):
                await anext(stream)
            (trace,) = made.traces()
            assert trace.output is not None
            assert trace.output.text == "Half"
            assert trace.status == "JM-426"

    runner.run(run())


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("said", [b"\x00\xffnot json", b"", b'{"hello": 1}\n\n<p>', b"[]", b"data: what?\n\n"])
def test_garbage_is_no_answer(runner: asyncio.Runner, tmp_path: Path, said: bytes, is_streamed: bool) -> None:
    async def garbage(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=said, content_type="application/json")

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(garbage)
            body = {"model": "big", "messages": "no list", "stream": is_streamed}
            async with made.http.post(f"{made.url}/v1/chat/completions", json=body) as reply:
                assert (reply.status, (await reply.json())["error"]["code"]) == (502, "JM-434")
            (trace,) = made.traces()
            assert (trace.messages, trace.output, trace.status) == ((), None, "JM-434")

    runner.run(run())


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_leaves_ends_the_providers_work(
    runner: asyncio.Runner, tmp_path: Path, is_streamed: bool
) -> None:
    async def hang(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits")

    async def run() -> None:
        async with passing(tmp_path) as made:
            made.answers.append(streamed(*[chunk({"content": "x"})] * 3000, wait_s=0.02) if is_streamed else hang)
            body = {"model": "big", "messages": ASK, "stream": is_streamed}
            call = asyncio.ensure_future(made.http.post(f"{made.url}/v1/chat/completions", json=body))
            if is_streamed:
                reply = await call
                await reply.content.readany()
                reply.close()
            else:
                await made.began.wait()
                call.cancel()
            for _ in range(500):
                if made.left and made.traces():
                    break
                await asyncio.sleep(0.01)
            assert made.left == ["gone"]
            (trace,) = made.traces()
            assert trace.status == "http-499"

    runner.run(run())


def test_a_provider_that_is_not_there_is_a_clear_error(runner: asyncio.Runner, tmp_path: Path) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            store = stack.enter_context(open_store(f"sqlite:///{tmp_path / 'gateway.db'}"))
            recorder = Recorder(store)
            stack.callback(recorder.close)
            registry = Registry([], lambda _task: None, points=[Point("other", "http://127.0.0.1:9/v1")])
            url = await stack.enter_async_context(serve_in_background(make_app(registry, recorder)))
            client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=OWN, max_retries=0)
            with pytest.raises(openai.InternalServerError, match="JM-430"):
                await client.chat.completions.create(model="big", messages=ASK)
            with pytest.raises(openai.NotFoundError, match="JM-704"):
                await client.chat.completions.create(model="task:typo", messages=ASK)
            (trace,) = store.traces("model:big")
            assert trace.status == "JM-430"

    runner.run(run())
