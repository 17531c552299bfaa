"""Providers that calls are passed on to, and what is read of such a call for the record.

gpt-5            the default provider's model
other/gpt-5      the model of the provider named other
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from journeyman.core.canonical import Json
from journeyman.core.example import Target, text_target
from journeyman.core.messages import Message, ToolCall
from journeyman.core.providers import Kind, Price, find_price
from journeyman.models.breaker import Breaker


def call_usd(
    per_million: tuple[float, float] | None, input_tokens: float | None, output_tokens: int | None
) -> float | None:
    """US dollars of one call, by the prices of a million input and output tokens; None where prices or tokens are not known."""
    if per_million is None or input_tokens is None or output_tokens is None:
        return None
    return (input_tokens * per_million[0] + output_tokens * per_million[1]) / 1e6


class Replied(Protocol):
    """A reply under way: an HTTP client's, or one that reads like it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> Arriving: ...

    async def read(self) -> bytes: ...

    def close(self) -> None: ...


class Arriving(Protocol):
    def iter_any(self) -> AsyncIterable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Point:
    """``url`` ends before ``/chat/completions`` or ``/messages``. Without a ``key`` the client's own is passed on. ``usd_per_million`` is the price of input and output tokens;
    ``prices`` are those of models, by name or pattern, and where they are stated a budget pays for no other model. ``ask`` answers instead of the address."""

    name: str
    url: str
    key: str = field(default="", repr=False)
    usd_per_million: Price | None = None
    breaker: Breaker | None = field(default=None, repr=False, compare=False)
    kind: Kind = "openai"
    prices: Mapping[str, Price] | None = None
    ask: Callable[[Mapping[str, Json]], Awaitable[Replied]] | None = field(default=None, repr=False, compare=False)

    def price(self, model: str) -> Price | None:
        """As far as it is known."""
        return find_price(self.prices or {}, model) or self.usd_per_million

    def stated_price(self, model: str) -> Price | None:
        """The one that a budget counts on."""
        return self.usd_per_million if self.prices is None else find_price(self.prices, model)


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
    priced_tokens: float | None = None
    """Input tokens by what they cost, where that is not what they are: those of a cache cost less, or more."""
    cache: Mapping[str, int] = field(default_factory=dict)
    """Input tokens that were ``read`` from the provider's cache, or ``written`` to it."""

    @property
    def target(self) -> Target | None:
        if self.tool_calls:
            return Target("tool_calls", tool_calls=self.tool_calls)
        return text_target(self.text) if self.text else None
