"""Redaction of messages and tool calls, for the record."""

from __future__ import annotations

from dataclasses import replace

from journeyman.core.messages import ImagePart, Message, Part, TextPart, ToolCall
from journeyman.guards.redact import Redactor


def redact_message(message: Message, redactor: Redactor) -> Message:
    """Its texts, the addresses of its pictures, and the arguments of its calls."""
    parts = tuple(_redact_part(part, redactor) for part in message.parts)
    calls = redact_calls(message.tool_calls, redactor)
    is_same = parts == message.parts and calls == message.tool_calls
    return message if is_same else replace(message, parts=parts, tool_calls=calls)


def redact_calls(calls: tuple[ToolCall, ...], redactor: Redactor) -> tuple[ToolCall, ...]:
    return tuple(replace(call, arguments=redactor.text(call.arguments)) for call in calls)


def _redact_part(part: Part, redactor: Redactor) -> Part:
    if isinstance(part, ImagePart):
        return replace(part, url=redactor.text(part.url)) if part.url else part
    text = redactor.text(part.text)
    return part if text is part.text else TextPart(text)
