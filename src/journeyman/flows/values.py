"""The value that a row's answer has in a field."""

from __future__ import annotations

from journeyman.core.canonical import Json
from journeyman.core.example import Example


def read_value(row: Example, field: str) -> Json:
    """Of the row's answer; the whole of it under the name ""."""
    value = row.answer.value if row.answer is not None else None
    return value.get(field) if field and isinstance(value, dict) else value
