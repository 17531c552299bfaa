"""Numbers of a running server for Prometheus: a call counts once its trace is stored.

The names of tasks are labels; those of other models are not, since callers choose them and each would be a series of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector

from journeyman.core.canonical import Json
from journeyman.core.trace import Trace
from journeyman.models.standby import EngineState

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
OTHER = "(another model)"
WORKERS = (
    ("warm", "warm", "Whether the weights are in memory"),
    ("waiting", "waiting", "Calls that wait for the worker to start or to wake"),
    ("bytes", "memory_bytes", "What the worker holds while it is awake"),
    ("starts", "starts", "Starts since the server's own"),
    ("wakes", "wakes", "Wakes since the server's start"),
    ("crashes", "crashes", "Workers that ended by themselves since the server's start"),
)
KIND = CONTENT_TYPE_LATEST
F = TypeVar("F", Counter, Histogram)


class Metrics:
    """A registry of its own: two servers in one process do not count together."""

    def __init__(self, count_spans: Callable[[], Mapping[str, int]] | None = None) -> None:
        """``count_spans``: OpenTelemetry spans by what became of them."""
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
        self._workers = {
            name: Gauge(f"journeyman_worker_{called}", what, ("weights",), registry=self._registry)
            for name, called, what in WORKERS
        }
        self._series: dict[tuple[object, tuple[str, ...]], object] = {}
        ProcessCollector(registry=self._registry)
        if count_spans is not None:
            self._registry.register(_SpanCounts(count_spans))

    def observe(self, trace: Trace) -> None:
        task = OTHER if trace.task.startswith("model:") else trace.task
        route = trace.verdicts.get("route")
        said = cast(Mapping[str, Json], route) if isinstance(route, Mapping) else {}
        by = str(said.get("by") or ("teacher" if trace.origin == "audit" else "student"))
        why = str(said.get("why") or trace.origin)
        self._find(self._calls, task, by, why, trace.origin, trace.status).inc()
        if trace.latency_ms is not None:
            self._find(self._seconds, task, by).observe(trace.latency_ms / 1000)
        for side, tokens in (("input", trace.input_tokens), ("output", trace.output_tokens)):
            if tokens:
                self._find(self._tokens, task, by, side).inc(tokens)
        if trace.cost_usd:
            self._find(self._usd, task).inc(trace.cost_usd)

    def _find(self, family: F, *labels: str) -> F:
        """The series; finding it in the family again takes longer than counting."""
        place = family, labels
        if (series := self._series.get(place)) is None:
            series = self._series[place] = family.labels(*labels)
        return cast(F, series)

    def write(self, waiting: int, engines: Sequence[EngineState] = ()) -> bytes:
        """In Prometheus' text format; ``waiting`` traces are not stored yet."""
        for name, gauge in self._workers.items():
            gauge.clear()
            for item in engines:
                gauge.labels(item.name).set(float(item.state == "warm" if name == "warm" else getattr(item, name)))
        self._waiting.set(waiting)
        return generate_latest(self._registry)


class _SpanCounts(Collector):
    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "journeyman_spans",
            "OpenTelemetry spans: sent, refused by the collector, calls without any",
            labels=("outcome",),
        )
        for outcome, count in self._count().items():
            family.add_metric((outcome,), count)
        yield family
