"""The tables that stand on one sheet: blank rows and blank columns part them.

Legend: a grid is a list of rows of cells, each row as wide as the widest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from journeyman.knowledge.document import CELL
from journeyman.knowledge.parse.marked import Draft, marked

Grid = list[list[str]]
CUTS = 4  # rows, columns, and both again: what is still in one piece then stays so
ROWS_PER_BLOCK = 50


def write_regions(draft: Draft, rows: Iterable[Sequence[str]], page: int = 0) -> None:
    """Each region of a sheet: lines with one cell above a table are paragraphs, so is a region of one column."""
    for group in _between_blank(rows):
        for region in _split(group, CUTS):
            _write(draft, region, page)


def _split(rows: Grid, cuts: int) -> Iterator[Grid]:
    """The regions of rows of which none is blank, from the upper left to the lower right."""
    columns = _filled(rows)
    if len(columns) == 1 and columns[0] == (0, len(rows[0])):
        yield rows
    elif cuts:
        for begin, end in columns:
            for group in _between_blank(row[begin:end] for row in rows):
                yield from _split(group, cuts - 1)
    else:
        yield [row[columns[0][0] : columns[-1][1]] for row in rows]


def _between_blank(rows: Iterable[Sequence[str]]) -> Iterator[Grid]:
    group: Grid = []
    for row in rows:
        if any(row):
            group.append(list(row))
        elif group:
            yield group
            group = []
    if group:
        yield group


def _filled(rows: Grid) -> list[tuple[int, int]]:
    """Runs of columns that hold something."""
    runs: list[tuple[int, int]] = []
    for column in range(len(rows[0])):
        if not any(row[column] for row in rows):
            continue
        if runs and runs[-1][1] == column:
            runs[-1] = (runs[-1][0], column + 1)
        else:
            runs.append((column, column + 1))
    return runs


def _write(draft: Draft, rows: Grid, page: int) -> None:
    if len(rows[0]) == 1:
        draft.add("paragraph", marked("\n".join(row[0] for row in rows)), page=page)
        return
    first = 0
    while first < len(rows) and sum(bool(cell) for cell in rows[first]) == 1:
        draft.add("paragraph", marked(next(cell for cell in rows[first] if cell)), page=page)
        first += 1
    lines = (CELL.join(" ".join(cell.split()) for cell in row) for row in rows[first:])
    draft.lines("table", [marked("\n".join(lines))], page)
    if len(rows) - first > ROWS_PER_BLOCK:
        _cut(draft)


def _cut(draft: Draft) -> None:
    """The last block as several, with nothing but a line's end between them: by that a reader knows that the table goes on."""
    whole = draft.writing.blocks.pop()
    lines = draft.last.split("\n")
    start = whole.start
    for first in range(0, len(lines), ROWS_PER_BLOCK):
        end = start + sum(len(line) + 1 for line in lines[first : first + ROWS_PER_BLOCK]) - 1
        draft.writing.blocks.append(replace(whole, start=start, end=end))
        start = end + 1
