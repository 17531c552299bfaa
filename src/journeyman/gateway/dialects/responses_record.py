"""Responses passed on to a provider, and read for the record: never an error, since what cannot be read is still answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from io import StringIO

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.core.messages import ToolCall
from journeyman.gateway.dialects.chat_record import read_asked as read_chat_asked
from journeyman.gateway.dialects.dialect import named_event
from journeyman.gateway.points import Asked, Heard
from journeyman.gateway.purse import MOST_TOKENS
from journeyman.gateway.wire import Bound, Streaming, Wire, has_list
from journeyman.models.counts import read_count

ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
OWN_TOOLS = ("function", "custom")
KEPT = ("previous_response_id", "conversation", "prompt", "background")


def check_alone(raw: Mapping[str, Json]) -> None:
    """Under keys and budgets a call stands for itself: what lies at the provider, or runs there, may be another caller's, and its cost cannot be foreseen.

    Raises:
        ServeError: JM-767.
    """
    tools, items = raw.get("tools"), raw.get("input")
    used = [name for name in KEPT if raw.get(name)]
    used += [str(tool.get("type")) for tool in _nodes(tools) if tool.get("type") not in OWN_TOOLS]
    used += ["item_reference" for item in _nodes(items) if _is_reference(item)]
    if used:
        raise ServeError(
            "JM-767",
            f"{used[0]} is not served where keys or budgets hold",
            where=used[0],
            expected="a call that stands for itself: all of its input in it, and tools of the client's own",
            got=", ".join(used),
            hint=f"send the earlier turns again, without {used[0]}",
        )


def bound_response(raw: Mapping[str, Json]) -> Bound:
    """Raises: ServeError JM-767."""
    check_alone(raw)
    most = raw.get("max_output_tokens")
    return (most, {}) if type(most) is int and most > 0 else (MOST_TOKENS, {"max_output_tokens": MOST_TOKENS})


def message_of(item: Json) -> dict[str, Json] | None:
    """A message of the input, of the chat-completions shape; None where it is something else."""
    if not isinstance(item, dict) or item.get("type") not in (None, "message"):
        return None
    content = item.get("content")
    if isinstance(content, list):
        content = [_part_of(part) for part in content]
    return {"role": item.get("role"), "content": content}


def read_asked(raw: Mapping[str, Json]) -> Asked:
    given, instructions = raw.get("input"), raw.get("instructions")
    said: list[Json] = [{"role": "system", "content": instructions}] if isinstance(instructions, str) else []
    if isinstance(given, str):
        said.append({"role": "user", "content": given})
    said += [message for item in _nodes(given) if (message := _said_of(item)) is not None]
    text = raw.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    return read_chat_asked({"messages": said, "tools": raw.get("tools"), "response_format": {"json_schema": form}})


def read_whole(raw: Json) -> Heard:
    heard = Heard()
    if not isinstance(raw, dict):
        return heard
    calls = []
    for item in _nodes(raw.get("output")):
        if item.get("type") == "function_call":
            calls.append(ToolCall(*(str(item.get(name) or "") for name in ("call_id", "name", "arguments"))))
        elif item.get("type") == "message":
            heard.text += "".join(str(part.get("text") or "") for part in _nodes(item.get("content")))
    heard.tool_calls, heard.finish_reason = tuple(calls), str(raw.get("status") or "")
    usage = raw.get("usage")
    if isinstance(usage, dict):
        heard.input_tokens = read_count(usage.get("input_tokens"))
        heard.output_tokens = read_count(usage.get("output_tokens"))
    return heard


class Hearing:
    """A streamed response: its pieces of text, until its closing event says all."""

    def __init__(self) -> None:
        self._text = StringIO()
        self._whole: Heard | None = None

    def add(self, chunk: Json) -> None:
        if not isinstance(chunk, dict):
            return
        if chunk.get("type") == "response.output_text.delta":
            self._text.write(str(chunk.get("delta") or ""))
        elif chunk.get("type") in ENDS and isinstance(chunk.get("response"), dict):
            self._whole = read_whole(chunk["response"])

    def end(self) -> Heard:
        return self._whole or Heard(self._text.getvalue())


class AsItCame:
    def __init__(self, _raw: Mapping[str, Json]) -> None:
        self._number = 0

    def show(self, event: bytes, chunk: Json) -> bytes:
        self._number += 1
        return event + b"\n\n"

    def fail(self, error: JourneymanError) -> bytes:
        said: dict[str, Json] = {"type": "error", "sequence_number": self._number, "code": error.code}
        return named_event(said | {"message": f"{error.code} {error.what}", "param": None})


def _is_last(_data: bytes, chunk: Json) -> bool:
    return isinstance(chunk, dict) and chunk.get("type") in ENDS


def _said_of(item: dict[str, Json]) -> dict[str, Json] | None:
    """Messages, calls of tools and their results; what else there is, such as reasoning, is left out."""
    if item.get("type") == "function_call":
        function: Json = {"name": item.get("name"), "arguments": item.get("arguments")}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": item.get("call_id"), "function": function}]}
    if item.get("type") == "function_call_output":
        output = item.get("output")
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output if isinstance(output, str) else None}  # fmt: skip
    return message_of(item)


def _is_reference(item: Mapping[str, Json]) -> bool:
    """The type may be left out."""
    return item.get("type") == "item_reference" or (item.get("type") is None and "role" not in item)


def _part_of(part: Json) -> Json:
    if isinstance(part, dict) and part.get("type") == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    return part


def _nodes(raw: Json) -> Iterator[dict[str, Json]]:
    return (item for item in raw if isinstance(item, dict)) if isinstance(raw, list) else iter(())


RESPONSES_WIRE = Wire(
    "/responses",
    read_asked,
    read_whole,
    bound_response,
    Streaming(Hearing, AsItCame, _is_last, asks_usage=False),
    check=check_alone,
    is_answer=partial(has_list, "output"),
)
