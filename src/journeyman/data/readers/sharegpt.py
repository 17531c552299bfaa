"""ShareGPT: ``{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}], "system": ...}``.

The last answer is the output, what was said before it are the messages. Turns may also have ``role`` and ``content``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data import openai
from journeyman.data.readers.calls import ROLES, parse_text
from journeyman.data.record import Record, hash_content, read_feedback, read_group, read_target, read_time, row_error

LIST = ("conversations", "conversation")
KNOWN = frozenset({*LIST, "system", "tools", "gold", "feedback", "group", "id", "time", "model"})
ROLE_NAMES = ROLES | {"bing": "assistant", "bard": "assistant", "prompter": "user", "function_response": "tool"}


def matches(row: Mapping[str, Json]) -> bool:
    turns = next((row[name] for name in LIST if name in row), None)
    first = turns[0] if isinstance(turns, list) and turns else None
    return isinstance(first, dict) and ("from" in first or "role" in first)


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, a turn that cannot be read."""
    turns = next(row[name] for name in LIST if name in row)
    if not isinstance(turns, list):
        raise row_error("the conversation is no list", where=LIST[0], got=turns)
    said = [_read_turn(turn, f"{LIST[0]}[{place}]") for place, turn in enumerate(turns)]
    system = row.get("system")
    if isinstance(system, str) and system:
        said = [{"role": "system", "content": system}, *said]
    tools = parse_text(row.get("tools"))
    record = openai.read({"messages": said, "tools": tools or None})
    return Record(
        key="",
        content=hash_content(row),
        messages=record.messages,
        tools=record.tools,
        output=record.output,
        gold=read_target(row.get("gold")),
        feedback=read_feedback(row.get("feedback")),
        group=read_group(row.get("group")),
        model=str(row.get("model") or ""),
        time=read_time(row.get("time")),
        unused=frozenset(row) - KNOWN,
    )


def _read_turn(turn: Json, where: str) -> Json:
    if not isinstance(turn, dict):
        raise row_error("a turn is no object", where=where, expected="from and value", got=turn)
    name = turn.get("from", turn.get("role"))
    value = turn.get("value", turn.get("content"))
    if not isinstance(name, str) or not isinstance(value, str):
        raise row_error("a turn has no speaker or no text", where=where, expected="from and value", got=turn)
    if name == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": [_read_function(value, where)]}
    return {"role": ROLE_NAMES.get(name.lower(), name.lower()), "content": value}


def _read_function(value: str, where: str) -> Json:
    call = parse_text(value)
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise row_error("a call of a function cannot be read", where=where, expected="name and arguments", got=value)
    arguments = call.get("arguments")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": "", "function": {"name": call["name"], "arguments": written}}
