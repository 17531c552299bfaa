"""A provider on loopback that speaks Anthropic's Messages: whole replies, streams of events, refusals, as its documentation has them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"input_tokens": 9, "output_tokens": 2}
CACHED = {
    "input_tokens": 10,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 40,
    "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 10},
    "output_tokens": 2,
}
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def text_block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def tool_block(id: str, name: str, given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


def message(*blocks: Any, stop: str = "end_turn", usage: Any = USAGE) -> dict[str, Any]:
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "claude-2026",
        "content": list(blocks) or [text_block("Hello")],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def events_of(whole: dict[str, Any], size: int = 3) -> list[dict[str, Any]]:
    """The message as its events; texts and inputs in pieces of ``size`` letters."""
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for place, block in enumerate(whole["content"]):
        is_text = block["type"] == "text"
        text = block["text"] if is_text else json.dumps(block["input"]) if block["input"] else ""
        empty = {**block, "text": ""} if is_text else {**block, "input": {}}
        events.append({"type": "content_block_start", "index": place, "content_block": empty})
        for start in range(0, len(text), size):
            piece = text[start : start + size]
            delta = (
                {"type": "text_delta", "text": piece}
                if is_text
                else {"type": "input_json_delta", "partial_json": piece}
            )
            events.append({"type": "content_block_delta", "index": place, "delta": delta})
        events.append({"type": "content_block_stop", "index": place})
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events.append(
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": whole["usage"]["output_tokens"]}}
    )
    return [*events, {"type": "message_stop"}]


def whole(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def streamed(events: Iterable[dict[str, Any]]) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await reply.prepare(request)
        for event in events:
            await reply.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return reply

    return answer


def refusal(status: int, said: str, kind: str = "invalid_request_error") -> Answer:
    return whole({"type": "error", "error": {"type": kind, "message": said}}, status)


@dataclass
class Provider:
    """``answers`` are given in turn; ``seen`` are the requests, with their headers and path."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)

    async def reply(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append({**await request.json(), "_headers": headers, "_path": request.path})
        return await self.answers.pop(0)(request)


@asynccontextmanager
async def speaking(*answers: Answer) -> AsyncIterator[Provider]:
    made = Provider(answers=list(answers))
    app = web.Application()
    app.router.add_post("/v1/{path:.+}", made.reply)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield made
    finally:
        await runner.cleanup()
