"""A text that is a JSON document: the texts and numbers in it, which may be replaced without breaking it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from journeyman.core.canonical import Json
from journeyman.core.nodes import write_json
from journeyman.task.verify import read_json

MOST_LEVELS = 100


@dataclass(frozen=True)
class Leaves:
    """``value`` is an object or a list."""

    value: Json

    @cached_property
    def texts(self) -> list[str]:
        """Keys, texts and numbers, in order."""
        return list(_read(self.value))

    def write(self, texts: Sequence[str]) -> str:
        """The document with these in the place of ``texts``; a number that changed becomes text."""
        left = iter(texts)
        return write_json(_replace(self.value, left))

    def under(self, fields: Collection[str]) -> Iterator[str]:
        """The texts in fields of that name."""
        if isinstance(self.value, dict):
            for name in fields:
                if name in self.value:
                    yield from (text for text in _read(self.value[name]) if text)


def open_leaves(text: str) -> Leaves | None:
    """None where it is no object and no list, or nested more deeply than ``MOST_LEVELS``."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        found = Leaves(read_json(text))
        return found if found.texts else None
    except ValueError:
        return None


def _read(value: Json, level: int = 0) -> Iterator[str]:
    """Raises: ValueError: too many levels."""
    if level > MOST_LEVELS:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _read(item, level + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _read(item, level + 1)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield write_json(value)


def _replace(value: Json, left: Iterator[str]) -> Json:
    if isinstance(value, dict):
        return {next(left): _replace(item, left) for item in value.values()}
    if isinstance(value, list):
        return [_replace(item, left) for item in value]
    if isinstance(value, str):
        return next(left)
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = next(left)
        return value if text == write_json(value) else text
    return value
