"""OpenAI's responses as a dialect of the server: text in, text or an object out, and its events.

A request is read as the chat completion request that says the same. Nothing is kept for a later call to refer to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError, ServeError
from journeyman.gateway.answer import Answer
from journeyman.gateway.dialects.dialect import Dialect, named_event
from journeyman.gateway.dialects.openai import ChatRequest, read_chat
from journeyman.gateway.dialects.responses_record import RESPONSES_WIRE, message_of

Node = dict[str, Json]
SAME = ("model", "temperature", "top_p", "stream", "user")
# Parameter -> the values that ask for nothing.
UNSERVED: Mapping[str, tuple[Json, ...]] = {
    "tools": ([],),
    "previous_response_id": ("",),
    "conversation": (),
    "prompt": (),
    "background": (False,),
    "top_logprobs": (0,),
}


def read_response(raw: Json) -> ChatRequest:
    """Raises: ServeError JM-765 a parameter of the wrong type, JM-766 one that only the teacher serves; JM-705, as chat completions; DataError JM-310."""
    if not isinstance(raw, dict):
        raise _wrong("body", "a JSON object", raw)
    for name, harmless in UNSERVED.items():
        if raw.get(name) is not None and raw[name] not in harmless:
            raise _unserved(name, f"a request without {name}", raw[name])
    chat: Node = {name: raw[name] for name in SAME if raw.get(name) is not None}
    chat["max_completion_tokens"] = raw.get("max_output_tokens")
    chat["messages"] = _read_messages(raw)
    return replace(read_chat(chat), response_format=_read_format(raw.get("text")))


def write_response(answer: Answer) -> Node:
    created, is_cut = int(answer.created.timestamp()), answer.finish_reason == "length"
    total = answer.input_tokens + answer.output_tokens
    usage: Node = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": total,
    }
    state = "incomplete" if is_cut else "completed"
    return _frame(answer.trace, answer.model, created) | {
        "status": state,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "output": [_item(answer.trace, state, [_part(answer.text)])],
        "usage": usage,
    }


class ResponseEvents:
    """One message with one part of text. Events are numbered."""

    def __init__(self, model: str, trace: str, _asked: ChatRequest) -> None:
        self._trace = trace
        self._frame = _frame(trace, model, int(time.time()))
        self._number = 0

    def open(self) -> bytes:
        response: Node = self._frame | {"status": "in_progress", "output": [], "usage": None}
        begun = self._event("response.created", response=response)
        begun += self._event("response.in_progress", response=response)
        item = _item(self._trace, "in_progress", [])
        begun += self._event("response.output_item.added", output_index=0, item=item)
        return begun + self._part_event("response.content_part.added", part=_part(""))

    def write(self, item: str | Answer) -> bytes:
        if isinstance(item, str):
            return self._part_event("response.output_text.delta", delta=item, logprobs=[]) if item else b""
        response = write_response(item) | {"created_at": self._frame["created_at"]}
        state = str(response["status"])
        ended = self._part_event("response.output_text.done", text=item.text, logprobs=[])
        ended += self._part_event("response.content_part.done", part=_part(item.text))
        message = _item(self._trace, state, [_part(item.text)])
        ended += self._event("response.output_item.done", output_index=0, item=message)
        return ended + self._event(f"response.{state}", response=response)

    def end(self) -> bytes:
        return b""

    def fail(self, error: JourneymanError, _status: int) -> bytes:
        return self._event("error", code=error.code, message=error.message(), param=None)

    def _part_event(self, kind: str, **said: Json) -> bytes:
        return self._event(kind, item_id=f"msg_{self._trace}", output_index=0, content_index=0, **said)

    def _event(self, kind: str, **said: Json) -> bytes:
        self._number += 1
        return named_event({"type": kind, "sequence_number": self._number - 1, **said})


def _read_messages(raw: Node) -> list[Json]:
    given, instructions = raw.get("input"), raw.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise _wrong("instructions", "text", instructions)
    if not isinstance(given, str | list) or not given:
        raise _wrong("input", "text, or a list of one or more messages", given)
    said: list[Json] = [{"role": "system", "content": instructions}] if instructions else []
    items: list[Json] = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for place, item in enumerate(items):
        if (message := message_of(item)) is None:
            kind = item.get("type") if isinstance(item, dict) else item
            raise _unserved(f"input[{place}]", "a message with role and content", kind)
        said.append(message)
    return said


def _read_format(text: Json) -> Node | None:
    form = text.get("format") if isinstance(text, dict) else None
    if form is None:
        return None
    if not isinstance(form, dict) or form.get("type") not in ("text", "json_object", "json_schema"):
        raise _wrong("text.format", "type text, json_object, or json_schema with schema", form)
    if form["type"] != "json_schema":
        return form
    if not isinstance(form.get("schema"), dict):
        raise _wrong("text.format.schema", "a JSON Schema", form.get("schema"))
    return {"type": "json_schema", "json_schema": {"schema": form["schema"]}}


def _frame(trace: str, model: str, created: int) -> Node:
    return {
        "id": f"resp_{trace}",
        "object": "response",
        "created_at": created,
        "model": model,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": False,
        "previous_response_id": None,
        "store": False,
        "temperature": None,
        "tool_choice": "none",
        "tools": [],
        "top_p": None,
    }


def _item(trace: str, status: str, parts: list[Json]) -> Node:
    return {"type": "message", "id": f"msg_{trace}", "status": status, "role": "assistant", "content": parts}


def _part(text: str) -> Node:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _wrong(name: str, expected: str, got: object) -> ServeError:
    return ServeError(
        "JM-765",
        f"{name} of this response is missing or wrong",
        where=name,
        expected=expected,
        got="nothing" if got is None else f"{got!r:.80}",
        hint=f"correct {name}",
    )


def _unserved(name: str, expected: str, got: object) -> ServeError:
    return ServeError(
        "JM-766",
        f"{name} is not served by responses here",
        where=name,
        expected=expected,
        got=f"{got!r:.80}",
        hint=f"leave {name} out, or send this call to the teacher",
    )


RESPONSES = Dialect(read_response, write_response, ResponseEvents, lambda raw: (raw, RESPONSES_WIRE))
