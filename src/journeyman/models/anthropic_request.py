"""A chat completion request as a request to Anthropic's Messages, which says the same: texts, pictures, tools and their results.

What Messages cannot say is refused by name; what asks for no other answer (seed, user, metadata) is left out. Messages of one role in a row become one message, since
the results of calls that were made together must stand in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import ServeError
from journeyman.core.messages import ImagePart, Message, Part, TextPart, ToolCall, messages_from_openai
from journeyman.models.anthropic_schema import fit_schema

Node = dict[str, Json]
MOST_TOKENS = 4096
"""Of an answer where nobody says: Messages wants a limit, and every model allows this one."""
# Parameter -> the values that ask for nothing.
UNSAID: Mapping[str, tuple[Json, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "web_search_options": (),
    "reasoning_effort": (),
    "verbosity": (),
}
CHOICES: Mapping[str, str] = {"auto": "auto", "required": "any", "none": "none"}


def to_messages(chat: Mapping[str, Json]) -> Node:
    """Raises: ServeError JM-768 it asks for what Messages cannot say. DataError JM-310 not chat messages."""
    for name, harmless in UNSAID.items():
        if chat.get(name) is not None and chat[name] not in harmless:
            raise unsaid(name, f"a request without {name}", chat[name])
    said: Node = {
        name: chat[name] for name in ("model", "temperature", "top_p", "stream") if chat.get(name) is not None
    }
    limits = [chat[name] for name in ("max_completion_tokens", "max_tokens") if chat.get(name) is not None]
    said["max_tokens"] = limits[0] if limits else MOST_TOKENS
    if stop := chat.get("stop"):
        said["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if isinstance(user := chat.get("user"), str):
        said["metadata"] = {"user_id": user}
    said |= write_turns(messages_from_openai(chat.get("messages")))
    return said | write_tools(chat) | _write_format(chat.get("response_format"))


def unsaid(name: str, expected: str, got: object) -> ServeError:
    return ServeError(
        "JM-768",
        f"{name} cannot be asked of this provider, which speaks Anthropic's Messages",
        where=name,
        expected=expected,
        got=f"{got!r:.80}",
        hint=f"leave {name} out, or ask another provider's model",
    )


def write_turns(messages: Iterable[Message]) -> Node:
    """``system`` and ``messages``."""
    system, turns = list[str](), list[Node]()
    for message in messages:
        if message.role in ("system", "developer"):
            system.append(message.text)
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        content = turns[-1]["content"]
        assert isinstance(content, list), "made above"
        content += _write_blocks(message)
    return ({"system": "\n\n".join(system)} if system else {}) | {"messages": [_plain(turn) for turn in turns]}


def write_tools(chat: Mapping[str, Json]) -> Node:
    """``tools`` and ``tool_choice``."""
    tools, choice = chat.get("tools"), chat.get("tool_choice")
    is_single = chat.get("parallel_tool_calls") is False
    if not tools:
        return {}
    if not isinstance(tools, list):
        raise unsaid("tools", "a list of tools", tools)
    said: Node = {"tools": [_write_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]}
    if choice is None and not is_single:
        return said
    picked = _write_choice(choice)
    if is_single and picked["type"] != "none":
        picked["disable_parallel_tool_use"] = True
    return said | {"tool_choice": picked}


def read_arguments(text: str) -> Json:
    """An object, as Messages wants it; what is none stands in one."""
    try:
        parsed: Json = orjson.loads(text or "{}")
    except orjson.JSONDecodeError:
        parsed = text
    return parsed if isinstance(parsed, dict) else {"arguments": parsed}


def _plain(turn: Node) -> Node:
    """One text, or none, stands alone."""
    blocks = turn["content"]
    assert isinstance(blocks, list), "a list until here"
    only = blocks[0] if len(blocks) == 1 else {} if blocks else {"type": "text", "text": ""}
    is_text = isinstance(only, dict) and only.get("type") == "text"
    return turn | ({"content": only["text"]} if isinstance(only, dict) and is_text else {})


def _write_blocks(message: Message) -> list[Json]:
    blocks = [_write_part(part) for part in message.parts if not isinstance(part, TextPart) or part.text]
    if message.role == "tool":
        only_text = all(isinstance(part, TextPart) for part in message.parts)
        content: Json = message.text if only_text else blocks
        return [{"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content}]
    return blocks + [_write_call(call) for call in message.tool_calls]


def _write_part(part: Part) -> Json:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    return {"type": "image", "source": _write_source(part)}


def _write_source(part: ImagePart) -> Json:
    head, _, data = part.url.partition(";base64,")
    if part.url.startswith("data:") and data:
        return {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}
    if part.url.startswith(("https://", "http://")):
        return {"type": "url", "url": part.url}
    raise unsaid("image_url", "an address, or data:...;base64,...", part.url or part.blob)


def _write_call(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": read_arguments(call.arguments)}


def _write_tool(tool: Json, where: str) -> Json:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise unsaid(where, "a tool of type function, with its name", tool)
    said: Node = {"name": function["name"], "input_schema": function.get("parameters") or {"type": "object"}}
    return said | {name: function[name] for name in ("description", "strict") if function.get(name)}


def _write_choice(choice: Json) -> Node:
    if choice is None or isinstance(choice, str):
        if (choice or "auto") in CHOICES:
            return {"type": CHOICES[choice or "auto"]}
    elif isinstance(choice, dict) and isinstance(function := choice.get("function"), dict):
        return {"type": "tool", "name": function.get("name")}
    raise unsaid("tool_choice", "auto, required, none, or a function by its name", choice)


def _write_format(form: Json) -> Node:
    kind = form.get("type") if isinstance(form, dict) else None
    if form is None or kind == "text":
        return {}
    holder = form.get("json_schema") if isinstance(form, dict) and kind == "json_schema" else None
    schema = holder.get("schema") if isinstance(holder, dict) else None
    fitted = fit_schema(schema) if isinstance(schema, dict) else None
    if fitted is None:
        raise unsaid("response_format", "a json_schema whose objects are all closed and do not hold themselves", form)
    return {"output_config": {"format": {"type": "json_schema", "schema": fitted}}}
