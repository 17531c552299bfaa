"""One protocol for every model: teachers behind a URL, local bases, students.

Nothing here knows a provider. ``complete`` answers one request; ``stream`` yields its text piece by piece.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from journeyman.core.canonical import Json
from journeyman.core.errors import ModelError
from journeyman.core.messages import Message, ToolCall

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Start = Literal["warm", "cold"]


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to decode. ``schema`` constrains the answer; ``schema_name`` is what the wire format calls it.

    ``max_tokens`` None lets the model decide. Temperature 0 is greedy. ``confidence`` asks how sure the model is of its answer.
    """

    schema: Mapping[str, Json] | None = None
    schema_name: str = "answer"
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    confidence: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    messages: tuple[Message, ...]
    decoding: Decoding = Decoding()
    tools: tuple[Mapping[str, Json], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    patience_s: float | None = None
    """The longest that it may wait for a model that is asleep, or busy; None: as long as the model lets calls wait."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Natural-log probability of one generated token, with the alternatives that the model reported."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model is of its answer, from 0 to 1 and before any calibration: of all of it, and of fields by dotted path."""

    whole: float
    fields: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    finish_reason: FinishReason = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_ms: float = 0.0
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    confidence: Confidence | None = None
    start: Start | None = None
    """Whether the model was in memory when it was asked; None where it always is, or is not ours."""


@runtime_checkable
class Sleeps(Protocol):
    """A model that is not always in memory."""

    @property
    def is_warm(self) -> bool: ...


def find_start(model: object) -> Start | None:
    """What a call of it now would be."""
    if not isinstance(model, Sleeps):
        return None
    return "warm" if model.is_warm else "cold"


def refuse_tools(name: str, request: Request) -> None:
    """Raises: ModelError: JM-425 the request has tools, which a student cannot call."""
    if request.tools:
        raise ModelError(
            "JM-425",
            f"{name} cannot call tools",
            expected="a request without tools",
            got=f"{len(request.tools)} tools",
            hint="send this request to the teacher",
        )


class Model(Protocol):
    """Answers messages.

    ``complete`` raises ``ModelError`` or ``ServeError`` with ``retryable`` set when a later try may succeed.
    """

    @property
    def name(self) -> str: ...

    async def complete(self, request: Request) -> Reply: ...

    def stream(self, request: Request) -> AsyncIterator[str]: ...

    async def close(self) -> None: ...
