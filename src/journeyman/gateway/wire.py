"""How calls of one kind are passed on: where to, what bounds their answer, and what of request and reply is read for the record.

Reading is never an error, since what cannot be read is still answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError
from journeyman.gateway.points import Asked, Heard

Bound = tuple[int, Mapping[str, Json]]
"""The most output tokens that a request can cost, and what has to be added to it so that this holds; None takes away."""


class Hears(Protocol):
    """Reads a streamed reply, chunk by chunk."""

    def add(self, chunk: Json) -> None: ...

    def end(self) -> Heard: ...


class Shows(Protocol):
    """Writes what the client gets of a stream; no bytes where it gets nothing."""

    def show(self, event: bytes, chunk: Json) -> bytes: ...

    def fail(self, error: JourneymanError) -> bytes: ...


def has_list(key: str, raw: Json) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get(key), list)


def has_choices(raw: Json) -> bool:
    return has_list("choices", raw)


@dataclass(frozen=True, slots=True)
class Streaming:
    """``show`` is given the request. ``is_last`` is told the data of an event, and what it says. ``asks_usage``: by ``stream_options``, wherever the client does not."""

    listen: Callable[[], Hears]
    show: Callable[[Mapping[str, Json]], Shows]
    is_last: Callable[[bytes, Json], bool]
    asks_usage: bool = True


@dataclass(frozen=True, slots=True)
class Wire:
    """``path`` follows the provider's address. ``rewrite`` turns a whole reply, by its body and status, into the client's dialect, where that is another.
    ``check`` refuses what callers with keys may not ask."""

    path: str
    read_asked: Callable[[Mapping[str, Json]], Asked]
    read_whole: Callable[[Json], Heard]
    bound: Callable[[Mapping[str, Json]], Bound]
    streaming: Streaming | None = None
    rewrite: Callable[[bytes, int], bytes] | None = None
    check: Callable[[Mapping[str, Json]], None] = lambda _raw: None
    input_factor: Callable[[Mapping[str, Json]], float] = lambda _raw: 1.0
    """How many times its price an input token may cost at the most."""
    is_free: bool = False
    own: tuple[str, Mapping[str, Json]] | None = None
    """The client's own path and request, where it speaks another dialect than the provider."""
    is_answer: Callable[[Json], bool] = has_choices
    """Whether a whole reply of status 200 has what its readers cannot do without."""
