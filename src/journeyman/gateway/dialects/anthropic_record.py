"""Anthropic's Messages passed on as they came to a provider that speaks them, and read for the record: never an error, since what cannot be read is still answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.gateway.dialects.anthropic import write_error
from journeyman.gateway.dialects.anthropic_chat import to_chat
from journeyman.gateway.dialects.chat_record import read_asked as read_chat_asked
from journeyman.gateway.dialects.chat_record import read_count
from journeyman.gateway.dialects.dialect import named_event
from journeyman.gateway.points import Asked, Heard
from journeyman.gateway.purse import MOST_TOKENS
from journeyman.gateway.wire import Bound, Streaming, Wire
from journeyman.models.anthropic_reply import CACHE_WRITE_HOUR, Listener, Said, is_message, read_said

KNOWN = ("text", "image", "tool_use", "tool_result")
KEPT = ("container", "mcp_servers", "context_management", "user_profile_id", "workspace_id")
DEARER = ("speed", "inference_geo")
RUN_THERE = ("web_search", "web_fetch", "code_execution", "tool_search", "mcp_toolset", "advisor")


def read_asked(raw: Mapping[str, Json]) -> Asked:
    """Texts, pictures, tools, calls and results; other blocks are left out."""
    tools = [tool for tool in _nodes(raw.get("tools")) if isinstance(tool.get("input_schema"), dict)]
    config = raw.get("output_config")
    form = config.get("format") if isinstance(config, dict) else raw.get("output_format")
    readable: dict[str, Json] = {
        "max_tokens": 1,
        "system": _readable(raw.get("system")),
        "messages": [
            message | {"content": _readable(message.get("content"))} for message in _nodes(raw.get("messages"))
        ],
        "tools": [{name: tool.get(name) for name in ("name", "description", "input_schema")} for tool in tools],
        "output_format": form,
    }
    try:
        return read_chat_asked(to_chat(readable))
    except ServeError:
        return Asked()


def heard_of(said: Said) -> Heard:
    usage = said.usage
    cache = {"read": usage.read_tokens, "written": usage.written_tokens}
    return Heard(
        said.text,
        said.calls,
        said.finish_reason if said.stop else "",
        usage.all_input_tokens,
        usage.output_tokens,
        usage.priced_tokens,
        cache if any(cache.values()) else {},
    )


class Hearing:
    """A streamed message, event by event."""

    def __init__(self) -> None:
        self._listener = Listener()

    def add(self, chunk: Json) -> None:
        self._listener.add(chunk)

    def end(self) -> Heard:
        return heard_of(self._listener.end())


class AsItCame:
    def __init__(self, _raw: Mapping[str, Json]) -> None:
        pass

    def show(self, event: bytes, _chunk: Json) -> bytes:
        return event + b"\n\n"

    def fail(self, error: JourneymanError) -> bytes:
        return named_event(write_error(error, 500))


def is_stop(_data: bytes, chunk: Json) -> bool:
    return isinstance(chunk, dict) and chunk.get("type") == "message_stop"


def bound_messages(raw: Mapping[str, Json]) -> Bound:
    """Raises: ServeError JM-767."""
    check_alone(raw)
    most = read_count(raw.get("max_tokens"))
    return (most, {}) if most else (MOST_TOKENS, {"max_tokens": MOST_TOKENS})


def check_alone(raw: Mapping[str, Json]) -> None:
    """Under keys and budgets a call stands for itself: what lies at the provider, or runs there, may be another caller's, and its cost cannot be foreseen.

    Raises:
        ServeError: JM-767.
    """
    used = [name for name in (*KEPT, *DEARER) if raw.get(name) and raw[name] != "standard"]
    used += [str(tool["type"]) for tool in _nodes(raw.get("tools")) if str(tool.get("type")).startswith(RUN_THERE)]
    used += ["file" for source in _sources(raw.get("messages")) if source.get("type") == "file"]
    if used:
        raise ServeError(
            "JM-767",
            f"{used[0]} is not served where keys or budgets hold",
            where=used[0],
            expected="a call that stands for itself: all of its input in it, tools of the client's own, and the stated price",
            got=", ".join(used),
            hint=f"send it without {used[0]}",
        )


def find_factor(raw: Mapping[str, Json]) -> float:
    """What is written to the cache costs more than what is only read."""
    return CACHE_WRITE_HOUR if b'"cache_control"' in orjson.dumps(dict(raw)) else 1.0


def _readable(content: Json) -> Json:
    if not isinstance(content, list):
        return content
    blocks = [block for block in _nodes(content) if block.get("type") in KNOWN]
    return [
        block | {"content": _texts(block.get("content"))} if block["type"] == "tool_result" else block
        for block in blocks
    ]


def _texts(content: Json) -> Json:
    return [block for block in _nodes(content) if block.get("type") == "text"] if isinstance(content, list) else content


def _sources(raw: Json) -> Iterator[dict[str, Json]]:
    """Of all blocks, also of those in results of tools."""
    for node in _nodes(raw):
        if isinstance(source := node.get("source"), dict):
            yield source
        yield from _sources(node.get("content"))


def _nodes(raw: Json) -> list[dict[str, Json]]:
    return [node for node in raw if isinstance(node, dict)] if isinstance(raw, list) else []


PASSED_MESSAGES = Wire(
    "/messages",
    read_asked,
    lambda raw: heard_of(read_said(raw)),
    bound_messages,
    Streaming(Hearing, AsItCame, is_stop, asks_usage=False),
    check=check_alone,
    input_factor=find_factor,
    is_answer=is_message,
)
COUNTED = replace(
    PASSED_MESSAGES,
    path="/messages/count_tokens",
    read_whole=lambda _raw: Heard(),
    streaming=None,
    is_free=True,
    is_answer=lambda raw: isinstance(raw, dict) and isinstance(raw.get("input_tokens"), int),
)
"""How many tokens a request has, which nobody bills."""
