"""Chat completions read for the record: never an error, since what cannot be read is still answered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from math import ceil
from typing import cast

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, JourneymanError
from journeyman.core.messages import ImagePart, Message, Part, ToolCall, messages_from_openai
from journeyman.gateway.points import Asked, Heard
from journeyman.gateway.purse import MOST_TOKENS
from journeyman.gateway.wire import Bound, Streaming, Wire
from journeyman.models.counts import read_count as read_tokens

FILE_KEYS = ("url", "data", "file_data", "file_id", "image_url")
FILE_BYTES = 8192
LIMITS = ("max_completion_tokens", "max_tokens")
CHOICES = ("n", "best_of")
MOST_COUNT = 2.0**32
MARK_BYTES = 8  # of what stands between values, and numbers


def read_asked(raw: Mapping[str, Json]) -> Asked:
    """Messages, tools and schema of a request. Pictures that lie in it are named by their hash and not kept."""
    try:
        messages = messages_from_openai(raw.get("messages"))
    except DataError:
        messages = ()
    tools = raw.get("tools")
    form = raw.get("response_format")
    holder = form.get("json_schema") if isinstance(form, dict) else None
    schema = holder.get("schema") if isinstance(holder, dict) else None
    return Asked(
        tuple(map(_without_pictures, messages)),
        tuple(item for item in tools if isinstance(item, dict)) if isinstance(tools, list) else (),
        schema if isinstance(schema, dict) else None,
    )


def read_most(raw: Mapping[str, Json], otherwise: int) -> int:
    """Output tokens that the request allows, of all its choices; ``otherwise`` of each where it does not say. Of two limits it is not known which one a provider
    heeds: the larger counts."""
    each = max((read_count(raw[name]) for name in LIMITS if name in raw), default=0) or otherwise
    return each * max(1, max((read_count(raw[name]) for name in CHOICES if name in raw), default=1))


def read_count(raw: Json) -> int:
    """A number from 1 on, also as text or with a point, as many providers read it; else 0."""
    try:
        return max(0, ceil(min(float(raw), MOST_COUNT))) if isinstance(raw, int | float | str) else 0
    except ValueError:
        return 0


def bound_chat(raw: Mapping[str, Json]) -> Bound:
    """A limit that is no number from 1 on is taken away: some providers take -1 for no limit."""
    said = {name: read_count(raw[name]) for name in LIMITS if name in raw}
    bad: dict[str, Json] = {name: None for name, count in said.items() if not count}
    return read_most(raw, MOST_TOKENS), bad if any(said.values()) else bad | {"max_completion_tokens": MOST_TOKENS}


def read_size(raw: Mapping[str, Json]) -> int:
    """Bytes of all that is asked: never fewer than the input tokens, as far as text goes. What lies in a request as bytes, or elsewhere, counts as ``FILE_BYTES`` or an
    eighth of its length."""
    size, left = 0, [("", cast(Json, dict(raw)))]
    while left:
        name, node = left.pop()
        size += MARK_BYTES
        if isinstance(node, str):
            length = len(node.encode("utf-8", "surrogatepass"))
            size += max(FILE_BYTES, length // 8) if name in FILE_KEYS else length
        elif isinstance(node, list):
            left += [("", item) for item in node]
        elif isinstance(node, dict):
            size += sum(len(key.encode("utf-8", "surrogatepass")) for key in node)
            left += node.items()
    return size


def read_whole(raw: Json) -> Heard:
    """The first choice of a completion, and its usage."""
    heard = Heard()
    for choice in read_choices(raw):
        message = choice.get("message")
        if isinstance(message, dict):
            heard.text = _text(message.get("content"))
            heard.tool_calls = _calls(message.get("tool_calls"))
        heard.finish_reason = _text(choice.get("finish_reason"))
        break
    read_usage(raw, heard)
    return heard


class Hearing:
    """A streamed completion, chunk by chunk."""

    def __init__(self) -> None:
        self._heard = Heard()
        self._text = StringIO()
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, chunk: Json) -> None:
        for choice in read_choices(chunk):
            if choice.get("index") not in (0, None):
                continue
            delta = choice.get("delta")
            if isinstance(delta, dict):
                self._text.write(_text(delta.get("content")))
                self._add_calls(delta.get("tool_calls"))
            self._heard.finish_reason = _text(choice.get("finish_reason")) or self._heard.finish_reason
        read_usage(chunk, self._heard)

    def end(self) -> Heard:
        self._heard.text = self._text.getvalue()
        self._heard.tool_calls = tuple(
            ToolCall(call["id"], call["name"], call["arguments"]) for _, call in sorted(self._calls.items())
        )
        return self._heard

    def _add_calls(self, raw: Json) -> None:
        for item in raw if isinstance(raw, list) else ():
            if not isinstance(item, dict):
                continue
            index = item.get("index")
            call = self._calls.setdefault(
                index if isinstance(index, int) else len(self._calls), {"id": "", "name": "", "arguments": ""}
            )
            call["id"] = _text(item.get("id")) or call["id"]
            function = item.get("function")
            if isinstance(function, dict):
                call["name"] += _text(function.get("name"))
                call["arguments"] += _text(function.get("arguments"))


class AsItCame:
    """A provider's stream, without the closing chunk that only we asked for."""

    def __init__(self, raw: Mapping[str, Json]) -> None:
        options = raw.get("stream_options")
        self._wants_usage = isinstance(options, dict) and options.get("include_usage") is True

    def show(self, event: bytes, chunk: Json) -> bytes:
        return event + b"\n\n" if self._wants_usage or not is_usage_alone(chunk) else b""

    def fail(self, error: JourneymanError) -> bytes:
        shown = {
            "message": f"{error.code} {error.what}",
            "type": "server_error",
            "param": None,
            "code": error.code,
        }
        return b"data: " + orjson.dumps({"error": shown}) + b"\n\n"


def is_done(data: bytes, _chunk: Json) -> bool:
    return data.strip() == b"[DONE]"


def is_usage_alone(chunk: Json) -> bool:
    """Whether this is the closing chunk that a provider sends where it is asked for usage."""
    return isinstance(chunk, dict) and chunk.get("choices") == [] and chunk.get("usage") is not None


def read_choices(raw: Json) -> Iterator[dict[str, Json]]:
    choices = raw.get("choices") if isinstance(raw, dict) else None
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict):
            yield choice


def _calls(raw: Json) -> tuple[ToolCall, ...]:
    found = []
    for item in raw if isinstance(raw, list) else ():
        function = item.get("function") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(function, dict):
            found.append(ToolCall(_text(item.get("id")), _text(function.get("name")), _text(function.get("arguments"))))
    return tuple(found)


def read_usage(raw: Json, heard: Heard) -> None:
    usage = raw.get("usage") if isinstance(raw, dict) else None
    if isinstance(usage, dict):
        heard.input_tokens = read_tokens(usage.get("prompt_tokens"))
        heard.output_tokens = read_tokens(usage.get("completion_tokens"))


def _text(raw: Json) -> str:
    return raw if isinstance(raw, str) else ""


def _without_pictures(message: Message) -> Message:
    if not any(isinstance(part, ImagePart) for part in message.parts):
        return message
    return replace(message, parts=tuple(map(_without_bytes, message.parts)))


def _without_bytes(part: Part) -> Part:
    if not isinstance(part, ImagePart) or not part.url.startswith("data:"):
        return part
    kind, _, content = part.url[len("data:") :].partition(",")
    return ImagePart(hashlib.sha256(content.encode()).hexdigest(), kind.partition(";")[0] or "image/*")


CHAT_WIRE = Wire("/chat/completions", read_asked, read_whole, bound_chat, Streaming(Hearing, AsItCame, is_done))
