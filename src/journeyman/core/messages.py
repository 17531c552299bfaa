"""Messages: what is said to a model, as typed parts, independent of any provider's wire format.

Binaries never sit in a message: an ``ImagePart`` names a blob by its hash.
This module knows nothing about prompts, templates or providers beyond the OpenAI shape, which is the lingua franca.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image, by the SHA-256 of its bytes (``blob``) or by the address that the caller gave."""

    blob: str
    media_type: str
    url: str = ""


Part = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for. ``arguments`` is the text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def is_plain_text(self) -> bool:
        return not self.tool_calls and all(isinstance(part, TextPart) for part in self.parts)


def make_message(role: Role, text: str) -> Message:
    return Message(role, (TextPart(text),))


def message_from_openai(raw: object, where: str = "") -> Message:
    """Read one message of the chat-completions shape.

    Raises:
        DataError: JM-310, not that shape.
    """
    if not isinstance(raw, Mapping):
        raise _shape_error(where, "an object with role and content", raw)
    role = raw.get("role")
    if role not in ROLES:
        raise _shape_error(f"{where}.role", " | ".join(ROLES), role)
    return Message(
        role=cast(Role, role),
        parts=_parts_from_openai(raw.get("content"), f"{where}.content"),
        tool_calls=_calls_from_openai(raw.get("tool_calls"), f"{where}.tool_calls"),
        tool_call_id=str(raw.get("tool_call_id") or ""),
        name=str(raw.get("name") or ""),
    )


def message_to_openai(message: Message) -> dict[str, Json]:
    """Write the chat-completions shape; a message of one text part gets plain ``content``."""
    raw: dict[str, Json] = {"role": message.role, "content": _content_to_openai(message)}
    if message.tool_calls:
        raw["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        raw["tool_call_id"] = message.tool_call_id
    if message.name:
        raw["name"] = message.name
    return raw


def messages_from_openai(raw: object, where: str = "messages") -> tuple[Message, ...]:
    if not isinstance(raw, Sequence) or isinstance(raw, str | bytes):
        raise _shape_error(where, "a list of messages", raw)
    return tuple(message_from_openai(item, f"{where}[{index}]") for index, item in enumerate(raw))


def _content_to_openai(message: Message) -> Json:
    if not message.parts:
        return None
    if all(isinstance(part, TextPart) for part in message.parts):
        return message.text
    content: list[Json] = []
    for part in message.parts:
        if isinstance(part, TextPart):
            content.append({"type": "text", "text": part.text})
        else:
            url = part.url or f"blob:{part.blob};{part.media_type}"
            content.append({"type": "image_url", "image_url": {"url": url}})
    return content


def _parts_from_openai(content: object, where: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    if not isinstance(content, Sequence):
        raise _shape_error(where, "text or a list of parts", content)
    return tuple(_part_from_openai(item, f"{where}[{index}]") for index, item in enumerate(content))


def _part_from_openai(raw: object, where: str) -> Part:
    if isinstance(raw, Mapping):
        if raw.get("type") in ("text", "input_text", "output_text") and isinstance(raw.get("text"), str):
            return TextPart(raw["text"])
        image = raw.get("image_url")
        url = image.get("url") if isinstance(image, Mapping) else image
        if raw.get("type") == "image_url" and isinstance(url, str):
            if url.startswith("blob:"):
                blob, _, media_type = url[len("blob:") :].partition(";")
                return ImagePart(blob=blob, media_type=media_type)
            return ImagePart(blob="", media_type="", url=url)
    raise _shape_error(where, "a part of type text or image_url", raw)


def _calls_from_openai(raw: object, where: str) -> tuple[ToolCall, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise _shape_error(where, "a list of tool calls", raw)
    calls = []
    for index, item in enumerate(raw):
        function = item.get("function") if isinstance(item, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise _shape_error(f"{where}[{index}]", "an object with function.name and function.arguments", item)
        calls.append(ToolCall(str(item.get("id") or ""), function["name"], _arguments(function.get("arguments"))))
    return tuple(calls)


def _arguments(raw: object) -> str:
    """Text as it came; some servers log the parsed object, which becomes JSON text again."""
    if isinstance(raw, str):
        return raw
    return "" if raw is None else json.dumps(raw, ensure_ascii=False)


def _shape_error(where: str, expected: str, got: object) -> DataError:
    return DataError("JM-310", "this is not a chat message", where=where, expected=expected, got=f"{got!r:.80}")
