"""Plain pairs: ``{"input": ..., "output": ..., "gold": ...}`` per line.

``input`` is an object of the task's fields, or plain text for a task with one. ``output`` (the teacher's answer) and
``gold`` (the reviewed one) are JSON values or text; either may be missing. ``id``, ``time`` and ``model`` are optional, and so are
``alternatives`` (other answers, with a weight and the verdict ``chosen`` or ``rejected``) ``feedback`` on the output (``up``, ``down``) and
``group`` (the conversation, document or person that the row comes from).
An ``id`` is the file's own, no provider's: two files may count from 1, so it tells rows apart only as part of their content.
"""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data.record import (
    Record,
    hash_content,
    read_alternatives,
    read_feedback,
    read_group,
    read_target,
    read_time,
    row_error,
)

KNOWN = frozenset({"input", "output", "gold", "alternatives", "feedback", "group", "id", "time", "model"})


def matches(row: Mapping[str, Json]) -> bool:
    return "input" in row


def read(row: dict[str, Json]) -> Record:
    """Raises: DataError: JM-311, ``input`` is neither text nor an object."""
    fields = row["input"]
    if not isinstance(fields, str | dict):
        raise row_error("input is neither text nor an object of fields", where="input", got=fields)
    return Record(
        key="",
        content=hash_content(row),
        input=fields,
        output=read_target(row.get("output")),
        gold=read_target(row.get("gold")),
        alternatives=read_alternatives(row.get("alternatives")),
        feedback=read_feedback(row.get("feedback")),
        group=read_group(row.get("group")),
        model=str(row.get("model") or ""),
        time=read_time(row.get("time")),
        unused=frozenset(row) - KNOWN,
    )
