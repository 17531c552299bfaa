"""What Anthropic's Messages answers, whole or event by event: text, tool calls, why it ended, and what it bills.

Reading is never an error: what is not there stays empty. Thinking, and the use of tools that the provider runs, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from journeyman.core.canonical import Json
from journeyman.core.messages import ToolCall
from journeyman.models.counts import read_count
from journeyman.models.protocol import FinishReason

STOPS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
CACHE_READ, CACHE_WRITE, CACHE_WRITE_HOUR = 0.1, 1.25, 2.0
"""What a token of the cache costs, in prices of an input token: read, written for five minutes, written for an hour."""


@dataclass(slots=True)
class Usage:
    """``input_tokens`` are those beside the cache's."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    read_tokens: int = 0
    written_tokens: int = 0
    hour_tokens: int = 0
    """Of ``written_tokens``, those that are kept for an hour."""

    @property
    def all_input_tokens(self) -> int | None:
        if self.input_tokens is None:
            return None
        return self.input_tokens + self.read_tokens + self.written_tokens

    @property
    def priced_tokens(self) -> float | None:
        """Input tokens by what they cost."""
        if self.input_tokens is None:
            return None
        brief = max(0, self.written_tokens - self.hour_tokens)
        cached = self.read_tokens * CACHE_READ + brief * CACHE_WRITE + self.hour_tokens * CACHE_WRITE_HOUR
        return self.input_tokens + cached

    def update(self, raw: Json) -> None:
        """Later events tell totals, and only of what changed."""
        if not isinstance(raw, dict):
            return
        parts = raw.get("cache_creation")
        hour = parts.get("ephemeral_1h_input_tokens") if isinstance(parts, dict) else None
        self.input_tokens = _count(raw.get("input_tokens"), self.input_tokens)
        self.output_tokens = _count(raw.get("output_tokens"), self.output_tokens)
        self.read_tokens = _count(raw.get("cache_read_input_tokens"), None) or self.read_tokens
        self.written_tokens = _count(raw.get("cache_creation_input_tokens"), None) or self.written_tokens
        self.hour_tokens = _count(hour, None) or self.hour_tokens


@dataclass(slots=True)
class Said:
    """One message. ``calls`` have their input as JSON text."""

    id: str = ""
    model: str = ""
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    stop: str = ""
    usage: Usage = field(default_factory=Usage)

    @property
    def finish_reason(self) -> FinishReason:
        return STOPS.get(self.stop, "stop")


class Listener:
    """Reads a message event by event."""

    def __init__(self) -> None:
        self._said = Said()
        self._texts: list[str] = []
        self._calls: dict[int, tuple[str, str, Json, list[str]]] = {}

    def add(self, event: Json) -> None:
        if not isinstance(event, dict):
            return
        kind, place = event.get("type"), event.get("index")
        if kind == "message_start" and isinstance(message := event.get("message"), dict):
            self._said.id, self._said.model = _text(message.get("id")), _text(message.get("model"))
            self._said.usage.update(message.get("usage"))
        elif kind == "content_block_start" and isinstance(place, int):
            self._begin(place, event.get("content_block"))
        elif kind == "content_block_delta" and isinstance(delta := event.get("delta"), dict):
            self._texts.append(_text(delta.get("text")))
            if isinstance(place, int) and place in self._calls:
                self._calls[place][3].append(_text(delta.get("partial_json")))
        elif kind == "message_delta":
            delta = event.get("delta")
            self._said.stop = (_text(delta.get("stop_reason")) if isinstance(delta, dict) else "") or self._said.stop
            self._said.usage.update(event.get("usage"))

    def end(self) -> Said:
        """What came so far."""
        self._said.text = "".join(self._texts)
        self._said.calls = tuple(
            ToolCall(id, name, "".join(pieces) or _dump(given)) for id, name, given, pieces in self._calls.values()
        )
        return self._said

    def _begin(self, place: int, block: Json) -> None:
        if not isinstance(block, dict):
            return
        if block.get("type") == "text":
            self._texts.append(_text(block.get("text")))
        elif block.get("type") == "tool_use":
            self._calls[place] = _text(block.get("id")), _text(block.get("name")), block.get("input"), []


def read_said(raw: Json) -> Said:
    """A whole message."""
    said, texts, calls = Said(), list[str](), list[ToolCall]()
    if not isinstance(raw, dict):
        return said
    content = raw.get("content")
    for block in content if isinstance(content, list) else ():
        if isinstance(block, dict) and block.get("type") == "text":
            texts.append(_text(block.get("text")))
        elif isinstance(block, dict) and block.get("type") == "tool_use":
            calls.append(ToolCall(_text(block.get("id")), _text(block.get("name")), _dump(block.get("input"))))
    said.id, said.model, said.stop = (_text(raw.get(name)) for name in ("id", "model", "stop_reason"))
    said.text, said.calls = "".join(texts), tuple(calls)
    said.usage.update(raw.get("usage"))
    return said


def is_message(raw: Json) -> bool:
    return isinstance(raw, dict) and raw.get("type") == "message" and isinstance(raw.get("content"), list)


def _dump(value: Json) -> str:
    return orjson.dumps({} if value is None else value).decode()


def _count(raw: Json, otherwise: int | None) -> int | None:
    count = read_count(raw)
    return otherwise if count is None else count


def _text(raw: Json) -> str:
    return raw if isinstance(raw, str) else ""
