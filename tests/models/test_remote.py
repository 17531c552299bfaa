from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from journeyman.core.errors import ModelError, StoreError
from journeyman.core.messages import make_message
from journeyman.gateway.dialects.openai import write_error
from journeyman.models.events import read_events, split_events
from journeyman.models.protocol import Decoding, Request
from journeyman.models.remote import OpenAIModel

KEY = "sk-not-a-real-key-1234"
ASK = Request((make_message("system", "Be short."), make_message("user", "Hi")))
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def _completion(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello", **message}}
    return {"id": "x", "model": "big-2026", "choices": [choice], "usage": USAGE}


@asynccontextmanager
async def _provider(replies: Iterable[Any], **options: Any) -> AsyncIterator[tuple[OpenAIModel, list[dict[str, Any]]]]:
    """A provider on loopback that gives these replies in turn: a body, (status, text), or a function of the request."""
    seen: list[dict[str, Any]] = []
    script = iter(replies)

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(await request.json() | {"_headers": dict(request.headers)})
        reply = next(script)
        if callable(reply):
            return await reply(request)
        if isinstance(reply, tuple):
            return web.Response(status=reply[0], text=reply[1])
        return web.json_response(reply)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    model = OpenAIModel("teacher", f"http://{host}:{port}/v1/", KEY, model="big", **options)
    try:
        yield model, seen
    finally:
        await model.close()
        await runner.cleanup()


def _complete(replies: Iterable[Any], request: Request = ASK, **options: Any) -> tuple[Any, list[dict[str, Any]]]:
    async def main() -> tuple[Any, list[dict[str, Any]]]:
        async with _provider(replies, **options) as (model, seen):
            return await model.complete(request), seen

    return asyncio.run(main())


def test_what_is_asked_and_what_comes_back() -> None:
    decoding = Decoding(
        schema={"type": "object", "x-guidance": {}}, schema_name="ticket", max_tokens=7, seed=3, stop=("x",)
    )
    reply, [sent] = _complete([_completion()], Request(ASK.messages, decoding, headers={"x-a": "b"}))
    assert (reply.text, reply.model, reply.input_tokens, reply.output_tokens) == ("Hello", "big-2026", 9, 2)
    assert sent.pop("_headers").items() >= {"Authorization": f"Bearer {KEY}", "x-a": "b"}.items()
    assert sent == {
        "model": "big",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.0,
        "max_tokens": 7,
        "seed": 3,
        "stop": ["x"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "ticket", "strict": True, "schema": {"type": "object"}},
        },
    }


def test_tool_calls_and_logprobs() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    body = _completion(content=None, tool_calls=[call])
    top = [{"token": "b", "logprob": -2.0, "bytes": None}]
    body["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": -0.1, "top_logprobs": top}]}
    tools = ({"type": "function", "function": {"name": "add"}},)
    reply, [sent] = _complete([body], Request(ASK.messages, Decoding(logprobs=True), tools))
    assert (reply.finish_reason, reply.text, reply.tool_calls[0].arguments) == ("tool_calls", "", '{"a":1}')
    assert (reply.logprobs[0].logprob, reply.logprobs[0].top) == (-0.1, (("b", -2.0),))
    assert (sent["logprobs"], sent["tools"]) == (True, list(tools))


def test_a_parameter_that_the_provider_refuses_is_left_out_from_then_on() -> None:
    def refusal(parameter: str) -> tuple[int, str]:
        return 400, json.dumps({"error": {"message": f"Unsupported value: '{parameter}'", "param": parameter}})

    async def main() -> list[dict[str, Any]]:
        replies = [refusal("temperature"), refusal("max_tokens"), _completion(), _completion()]
        async with _provider(replies) as (model, seen):
            for _ in range(2):
                await model.complete(Request(ASK.messages, Decoding(max_tokens=5)))
            assert model.adaptations == {"temperature", "max_tokens"}
            return seen

    seen = asyncio.run(main())
    assert len(seen) == 4
    for sent in seen[2:]:
        assert "temperature" not in sent
        assert "max_tokens" not in sent
        assert sent["max_completion_tokens"] == 5


def test_a_gateway_whose_disk_is_full_says_so_as_itself() -> None:
    error = StoreError("JM-801", "the disk is full", where="/data/journeyman.db", hint="free some space")
    body = json.dumps(write_error(error, 503))
    with pytest.raises(StoreError) as caught:
        _complete([(503, body)])
    assert (caught.value.code, caught.value.hint, caught.value.retryable) == ("JM-801", "free some space", False)
    assert "/data/journeyman.db: the disk is full" in str(caught.value)
    assert str(caught.value).count("JM-801") == 1


@pytest.mark.parametrize(
    ("reply", "code", "retryable", "says"),
    [
        ((429, "slow down"), "JM-431", True, "429: slow down"),
        ((503, "overloaded"), "JM-431", True, "busy or failing"),
        ((401, f"bad key {KEY}"), "JM-433", False, "teacher.api_key_env"),
        ((404, "no such model"), "JM-432", False, "the model's name (big)"),
        ((400, '{"error": {"message": "bad schema", "param": "response_format"}}'), "JM-432", False, "bad schema"),
        ((200, "<html>"), "JM-434", False, "not a chat completion"),
        ({"choices": []}, "JM-434", False, "not a chat completion"),
        ({"error": {"message": "in a 200"}}, "JM-434", False, "not a chat completion"),
    ],
)
def test_failures_are_typed_and_never_show_the_key(reply: Any, code: str, retryable: bool, says: str) -> None:
    with pytest.raises(ModelError) as caught:
        _complete([reply])
    error = caught.value
    assert (error.code, error.retryable) == (code, retryable)
    assert says in str(error)
    assert KEY not in str(error) + repr(error.to_json())


def test_a_slow_a_silent_and_an_absent_provider() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(0.6)
        return web.Response()

    async def reset(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for reply in (hang, reset):
        with pytest.raises(ModelError, match=r"JM-430 .*did not answer in time") as caught:
            _complete([reply], timeout_s=0.3)
        assert caught.value.retryable

    async def absent() -> None:
        model = OpenAIModel("teacher", "http://127.0.0.1:9/v1", KEY)
        assert KEY not in repr(model)
        try:
            await model.complete(ASK)
        finally:
            await model.close()

    with pytest.raises(ModelError, match=r"JM-430 .*cannot be reached"):
        asyncio.run(absent())


def test_a_stream_of_pieces() -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for text in ("", "Hel", "lo ", "🙂"):
            chunk = {"choices": [{"index": 0, "delta": {"content": text}}]}
            data = f": ping\n\ndata: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n".encode()
            for byte in range(0, len(data), 7):
                await response.write(data[byte : byte + 7])
        await response.write(b'data: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n')
        return response

    async def main() -> list[str]:
        async with _provider([stream]) as (model, _):
            return [piece async for piece in model.stream(ASK)]

    assert asyncio.run(main()) == ["Hel", "lo ", "🙂"]


@given(st.lists(st.text().filter(lambda text: "\r" not in text), max_size=5), st.integers(1, 9))
def test_events_survive_any_cut(texts: list[str], width: int) -> None:
    data = b"".join(
        "".join(f"data: {line}\n" for line in text.split("\n")).encode("utf-8", "replace") + b"\n" for text in texts
    )

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), width):
            yield data[start : start + width]

    async def main() -> list[str]:
        return [event async for event in read_events(chunks())]

    assert asyncio.run(main()) == [text.encode("utf-8", "replace").decode() for text in texts]


def test_a_line_end_that_is_cut_between_two_reads_still_ends_its_event() -> None:
    async def main() -> list[bytes]:
        async def chunks() -> AsyncIterator[bytes]:
            for part in (b": ping\r", b"\n\r", b"\ndata: 1\r\n\r", b"\ndata: 2"):
                yield part

        return [event async for event in split_events(chunks())]

    assert asyncio.run(main()) == [b": ping", b"data: 1", b"data: 2"]
