from __future__ import annotations

import dataclasses
import json

from hypothesis import given

from journeyman.core.canonical import Json, dump
from journeyman.core.trace import Trace
from tests.core.strategies import TRACES


@given(TRACES)
def test_a_trace_survives_json(trace: Trace) -> None:
    assert Trace.from_json(json.loads(json.dumps(trace.to_json()))) == trace


@given(TRACES)
def test_a_trace_survives_canonical_json(trace: Trace) -> None:
    assert Trace.from_json(json.loads(dump(trace.to_json()))) == trace


@given(TRACES)
def test_every_field_is_written(trace: Trace) -> None:
    assert list(trace.to_json()) == [field.name for field in dataclasses.fields(Trace)]


def test_a_trace_of_the_first_edition_opens() -> None:
    """Only what was always there: later fields have defaults."""
    raw: dict[str, Json] = {
        "id": "t1",
        "task": "tickets",
        "time": "2026-11-21T10:15:00Z",
        "origin": "serve",
        "input": {"message": "a"},
    }
    trace = Trace.from_json(raw)
    assert trace == Trace("t1", "tickets", "2026-11-21T10:15:00Z", "serve", {"message": "a"}, (), None)
    assert (trace.status, trace.terms, trace.input_tokens) == ("ok", "unknown", None)


def test_zero_tokens_and_zero_cost_are_not_unknown() -> None:
    trace = Trace("t1", "tickets", "", "serve", {}, (), None, input_tokens=0, cost_usd=0.0, latency_ms=0.0)
    back = Trace.from_json(json.loads(json.dumps(trace.to_json())))
    assert (back.input_tokens, back.cost_usd, back.latency_ms) == (0, 0.0, 0.0)
