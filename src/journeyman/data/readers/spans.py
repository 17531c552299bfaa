"""Spans of calls to models: OTLP's JSON, Phoenix's spans, and what OpenTelemetry's SDK prints.

    {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId", "spanId", "attributes": [{"key", "value": {"stringValue"}}], "events"}]}]}]}
    {"name", "context": {"trace_id", "span_id"}, "span_kind": "LLM", "attributes": {"llm.input_messages.0.message.role": ...}, "events"}

Question and answer are looked for where OpenInference has them (``llm.input_messages``), where the conventions for generative AI have them
(``gen_ai.input.messages``, ``gen_ai.prompt.N``, or the span's events), and last in ``input.value`` and ``output.value``. Spans that are no call to
a language model are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from journeyman.core.canonical import Json
from journeyman.data.openai import FLAWS
from journeyman.data.readers.calls import Noted, parse_text, read_call
from journeyman.data.record import Record, read_group, read_time, row_error
from journeyman.models.counts import read_count

Node = dict[str, Json]
CALLS = ("chat", "text_completion", "generate_content", "completion")
SPANS = "resourceSpans"
INNER = (("scopeSpans", "instrumentationLibrarySpans"), ("spans",))
SPEAKERS = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}


def matches(row: Mapping[str, Json]) -> bool:
    has_place = "spanId" in row or "span_id" in row or "context" in row or "context.span_id" in row
    return has_place and ("attributes" in row or any(name.startswith("attributes.") for name in row))


def unfold(row: Mapping[str, Json]) -> list[Json] | None:
    """The spans of a request of OTLP."""
    if SPANS not in row and not any(name in row for name in INNER[0]):
        return None
    return list(_spans(row))


def read(row: dict[str, Json]) -> Record | None:
    """Raises: DataError: JM-310 or JM-311, a failed call, or one whose messages were not recorded."""
    attributes = _attributes(row)
    tree = _tree(attributes)
    if not _is_call(row, attributes, tree):
        return None
    if _is_failed(row):
        raise row_error("the recorded call failed", where="status", got=row.get("status", row.get("status_message")))
    asked, answered = _said(row, attributes, tree)
    if asked is None:
        raise row_error(
            "this call's messages were not recorded",
            where="attributes",
            expected="llm.input_messages, gen_ai.input.messages or gen_ai.prompt; "
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true records them",
        )
    finish = _first(
        attributes, "gen_ai.response.finish_reasons", "llm.finish_reason", "gen_ai.completion.0.finish_reason"
    )
    noted = Noted(
        key=_key(row),
        model=str(_first(attributes, "llm.model_name", "gen_ai.response.model", "gen_ai.request.model") or ""),
        time=_time(row),
        group=read_group(_first(attributes, "session.id", "gen_ai.conversation.id")),
        user=_first(attributes, "user.id", "enduser.id"),
        flaw=_flaw(finish),
        input_tokens=_count(
            attributes, "llm.token_count.prompt", "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"
        ),
        output_tokens=_count(
            attributes, "llm.token_count.completion", "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"
        ),
    )
    return read_call(row, asked, answered, noted)


def _spans(row: Mapping[str, Json]) -> Iterator[Json]:
    for resource in cast(list[Json], row.get(SPANS) or [row]):
        scopes = (
            next((resource[name] for name in INNER[0] if name in resource), []) if isinstance(resource, dict) else []
        )
        for scope in scopes if isinstance(scopes, list) else []:
            spans = scope.get("spans") if isinstance(scope, dict) else None
            yield from spans if isinstance(spans, list) else []


def _attributes(row: Mapping[str, Json]) -> Node:
    """By name, whatever form the list has."""
    raw = parse_text(row.get("attributes"))
    if isinstance(raw, list):
        return _read_pairs(raw)
    found = {name.removeprefix("attributes."): value for name, value in row.items() if name.startswith("attributes.")}
    return found | (_flatten(raw) if isinstance(raw, dict) else {})


def _read_pairs(pairs: list[Json]) -> Node:
    return {
        str(pair["key"]): _any_value(pair.get("value")) for pair in pairs if isinstance(pair, dict) and "key" in pair
    }


def _any_value(value: Json) -> Json:
    """OTLP's AnyValue."""
    if not isinstance(value, dict):
        return value
    for kind, inner in value.items():
        if kind in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
            return inner
        if kind == "intValue":
            return int(inner) if isinstance(inner, str | int) and str(inner).lstrip("-").isdigit() else inner
        if kind in ("arrayValue", "kvlistValue"):
            values = inner.get("values") if isinstance(inner, dict) else None
            listed = values if isinstance(values, list) else []
            return [_any_value(item) for item in listed] if kind == "arrayValue" else _read_pairs(listed)
    return None


def _flatten(node: Node, before: str = "") -> Node:
    """Phoenix gives attributes nested or flat; only objects are opened."""
    flat: Node = {}
    for name, value in node.items():
        flat |= _flatten(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat


def _tree(attributes: Node) -> Node:
    """Attributes whose names are paths, and lists of such objects, as nested objects; a list's places are keys."""
    tree: Node = {}
    for name, value in attributes.items():
        if name.startswith(("llm.", "gen_ai.prompt.", "gen_ai.completion.")):
            _plant(tree, name, value)
    return tree


def _plant(tree: Node, name: str, value: Json) -> None:
    *above, last = name.split(".")
    for part in above:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            return
        tree = inner
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for place, item in enumerate(value):
            for key, inner in item.items() if isinstance(item, dict) else []:
                _plant(tree, f"{last}.{place}.{key}", inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _plant(tree, f"{last}.{key}", inner)
    else:
        tree[last] = value


def _is_call(row: Node, attributes: Node, tree: Node) -> bool:
    kind = attributes.get("openinference.span.kind") or row.get("span_kind")
    if isinstance(kind, str) and kind.upper() not in (
        "LLM",
        "UNKNOWN",
        "INTERNAL",
        "CLIENT",
        "SPANKIND.CLIENT",
        "SPANKIND.INTERNAL",
    ):
        return False
    if kind == "LLM" or attributes.get("gen_ai.operation.name") in CALLS or attributes.get("llm.request.type") in CALLS:
        return True
    if attributes.get("gen_ai.operation.name"):
        return False
    return bool(
        _dig(tree, "llm", "input_messages") or _dig(tree, "gen_ai", "prompt") or "gen_ai.input.messages" in attributes
    )


def _said(row: Node, attributes: Node, tree: Node) -> tuple[Json, Json]:
    """Request and answer, from the first place that has a request."""
    openinference = _listed(_dig(tree, "llm", "input_messages")), _listed(_dig(tree, "llm", "output_messages"))
    if openinference[0]:
        tools = [parse_text(_dig(item, "tool", "json_schema")) for item in _listed(_dig(tree, "llm", "tools"))]
        request: Node = {"messages": [_read_message(item) for item in openinference[0]]}
        request |= {"tools": cast(Json, tools)} if tools and all(isinstance(tool, dict) for tool in tools) else {}
        answers: list[Json] = [_read_message(item) for item in openinference[1]]
        return request, answers or None
    found = _conventions(attributes)
    if found[0] is not None:
        return found
    for event in _events(row):
        if (found := _conventions(event[1]))[0] is not None:
            return found
    prompts = _listed(_dig(tree, "gen_ai", "prompt"))
    if prompts:
        completions = _listed(_dig(tree, "gen_ai", "completion"))
        return {"messages": [_read_indexed(item) for item in prompts]}, [
            _read_indexed(item) for item in completions
        ] or None
    asked, answered = _read_events(row)
    if asked:
        return {"messages": asked}, answered
    return parse_text(attributes.get("input.value")), attributes.get("output.value")


def _conventions(attributes: Node) -> tuple[Json, Json]:
    asked = parse_text(attributes.get("gen_ai.input.messages"))
    if not isinstance(asked, list):
        return None, None
    system = parse_text(attributes.get("gen_ai.system_instructions"))
    above: list[Json] = [{"role": "system", "parts": system}] if isinstance(system, list) and system else []
    above = [{"role": "system", "content": system}] if isinstance(system, str) and system else above
    request: Node = {"messages": [*above, *asked]}
    tools = parse_text(attributes.get("gen_ai.tool.definitions"))
    if isinstance(tools, list) and tools:
        request["tools"] = tools
    answered = parse_text(attributes.get("gen_ai.output.messages"))
    return request, answered if answered else None


def _read_message(item: Json) -> Json:
    """A message of OpenInference."""
    message = _dig(item, "message")
    node = message if isinstance(message, dict) else {}
    calls = [_dig(call, "tool_call") for call in _listed(node.get("tool_calls"))]
    said: Node = {"role": node.get("role") or "assistant", "content": node.get("content")}
    if said["content"] is None and node.get("contents"):
        said["content"] = [_read_content(part) for part in _listed(node["contents"])]
    said |= {name: node[name] for name in ("tool_call_id", "name") if node.get(name)}
    return said | ({"tool_calls": cast(Json, calls)} if calls else {})


def _read_content(part: Json) -> Json:
    inner = _dig(part, "message_content")
    if isinstance(inner, dict) and inner.get("type") == "image":
        return {"type": "image_url", "image_url": {"url": _dig(inner, "image", "image", "url")}}
    return {"type": "text", "text": inner.get("text") if isinstance(inner, dict) else None}


def _read_indexed(item: Json) -> Json:
    """A message of the conventions' first form, which OpenLLMetry still writes."""
    node = item if isinstance(item, dict) else {}
    said: Node = {"role": node.get("role") or "assistant", "content": parse_parts(node.get("content"))}
    if node.get("tool_call_id"):
        said["tool_call_id"] = node["tool_call_id"]
    calls = [
        {"id": call.get("id"), "name": call.get("name"), "arguments": call.get("arguments")}
        for call in _listed(node.get("tool_calls"))
        if isinstance(call, dict)
    ]
    return said | ({"tool_calls": cast(Json, calls)} if calls else {})


def parse_parts(content: Json) -> Json:
    """A list of parts that was written as text; any other text as it is."""
    parsed = parse_text(content)
    is_parts = isinstance(parsed, list) and all(isinstance(part, dict) and "type" in part for part in parsed)
    return parsed if is_parts and parsed else content


def _events(row: Node) -> Iterator[tuple[str, Node]]:
    events = parse_text(row.get("events"))
    for event in events if isinstance(events, list) else []:
        if isinstance(event, dict):
            yield str(event.get("name") or ""), _attributes(event)


def _read_events(row: Node) -> tuple[list[Json], Json]:
    asked: list[Json] = []
    answered: Json = None
    for name, attributes in _events(row):
        body = {key.removeprefix("gen_ai.event."): parse_text(value) for key, value in attributes.items()}
        if name in SPEAKERS:
            role = str(body.get("role") or SPEAKERS[name])
            kept = {key: body[key] for key in ("tool_calls", "content") if body.get(key) is not None}
            extra = {"tool_call_id": body["id"]} if role == "tool" and body.get("id") else {}
            content = attributes.get("content")
            asked.append({"role": role} | kept | extra | ({"content": content} if isinstance(content, str) else {}))
        elif name == "gen_ai.choice" and answered is None:
            message = body.get("message", body)
            content = message if isinstance(message, dict) else {"content": message}
            answered = [{"role": "assistant", "finish_reason": body.get("finish_reason")} | content]
        elif name == "gen_ai.content.prompt":
            prompt = body.get("gen_ai.prompt")
            asked += prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        elif name == "gen_ai.content.completion":
            answered = body.get("gen_ai.completion")
    return asked, answered


def _is_failed(row: Node) -> bool:
    status = parse_text(row.get("status"))
    if isinstance(status, dict):
        return status.get("code", status.get("status_code")) in (2, "2", "STATUS_CODE_ERROR", "ERROR")
    return row.get("status_code") == "ERROR"


def _key(row: Node) -> str:
    context = row.get("context")
    place = context if isinstance(context, dict) else row
    names = (("trace_id", "traceId", "context.trace_id"), ("span_id", "spanId", "context.span_id"))
    trace, span = (next((place[name] for name in several if place.get(name)), "") for several in names)
    return f"{trace}:{span}" if trace and span else ""


def _time(row: Node) -> str:
    nanoseconds = row.get("startTimeUnixNano")
    if isinstance(nanoseconds, str | int) and str(nanoseconds).isdigit():
        return read_time(int(nanoseconds) / 1e9)
    return read_time(row.get("start_time"))


def _flaw(finish: Json) -> str:
    reasons = parse_text(finish)
    first = reasons[0] if isinstance(reasons, list) and reasons else reasons
    return FLAWS.get({"max_tokens": "length"}.get(str(first), str(first)), "")


def _first(attributes: Node, *names: str) -> Json:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _count(attributes: Node, *names: str) -> int | None:
    return read_count(_first(attributes, *names))


def _dig(node: Json, *path: str) -> Json:
    for name in path:
        if not isinstance(node, dict):
            return None
        node = node.get(name)
    return node


def _listed(node: Json) -> list[Json]:
    """The values of a list whose places are keys, in order."""
    if not isinstance(node, dict) or not all(name.isdigit() for name in node):
        return []
    return [node[name] for name in sorted(node, key=int)]
