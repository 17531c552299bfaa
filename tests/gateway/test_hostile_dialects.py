"""Requests that are nearly right: each is read, or refused with one of our errors, and what is read for the record never fails."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from journeyman.core.errors import JourneymanError
from journeyman.gateway.dialects.anthropic import MESSAGES
from journeyman.gateway.dialects.chat import CHAT
from journeyman.gateway.dialects.dialect import Dialect
from journeyman.gateway.dialects.responses import RESPONSES
from journeyman.gateway.dialects.text import TEXT
from tests.gateway.test_messages import TALK, TOOL
from tests.gateway.test_responses import CALL

ODD: list[Any] = [None, True, 0, -1, 1e308, "", "x", [], {}, [[]], [{}], [None], {"type": "text"}, {"type": []}]
FORM = {"format": {"type": "json_schema", "name": "n", "schema": {}}}
SAID = [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}]
REQUESTS: list[tuple[Dialect, dict[str, Any]]] = [
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}], "stop": ["x"], "stream_options": {}}),
    (TEXT, {"model": "m", "prompt": ["x"], "max_tokens": 4, "n": 1, "logprobs": 2, "stop": ["x"], "suffix": ""}),
    (
        MESSAGES,
        {
            "model": "m",
            "max_tokens": 5,
            "system": [{"type": "text", "text": "x"}],
            "messages": TALK,
            "tools": [TOOL],
            "tool_choice": {"type": "tool", "name": "send"},
            "metadata": {"user_id": "u"},
            "output_config": FORM,
        },
    ),
    (RESPONSES, {"model": "m", "input": SAID, "instructions": "x", "text": FORM, "max_output_tokens": 5}),
    (RESPONSES, {"model": "m", "input": [*SAID, CALL], "tools": [{"type": "function", "name": "n"}]}),
]


def places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key in node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
        yield (*place, key)
        yield from places(node[key], (*place, key))


def spoil(draw: random.Random, request: dict[str, Any]) -> dict[str, Any]:
    spoilt = copy.deepcopy(request)
    for _ in range(draw.randint(0, 2)):
        *path, last = draw.choice(list(places(spoilt)) or [("x",)])
        node = spoilt
        for key in path:
            node = node[key]
        node[last] = copy.deepcopy(draw.choice(ODD))
    return spoilt


@pytest.mark.parametrize(("dialect", "request_"), REQUESTS)
def test_it_is_read_or_refused(dialect: Dialect, request_: dict[str, Any]) -> None:
    draw, outcomes = random.Random(5), Counter[str]()
    for _ in range(1500):
        raw = spoil(draw, request_)
        try:
            dialect.read(raw)
            outcomes["read"] += 1
        except JourneymanError as error:
            outcomes[error.code] += 1
        try:
            body, wire = dialect.pass_on(raw)
            asked = wire.read_asked(body)
            outcomes["asked"] += bool(asked.messages)
            wire.bound(body)
        except JourneymanError as error:
            assert error.code in ("JM-763", "JM-767")  # noqa: PT017
    assert outcomes["asked"] > 100
    assert len(outcomes) > 1
