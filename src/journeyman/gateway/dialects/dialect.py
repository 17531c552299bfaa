"""What a dialect is to the server: requests in, answers and their events out, and what is passed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from journeyman.core.canonical import Json
from journeyman.core.errors import JourneymanError
from journeyman.gateway.answer import Answer
from journeyman.gateway.dialects.openai import ChatRequest
from journeyman.gateway.registry import Routed
from journeyman.gateway.wire import Wire


class Events(Protocol):
    """Writes the server-sent events of one streamed answer: `open`, then pieces of text and the Answer, then `end`, or `fail`."""

    def open(self) -> bytes: ...

    def write(self, item: str | Answer) -> bytes: ...

    def end(self) -> bytes: ...

    def fail(self, error: JourneymanError, status: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """``read`` and ``pass_on`` raise ServeError and DataError for what they cannot take. ``events`` is given the model's name, the trace's id and the request;
    ``pass_on`` gives the body for a provider, and how it goes there; ``adapt`` refuses, or fits, what would answer."""

    read: Callable[[Json], ChatRequest]
    write: Callable[[Answer], Mapping[str, Json]]
    events: Callable[[str, str, ChatRequest], Events]
    pass_on: Callable[[dict[str, Json]], tuple[dict[str, Json], Wire]]
    adapt: Callable[[Routed], Routed] = lambda routed: routed


def data_event(value: Mapping[str, Json]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def named_event(value: Mapping[str, Json]) -> bytes:
    """An event whose name is the ``type`` in it."""
    return b"event: " + str(value["type"]).encode() + b"\n" + data_event(value)
