"""Exports that are recognised and cannot be imported: another table of a tool, another version, another tool's traces. Each with what to export instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError

Row = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Unreadable:
    name: str
    matches: Callable[[Row], bool]
    expected: str
    hint: str


def refuse(row: Row, where: str) -> None:
    """Raises: DataError: JM-313, the row is of one of these forms."""
    for kind in KINDS:
        if kind.matches(row):
            raise DataError(
                "JM-313",
                f"{kind.name} cannot be imported",
                where=where,
                expected=kind.expected,
                got=f"the keys {', '.join(list(row)[:8])}",
                hint=kind.hint,
            )


def _has(*names: str) -> Callable[[Row], bool]:
    return lambda row: all(name in row for name in names)


def _is_jaeger(row: Row) -> bool:
    data = row.get("data")
    first = data[0] if isinstance(data, list) and data else row
    return isinstance(first, dict) and "traceID" in first and "spans" in first


def _is_trace_of_mlflow(row: Row) -> bool:
    info, data = row.get("info"), row.get("data")
    return isinstance(info, dict) and isinstance(data, dict) and ("request_id" in info or "trace_id" in info)


SPANS = 'spans as OTLP\'s JSON ({"resourceSpans": [...]}) or as Phoenix gives them'
KINDS = (
    Unreadable("OTLP's log records", _has("resourceLogs"), SPANS, "export the traces, not the logs"),
    Unreadable("OTLP's metrics", _has("resourceMetrics"), SPANS, "export the traces, not the metrics"),
    Unreadable(
        "Jaeger's own JSON",
        _is_jaeger,
        SPANS,
        "export the traces over OTLP, for instance by a collector's file exporter",
    ),
    Unreadable("Zipkin's spans", _has("traceId", "localEndpoint"), SPANS, "export the traces over OTLP"),
    Unreadable(
        "a trace of MLflow without inputs and outputs of its spans",
        _is_trace_of_mlflow,
        "traces of version 2 or 3, whose spans have mlflow.spanInputs and mlflow.spanOutputs",
        "write them with Trace.to_json() of mlflow.search_traces(include_spans=True)",
    ),
    Unreadable(
        "Langfuse's scores",
        lambda row: (
            ("dataType" in row or "data_type" in row) and ("traceId" in row or "trace_id" in row) and "value" in row
        ),
        "observations or traces, with input and output",
        "export the table of observations",
    ),
    Unreadable(
        "TensorZero's table ModelInference",
        _has("raw_request", "raw_response", "inference_id"),
        "rows of ChatInference or JsonInference, with function_name, input and output",
        "export those tables, or list the inferences by the API",
    ),
    Unreadable(
        "TensorZero's feedback",
        lambda row: "target_id" in row and "metric_name" in row,
        "rows of ChatInference or JsonInference",
        "export the inferences",
    ),
    Unreadable(
        "results of a batch of Anthropic's, which do not say what was asked,",
        lambda row: "custom_id" in row and isinstance(row.get("result"), dict),
        '{"request": {...}, "response": {"type": "message", ...}}',
        "join each result with its request by custom_id",
    ),
    Unreadable(
        "results of a batch of OpenAI's, which do not say what was asked,",
        lambda row: (
            "custom_id" in row
            and isinstance(row.get("response"), dict)
            and not ("body" in row or "request" in row or "messages" in row)
        ),
        '{"request": {...}, "response": {...}}',
        "join each result with its request by custom_id",
    ),
)
