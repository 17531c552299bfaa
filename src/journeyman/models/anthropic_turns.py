"""The turns, tools and answer format of Anthropic's Messages as those of a chat completion, which say the same: texts, pictures, tools and their results."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError

Node = dict[str, Json]


def read_turns(raw: Node) -> list[Json]:
    """``system`` and ``messages``.

    Raises:
        ServeError: JM-763, they are not Anthropic's.
    """
    messages, system = raw.get("messages"), raw.get("system")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "a list of one or more messages", messages)
    said: list[Json] = [{"role": "system", "content": _join(system, "system")}] if system else []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            raise wrong(where, "an object with role user or assistant, and content", message)
        blocks = _read_blocks(message.get("content"), f"{where}.content")
        said += _read_assistant(blocks) if message["role"] == "assistant" else _read_user(blocks)
    return said


def read_tool(tool: Json, where: str) -> Json:
    """Raises: ServeError: JM-763, no tool of the client's own."""
    if not isinstance(tool, dict) or tool.get("type") not in (None, "custom"):
        raise wrong(where, "a tool of the client's own", tool.get("type") if isinstance(tool, dict) else tool)
    if not isinstance(tool.get("input_schema"), dict):
        raise wrong(f"{where}.input_schema", "a JSON Schema", tool.get("input_schema"))
    function: Node = {"name": _text(tool, "name", where), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def read_format(raw: Node) -> Node:
    """A schema for the answer, by either of the names that Anthropic's API has had for it. Raises ServeError JM-763."""
    config = raw.get("output_config")
    form = config.get("format") if isinstance(config, dict) else raw.get("output_format")
    if form is None:
        return {}
    if not isinstance(form, dict) or form.get("type") != "json_schema" or not isinstance(form.get("schema"), dict):
        raise wrong("output_config.format", "type json_schema, and schema", form)
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}},
    }


def wrong(name: str, expected: str, got: object) -> ServeError:
    return ServeError(
        "JM-763",
        f"{name} is missing or wrong, or not served in Anthropic's dialect here",
        where=name,
        expected=expected,
        got="nothing" if got is None else f"{got!r:.80}",
        hint=f"correct {name}, or leave it out",
    )


def _read_blocks(content: Json, where: str) -> list[tuple[str, Node]]:
    """Each block, and where it stands."""
    if isinstance(content, str):
        return [(where, {"type": "text", "text": content})]
    if not isinstance(content, list):
        raise wrong(where, "text or a list of blocks", content)
    found = []
    for place, block in enumerate(content):
        if not isinstance(block, dict):
            raise wrong(f"{where}[{place}]", "a block with its type", block)
        found.append((f"{where}[{place}]", block))
    return found


def _read_user(blocks: list[tuple[str, Node]]) -> Iterator[Json]:
    """Results of tools are messages of their own, before what the user says besides."""
    parts: list[Json] = []
    for where, block in blocks:
        if block.get("type") == "tool_result":
            content = _join(block.get("content") or "", f"{where}.content")
            yield {"role": "tool", "tool_call_id": _text(block, "tool_use_id", where), "content": content}
        elif block.get("type") == "text":
            parts.append({"type": "text", "text": _text(block, "text", where)})
        elif block.get("type") == "image":
            parts.append({"type": "image_url", "image_url": {"url": _read_picture(block.get("source"), where)}})
        else:
            raise wrong(where, "a block of type text, image or tool_result", block.get("type"))
    if parts:
        yield {"role": "user", "content": _plain(parts)}


def _read_assistant(blocks: list[tuple[str, Node]]) -> Iterator[Json]:
    texts, calls = list[str](), list[Json]()
    for where, block in blocks:
        if block.get("type") == "text":
            texts.append(_text(block, "text", where))
        elif block.get("type") == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            function: Node = {"name": _text(block, "name", where), "arguments": arguments}
            calls.append({"id": _text(block, "id", where), "type": "function", "function": function})
        elif block.get("type") not in ("thinking", "redacted_thinking"):
            raise wrong(where, "a block of type text, tool_use or thinking", block.get("type"))
    said: Node = {"role": "assistant", "content": "".join(texts) or None}
    yield said | ({"tool_calls": calls} if calls else {})


def _read_picture(source: Json, where: str) -> str:
    if isinstance(source, dict):
        if source.get("type") == "base64":
            return f"data:{_text(source, 'media_type', where)};base64,{_text(source, 'data', where)}"
        if source.get("type") == "url":
            return _text(source, "url", where)
    raise wrong(f"{where}.source", "a source of type base64 or url", source)


def _join(content: Json, where: str) -> str:
    """Text, or blocks of text."""
    texts = []
    for place, block in _read_blocks(content, where):
        if block.get("type") != "text":
            raise wrong(place, "a block of type text", block.get("type"))
        texts.append(_text(block, "text", place))
    return "\n".join(texts)


def _plain(parts: list[Json]) -> Json:
    only = parts[0] if len(parts) == 1 else None
    return only["text"] if isinstance(only, dict) and only["type"] == "text" else parts


def _text(node: Node, name: str, where: str) -> str:
    value = node.get(name)
    if not isinstance(value, str):
        raise wrong(f"{where}.{name}", "text", value)
    return value
