"""A long document in overlapping windows of at most so many tokens, cut between blocks, rows and lines.

A row of a table is never cut where it fits at all, and a window that begins within a table says the table's header first. What is longer than a window by itself (a
paragraph without lines) is cut at a blank near the end. Each window begins later than the one before it, so that there is an end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from journeyman.knowledge.chunk.chunk import Tokens
from journeyman.knowledge.document import Document
from journeyman.knowledge.parse.lines import find_lines

MOST_TOKENS = 1500
OVERLAP_TOKENS = 150


@dataclass(frozen=True, slots=True)
class Window:
    """``text[start:end]`` of the document, under ``header``, the header of the table that it begins within."""

    start: int
    end: int
    header: str = ""

    def read(self, document: Document) -> str:
        text = document.text[self.start : self.end]
        return f"{self.header}\n{text}" if self.header else text


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is not cut: a line, or a piece of one. ``header`` is the span of its table's first line, where that is another one."""

    start: int
    end: int
    header: tuple[int, int] | None = None


def cut_windows(
    document: Document, tokens: Tokens, most: int = MOST_TOKENS, overlap: int = OVERLAP_TOKENS
) -> list[Window]:
    """One window where the document is short enough, none where it is empty."""
    text = document.text
    if not text.strip():
        return []
    if tokens.count(0, len(text)) <= most:
        return [Window(0, len(text))]
    return list(_gather(document, tokens, list(_find_units(document, tokens, most)), most, min(overlap, most // 2)))


def _gather(document: Document, tokens: Tokens, units: Sequence[_Unit], most: int, overlap: int) -> Iterator[Window]:
    first = 0
    while first < len(units):
        header = units[first].header
        left = most - (tokens.count(*header) if header else 0)
        last = first
        while last + 1 < len(units) and tokens.count(units[first].start, units[last + 1].end) <= left:
            last += 1
        yield Window(units[first].start, units[last].end, document.text[slice(*header)] if header else "")
        if last + 1 == len(units):
            return
        after = last + 1
        while after - 1 > first and tokens.count(units[after - 1].start, units[last].end) <= overlap:
            after -= 1
        first = after


def _find_units(document: Document, tokens: Tokens, most: int) -> Iterator[_Unit]:
    """All of the text in order, blank lines left out."""
    place = 0
    for block in document.blocks:
        yield from _cut_lines(document.text, place, block.start, tokens, most)
        if block.end <= place:
            continue
        start = max(place, block.start)
        yield from _cut_lines(document.text, start, block.end, tokens, most, is_table=block.kind == "table")
        place = block.end
    yield from _cut_lines(document.text, place, len(document.text), tokens, most)


def _cut_lines(text: str, start: int, end: int, tokens: Tokens, most: int, is_table: bool = False) -> Iterator[_Unit]:
    if start >= end:
        return
    places = [start + place for place in find_lines(text[start:end])]
    lines = [(first, last) for first, last in pairwise(places) if text[first:last].strip()]
    header = _header(text, lines[0], tokens, most) if is_table and lines else None
    for number, (first, last) in enumerate(lines):
        for piece in _cut_long(text, first, last, tokens, most // 2):
            yield _Unit(*piece, header if number else None)


def _header(text: str, line: tuple[int, int], tokens: Tokens, most: int) -> tuple[int, int] | None:
    """One that is longer than a quarter of a window is not said again."""
    start, end = line
    return (start, start + len(text[start:end].rstrip())) if tokens.count(start, end) <= most // 4 else None


def _cut_long(text: str, start: int, end: int, tokens: Tokens, most: int) -> Iterator[tuple[int, int]]:
    while tokens.count(start, end) > max(1, most):
        reach = max(start + 1, tokens.reach(start, max(1, most), end))
        blank = text.rfind(" ", start + 1, reach)
        cut = blank + 1 if blank > start else reach
        yield start, cut
        start = cut
    yield start, end
