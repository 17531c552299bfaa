"""Whether two values say the same: equal numbers and dates in any writing, texts but for capitals, blanks and signs that differ in form alone."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from journeyman.core.canonical import Json
from journeyman.knowledge.ground.folded import fold


def canonical(value: Json) -> object:
    """Equal for values that say the same; null and empty text say nothing, and so does what holds nothing else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return Decimal(repr(value)).normalize()
    if isinstance(value, str):
        return " ".join(fold(value).text.split()) or None
    if isinstance(value, Mapping):
        said = ((key, canonical(item)) for key, item in value.items())
        return frozenset((key, item) for key, item in said if item is not None) or None
    if isinstance(value, list):
        return tuple(item for item in map(canonical, value) if item is not None) or None
    return None


def is_equal(left: Json, right: Json) -> bool:
    return _type(left) == _type(right) and canonical(left) == canonical(right)


def _type(value: Json) -> str:
    """Yes and one are not the same, though Python says so; nor are the number 1 and the text."""
    return "yes or no" if isinstance(value, bool) else ""
