"""Numbers of a running server for Prometheus: a call counts once its trace is stored.

The names of tasks are labels; those of other models are not, since callers choose them and each would be a series of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from journeyman.core.canonical import Json
from journeyman.core.trace import Trace

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OTHER = "(another model)"
KIND = CONTENT_TYPE_LATEST


class Metrics:
    """A registry of its own: two servers in one process do not count together."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        call = ("task", "by", "why", "origin")
        self._calls = Counter(
            "journeyman_calls", "Calls that were answered or refused", (*call, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "journeyman_call_seconds",
            "From the call to its stored trace",
            ("task", "by"),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._tokens = Counter(
            "journeyman_tokens", "Tokens, as the model counted them", ("task", "by", "side"), registry=self._registry
        )
        self._usd = Counter(
            "journeyman_cost_usd", "US dollars, by the stated prices", ("task",), registry=self._registry
        )
        self._waiting = Gauge(
            "journeyman_records_waiting", "Traces that wait for the next commit", registry=self._registry
        )
        ProcessCollector(registry=self._registry)

    def observe(self, trace: Trace) -> None:
        task = OTHER if trace.task.startswith("model:") else trace.task
        route = trace.verdicts.get("route")
        said = cast(Mapping[str, Json], route) if isinstance(route, Mapping) else {}
        by = str(said.get("by") or ("teacher" if trace.origin == "audit" else "student"))
        why = str(said.get("why") or trace.origin)
        self._calls.labels(task, by, why, trace.origin, trace.status).inc()
        if trace.latency_ms is not None:
            self._seconds.labels(task, by).observe(trace.latency_ms / 1000)
        for side, tokens in (("input", trace.input_tokens), ("output", trace.output_tokens)):
            if tokens:
                self._tokens.labels(task, by, side).inc(tokens)
        if trace.cost_usd:
            self._usd.labels(task).inc(trace.cost_usd)

    def write(self, waiting: int) -> bytes:
        """In Prometheus' text format; ``waiting`` traces are not stored yet."""
        self._waiting.set(waiting)
        return generate_latest(self._registry)
