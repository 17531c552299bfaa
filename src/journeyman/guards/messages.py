"""Redaction of messages and tool calls, for the record."""

from __future__ import annotations

from dataclasses import replace

from journeyman.core.messages import ImagePart, Message, Part, TextPart, ToolCall
from journeyman.guards.redact import Redactor


def redact_message(message: Message, redactor: Redactor) -> Message:
    """Its texts, the addresses of its pictures, and the arguments of its calls."""
    parts = tuple(_redact_part(part, redactor) for part in message.parts)
    return replace(message, parts=parts, tool_calls=redact_calls(message.tool_calls, redactor))


def redact_calls(calls: tuple[ToolCall, ...], redactor: Redactor) -> tuple[ToolCall, ...]:
    return tuple(replace(call, arguments=redactor.text(call.arguments)) for call in calls)


def _redact_part(part: Part, redactor: Redactor) -> Part:
    if isinstance(part, ImagePart):
        return replace(part, url=redactor.text(part.url)) if part.url else part
    return TextPart(redactor.text(part.text))
