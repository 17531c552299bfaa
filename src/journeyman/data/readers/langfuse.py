"""Langfuse: observations and traces, as its API gives them, and its exports to files (JSON, JSONL, CSV) and to blob storage.

    {"id", "traceId", "type": "GENERATION", "input", "output", "model", "usageDetails", "startTime", "level", ...}
    {"id", "timestamp", "sessionId", "input", "output", "observations": [...], ...}

Names are those of the API or, in exports to blob storage, the same with underscores. Of a trace with whole generations each of these is
a row; of another trace its own input and output. Observations of other types are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data.readers.calls import Noted, parse_text, read_call
from journeyman.data.record import Record, read_group, read_time, row_error
from journeyman.models.counts import read_count

CALLS = ("GENERATION", "")
THUMBS = ("user-feedback", "user_feedback", "feedback", "thumbs")
"""Names of scores that people give with a thumb, in Langfuse's own examples."""


def matches(row: Mapping[str, Json]) -> bool:
    if "input" not in row or "output" not in row:
        return False
    return _is_observation(row) or (_get(row, "timestamp") is not None and _has(row, "sessionId"))


def unfold(row: Mapping[str, Json]) -> list[Json] | None:
    """The generations of a trace that has them whole, with its session and its scores."""
    observations = row.get("observations")
    if not isinstance(observations, list) or not matches(row):
        return None
    kept = {name: row[name] for name in ("sessionId", "session_id", "userId", "user_id", "scores") if row.get(name)}
    found = [item for item in observations if isinstance(item, dict) and item.get("type") == "GENERATION"]
    return [{"traceId": row.get("id")} | kept | item for item in found] or None


def read(row: dict[str, Json]) -> Record | None:
    """Raises: DataError: JM-310 or JM-311, a failed call, or nothing that was asked."""
    if _is_observation(row) and str(_get(row, "type") or "").upper() not in CALLS:
        return None
    if str(_get(row, "level") or "").upper() == "ERROR":
        raise row_error("the recorded call failed", where="level", got=_get(row, "statusMessage"))
    asked = parse_text(_get(row, "input"))
    if asked is None or asked == "":
        raise row_error("this row has no input", where="input", expected="an export with input and output")
    answered = _get(row, "output")
    usage = parse_text(_get(row, "usageDetails") or _get(row, "usage"))
    counts = usage if isinstance(usage, dict) else {}
    noted = Noted(
        key=str(_get(row, "id") or ""),
        model=str(next((_get(row, name) for name in ("model", "providedModelName", "modelId") if _get(row, name)), "")),
        time=read_time(_get(row, "startTime") or _get(row, "timestamp")),
        group=read_group(_get(row, "sessionId") or None),
        user=_get(row, "userId"),
        feedback=_thumb(row.get("scores")),
        input_tokens=read_count(counts.get("input", counts.get("promptTokens"))),
        output_tokens=read_count(counts.get("output", counts.get("completionTokens"))),
    )
    return read_call(row, asked, None if answered == "" else _unquote(answered), noted)


def _is_observation(row: Mapping[str, Json]) -> bool:
    return _has(row, "traceId") and (_has(row, "type") or _has(row, "startTime"))


def _get(row: Mapping[str, Json], name: str) -> Json:
    return row[name] if name in row else row.get(_blob_name(name))


def _has(row: Mapping[str, Json], name: str) -> bool:
    return name in row or _blob_name(name) in row


def _blob_name(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _unquote(value: Json) -> Json:
    """CSV and blobs hold a text as JSON, in quotes."""
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        inner = parse_text(f"[{value}]")
        return inner[0] if isinstance(inner, list) and len(inner) == 1 else value
    return value


def _thumb(scores: Json) -> str:
    scored = parse_text(scores)
    for score in scored if isinstance(scored, list) else []:
        if isinstance(score, dict) and score.get("name") in THUMBS and score.get("value") in (0, 1, -1):
            return "up" if score["value"] == 1 else "down"
    return ""
