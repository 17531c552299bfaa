"""Counts of tokens as providers tell them, which may be anything."""

from __future__ import annotations

MOST = 2**53
"""More than that no number of JSON tells exactly, and no column holds much more."""


def read_count(raw: object) -> int | None:
    """None where it is no count."""
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 <= raw <= MOST else None
