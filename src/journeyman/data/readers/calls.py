"""What logs hold of one call, however they nest it: messages, a request's body or plain fields in; a response, a message or a value out.

Everything is brought into the form of a chat completion, which ``openai.read`` reads. Values that were written as JSON text are
parsed. This module knows nothing about any log's own keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError, ServeError
from journeyman.core.person import find_person
from journeyman.data import openai
from journeyman.data.record import Record, hash_content, parse_json, read_target, row_error
from journeyman.models.anthropic_reply import is_message, read_said
from journeyman.models.anthropic_turns import read_format, read_tool, read_turns

ROLES = {
    "human": "user",
    "ai": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "function": "tool",
    "observation": "tool",
}
"""Names that other tools have for OpenAI's roles."""
ANTHROPIC_BLOCKS = ("tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document")
Node = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Noted:
    """What a log says beside question and answer; the response's own id, model, time and tokens come first but for ``key``. ``user`` is whom the call was made for."""

    key: str = ""
    model: str = ""
    time: str = ""
    group: str = ""
    user: Json = None
    feedback: str = ""
    flaw: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    gold: Json = None
    unused: frozenset[str] = frozenset()


def read_call(row: Mapping[str, Json], asked: Json, answered: Json, noted: Noted | None = None) -> Record:
    """One call. ``row`` is what it is known by.

    Raises:
        DataError: JM-310 or JM-311, neither messages nor text nor fields were asked, or the answer is none.
    """
    noted, asked = noted or Noted(), parse_text(asked)
    content = hash_content(row)
    request = to_request(asked)
    if request is None:
        if not isinstance(asked, str | dict):
            raise row_error("what was asked is neither messages, text nor fields", where="input", got=asked)
        answer = to_response(answered)
        record = openai.read({"messages": [], "response": answer}) if answer is not None else None
        output = record.output if record is not None else read_target(answered)
        record = replace(record or Record("", content), input=asked, messages=(), output=output)
    else:
        response = to_response(answered) if answered is not None else None
        if answered is not None and response is None:
            response = _choice({"role": "assistant", "content": _written(answered)})
        call: Node = {"request": request} if response is None else {"request": request, "response": response}
        record = openai.read(call)
        record = replace(record, model=record.model or str(request.get("model") or ""))
    return replace(
        record,
        key=noted.key or record.key,
        content=content,
        gold=read_target(noted.gold),
        feedback=noted.feedback,
        flaw=record.flaw or noted.flaw,
        group=noted.group,
        person=" ".join(sorted({*record.person.split(), *find_person({"user": noted.user}).split()})),
        model=record.model or noted.model,
        time=noted.time or record.time,
        input_tokens=record.input_tokens if record.input_tokens is not None else noted.input_tokens,
        output_tokens=record.output_tokens if record.output_tokens is not None else noted.output_tokens,
        unused=noted.unused,
    )


def parse_text(value: Json) -> Json:
    """The value that a text writes as an object or a list of JSON; any other value as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse_json(value)
        except DataError:
            return value
    return value


def to_request(asked: Json) -> Node | None:
    """A chat completion's request; None where no messages are in it."""
    if isinstance(asked, list) and len(asked) == 1 and isinstance(asked[0], list):
        asked = asked[0]  # a batch of one conversation
    if isinstance(asked, list):
        asked = {"messages": asked}
    if not isinstance(asked, dict) or not isinstance(asked.get("messages"), list):
        return None
    messages = cast(list[Json], asked["messages"])
    if len(messages) == 1 and isinstance(messages[0], list):
        messages = messages[0]
    if not all(isinstance(item, dict) and has_role(item) for item in messages):
        return None
    if _is_anthropic(asked, messages):
        return read_anthropic(asked)
    return asked | {"messages": [to_message(cast(Node, item)) for item in messages]}


def read_anthropic(asked: Node) -> Node:
    """A Messages request as a chat completion's.

    Raises:
        DataError: JM-311, it says what no chat completion says.
    """
    try:
        tools = asked.get("tools")
        own = (
            [read_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)] if isinstance(tools, list) else []
        )
        said: Node = {name: asked[name] for name in ("model", "metadata") if name in asked}
        said["messages"] = read_turns(asked)
        return said | ({"tools": cast(Json, own)} if own else {}) | read_format(asked)
    except ServeError as error:
        raise DataError(
            "JM-311",
            "this is no request to Anthropic's Messages",
            where=error.where,
            expected=error.expected,
            got=error.got,
        ) from None


def to_response(answered: Json) -> Node | None:
    """A chat completion; None where the value is the answer itself."""
    if isinstance(answered, str):
        parsed = parse_text(answered)
        return to_response(parsed) if not isinstance(parsed, str) and _is_reply(parsed) else None
    if isinstance(answered, list):
        return _from_list(answered)
    if not isinstance(answered, dict):
        return None
    if answered.get("error") or "choices" in answered:
        return answered
    if is_message(answered):
        return _from_anthropic(answered)
    if isinstance(answered.get("generations"), list):
        return _from_generations(cast(list[Json], answered["generations"]))
    if isinstance(answered.get("message"), dict) and has_role(cast(Node, answered["message"])):
        return _choice(to_message(cast(Node, answered["message"])), answered.get("finish_reason"))
    if isinstance(answered.get("messages"), list) and answered["messages"]:
        return _from_list(cast(list[Json], answered["messages"])[-1:])
    if has_role(answered) and ("content" in answered or "parts" in answered or "tool_calls" in answered):
        return _choice(to_message(answered), answered.get("finish_reason"))
    return None


def has_role(message: Node) -> bool:
    role = message.get("role", message.get("type"))
    return isinstance(role, str) and (
        role.lower() in ROLES or role in ("system", "developer", "user", "assistant", "tool")
    )


def to_message(message: Node) -> Node:
    """A message as chat completions have it: roles by OpenAI's names, parts of OpenTelemetry and Gemini as content."""
    role = str(message.get("role", message.get("type")))
    said: Node = {"role": ROLES.get(role.lower(), role), "content": message.get("content")}
    said |= {name: message[name] for name in ("tool_calls", "tool_call_id", "name") if message.get(name)}
    if "parts" in message and "content" not in message:
        said |= _read_parts(message["parts"])
    if said.get("tool_calls"):
        said["tool_calls"] = [_to_call(call) for call in cast(list[Json], said["tool_calls"])]
    return said


def _read_parts(parts: Json) -> Node:
    texts, calls, result = list[str](), list[Json](), ""
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, str):
            texts.append(part)
            continue
        kind = (
            part.get("type", "text" if isinstance(part, dict) and "text" in part else "")
            if isinstance(part, dict)
            else ""
        )
        if not isinstance(part, dict) or kind not in (
            "text",
            "tool_call",
            "tool_call_response",
            "reasoning",
            "thinking",
        ):
            raise row_error(
                "this part of a message cannot be read", where="parts", expected="text or tool_call", got=part
            )
        if kind == "text":
            texts.append(str(part.get("content", part.get("text")) or ""))
        elif kind == "tool_call":
            calls.append(part)
        elif kind == "tool_call_response":
            result = str(part.get("id") or "")
            texts.append(_written(part.get("response", part.get("result"))))
    said: Node = {"content": "".join(texts) if texts else None}
    return said | ({"tool_calls": cast(Json, calls)} if calls else {}) | ({"tool_call_id": result} if result else {})


def _to_call(call: Json) -> Json:
    """Also LangChain's and OpenTelemetry's calls, which have no ``function``."""
    if not isinstance(call, dict) or "function" in call:
        return call
    arguments = call.get("arguments", call.get("args"))
    return {"id": call.get("id"), "function": {"name": call.get("name"), "arguments": arguments}}


def _is_anthropic(asked: Node, messages: list[Json]) -> bool:
    if asked.get("system"):
        return True
    contents = [message.get("content") for message in messages if isinstance(message, dict)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return any(isinstance(block, dict) and block.get("type") in ANTHROPIC_BLOCKS for block in blocks)


def _is_reply(value: Json) -> bool:
    """Whether this is how a provider or a library wraps an answer, and not an answer in JSON."""
    if isinstance(value, list):
        return bool(value) and all(
            isinstance(item, dict) and (has_role(item) or item.get("type") == "text") for item in value
        )
    return isinstance(value, dict) and (
        isinstance(value.get("choices"), list) or is_message(value) or (has_role(value) and "content" in value)
    )


def _from_list(items: list[Json]) -> Node | None:
    """Messages that a model gave, of which each is a choice; or the blocks of one."""
    if not _is_reply(items):
        return None
    nodes = [cast(Node, item) for item in items]
    if all(has_role(item) for item in nodes):
        return {"choices": [_one(to_message(item), item.get("finish_reason")) for item in nodes]}
    texts = [str(item.get("text", item.get("content")) or "") for item in nodes]
    return _choice({"role": "assistant", "content": "".join(texts)})


def _from_generations(generations: list[Json]) -> Node | None:
    """LangChain's result of one prompt: ``[[{text, message}]]``."""
    inner = generations[0] if generations and isinstance(generations[0], list) else generations
    first = inner[0] if isinstance(inner, list) and inner else None
    if not isinstance(first, dict):
        return None
    message = first.get("message")
    if isinstance(message, dict) and isinstance(message.get("kwargs"), dict):
        message = cast(Node, message["kwargs"]) | {"role": "assistant"}
    if isinstance(message, dict) and has_role(message):
        return _choice(to_message(message))
    return _choice({"role": "assistant", "content": str(first.get("text") or "")})


def _from_anthropic(answered: Node) -> Node:
    said = read_said(answered)
    calls: list[Json] = [
        {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}} for call in said.calls
    ]
    message: Node = {"role": "assistant", "content": said.text or (None if calls else "")}
    usage: Node = {"prompt_tokens": said.usage.all_input_tokens, "completion_tokens": said.usage.output_tokens}
    return _choice(message | ({"tool_calls": calls} if calls else {}), said.finish_reason) | {
        "id": said.id,
        "model": said.model,
        "usage": usage,
    }


def _choice(message: Node, finish_reason: Json = None) -> Node:
    return {"choices": [_one(message, finish_reason)]}


def _one(message: Node, finish_reason: Json) -> Node:
    return {"message": message, "finish_reason": finish_reason}


def _written(value: Json) -> str:
    """A text as it is; a value as JSON, in the order that it has."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
