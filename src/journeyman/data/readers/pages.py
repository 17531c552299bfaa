"""Pages of an API and files that wrap their rows in one object: ``{"data": [...], "meta": ...}``, ``{"traces": [...], "next_page_token": ...}``."""

from __future__ import annotations

from collections.abc import Mapping

from journeyman.core.canonical import Json
from journeyman.data.documents import WRAPPERS

BESIDE = frozenset(
    {
        "meta",
        "next_cursor",
        "next_page_token",
        "nextCursor",
        "page",
        "total",
        "totalItems",
        "count",
        "has_more",
        "object",
    }
)
"""Keys beside the rows that say nothing of them."""


def unfold(row: Mapping[str, Json]) -> list[Json] | None:
    """The rows of a page."""
    names = [name for name in WRAPPERS if isinstance(row.get(name), list)]
    if len(names) != 1 or not row.keys() <= BESIDE | {names[0]}:
        return None
    inner = row[names[0]]
    return inner if isinstance(inner, list) else None
