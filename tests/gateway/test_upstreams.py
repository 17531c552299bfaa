"""Providers that are not of OpenAI's shape, behind the gateway: the official clients of both dialects, whole and streamed, and what is recorded of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.keys import Key, hash_secret, make_secret
from journeyman.core.trace import Trace
from journeyman.gateway.app import make_app
from journeyman.gateway.callers import Budgets, Caps, Doorkeeper
from journeyman.gateway.dialects.anthropic_chat import to_chat
from journeyman.gateway.points import Point
from journeyman.gateway.purse import Purse
from journeyman.gateway.recorder import Recorder
from journeyman.gateway.registry import Registry
from journeyman.gateway.server import serve_in_background
from journeyman.models.anthropic_request import to_messages
from journeyman.models.any_llm import AnyLlmModel
from journeyman.store.database import Store, open_store
from tests.models.anthropic_provider import (
    CACHED,
    Answer,
    Provider,
    events_of,
    message,
    refusal,
    speaking,
    streamed,
    text_block,
    tool_block,
    whole,
)

KEY, OWN = "sk-ant-the-project-key-1234567890", "sk-ant-the-client-key-1234567890"
ASK: list[Any] = [{"role": "user", "content": "Write to ada@example.org"}]
TOOL: Any = {"name": "send", "input_schema": {"type": "object", "properties": {}}}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "send", "parameters": {"type": "object", "properties": {}}}}
BOTH = message(
    text_block("I send both."),
    tool_block("t1", "send", {"to": "ada@example.org"}),
    tool_block("t2", "send", {}),
    stop="tool_use",
    usage=CACHED,
)
PRICES = (3.0, 15.0)


@dataclass
class Front:
    """A gateway in front of a provider that speaks Messages."""

    url: str
    store: Store
    provider: Provider
    http: aiohttp.ClientSession
    stack: AsyncExitStack

    def claude(self, key: str = OWN) -> anthropic.AsyncAnthropic:
        client = anthropic.AsyncAnthropic(base_url=self.url, api_key=key, max_retries=0)
        self.stack.push_async_callback(client.close)
        return client

    def openai(self, key: str = OWN) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)
        self.stack.push_async_callback(client.close)
        return client

    def traces(self, name: str = "model:claude-x") -> list[Trace]:
        return list(self.store.traces(name))

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.http.post(f"{self.url}{path}", json=body) as reply:
            return reply.status, await reply.json()


@asynccontextmanager
async def fronting(
    folder: Path,
    *answers: Answer,
    key: str = KEY,
    make: Callable[[str], Point] | None = None,
    caps: Caps | None = None,
    has_keys: bool = False,
) -> AsyncIterator[Front]:
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(speaking(*answers))
        store = stack.enter_context(open_store(f"sqlite:///{folder / 'gateway.db'}"))
        recorder = Recorder(store)
        stack.callback(recorder.close)
        point = make(provider.url) if make else Point("claude", provider.url, key, PRICES, kind="anthropic")
        keeper = Doorkeeper(store.find_key, is_open=not has_keys)
        budgets = Budgets(Purse(store), caps or Caps()) if caps or has_keys else None
        app = make_app(
            Registry([], lambda _task: None, points=[point]),
            recorder,
            keeper=keeper,
            budgets=budgets,
        )
        url = await stack.enter_async_context(serve_in_background(app))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield Front(url, store, provider, http, stack)


def priced(usage: dict[str, Any]) -> float:
    """By hand: reading the cache costs a tenth, writing it 1.25 times, and twice for an hour."""
    read = usage["input_tokens"] + 0.1 * usage["cache_read_input_tokens"]
    written = usage["cache_creation"]
    read += 1.25 * written["ephemeral_5m_input_tokens"] + 2 * written["ephemeral_1h_input_tokens"]
    return float(read * PRICES[0] + usage["output_tokens"] * PRICES[1]) / 1e6


def test_a_message_goes_through_as_it_came_and_is_recorded(tmp_path: Path) -> None:
    async def run() -> None:
        async with fronting(tmp_path, whole(BOTH), streamed(events_of(BOTH))) as front:
            system: Any = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]
            asked: Any = {
                "model": "claude-x",
                "max_tokens": 64,
                "system": system,
                "messages": ASK,
                "tools": [TOOL],
            }
            beta = {"anthropic-beta": "context-1m-2025-08-07"}
            reply = await front.claude().messages.create(**asked, extra_headers=beta, extra_body={"top_k": 5})
            assert reply.model_dump(exclude_none=True)["content"] == BOTH["content"]
            assert reply.usage.cache_read_input_tokens == 100
            async with front.claude().messages.stream(**asked) as stream:
                last = await stream.get_final_message()
            assert [block.input for block in last.content if block.type == "tool_use"] == [
                {"to": "ada@example.org"},
                {},
            ]
            first, _second = front.provider.seen
            assert first["_path"] == "/v1/messages"
            headers = first.pop("_headers")
            assert (headers["x-api-key"], headers["anthropic-beta"]) == (KEY, beta["anthropic-beta"])
            assert "anthropic-version" in headers
            assert {name: first[name] for name in [*asked, "top_k"]} == asked | {"top_k": 5}
            for trace in front.traces():
                assert (trace.status, trace.input_tokens, trace.output_tokens) == ("ok", 150, 2)
                assert trace.cost_usd == pytest.approx(priced(CACHED))
                assert trace.verdicts["cache"] == {"read": 100, "written": 40}
                assert trace.verdicts["finish"] == "tool_calls"
                assert trace.output is not None
                assert [json.loads(call.arguments) for call in trace.output.tool_calls] == [{"to": "<EMAIL_1>"}, {}]
                assert [part.text for part in trace.messages] == ["Be kind.", "Write to <EMAIL_1>"]
            assert len(front.traces()) == 2

    asyncio.run(run())


def test_a_stream_comes_event_by_event_as_it_was_said(tmp_path: Path) -> None:
    events = events_of(message(text_block("Hello there")))

    async def run() -> None:
        async with fronting(tmp_path, streamed(events)) as front:
            body = {"model": "claude-x", "max_tokens": 9, "messages": ASK, "stream": True}
            async with front.http.post(f"{front.url}/v1/messages", json=body) as reply:
                said = (await reply.read()).decode()
            assert said == "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)

    asyncio.run(run())


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_stream_that_breaks_off_or_a_refusal_is_an_error_to_the_client(tmp_path: Path, is_streamed: bool) -> None:
    async def run() -> None:
        answer = streamed(events_of(message())[:4]) if is_streamed else refusal(429, "slow down", "rate_limit_error")
        async with fronting(tmp_path, answer, answer) as front:
            asked: Any = {"model": "claude-x", "max_tokens": 9, "messages": ASK}
            with pytest.raises(anthropic.APIStatusError, match="JM-426" if is_streamed else "slow down") as caught:
                async with front.claude().messages.stream(**asked) as stream:
                    await stream.get_final_message()
            assert is_streamed or isinstance(caught.value, anthropic.RateLimitError)
            with pytest.raises(openai.APIError, match="JM-426" if is_streamed else "slow down") as other:
                async for _chunk in await front.openai().chat.completions.create(
                    model="claude-x", messages=ASK, stream=True
                ):
                    pass
            assert is_streamed or isinstance(other.value, openai.RateLimitError)
            assert {trace.status for trace in front.traces()} == {"JM-426" if is_streamed else "http-429"}

    asyncio.run(run())


def test_a_chat_client_is_answered_by_a_provider_that_speaks_messages(tmp_path: Path) -> None:
    async def run() -> None:
        async with fronting(tmp_path, whole(BOTH), streamed(events_of(BOTH))) as front:
            picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
            call = {"id": "c0", "type": "function", "function": {"name": "send", "arguments": '{"to": "x"}'}}
            talk: list[Any] = [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": [{"type": "text", "text": "See"}, picture]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c0", "content": "sent"},
                {"role": "user", "content": "Again"},
            ]
            asked: Any = {
                "model": "claude/claude-x",
                "messages": talk,
                "tools": [CHAT_TOOL],
                "parallel_tool_calls": True,
            }
            reply = await front.openai().chat.completions.create(**asked, tool_choice="required", stop="END")
            (choice,) = reply.choices
            assert (choice.finish_reason, choice.message.content) == ("tool_calls", "I send both.")
            assert reply.usage is not None
            assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (150, 2)
            expected = [("t1", {"to": "ada@example.org"}), ("t2", {})]
            calls: Any = choice.message.tool_calls
            assert [(one.id, json.loads(one.function.arguments)) for one in calls] == expected
            sent = front.provider.seen[0]
            assert (sent["_path"], sent["_headers"]["x-api-key"], sent["model"]) == ("/v1/messages", KEY, "claude-x")
            assert (sent["system"], sent["tool_choice"], sent["stop_sequences"]) == (
                "Be kind.",
                {"type": "any"},
                ["END"],
            )
            assert [turn["role"] for turn in sent["messages"]] == ["user", "assistant", "user"]
            options: Any = {"include_usage": True}
            texts, names, given = list[str](), list[str](), dict[int, str]()
            usage: Any = None
            async for chunk in await front.openai().chat.completions.create(
                **asked, stream=True, stream_options=options
            ):
                usage = chunk.usage or usage
                for delta in (choice.delta for choice in chunk.choices):
                    texts.append(delta.content or "")
                    for piece in delta.tool_calls or ():
                        names += [piece.id] if piece.id else []
                        assert piece.function is not None
                        given[piece.index] = given.get(piece.index, "") + (piece.function.arguments or "")
            assert ("".join(texts), usage.completion_tokens) == ("I send both.", 2)
            assert list(zip(names, map(json.loads, given.values()), strict=True)) == expected
            traces = front.traces("model:claude/claude-x")
            assert [trace.cost_usd for trace in traces] == [pytest.approx(priced(CACHED))] * 2
            assert traces[0].messages[0].text == "Be kind."
            for trace in traces:
                assert trace.output is not None
                assert [json.loads(call.arguments) for call in trace.output.tool_calls] == [{"to": "<EMAIL_1>"}, {}]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "more", "code"),
    [
        ("/v1/chat/completions", {"messages": ASK, "n": 2}, "JM-768"),
        ("/v1/chat/completions", {"messages": ASK, "logprobs": True}, "JM-768"),
        ("/v1/chat/completions", {"messages": ASK, "response_format": {"type": "json_object"}}, "JM-768"),
        ("/v1/chat/completions", {"messages": ASK, "tools": [{"type": "custom", "custom": {"name": "x"}}]}, "JM-768"),
        ("/v1/chat/completions", {"messages": "none"}, "JM-310"),
        ("/v1/chat/completions", {}, "JM-310"),
        ("/v1/responses", {"input": "Hi"}, "JM-769"),
        ("/v1/completions", {"prompt": "Hi"}, "JM-769"),
        ("/v1/embeddings", {"input": "Hi"}, "JM-769"),
        ("/v1/messages/count_tokens", {"messages": ASK, "model": "task:no"}, "JM-769"),
    ],
)
def test_what_it_cannot_be_asked_is_a_clear_refusal(tmp_path: Path, path: str, more: dict[str, Any], code: str) -> None:
    async def run() -> None:
        async with fronting(tmp_path) as front:
            status, said = await front.post(path, {"model": "claude-x"} | more)
            assert status == 400
            assert code in said["error"]["message"]
            assert front.provider.seen == []

    asyncio.run(run())


def test_tokens_are_counted_and_cost_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with fronting(tmp_path, whole({"input_tokens": 14}), caps=Caps(project=0.0)) as front:
            counted = await front.claude().messages.count_tokens(model="claude-x", messages=ASK)
            assert counted.input_tokens == 14
            assert front.provider.seen[0]["_path"] == "/v1/messages/count_tokens"
            (trace,) = front.traces()
            assert (trace.cost_usd, trace.status) == (None, "ok")

    asyncio.run(run())


async def moved(request: web.Request) -> web.StreamResponse:
    raise web.HTTPTemporaryRedirect(f"http://localhost:{request.url.port}/v1/elsewhere")


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize("kind", ["openai", "anthropic", "any-llm"])
@pytest.mark.parametrize("project_key", [KEY, ""])
def test_no_failure_shows_a_key_and_no_redirect_is_followed(
    tmp_path: Path, kind: Any, project_key: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[bytes] = []
    failures = [
        moved,
        cut,
        refusal(401, f"bad key {KEY}"),
        refusal(500, f"{KEY} failed"),
        whole([KEY]),
        whole({"type": "message"}),
    ]

    async def run() -> None:
        async with AsyncExitStack() as stack:

            def make(url: str) -> Point:
                if kind != "any-llm":
                    return Point("p", url, project_key, PRICES, kind=kind)
                model = AnyLlmModel("p", "openai", url, project_key or OWN)
                stack.push_async_callback(model.close)
                return Point("p", url, project_key or OWN, PRICES, kind=kind, ask=model.ask)

            front = await stack.enter_async_context(fronting(tmp_path, *failures, *failures, make=make))
            for is_streamed in (False, True):
                for _ in failures:
                    body = {"model": "claude-x", "messages": ASK, "stream": is_streamed}
                    headers = {"authorization": f"Bearer {OWN}"}
                    async with front.http.post(f"{front.url}/v1/chat/completions", json=body, headers=headers) as reply:
                        said.append(await reply.read() + repr(dict(reply.headers)).encode())
            assert len(front.traces()) == len(said) == len(front.provider.seen) == 12
            assert {sent["_path"].rpartition("/")[2] for sent in front.provider.seen} <= {"messages", "completions"}
            assert [trace.status for trace in front.traces()].count("JM-445") == 2
            used = {
                sent["_headers"].get("x-api-key") or sent["_headers"]["authorization"] for sent in front.provider.seen
            }
            assert used in ({project_key or OWN}, {f"Bearer {project_key or OWN}"})

    asyncio.run(run())
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))
    everything = kept + caplog.text.encode() + "".join(capfd.readouterr()).encode()
    for key in (KEY, OWN):
        assert key.encode() not in everything
    if project_key:
        assert KEY.encode() not in b"".join(said)
    assert b"Write to" in kept


def test_under_keys_nothing_is_asked_that_others_left_there_or_whose_cost_is_not_known(tmp_path: Path) -> None:
    async def run() -> None:
        async with fronting(tmp_path, has_keys=True) as front:
            secret = make_secret()
            front.store.add_key(Key("key-1", "app", hash_secret(secret), secret[:7], "2026-01-01T00:00:00+00:00"))
            file = {"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}
            search = {"type": "web_search_20250305", "name": "web_search"}
            for more in ({"container": "c"}, {"speed": "fast"}, {"tools": [search]}, {"messages": [file]}):
                asked: Any = {"model": "claude-x", "max_tokens": 9, "messages": ASK} | more
                with pytest.raises(anthropic.BadRequestError, match="JM-767"):
                    await front.claude(secret).messages.create(**asked)
            assert front.provider.seen == []

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_a_budget_pays_only_for_models_whose_price_is_stated(tmp_path: Path, path: str) -> None:
    def make(url: str) -> Point:
        prices = {"claude-*": (1.0, 1.0), "claude-dear-*": (1000.0, 1000.0)}
        return Point("p", url, KEY, (0.1, 0.1), kind="anthropic", prices=prices)

    async def run() -> None:
        async with fronting(tmp_path, whole(message()), make=make, caps=Caps(project=0.01)) as front:
            body = {"max_tokens": 100, "messages": ASK}
            status, said = await front.post(path, body | {"model": "other"})
            assert (status, "JM-744" in said["error"]["message"]) == (503, True)
            status, said = await front.post(path, body | {"model": "claude-dear-1"})
            assert (status, "JM-742" in said["error"]["message"]) == (429, True)
            assert front.provider.seen == []
            status, said = await front.post(path, body | {"model": "claude-x"})
            assert status == 200
            (trace,) = front.traces()
            assert trace.cost_usd == pytest.approx(11 / 1e6)

    asyncio.run(run())


def test_what_is_written_to_the_cache_is_reserved_at_its_price(tmp_path: Path) -> None:
    async def run() -> None:
        text = "word " * 2000  # 10,000 bytes: 0.03 dollars at the price of an input token, 0.06 at the cache's
        async with fronting(tmp_path, whole(message()), caps=Caps(project=0.05)) as front:
            body: Any = {"model": "claude-x", "max_tokens": 1}
            marked = {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
            status, _ = await front.post("/v1/messages", body | {"messages": [{"role": "user", "content": [marked]}]})
            assert status == 429
            status, _ = await front.post("/v1/messages", body | {"messages": [{"role": "user", "content": text}]})
            assert status == 200

    asyncio.run(run())


@pytest.mark.parametrize("service", ["openai", "anthropic"])
def test_a_provider_behind_any_llm_answers_both_dialects_whole_and_streamed(tmp_path: Path, service: str) -> None:
    """With its client of either shape, against a provider on loopback."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    plain = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there"}}

    async def chunks(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        frame = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        for delta, finish in (({"role": "assistant", "content": "Hello"}, None), ({"content": " there"}, "stop")):
            part = {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            await reply.write(f"data: {json.dumps(part)}\n\n".encode())
        await reply.write(f"data: {json.dumps({**frame, 'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n".encode())
        return reply

    said = message(text_block("Hello there"))
    pair = (
        (whole(plain | {"choices": [choice]}), chunks)
        if service == "openai"
        else (whole(said), streamed(events_of(said)))
    )

    async def run() -> None:
        async with AsyncExitStack() as stack:

            def make(url: str) -> Point:
                model = AnyLlmModel("p", service, url if service == "openai" else url.removesuffix("/v1"), KEY)
                stack.push_async_callback(model.close)
                return Point("p", url, KEY, PRICES, kind="any-llm", ask=model.ask)

            front = await stack.enter_async_context(fronting(tmp_path, *pair, *pair, make=make))
            asked: Any = {"model": "claude-x", "messages": ASK}
            reply = await front.openai().chat.completions.create(**asked, stop=["END"])
            assert reply.choices[0].message.content == "Hello there"
            parts = [part async for part in await front.openai().chat.completions.create(**asked, stream=True)]
            assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == "Hello there"
            one = await front.claude().messages.create(**asked, max_tokens=9)
            assert one.content[0].text == "Hello there"  # type: ignore[union-attr]
            async with front.claude().messages.stream(**asked, max_tokens=9) as stream:
                assert "".join([piece async for piece in stream.text_stream]) == "Hello there"
            word = "stop" if service == "openai" else "stop_sequences"
            assert front.provider.seen[0][word] == ["END"]
            for trace in front.traces():
                assert (trace.status, trace.output_tokens) == ("ok", 2)
                assert trace.output is not None
                assert trace.output.text == "Hello there"
            with pytest.raises(openai.BadRequestError, match="JM-768"):
                await front.openai().chat.completions.create(**asked, extra_body={"extra_headers": {"x": "y"}})
            with pytest.raises(openai.BadRequestError, match="JM-769"):
                await front.openai().embeddings.create(model="claude-x", input="Hi")

    asyncio.run(run())


def test_a_client_that_leaves_ends_the_work_behind_any_llm(tmp_path: Path) -> None:
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        part = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
        try:
            while True:
                await reply.write(f"data: {json.dumps({**part, 'choices': [choice]})}\n\n".encode())
                await asyncio.sleep(0.02)
        except (asyncio.CancelledError, ConnectionResetError):
            left.set()
            raise

    async def run() -> None:
        async with AsyncExitStack() as stack:

            def make(url: str) -> Point:
                model = AnyLlmModel("p", "openai", url, KEY)
                stack.push_async_callback(model.close)
                return Point("p", url, KEY, kind="any-llm", ask=model.ask)

            front = await stack.enter_async_context(fronting(tmp_path, endless, make=make))
            body = {"model": "claude-x", "messages": ASK, "stream": True}
            reply = await front.http.post(f"{front.url}/v1/chat/completions", json=body)
            await reply.content.readany()
            reply.close()
            await asyncio.wait_for(left.wait(), 30)

    asyncio.run(run())


TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: text.strip() != "")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | TEXTS, lambda inner: st.lists(inner, max_size=3)
)
CALLS = st.lists(st.tuples(TEXTS, TEXTS, st.dictionaries(TEXTS, VALUES, max_size=3)), min_size=1, max_size=3)
USER = TEXTS.map(lambda text: {"role": "user", "content": text})
SAID = TEXTS.map(lambda text: {"role": "assistant", "content": text})


@st.composite
def calling(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Calls made together, and their results."""
    calls = draw(CALLS)
    made = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for id, name, given in calls
    ]
    asked = {"role": "assistant", "content": draw(st.none() | TEXTS), "tool_calls": made}
    return [asked, *({"role": "tool", "tool_call_id": id, "content": draw(TEXTS)} for id, _, _ in calls)]


def flat(messages: list[dict[str, Any]]) -> list[Any]:
    """What was said in which order, whoever's messages it is cut into."""
    said: list[Any] = []
    for turn in messages:
        content = turn.get("content") or []
        parts = [content] if isinstance(content, str) else [part["text"] for part in content]
        said += [(turn["role"], turn.get("tool_call_id"), part) for part in parts]
        for call in turn.get("tool_calls") or ():
            said.append((call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])))
    return said


@given(
    st.lists(st.tuples(USER, st.one_of(SAID.map(lambda turn: [turn]), calling())), max_size=4), USER, st.none() | TEXTS
)
def test_there_and_back_keeps_texts_and_calls(
    turns: list[tuple[dict[str, Any], list[dict[str, Any]]]], last: dict[str, Any], system: str | None
) -> None:
    messages = [*([{"role": "system", "content": system}] if system else [])]
    for user, answers in turns:
        messages += [user, *answers]
    chat: Any = {
        "model": "m",
        "messages": [*messages, last],
        "max_tokens": 5,
        "tools": [CHAT_TOOL],
        "tool_choice": "auto",
    }
    back = to_chat(to_messages(chat))
    assert flat(back["messages"]) == flat(chat["messages"])  # type: ignore[arg-type]
    assert back["tools"] == chat["tools"]
    assert (back["max_completion_tokens"], back["tool_choice"]) == (5, "auto")
