"""Anthropic's Messages as a dialect of the server: replies, their events and errors.

A request is read as the chat completion request that says the same; what a provider of that shape answers is written as a message again. The input of
a tool is streamed in one piece, when all of it is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.messages import ToolCall
from journeyman.gateway.answer import Answer
from journeyman.gateway.dialects.anthropic_chat import to_chat
from journeyman.gateway.dialects.chat_record import CHAT_WIRE, Hearing, is_done, read_choices, read_whole
from journeyman.gateway.dialects.dialect import Dialect, named_event
from journeyman.gateway.dialects.openai import ChatRequest, read_chat
from journeyman.gateway.points import Heard
from journeyman.gateway.wire import Streaming, Wire

STOPS: Mapping[str, str] = {
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
ERRORS: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class MessageEvents:
    """The events of one streamed message: a block of text, if there is any, and a block for each call of a tool."""

    def __init__(self, model: str, trace: str, _asked: ChatRequest | None = None) -> None:
        self._message = _frame(trace, model)
        self._blocks = 0
        self._is_text = False

    def open(self) -> bytes:
        message = self._message | {"content": [], "stop_reason": None, "usage": _usage(0, 0)}
        return named_event({"type": "message_start", "message": message}) + named_event({"type": "ping"})

    def write(self, item: str | Answer) -> bytes:
        if isinstance(item, str):
            return self.text(item)
        return self.text("") + self.close((), item.finish_reason, _usage(item.input_tokens, item.output_tokens))

    def text(self, text: str) -> bytes:
        begun = b"" if self._is_text else self._begin({"type": "text", "text": ""})
        self._is_text = True
        return begun + (self._delta({"type": "text_delta", "text": text}) if text else b"")

    def close(self, calls: tuple[ToolCall, ...], finish_reason: str, usage: dict[str, Json]) -> bytes:
        said = self._stop() if self._is_text else b""
        for call in calls:
            said += self._begin({"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
            said += self._delta({"type": "input_json_delta", "partial_json": call.arguments}) + self._stop()
        stop = "tool_use" if calls else STOPS.get(finish_reason, "end_turn")
        delta: dict[str, Json] = {"stop_reason": stop, "stop_sequence": None}
        said += named_event({"type": "message_delta", "delta": delta, "usage": usage})
        return said + named_event({"type": "message_stop"})

    def end(self) -> bytes:
        return b""

    def fail(self, error: JourneymanError, status: int) -> bytes:
        return named_event(write_error(error, status))

    def _begin(self, block: dict[str, Json]) -> bytes:
        return named_event({"type": "content_block_start", "index": self._blocks, "content_block": block})

    def _delta(self, delta: dict[str, Json]) -> bytes:
        return named_event({"type": "content_block_delta", "index": self._blocks, "delta": delta})

    def _stop(self) -> bytes:
        self._blocks += 1
        return named_event({"type": "content_block_stop", "index": self._blocks - 1})


class Translated:
    """A provider's chunks as a message's events."""

    def __init__(self, _raw: Mapping[str, Json]) -> None:
        self._hearing = Hearing()
        self._events: MessageEvents | None = None
        self._is_failed = False

    def show(self, event: bytes, chunk: Json) -> bytes:
        self._hearing.add(chunk)
        if isinstance(chunk, dict) and chunk.get("error"):
            self._is_failed = True
            return named_event(_error(_said(chunk["error"]), 500))
        if self._is_failed:
            return b""
        said = b""
        if self._events is None and isinstance(chunk, dict):
            self._events = MessageEvents(str(chunk.get("model") or ""), str(chunk.get("id") or ""))
            said = self._events.open()
        if self._events is None:
            return event + b"\n\n" if event.startswith(b":") else b""
        for choice in read_choices(chunk):
            delta = choice.get("delta")
            text = delta.get("content") if isinstance(delta, dict) and choice.get("index") in (0, None) else None
            said += self._events.text(text) if isinstance(text, str) and text else b""
        if chunk is None and event.strip().endswith(b"[DONE]"):
            heard = self._hearing.end()
            said += self._events.close(heard.tool_calls, heard.finish_reason, _usage_of(heard))
        return said

    def fail(self, error: JourneymanError) -> bytes:
        return named_event(write_error(error, 500))


def read_message(raw: Json) -> ChatRequest:
    """Raises: ServeError JM-763 not a Messages request; JM-705, JM-711, as chat completions; DataError JM-310."""
    return read_chat(to_chat(raw))


def write_message(answer: Answer) -> dict[str, Json]:
    heard = Heard(answer.text, (), answer.finish_reason, answer.input_tokens, answer.output_tokens)
    return _frame(answer.trace, answer.model) | _write_heard(heard)


def write_error(error: JourneymanError, status: int) -> dict[str, Json]:
    """Anthropic's error object."""
    return _error(error.message(), status)


def rewrite(body: bytes, status: int) -> bytes:
    """A provider's whole reply, or its refusal, as a message or an error.

    Raises:
        ServeError: JM-764 it is no chat completion.
    """
    try:
        raw: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        raw = None
    if status != 200:
        said = _said(raw.get("error")) if isinstance(raw, dict) else ""
        return orjson.dumps(_error(said or body.decode(errors="replace")[:400], status))
    if not isinstance(raw, dict) or not any(isinstance(item.get("message"), dict) for item in read_choices(raw)):
        raise ServeError("JM-764", "the provider's reply is not a chat completion", hint="check the model's name")
    return orjson.dumps(_frame(str(raw.get("id") or ""), str(raw.get("model") or "")) | _write_heard(read_whole(raw)))


def _said(error: Json) -> str:
    """The message in a provider's error."""
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) else ""


def _write_heard(heard: Heard) -> dict[str, Json]:
    content: list[Json] = [{"type": "text", "text": heard.text}] if heard.text or not heard.tool_calls else []
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _read_arguments(call.arguments)}
        for call in heard.tool_calls
    ]
    stop = "tool_use" if heard.tool_calls else STOPS.get(heard.finish_reason, "end_turn")
    return {"content": content, "stop_reason": stop, "usage": _usage_of(heard)}


def _read_arguments(text: str) -> Json:
    """An object, as Anthropic's clients expect; what is none stands in one."""
    try:
        parsed: Json = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        parsed = text
    return parsed if isinstance(parsed, dict) else {"arguments": parsed}


def _frame(id: str, model: str) -> dict[str, Json]:
    return {"id": f"msg_{id}", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}


def _usage(input_tokens: int, output_tokens: int) -> dict[str, Json]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens}


def _usage_of(heard: Heard) -> dict[str, Json]:
    return _usage(heard.input_tokens or 0, heard.output_tokens or 0)


def _error(message: str, status: int) -> dict[str, Json]:
    kind = ERRORS.get(status) or ("invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


MESSAGES_WIRE = replace(CHAT_WIRE, streaming=Streaming(Hearing, Translated, is_done), rewrite=rewrite)


def _pass_on(raw: dict[str, Json]) -> tuple[dict[str, Json], Wire]:
    return to_chat(cast(Json, raw)), replace(MESSAGES_WIRE, own=("/messages", raw))


MESSAGES = Dialect(read_message, write_message, MessageEvents, _pass_on)
