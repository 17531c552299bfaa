"""MLflow's traces, of versions 2 and 3: ``{"info": {...}, "data": {"spans": [{"attributes": {"mlflow.spanInputs": ..., ...}}]}}``.

Each span of type CHAT_MODEL or LLM is a row; in a trace without one the root span is, with its function's arguments as input fields. Values of
attributes are JSON texts. A person's assessment of the trace is feedback where it is true or false, and the expectation
``expected_response`` is the gold, where the trace has one such row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from journeyman.core.canonical import Json
from journeyman.core.errors import DataError
from journeyman.data.readers.calls import Noted, parse_text, read_call
from journeyman.data.record import Record, parse_json, read_group, read_time, row_error
from journeyman.models.counts import read_count

INPUTS, OUTPUTS, KIND = "mlflow.spanInputs", "mlflow.spanOutputs", "mlflow.spanType"
CALLS = ("CHAT_MODEL", "LLM")
SESSIONS, USERS = ("mlflow.trace.session",), ("mlflow.trace.user",)
Node = Mapping[str, Json]


def matches(row: Node) -> bool:
    attributes = row.get("attributes")
    return isinstance(attributes, dict) and (INPUTS in attributes or "mlflow.traceRequestId" in attributes)


def is_trace(row: Node) -> bool:
    data = parse_text(row.get("data"))
    spans = data.get("spans") if isinstance(data, dict) else row.get("spans")
    return isinstance(spans, list) and all(isinstance(span, dict) and matches(span) for span in spans) and bool(spans)


def unfold(row: Node) -> list[Json] | None:
    """The spans that are rows, each with the trace's account (``info``)."""
    if not is_trace(row):
        return None
    data = parse_text(row.get("data"))
    spans = data["spans"] if isinstance(data, dict) else row["spans"]
    found = [span for span in spans if isinstance(span, dict)] if isinstance(spans, list) else []
    calls = [span for span in found if _value(span, KIND) in CALLS]
    chosen = calls or [span for span in found if not (span.get("parent_id") or span.get("parent_span_id"))]
    info = row.get("info")
    return [{**span, "info": info, "is_only": len(chosen) == 1} for span in chosen]


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, the span failed, or has no input."""
    status = row.get("status")
    code = status.get("code") if isinstance(status, dict) else row.get("status_code", status)
    if "ERROR" in str(code):
        raise row_error("the recorded call failed", where="status", got=code)
    asked, answered = _value(row, INPUTS), _value(row, OUTPUTS)
    if asked is None:
        raise row_error("this span has no input", where=INPUTS)
    info = row.get("info")
    account = info if isinstance(info, dict) else {}
    feedback, gold = _assess(account.get("assessments")) if row.get("is_only") else ("", None)
    usage = _value(row, "mlflow.chat.tokenUsage")
    counts = usage if isinstance(usage, dict) else {}
    noted = Noted(
        key=_key(row),
        model=str(_value(row, "mlflow.llm.model") or ""),
        time=_time(row.get("start_time_unix_nano", row.get("start_time"))),
        group=read_group(_noted(account, SESSIONS)),
        user=_noted(account, USERS),
        feedback=feedback,
        gold=gold,
        input_tokens=read_count(counts.get("input_tokens")),
        output_tokens=read_count(counts.get("output_tokens")),
    )
    content = {name: value for name, value in row.items() if name not in ("info", "is_only")}
    return read_call(content, asked, answered, noted)


def _value(span: Node, name: str) -> Json:
    attributes = span.get("attributes")
    value = attributes.get(name) if isinstance(attributes, dict) else None
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except DataError:
        return value


def _key(row: Node) -> str:
    context = row.get("context")
    place = context if isinstance(context, dict) else row
    trace, span = place.get("trace_id"), place.get("span_id")
    return f"{trace}:{span}" if trace and span else ""


def _time(value: Json) -> str:
    """Nanoseconds since 1970, as a number or as text."""
    try:
        return read_time(int(value) / 1e9) if isinstance(value, int | str) else ""
    except ValueError:
        return read_time(value)


def _noted(info: Node, keys: Sequence[str]) -> Json:
    for name in ("trace_metadata", "request_metadata"):
        metadata = info.get(name)
        for key in keys:
            if isinstance(metadata, dict) and metadata.get(key):
                return metadata[key]
    return None


def _assess(assessments: Json) -> tuple[str, Json]:
    """Thumb and expected answer."""
    feedback, gold = "", None
    for item in assessments if isinstance(assessments, list) else []:
        if not isinstance(item, dict):
            continue
        source, said, expected = (item.get(name) for name in ("source", "feedback", "expectation"))
        is_human = isinstance(source, dict) and source.get("source_type") == "HUMAN"
        if is_human and isinstance(said, dict) and isinstance(said.get("value"), bool):
            feedback = "up" if said["value"] else "down"
        if isinstance(expected, dict) and item.get("assessment_name", item.get("name")) == "expected_response":
            gold = expected.get("value")
    return feedback, gold
