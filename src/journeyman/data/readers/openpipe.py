"""OpenPipe: entries of a dataset, and reports of requests.

{"messages": [..., {"role": "assistant", ...}], "tools": [...], "split": "TRAIN", "rejected_message": {"role": "assistant", ...}}
{"requestedAt": ..., "reqPayload": {...}, "respPayload": {...}, "statusCode": 200}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from journeyman.core.canonical import Json
from journeyman.core.example import Alternative
from journeyman.data import openai
from journeyman.data.readers.calls import Noted, parse_text, read_call
from journeyman.data.record import Record, hash_content, read_time, row_error

ENTRY = frozenset({"rejected_message", "tool_choice", "split", "criteria"})


def matches(row: Mapping[str, Json]) -> bool:
    return ("messages" in row and bool(ENTRY & row.keys()) and "response" not in row) or "reqPayload" in row


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-310 or JM-311, not this shape, or a request that failed."""
    if "reqPayload" in row:
        return _read_report(row)
    entry: dict[str, Json] = {name: value for name, value in row.items() if name not in ENTRY and value is not None}
    record = openai.read(entry)
    rejected = parse_text(row.get("rejected_message"))
    if rejected is None:
        return replace(record, content=hash_content(row))
    worse = openai.read({"messages": [], "response": rejected}).output
    if worse is None:
        raise row_error("the rejected message has no text", where="rejected_message", got=rejected)
    return replace(record, content=hash_content(row), alternatives=(Alternative(worse, verdict="rejected"),))


def _read_report(row: dict[str, Json]) -> Record:
    status = row.get("statusCode")
    if row.get("errorMessage") or (isinstance(status, int) and status >= 400):
        raise row_error("the recorded call failed", where="statusCode", got=row.get("errorMessage") or status)
    moment = row.get("requestedAt")
    time = read_time(moment / 1000 if isinstance(moment, int | float) else moment)
    return read_call(row, row["reqPayload"], parse_text(row.get("respPayload")), Noted(time=time))
