"""Rows to paragraphs, headings, lists and code.

A paragraph ends at a wider gap, an indent, another size or weight, a list's mark, and where a row ends early although the next word had room. A
paragraph that goes on in the next column or on the next page is one. Headings are larger or heavier than most of the text, or in the file's outline.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from journeyman.knowledge.document import BlockKind
from journeyman.knowledge.parse.pdf_layout import Region
from journeyman.knowledge.parse.pdf_rows import Row
from journeyman.knowledge.parse.pdf_tables import Table

OTHER_SIZE = 1.09
WIDER = 1.32  # of the usual distance of rows
INDENT = 0.7  # of the size
EARLY = 0.25  # of the region's width is empty: the row ends early on purpose
HEADING_SIZE = 1.12  # of most of the text's
HEADING_CHARACTERS, HEADING_ROWS = 200, 4
CENTRED = 1.5
LIST_MARK = re.compile(r"(?:[-–—•▪◦‣➢✓*·]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]|\[\d{1,3}\])(?=\s|$)")
ENDS = re.compile(r"[.!?:;…。！？][\"'”’»)\]]*$")
LETTERS = re.compile(r"[^\W\d_]{2}")
SPACES = re.compile(r"\W+")


@dataclass(slots=True)
class Paragraph:
    """Rows of one kind, on ``page`` and following ones; ``breaks``: before which rows the line's end is kept."""

    page: int
    rows: list[tuple[int, Row]]
    kind: BlockKind = "paragraph"
    level: int = 0
    breaks: set[int] = field(default_factory=set)

    @property
    def text(self) -> str:
        return " ".join(row.text for _, row in self.rows)


@dataclass(frozen=True, slots=True)
class PlacedTable:
    page: int
    table: Table


Part = Paragraph | PlacedTable


def find_parts(pages: Sequence[list[Region]], outline: Mapping[str, int]) -> list[Part]:
    """``outline``: the level, from 1, of a title as ``plain`` writes it."""
    sizes: Counter[float] = Counter()
    mono = total = 0
    for region in (region for regions in pages for region in regions):
        for row in _rows(region):
            letters = sum(len(word.text) for word in row.words)
            sizes[round(row.size * 2) / 2] += letters
            total += letters
            mono += letters if row.is_mono else 0
    body = max(sizes, key=lambda size: (sizes[size], -size)) if sizes else 0.0
    parts: list[Part] = []
    for page, regions in enumerate(pages, start=1):
        for region in regions:
            fresh = _split(region, page, is_code=mono * 2 < total)
            for part in fresh:
                _name(part, body, outline)
            _append(parts, fresh)
    _rank(parts)
    return parts


def plain(title: str) -> str:
    """Letters and digits alone, without the number in front."""
    return SPACES.sub("", re.sub(r"^[\d.\s]+", "", title)).casefold()


def _rows(region: Region) -> Iterable[Row]:
    return (item for item in region if isinstance(item, Row))


def _split(region: Region, page: int, is_code: bool) -> list[Part]:
    parts: list[Part] = []
    rows = list(_rows(region))
    if not rows:
        return [PlacedTable(page, item) for item in region if isinstance(item, Table)]
    left, right = min(row.left for row in rows), max(row.right for row in rows)
    usual = _usual_distance(rows)
    before: Row | None = None
    for item in region:
        if isinstance(item, Table):
            parts.append(PlacedTable(page, item))
            before = None
            continue
        kind = _kind(item, is_code)
        last = parts[-1] if parts else None
        if before is None or not isinstance(last, Paragraph) or _is_new(last, before, item, kind, usual, left, right):
            parts.append(Paragraph(page, [(page, item)], kind))
        else:
            if last.kind == "code" or (last.kind == "paragraph" and _breaks(before, item, left, right)):
                last.breaks.add(len(last.rows))
            last.rows.append((page, item))
        before = item
    return parts


def _usual_distance(rows: Sequence[Row]) -> float:
    """Between the tops of neighbours of one size, as a multiple of it."""
    steps = [
        (second.top - first.top) / first.size
        for first, second in pairwise(rows)
        if first.size < OTHER_SIZE * second.size and second.size < OTHER_SIZE * first.size and second.top > first.top
    ]
    return min(median(steps), 2.2) if steps else 1.3


def _kind(row: Row, is_code: bool) -> BlockKind:
    if row.is_entry or LIST_MARK.match(row.text):
        return "list"
    return "code" if is_code and row.is_mono else "paragraph"


def _is_new(last: Paragraph, before: Row, row: Row, kind: BlockKind, usual: float, left: float, right: float) -> bool:
    if row.is_entry or before.is_entry or (kind == "code") != (last.kind == "code"):
        return True
    if row.size > OTHER_SIZE * before.size or before.size > OTHER_SIZE * row.size or row.is_bold != before.is_bold:
        return True
    step = (row.top - before.top) / before.size
    if step > WIDER * usual or step < 0:
        return True
    if last.kind == "code":
        return False
    if kind == "list":
        return True
    indent = INDENT * row.size
    if last.kind == "list":
        return row.left < last.rows[0][1].left + indent / 2 or row.left > last.rows[0][1].left + 8 * row.size
    if row.left > before.left + indent and abs(before.left - left) < indent and not _is_centred(row, left, right):
        return len(last.rows) > 1 or before.left <= left + indent / 2
    return bool(ENDS.search(before.text)) and _breaks(before, row, left, right)


def _breaks(before: Row, row: Row, left: float, right: float) -> bool:
    """The first word of ``row`` had room behind ``before``, by far."""
    room = right - before.right
    first = row.words[0]
    return room > first.right - first.left + 0.6 * row.size and room > EARLY * (right - left)


def _is_centred(row: Row, left: float, right: float) -> bool:
    return abs((row.left - left) - (right - row.right)) < CENTRED * row.size and row.left > left + row.size


def _name(part: Part, body: float, outline: Mapping[str, int]) -> None:
    """Headings, by their look or by the outline."""
    if isinstance(part, PlacedTable) or part.kind == "code" or any(row.is_entry for _, row in part.rows):
        return
    text = part.text
    if len(text) > HEADING_CHARACTERS or len(part.rows) > HEADING_ROWS or not LETTERS.search(text):
        return
    size, is_bold = part.rows[0][1].size, all(row.is_bold for _, row in part.rows)
    level = outline.get(plain(text), 0) if is_bold or size > body * 1.02 else 0
    is_larger = size >= HEADING_SIZE * body
    is_heavier = is_bold and size >= 0.97 * body and not re.search(r"[.,;:]$", text)
    if level or is_larger or is_heavier:
        part.kind, part.level = "heading", level


def _append(parts: list[Part], fresh: list[Part]) -> None:
    """Joins what goes on over the end of a column, and the items of a list."""
    for part in fresh:
        last = parts[-1] if parts else None
        if not isinstance(last, Paragraph) or not isinstance(part, Paragraph):
            parts.append(part)
        elif last.kind == part.kind == "list" and _is_same_list(last, part):
            last.breaks.add(len(last.rows))
            last.breaks |= {number + len(last.rows) for number in part.breaks}
            last.rows.extend(part.rows)
        elif part is fresh[0] and _goes_on(last, part):
            last.breaks |= {number + len(last.rows) for number in part.breaks}
            last.rows.extend(part.rows)
        else:
            parts.append(part)


def _is_same_list(last: Paragraph, part: Paragraph) -> bool:
    first, second = last.rows[-1][1], part.rows[0][1]
    return first.is_entry == second.is_entry and first.size < OTHER_SIZE * second.size < OTHER_SIZE**2 * first.size


def _goes_on(last: Paragraph, part: Paragraph) -> bool:
    before, row = last.rows[-1][1], part.rows[0][1]
    if last.kind not in ("paragraph", "list") or part.kind != "paragraph":
        return False
    if before.size > OTHER_SIZE * row.size or row.size > OTHER_SIZE * before.size or before.is_bold != row.is_bold:
        return False
    return not ENDS.search(before.text) and row.text[0].islower()


def _rank(parts: Sequence[Part]) -> None:
    """Levels by size, the largest is 1; heavier above lighter of the same size. Where the outline says some, the others follow."""
    headings = [part for part in parts if isinstance(part, Paragraph) and part.kind == "heading"]
    known: dict[tuple[float, bool], int] = {}
    for heading in headings:
        if heading.level:
            known[_style(heading)] = min(heading.level, known.get(_style(heading), 6))
    styles = sorted({_style(heading) for heading in headings}, reverse=True)
    ranks: dict[tuple[float, bool], int] = {}
    level = 0
    for style in styles:
        level = known.get(style, 1 if not ranks or (known and not set(ranks) & set(known)) else level + 1)
        ranks[style] = min(level, 6)
    for heading in headings:
        heading.level = min(heading.level or ranks[_style(heading)], 6)


def _style(heading: Paragraph) -> tuple[float, bool]:
    row = heading.rows[0][1]
    return round(row.size * 2) / 2, row.is_bold
