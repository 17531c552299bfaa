"""Providers that calls are passed on to, and what is read of such a call for the record.

gpt-5            the default provider's model
other/gpt-5      the model of the provider named other
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from journeyman.core.canonical import Json
from journeyman.core.example import Target, text_target
from journeyman.core.messages import Message, ToolCall
from journeyman.models.breaker import Breaker


def call_usd(
    per_million: tuple[float, float] | None, input_tokens: int | None, output_tokens: int | None
) -> float | None:
    """US dollars of one call, by the prices of a million input and output tokens; None where prices or tokens are not known."""
    if per_million is None or input_tokens is None or output_tokens is None:
        return None
    return (input_tokens * per_million[0] + output_tokens * per_million[1]) / 1e6


@dataclass(frozen=True, slots=True)
class Point:
    """``url`` ends before ``/chat/completions``. Without a ``key`` the client's own is passed on. ``usd_per_million`` is the price of input and output tokens."""

    name: str
    url: str
    key: str = field(default="", repr=False)
    usd_per_million: tuple[float, float] | None = None
    breaker: Breaker | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says, as far as it can be read: no ``messages`` where it cannot."""

    messages: tuple[Message, ...] = ()
    tools: tuple[Mapping[str, Json], ...] = ()
    schema: Mapping[str, Json] | None = None


@dataclass(slots=True)
class Heard:
    """What a reply says; filled in piece by piece while it streams."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def target(self) -> Target | None:
        if self.tool_calls:
            return Target("tool_calls", tool_calls=self.tool_calls)
        return text_target(self.text) if self.text else None
