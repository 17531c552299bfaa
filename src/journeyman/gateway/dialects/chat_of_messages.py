"""Chat completions asked of a provider that speaks Anthropic's Messages: the request goes there as a message, and the answer comes back as a completion or its chunks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.gateway.dialects.anthropic_record import PASSED_MESSAGES, Hearing, is_stop
from journeyman.gateway.dialects.chat_record import AsItCame
from journeyman.gateway.dialects.dialect import data_event
from journeyman.gateway.wire import Streaming, Wire
from journeyman.models.anthropic_reply import Listener, Said, Usage, is_message, read_said
from journeyman.models.anthropic_request import to_messages

DONE = b"data: [DONE]\n\n"
Node = dict[str, Json]


def pass_chat(raw: Mapping[str, Json]) -> tuple[Node, Wire]:
    """Raises: ServeError JM-768 more than Messages can say. DataError JM-310 not chat messages."""
    options = raw.get("stream_options")
    has_usage = isinstance(options, dict) and options.get("include_usage") is True
    streaming = Streaming(Hearing, partial(Chunks, has_usage), is_stop, asks_usage=False)
    return to_messages(raw), replace(
        PASSED_MESSAGES, streaming=streaming, rewrite=rewrite, own=("/chat/completions", raw)
    )


class Chunks:
    """A message's events as chunks of a completion."""

    def __init__(self, has_usage: bool, raw: Mapping[str, Json]) -> None:
        self._has_usage = has_usage
        self._listener = Listener()
        self._frame: Node = {"object": "chat.completion.chunk", "created": int(time.time()), "id": "", "model": ""}
        self._places: dict[Json, int] = {}
        self._is_open = False
        self._fail = AsItCame(raw).fail

    def show(self, event: bytes, chunk: Json) -> bytes:
        if not isinstance(chunk, dict):
            return event + b"\n\n" if event.startswith(b":") else b""
        self._listener.add(chunk)
        kind = chunk.get("type")
        if kind == "message_start":
            said = self._listener.end()
            self._frame |= {"id": said.id, "model": said.model}
            return self._delta({"role": "assistant", "content": ""})
        if kind == "content_block_start":
            return self._begin(chunk.get("index"), chunk.get("content_block"))
        if kind == "content_block_delta" and isinstance(delta := chunk.get("delta"), dict):
            return self._go_on(chunk.get("index"), delta)
        if kind == "content_block_stop" and self._is_open and chunk.get("index") in self._places:
            return self._arguments(chunk.get("index"), "{}")  # a tool without input
        if kind == "message_stop":
            return self._close(self._listener.end())
        return data_event({"error": _error(chunk)}) if kind == "error" else b""

    def fail(self, error: JourneymanError) -> bytes:
        return self._fail(error)

    def _begin(self, place: Json, block: Json) -> bytes:
        if not isinstance(block, dict) or block.get("type") != "tool_use":
            return self._text(block.get("text")) if isinstance(block, dict) else b""
        self._places[place] = len(self._places)
        self._is_open = True
        function: Node = {"name": block.get("name"), "arguments": ""}
        call: Node = {"index": self._places[place], "id": block.get("id"), "type": "function", "function": function}
        return self._delta({"tool_calls": [call]})

    def _go_on(self, place: Json, delta: Node) -> bytes:
        if place in self._places and isinstance(piece := delta.get("partial_json"), str) and piece:
            return self._arguments(place, piece)
        return self._text(delta.get("text"))

    def _arguments(self, place: Json, piece: str) -> bytes:
        self._is_open = False
        return self._delta({"tool_calls": [{"index": self._places[place], "function": {"arguments": piece}}]})

    def _text(self, text: Json) -> bytes:
        return self._delta({"content": text}) if isinstance(text, str) and text else b""

    def _close(self, said: Said) -> bytes:
        ended = self._delta({}, said.finish_reason)
        if self._has_usage:
            ended += data_event(self._frame | {"choices": [], "usage": _usage(said.usage)})
        return ended + DONE

    def _delta(self, delta: Node, finish: str | None = None) -> bytes:
        return data_event(self._frame | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def rewrite(body: bytes, status: int) -> bytes:
    """A provider's whole message, or its refusal, as a completion or an error.

    Raises:
        ServeError: JM-764 it is no message.
    """
    try:
        raw: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        raw = None
    if status != 200:
        said = _error(raw) if isinstance(raw, dict) else {"message": body.decode(errors="replace")[:400]}
        return orjson.dumps({"error": {"type": "provider_error", "param": None, "code": None} | said})
    if not is_message(raw):
        raise ServeError("JM-764", "the provider's reply is not a message", hint="check the model's name")
    return orjson.dumps(_completion(read_said(raw)))


def _completion(said: Said) -> Node:
    message: Node = {"role": "assistant", "content": said.text or (None if said.calls else "")}
    if said.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in said.calls
        ]
    choice: Node = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish_reason}
    frame: Node = {"id": said.id, "object": "chat.completion", "created": int(time.time()), "model": said.model}
    return frame | {"choices": [choice], "usage": _usage(said.usage)}


def _usage(usage: Usage) -> Node:
    read, written = usage.all_input_tokens or 0, usage.output_tokens or 0
    cached: Node = {"cached_tokens": usage.read_tokens}
    total = read + written
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": total, "prompt_tokens_details": cached}


def _error(raw: Node) -> Node:
    error = raw.get("error")
    return (
        {"message": error.get("message"), "type": error.get("type")}
        if isinstance(error, dict)
        else {"message": str(error)}
    )
