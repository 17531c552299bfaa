"""What stands in the margins of page after page: running titles, page numbers. It is left out of the text, and said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from journeyman.knowledge.parse.pdf_layout import Region
from journeyman.knowledge.parse.pdf_rows import Row

MARGIN = 0.18  # of the page's height
MOST_ROWS = 3  # that a header or a footer has
GAP = 0.8  # of a row's height, at least, between it and the page's text
FEWEST_PAGES = 3
STEP = 8.0  # points: a running title stands as high on each page
DIGITS = re.compile(r"\d+")
NUMBER = re.compile(r"^\W*(?:page|seite|p\.)?\s*(\d{1,5})\b|\b(\d{1,5})\W*$", re.IGNORECASE)
BARE = re.compile(
    r"\W*(?:page|seite|p\.)?\s*\d{1,5}(?:\s*(?:of|von|/)\s*\d{1,5})?\W*|\W*[ivxlc]{1,7}\W*", re.IGNORECASE
)
TOLD = 5


@dataclass(frozen=True, slots=True)
class _Candidate:
    page: int
    row: Row
    is_top: bool
    text: str


def find_furniture(pages: Sequence[list[Region]], heights: Sequence[float]) -> tuple[set[int], tuple[str, ...]]:
    """``id`` of each row that is left out, and what was, in words."""
    candidates = [
        candidate
        for number, (regions, height) in enumerate(zip(pages, heights, strict=True))
        for candidate in _candidates(number, regions, height)
    ]
    titles = Counter({_title(candidate): 0 for candidate in candidates})
    counts: Counter[tuple[bool, int, int]] = Counter()
    for title, _ in {(_title(candidate), candidate.page) for candidate in candidates}:
        titles[title] += 1
    for shift, _ in {(shift, candidate.page) for candidate in candidates for shift in _shifts(candidate)}:
        counts[shift] += 1
    left_out: set[int] = set()
    told: Counter[str] = Counter()
    for candidate in candidates:
        is_bare = bool(BARE.fullmatch(candidate.text))
        fewest = 2 if is_bare else FEWEST_PAGES
        is_counted = any(counts[shift] >= fewest for shift in _shifts(candidate))
        if titles[_title(candidate)] >= fewest or is_counted:
            left_out.add(id(candidate.row))
            told["page numbers" if is_bare else f'"{DIGITS.sub("#", candidate.text)[:60]}"'] += 1
    return left_out, _notes(told)


def _candidates(page: int, regions: Sequence[Region], height: float) -> list[_Candidate]:
    rows = [item for region in regions for item in region if isinstance(item, Row)]
    above = _outermost(sorted(rows, key=lambda row: row.top))
    below = _outermost(sorted(rows, key=lambda row: -row.bottom))
    return [_Candidate(page, row, True, row.text) for row in above if row.bottom < MARGIN * height] + [
        _Candidate(page, row, False, row.text) for row in below if row.top > (1 - MARGIN) * height
    ]


def _outermost(rows: Sequence[Row]) -> list[Row]:
    """Those nearest to the edge, up to a gap; none where they are so many that they are the page's text, but for a bare number."""
    found: list[Row] = []
    lines = 0
    for row in rows:
        if found:
            last = found[-1]
            apart = max(row.top - last.bottom, last.top - row.bottom)
            if apart > GAP * min(row.height, last.height):
                break
            lines += 1 if apart > -0.5 * min(row.height, last.height) else 0
        found.append(row)
        if lines >= MOST_ROWS:
            return [row for row in found if BARE.fullmatch(row.text)]
    return found


def _title(candidate: _Candidate) -> tuple[bool, str, int]:
    return candidate.is_top, DIGITS.sub("#", candidate.text), round(candidate.row.top / STEP)


def _shifts(candidate: _Candidate) -> list[tuple[bool, int, int]]:
    """How far the number at either end is from the page's: the same on each page if it counts them."""
    found = [first or last for first, last in NUMBER.findall(candidate.text)]
    return [(candidate.is_top, int(number) - candidate.page, round(candidate.row.top / STEP)) for number in found]


def _notes(told: Counter[str]) -> tuple[str, ...]:
    if not told:
        return ()
    named = [f"{what} ({count})" for what, count in told.most_common(TOLD)]
    rest = len(told) - len(named)
    return (f"left out, repeated on pages: {', '.join(named)}{f' and {rest} more' if rest else ''}",)
