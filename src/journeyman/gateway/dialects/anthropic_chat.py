"""Anthropic's Messages request as a chat completion request, which says the same: texts, pictures, tools and their results.

What a chat completion cannot say is refused by name; what changes no answer (cache marks, thinking of earlier turns) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.models.anthropic_turns import read_format, read_tool, read_turns, wrong

UNSAID = ("top_k", "mcp_servers", "container", "context_management")
SAME = ("model", "temperature", "top_p", "stream")
CHOICES: Mapping[str, Json] = {"auto": "auto", "any": "required", "none": "none"}
Node = dict[str, Json]


def to_chat(raw: Json) -> Node:
    """Raises: ServeError JM-763 not a Messages request, or more than a chat completion says."""
    if not isinstance(raw, dict):
        raise wrong("body", "a JSON object", raw)
    for name in UNSAID:
        if raw.get(name):
            raise wrong(name, f"a request without {name}", raw[name])
    thinking = raw.get("thinking")
    if thinking is not None and not (isinstance(thinking, dict) and thinking.get("type") == "disabled"):
        raise wrong("thinking", "a request without thinking", thinking)
    most = raw.get("max_tokens")
    if type(most) is not int or most < 1:
        raise wrong("max_tokens", "a whole number from 1 on", most)
    chat: Node = {name: raw[name] for name in SAME if raw.get(name) is not None}
    chat |= {"messages": read_turns(raw), "max_completion_tokens": most}
    if raw.get("stop_sequences"):
        chat["stop"] = raw["stop_sequences"]
    metadata = raw.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("user_id"), str):
        chat["user"] = metadata["user_id"]
    return chat | _read_tools(raw) | read_format(raw)


def _read_tools(raw: Node) -> Node:
    tools, choice = raw.get("tools"), raw.get("tool_choice")
    found: Node = {}
    if tools:
        if not isinstance(tools, list):
            raise wrong("tools", "a list of tools", tools)
        found["tools"] = [read_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools)]
    if choice is not None:
        if not isinstance(choice, dict) or choice.get("type") not in (*CHOICES, "tool"):
            raise wrong("tool_choice", "an object of type auto, any, tool or none", choice)
        kind = str(choice["type"])
        named: Json = {"type": "function", "function": {"name": choice.get("name")}}
        found["tool_choice"] = named if kind == "tool" else CHOICES[kind]
        if choice.get("disable_parallel_tool_use") is True:
            found["parallel_tool_calls"] = False
    return found
