"""Where texts stand in requests, replies and chunks that are passed on, whatever the dialect: places that can be read and written.

What frames a message (ids, types, roles) is no text; neither are pictures and files that lie in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from journeyman.core.canonical import Json

ASKED = ("messages", "instructions", "input", "prompt", "suffix", "prediction", "tools", "functions")
FRAME = ("id", "type", "role", "object", "status", "model", "call_id", "item_id", "tool_call_id", "encrypted_content")
APART = ("logprobs", "top_logprobs", "usage")
CALLED = ("tool_calls", "function_call", "arguments", "name")
Channel = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One text, at ``node[key]``. Pieces of one ``channel`` make one text; () is for a text that comes again as a whole. What ``is_held`` is of use as a whole alone."""

    node: Any
    key: str | int
    channel: Channel = ()
    is_held: bool = False

    @property
    def text(self) -> str:
        return str(self.node[self.key])

    def put(self, text: str) -> None:
        self.node[self.key] = text


def said_in_request(raw: Mapping[str, Json]) -> Iterator[Slot]:
    for name in ASKED:
        if name in raw:
            yield from _walk(raw, name, (name,))


def said_in_reply(raw: Json) -> Iterator[Slot]:
    """A whole reply: its choices, or its output."""
    if isinstance(raw, dict):
        for place, choice in enumerate(_nodes(raw.get("choices"))):
            for name in ("message", "text"):
                yield from _walk(choice, name, (place, name))
        yield from _walk(raw, "output", ("output",))


def said_in_chunk(raw: Json) -> Iterator[Slot]:
    """One event of a stream. Responses say what they streamed again, piece by piece."""
    if not isinstance(raw, dict):
        return
    for place, choice in enumerate(_nodes(raw.get("choices"))):
        index = choice.get("index")
        channel: Channel = (index if isinstance(index, int) else place,)
        for name in ("delta", "message", "text"):
            yield from _walk(choice, name, (*channel, name))
    kind = raw.get("type")
    if isinstance(kind, str) and isinstance(raw.get("delta"), str):
        where = [raw.get(name) for name in ("output_index", "content_index", "summary_index")]
        held = "arguments" in kind or "input" in kind
        yield Slot(raw, "delta", (kind, *(item if isinstance(item, int) else -1 for item in where)), held)
        return
    for name in ("text", "arguments", "refusal", "input", "part", "item"):
        for slot in _walk(raw, name, (name,)):
            yield Slot(slot.node, slot.key)
    response = raw.get("response")
    if isinstance(response, dict):
        for slot in _walk(response, "output", ("output",)):
            yield Slot(slot.node, slot.key)


def drop_logprobs(raw: Json) -> None:
    """They spell out what was said."""
    if isinstance(raw, list):
        for item in raw:
            drop_logprobs(item)
    elif isinstance(raw, dict):
        for key, item in raw.items():
            if key == "logprobs":
                raw[key] = [] if isinstance(item, list) else None
            else:
                drop_logprobs(item)


def _walk(node: Any, key: str | int, path: Channel) -> Iterator[Slot]:
    """The texts at ``node[key]``, of any depth: a request was parsed by a reader that bounds it."""
    left: list[tuple[Any, str | int, Channel]] = [(node, key, path)]
    while left:
        node, key, path = left.pop()
        value = node.get(key) if isinstance(node, Mapping) else node[key]
        if isinstance(value, str):
            if value and not _is_file(key, value):
                yield Slot(node, key, path, any(name in path for name in CALLED))
        elif isinstance(value, list):
            left += [(value, place, (*path, _index(item, place))) for place, item in reversed(list(enumerate(value)))]
        elif isinstance(value, dict):
            left += [(value, name, (*path, name)) for name in reversed(value) if not _is_frame(name, value[name])]


def _is_frame(name: str, value: Json) -> bool:
    return name in APART or (name in FRAME and isinstance(value, str))


def _is_file(key: str | int, value: str) -> bool:
    return key in ("data", "file_data") or (key in ("url", "image_url") and value.startswith("data:"))


def _index(item: Json, place: int) -> int:
    """Calls of tools that stream are told apart by their ``index``."""
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else place


def _nodes(raw: Json) -> Iterator[dict[str, Json]]:
    return (item for item in raw if isinstance(item, dict)) if isinstance(raw, list) else iter(())
