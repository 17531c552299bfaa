"""Numbers of spreadsheets as people see them: without the noise of binary fractions."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | datetime | date | time | timedelta"
DIGITS = 15  # what Excel keeps
PLAIN_BELOW, PLAIN_FROM = 1e21, 1e-9


def write_value(value: Value) -> str:
    """Dates as ISO 8601, ``TRUE`` and ``FALSE``, numbers with at most 15 digits."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return _write(float(value))
    if isinstance(value, datetime):
        is_day = value.time() == time(0)
        return value.date().isoformat() if is_day else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, timedelta):
        return _write_length(value)
    return value.isoformat()


def write_number(text: str) -> str:
    """The same for a number that is written as text; anything else as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return write_value(value) if math.isfinite(value) and len(text) > DIGITS else text


def _write(value: float) -> str:
    short = f"{value:.{DIGITS}g}"
    if "e" in short and PLAIN_FROM <= abs(value) < PLAIN_BELOW:
        return f"{Decimal(short):f}"
    return "0" if short == "-0" else short


def _write_length(value: timedelta) -> str:
    """Hours may be more than 24, as a spreadsheet shows them."""
    seconds = round(value.total_seconds())
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
