"""Chat-completions logs: request and response, the same in one flat object, and the fine-tuning form.

Each line is one of

    {"request": {"messages": [...], ...}, "response": {"choices": [...], ...}, "gold": ...}
    {"messages": [...], "response": ... or "choices": [...], "gold": ...}
    {"messages": [..., {"role": "assistant", ...}], "gold": ...}

A response may also be a bare message, plain text, or a batch's ``{"body": {...}}``. Of several choices the first is the answer and the
others are samples of the same model; a log-probability per token is kept where the response has one. ``feedback`` is ``up`` or ``down``.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.core.example import Alternative, Target, text_target
from journeyman.core.messages import Message, message_from_openai, messages_from_openai
from journeyman.core.person import find_person
from journeyman.data.logprobs import read_logprobs
from journeyman.data.record import Record, hash_content, read_feedback, read_group, read_target, read_time, row_error
from journeyman.models.counts import read_count

KNOWN = {
    "request",
    "response",
    "gold",
    "feedback",
    "group",
    "id",
    "custom_id",
    "time",
    "created",
    "model",
    "usage",
    "choices",
    "object",
}
REQUEST_KEYS = {"messages", "user", "safety_identifier", "tools", "response_format", "parallel_tool_calls"}
FLAWS = {"length": "the answer was cut off at the token limit", "content_filter": "the answer was filtered"}


def matches(row: Mapping[str, Json]) -> bool:
    return "messages" in row or "request" in row


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, not this shape."""
    content = hash_content(row)
    request = _mapping(row["request"], "request") if "request" in row else row
    if "messages" not in request:
        raise row_error("the request has no messages", where="request")
    messages = messages_from_openai(request["messages"])
    response = _response(row)
    if response is None:
        messages, answer, finish = _last_turn(messages)
    else:
        answer, finish = _answer(response)
    usage = (response or {}).get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Record(
        key=_key(response),
        content=content,
        messages=messages,
        tools=_tools(request.get("tools")),
        schema=_row_schema(request.get("response_format")),
        output=_target(answer) if answer is not None else None,
        gold=read_target(row.get("gold")),
        alternatives=_samples(response),
        feedback=read_feedback(row.get("feedback")),
        logprobs=tuple(read_logprobs(response, answer.text)) if response is not None and answer is not None else (),
        flaw=FLAWS.get(finish, ""),
        group=read_group(row.get("group")),
        person=find_person(request),
        model=str((response or {}).get("model") or request.get("model") or row.get("model") or ""),
        time=read_time((response or {}).get("created") or row.get("created") or row.get("time")),
        input_tokens=read_count(counts.get("prompt_tokens")),
        output_tokens=read_count(counts.get("completion_tokens")),
        unused=frozenset(row) - KNOWN - (REQUEST_KEYS if request is row else set()),
    )


def _response(row: Mapping[str, Json]) -> dict[str, Json] | None:
    if "response" not in row:
        return dict(row) if "choices" in row else None
    raw = row["response"]
    if isinstance(raw, str):
        return {"role": "assistant", "content": raw}
    response = _mapping(raw, "response")
    return _mapping(response["body"], "response.body") if "body" in response else response


def _answer(response: Mapping[str, Json]) -> tuple[Message, str]:
    if response.get("error"):
        raise row_error("the recorded response is an error", where="response.error", got=response["error"])
    if "choices" not in response:
        return _assistant(message_from_openai({"role": "assistant"} | dict(response), "response")), ""
    choices = response["choices"]
    if not isinstance(choices, list) or not choices:
        raise row_error("the response has no choices", where="response.choices", got=choices)
    choice = _mapping(choices[0], "response.choices[0]")
    message = message_from_openai(choice.get("message"), "response.choices[0].message")
    return _assistant(message), str(choice.get("finish_reason") or "")


def _samples(response: Mapping[str, Json] | None) -> tuple[Alternative, ...]:
    """The further choices of one response that ended by themselves."""
    choices = (response or {}).get("choices")
    samples = []
    for index, raw in enumerate(choices if isinstance(choices, list) else []):
        choice = _mapping(raw, f"response.choices[{index}]")
        if index and str(choice.get("finish_reason") or "") not in FLAWS:
            message = _assistant(message_from_openai(choice.get("message"), f"response.choices[{index}].message"))
            target = _target(message)
            samples += [Alternative(target)] if target is not None else []
    return tuple(samples)


def _assistant(message: Message) -> Message:
    if message.role != "assistant":
        raise row_error("the answer is not the assistant's", where="response", expected="assistant", got=message.role)
    return message


def _last_turn(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], Message | None, str]:
    if messages and messages[-1].role == "assistant":
        return messages[:-1], messages[-1], ""
    return messages, None, ""


def _target(answer: Message) -> Target | None:
    if answer.tool_calls:
        return Target("tool_calls", text=answer.text, tool_calls=answer.tool_calls)
    return text_target(answer.text) if answer.parts else None


def _row_schema(raw: Json) -> dict[str, Json] | None:
    """The JSON Schema that this call asked for, if it asked for one."""
    if raw is None:
        return None
    kind = _mapping(raw, "response_format")
    if kind.get("type") != "json_schema":
        return None
    outer = _mapping(kind.get("json_schema"), "response_format.json_schema")
    return _mapping(outer.get("schema"), "response_format.json_schema.schema")


def _tools(raw: Json) -> tuple[Mapping[str, Json], ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise row_error("the tools are not a list", where="tools", got=raw)
    return tuple(_mapping(item, f"tools[{index}]") for index, item in enumerate(raw))


def _key(response: Mapping[str, Json] | None) -> str:
    """The provider's id. Ids beside the response (``custom_id``) are the caller's own and may repeat between files."""
    value = (response or {}).get("id")
    return value if isinstance(value, str) else ""


def _mapping(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise row_error("this is not an object", where=where, expected="an object", got=value)
    return value
