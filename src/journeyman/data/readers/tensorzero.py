"""TensorZero: rows of its tables ChatInference and JsonInference, and inferences as its API lists them.

    {"id" or "inference_id", "function_name", "variant_name", "episode_id", "input": {"system", "messages"}, "output": [...] or {"raw", "parsed"},
     "output_schema", "tool_params", "dispreferred_outputs", "timestamp", ...}

Input and output may be JSON texts, as ClickHouse gives them. A message that was filled into the function's template is an object of arguments:
these are the input fields. ``dispreferred_outputs`` are rejected alternatives.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.example import Alternative, Target, object_target, text_target
from journeyman.data.readers.calls import Noted, parse_text, read_call
from journeyman.data.record import Record, read_feedback, read_target, read_time, row_error

Node = dict[str, Json]


def matches(row: Mapping[str, Json]) -> bool:
    return "function_name" in row and "input" in row and ("variant_name" in row or "episode_id" in row)


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, input or output cannot be read."""
    asked = parse_text(row["input"])
    if not isinstance(asked, dict):
        raise row_error("the input is no object", where="input", expected="system and messages", got=asked)
    output = parse_text(row.get("output"))
    noted = Noted(
        key=str(row.get("id") or row.get("inference_id") or ""),
        model=str(row.get("variant_name") or ""),
        time=read_time(row.get("timestamp")),
        feedback=read_feedback(row.get("feedback")),
    )
    record = read_call(row, _request(asked), _message(output), noted)
    schema = parse_text(row.get("output_schema"))
    worse = parse_text(row.get("dispreferred_outputs"))
    rejected = [_target(item) for item in worse] if isinstance(worse, list) else []
    return replace(
        record,
        output=_target(output) if output is not None else None,
        schema=schema if isinstance(schema, dict) and schema else None,
        tools=_tools(parse_text(row.get("tool_params"))),
        alternatives=tuple(Alternative(target, verdict="rejected") for target in rejected if target is not None),
    )


def _request(asked: Node) -> Json:
    """A chat completion's request, or the arguments of the one message."""
    system, turns = asked.get("system"), asked.get("messages")
    if not isinstance(turns, list) or not turns:
        raise row_error("the input has no messages", where="input.messages", got=turns)
    if isinstance(system, dict) and system:
        raise row_error(
            "the system text is arguments of a template, which are no input of the task",
            where="input.system",
            expected="text, or none",
            got=system,
        )
    arguments = _arguments(turns)
    if arguments is not None:
        return arguments
    messages: list[Json] = [{"role": "system", "content": system}] if system else []
    for place, turn in enumerate(turns):
        messages += _read_turn(turn, f"input.messages[{place}]")
    return {"messages": messages}


def _arguments(turns: list[Json]) -> Node | None:
    content = turns[0].get("content") if len(turns) == 1 and isinstance(turns[0], dict) else None
    blocks = content if isinstance(content, list) else [content]
    if len(blocks) != 1 or not isinstance(blocks[0], dict):
        return None
    block = blocks[0]
    given = (
        block.get("arguments") if block.get("type") in ("text", "template") else block if "type" not in block else None
    )
    value = block.get("value") if block.get("type") == "text" else None  # before 2025.4, the arguments stood here
    return given if isinstance(given, dict) else value if isinstance(value, dict) else None


def _read_turn(turn: Json, where: str) -> list[Json]:
    if not isinstance(turn, dict):
        raise row_error("a message is no object", where=where, got=turn)
    content = turn.get("content")
    blocks: list[Json] = content if isinstance(content, list) else [{"type": "text", "text": content}]
    said, results = _read_blocks(blocks, where), list[Json]()
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            results.append({"role": "tool", "tool_call_id": block.get("id"), "content": block.get("result")})
    is_said = said["content"] is not None or "tool_calls" in said
    return results + ([{"role": turn.get("role")} | said] if is_said or not results else [])


def _read_blocks(blocks: list[Json], where: str) -> Node:
    texts, calls = list[str](), list[Json]()
    for block in blocks:
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(block, dict) or kind not in ("text", "raw_text", "tool_call", "tool_result", "thought"):
            raise row_error("this block cannot be read", where=where, expected="text or tool_call", got=block)
        if kind in ("text", "raw_text"):
            text = block.get("text", block.get("value"))
            if not isinstance(text, str):
                raise row_error("a block of text has no text", where=where, expected="text", got=block)
            texts.append(text)
        elif kind == "tool_call":
            raw = block.get("raw_arguments", block.get("arguments"))
            written = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)
            name = block.get("raw_name") or block.get("name")
            calls.append({"id": block.get("id"), "function": {"name": name, "arguments": written}})
    return {"content": "".join(texts) if texts else None} | ({"tool_calls": cast(Json, calls)} if calls else {})


def _message(output: Json) -> Json:
    """The answer as a message."""
    if isinstance(output, list):
        return {"role": "assistant"} | _read_blocks(output, "output")
    return {"role": "assistant", "content": ""} if isinstance(output, dict) else output


def _target(output: Json) -> Target | None:
    output = parse_text(output)
    if isinstance(output, dict) and ("raw" in output or "parsed" in output):
        parsed = output.get("parsed")
        return object_target(parsed) if parsed is not None else read_target(output.get("raw"))
    if isinstance(output, list):
        message = cast(Node, _message(output))
        if message.get("tool_calls"):
            return read_call({}, [{"role": "user", "content": ""}], message).output
        return text_target(str(message["content"] or ""))
    raise row_error("the output cannot be read", where="output", expected="blocks, or raw and parsed", got=output)


def _tools(params: Json) -> tuple[Mapping[str, Json], ...]:
    found = params.get("tools_available") if isinstance(params, dict) else None
    tools = []
    for tool in found if isinstance(found, list) else []:
        if isinstance(tool, dict) and isinstance(tool.get("name"), str):
            kept = {name: tool[name] for name in ("name", "description", "parameters") if tool.get(name) is not None}
            tools.append({"type": "function", "function": kept})
    return tuple(cast(list[Node], tools))
