"""One recorded call as it is mined: what was said to the model as two texts, and what its answer looks like.

    messages ── system: all system text
             └─ body:   every other turn, each behind a mark that says whose it is

Knows nothing about tasks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.core.example import Target
from journeyman.core.messages import Message
from journeyman.core.trace import Trace
from journeyman.data.record import Record, parse_json

USER, ASSISTANT, TOOL = "\ue000", "\ue001", "\ue002"
"""Begin a turn in a body. Of the private use area, so that hardly a text holds them; where one does, they are taken out."""
TURNS = re.compile(f"[{USER}{ASSISTANT}{TOOL}]")
SYSTEMS = ("system", "developer")
LONGEST_LABEL = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """``kind``: ``object``, ``text``, ``calls`` or nothing where there is none. ``keys`` of an object, or names of called tools, sorted; ``label``: a short text as it is."""

    kind: str = ""
    keys: tuple[str, ...] = ()
    label: str = ""
    characters: int = 0
    value: Json = None


@dataclass(frozen=True, slots=True)
class Call:
    """``seconds`` since 1970, None where no time is known; ``tools`` are names, sorted."""

    system: str
    body: str
    tools: tuple[str, ...]
    answer: Answer
    seconds: float | None = None
    turns: int = 1
    has_pictures: bool = False

    @property
    def is_single(self) -> bool:
        """One user message and nothing else: what a task's prompt can be read from."""
        return self.turns == 1 and self.body.startswith(USER)

    @property
    def user(self) -> str:
        """The text of a single user message."""
        return self.body[1:]


@dataclass(frozen=True, slots=True)
class Seen:
    """A call, and what it took. ``tool_schemas`` as they were sent, ``schema`` the one that was asked for; ``messages`` without system text."""

    call: Call
    messages: tuple[Message, ...]
    target: Target | None
    tool_schemas: tuple[Mapping[str, Json], ...] = ()
    schema: Mapping[str, Json] | None = None
    model: str = ""
    time: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    is_failed: bool = False


def see_record(record: Record) -> Seen:
    """A row of a file; a flawed answer (cut off, filtered) is none."""
    target = None if record.flaw else record.output
    return Seen(
        make_call(record.messages, target, record.tools, record.time),
        _turns(record.messages),
        target,
        record.tools,
        record.schema,
        record.model,
        record.time,
        record.input_tokens,
        record.output_tokens,
    )


def see_trace(trace: Trace) -> Seen:
    """A call that the gateway recorded."""
    return Seen(
        make_call(trace.messages, trace.output, trace.tools, trace.time),
        _turns(trace.messages),
        trace.output,
        trace.tools,
        trace.schema,
        trace.model,
        trace.time,
        trace.input_tokens,
        trace.output_tokens,
        trace.cost_usd,
        trace.latency_ms,
        trace.status != "ok",
    )


def make_call(
    messages: Sequence[Message], target: Target | None, tools: Sequence[Mapping[str, Json]] = (), time: str = ""
) -> Call:
    turns = _turns(messages)
    marks = {"assistant": ASSISTANT, "tool": TOOL}
    return Call(
        system="\n".join(_clean(message.text) for message in messages if message.role in SYSTEMS),
        body="".join(marks.get(message.role, USER) + _clean(message.text) for message in turns),
        tools=tuple(sorted({name for tool in tools if (name := tool_name(tool))})),
        answer=look_at(target),
        seconds=_seconds(time),
        turns=len(turns),
        has_pictures=any(not message.is_plain_text for message in turns if message.role == "user"),
    )


def look_at(target: Target | None) -> Answer:
    """What an answer is: JSON in a text is an object."""
    if target is None:
        return Answer()
    if target.kind == "tool_calls":
        return Answer("calls", tuple(sorted({call.name for call in target.tool_calls})))
    if target.kind == "object":
        return Answer("object", _keys(target.value), value=target.value)
    text = target.text.strip()
    if text.startswith(("{", "[")):
        try:
            value = parse_json(text)
            return Answer("object", _keys(value), characters=len(text), value=value)
        except DataError:
            pass
    return Answer("text", label=text if len(text) <= LONGEST_LABEL else "", characters=len(text))


def tool_name(tool: Mapping[str, Json]) -> str:
    function = tool.get("function")
    inner = cast(Mapping[str, Json], function) if isinstance(function, dict) else tool
    return str(inner.get("name") or "")


def _keys(value: Json) -> tuple[str, ...]:
    return tuple(sorted(value)) if isinstance(value, dict) else ("[]",)


def _turns(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(message for message in messages if message.role not in SYSTEMS)


def _clean(text: str) -> str:
    return TURNS.sub("", text)


def _seconds(time: str) -> float | None:
    try:
        return datetime.fromisoformat(time).timestamp() if time else None
    except ValueError:
        return None
