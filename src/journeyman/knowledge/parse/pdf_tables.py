"""Tables of a page: ruled ones by their lines, others by words that stand in columns over several rows."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.parse.pdf_drawn import Line
from journeyman.knowledge.parse.pdf_order import FAR, Gap, common_gaps, free_gaps
from journeyman.knowledge.parse.pdf_rows import Row, make_rows
from journeyman.knowledge.parse.pdf_words import Word

MOST_LINES = 1_500  # each way, of a page
NEAR = 3.0  # points: lines that miss each other by less meet
CELL_GAP = 0.9  # of the letters' size, between cells of a row without rules
JUSTIFIED_WORDS = 6  # so many words have a usual distance: a cell's is twice as far
NEXT = 2.6  # of a row's height: the next row of the table stands nearer
CROSSED = 12  # one word in so many may stand across a line
COVERED = 0.4  # of a grid's height, by a line between two columns; shorter ones frame single lines of text
FULL_CELLS = 4
PROSE_CHARACTERS = 22  # of the second longest cell of most rows
MARKER = re.compile(r"[-–—•▪◦‣➢✓*·o]|\(?(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\[\d{1,3}\]")

Cell = tuple[Word, ...]
Lines = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, each row with as many; a cell's words in reading order."""

    rows: tuple[tuple[Cell, ...], ...]
    left: float
    top: float
    right: float
    bottom: float


def find_ruled(words: Sequence[Word], horizontal: Sequence[Line], vertical: Sequence[Line]) -> list[Table]:
    """Grids of lines that meet, with at least two rows and two columns of which enough have words."""
    tables = []
    for xs, ys in _grids(horizontal[:MOST_LINES], vertical[:MOST_LINES]):
        inside = [
            word
            for word in words
            if xs[0] - NEAR < (word.left + word.right) / 2 < xs[-1] + NEAR
            and ys[0] - NEAR < (word.top + word.bottom) / 2 < ys[-1] + NEAR
        ]
        crossing = sum(1 for word in inside if any(word.left + NEAR < x < word.right - NEAR for x in xs[1:-1]))
        if crossing * CROSSED > len(inside):
            continue
        rows = _fill(inside, xs, ys)
        if sum(1 for row in rows for cell in row if cell) >= FULL_CELLS and len(rows) > 1:
            tables.append(Table(rows, xs[0], ys[0], xs[-1], ys[-1]))
    return tables


def _grids(horizontal: Sequence[Line], vertical: Sequence[Line]) -> list[tuple[list[float], list[float]]]:
    if len(horizontal) < 2 or len(vertical) < 1:
        return []
    across, down = np.asarray(horizontal), np.asarray(vertical)
    meets = (
        (across[:, None, 0] - NEAR <= down[None, :, 2])
        & (across[:, None, 2] + NEAR >= down[None, :, 0])
        & (across[:, None, 1] + NEAR >= down[None, :, 1])
        & (across[:, None, 3] - NEAR <= down[None, :, 3])
    )
    grids = []
    for rows, columns in _parts(meets):
        ys = _merge([*across[rows, 1], *across[rows, 3], down[columns, 1].min(), down[columns, 3].max()])
        least = COVERED * (ys[-1] - ys[0])
        long = [x for x in _merge(down[columns, 0]) if _covered(down[columns], x) >= least]
        xs = _merge([*long, across[rows, 0].min(), across[rows, 2].max()])
        if len(xs) >= 3 and len(ys) >= 2:
            grids.append((xs, ys))
    return grids


def _covered(down: Lines, x: float) -> float:
    """How long the lines near ``x`` are together, what two cover counted once."""
    total, reached = 0.0, -FAR
    for _, top, _, bottom in sorted(down[np.abs(down[:, 0] - x) <= 2 * NEAR].tolist(), key=lambda line: line[1]):
        total += max(0.0, bottom - max(top, reached))
        reached = max(reached, bottom)
    return total


def _parts(meets: npt.NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Lines that hang together."""
    seen_rows: set[int] = set()
    parts = []
    for first in range(len(meets)):
        if first in seen_rows:
            continue
        rows, columns, waiting = {first}, set(), [first]
        while waiting:
            for column in np.flatnonzero(meets[waiting.pop()]).tolist():
                if column in columns:
                    continue
                columns.add(column)
                fresh = set(np.flatnonzero(meets[:, column]).tolist()) - rows
                rows |= fresh
                waiting.extend(fresh)
        seen_rows |= rows
        if columns and len(rows) > 1:
            parts.append((sorted(rows), sorted(columns)))
    return parts


def _merge(values: Iterable[float]) -> list[float]:
    merged: list[float] = []
    for value in sorted(float(value) for value in values):
        if not merged or value - merged[-1] > NEAR:
            merged.append(value)
    return merged


def _fill(words: Sequence[Word], xs: Sequence[float], ys: Sequence[float]) -> tuple[tuple[Cell, ...], ...]:
    """Rows of the grid that have words; one without rules inside is parted where its words stand in rows."""
    bands: dict[int, list[Word]] = {}
    for word in words:
        bands.setdefault(max(0, bisect_right(ys, (word.top + word.bottom) / 2) - 1), []).append(word)
    columns = len(xs) - 1
    rows: list[tuple[Cell, ...]] = []
    for _, band in sorted(bands.items()):
        written = [_cells(row.words, xs) for row in make_rows(band)]
        is_parted = len(written) > 2 and all(row[0] and sum(map(bool, row)) > 1 for row in written)
        rows.extend(written if is_parted else [_stack(written, columns)])
    kept = [column for column in range(columns) if any(row[column] for row in rows)]
    return tuple(tuple(row[column] for column in kept) for row in rows) if len(kept) > 1 else ()


def _cells(words: Sequence[Word], xs: Sequence[float]) -> tuple[Cell, ...]:
    cells: list[list[Word]] = [[] for _ in range(len(xs) - 1)]
    for word in words:
        column = bisect_right(xs, (word.left + word.right) / 2) - 1
        cells[max(0, min(column, len(cells) - 1))].append(word)
    return tuple(tuple(cell) for cell in cells)


def _stack(rows: Sequence[tuple[Cell, ...]], columns: int) -> tuple[Cell, ...]:
    return tuple(tuple(word for row in rows for word in row[column]) for column in range(columns))


def find_aligned(rows: Sequence[Row]) -> list[Row | Table]:
    """The rows, with a table in place of those whose words share columns."""
    found: list[Row | Table] = []
    first = 0
    while first < len(rows):
        last, gaps = _reach(rows, first)
        table = _make_aligned(rows[first:last], gaps) if gaps else None
        if table is None:
            found.append(rows[first])
            first += 1
        else:
            found.append(table)
            first = last
    return found


def _reach(rows: Sequence[Row], first: int) -> tuple[int, list[Gap]]:
    """How far down the gaps inside ``rows[first]`` stay white, and those that do."""
    least = CELL_GAP * rows[first].size
    gaps = _inner(rows[first], least)
    last = first + 1
    while gaps and last < len(rows) and rows[last].top - rows[last - 1].top < NEXT * rows[last - 1].height:
        if not (_inner(rows[last], least) or _is_continued(rows[last], gaps)) or rows[last].is_entry:
            break
        fewer = common_gaps(gaps, free_gaps(rows[last].words, least), least * 0.6)
        if not fewer:
            break
        gaps, last = fewer, last + 1
    return last, gaps


def _inner(row: Row, least: float) -> list[Gap]:
    if len(row.words) >= JUSTIFIED_WORDS:
        rooms = sorted(
            right.left - left.right for left, right in pairwise(sorted(row.words, key=lambda word: word.left))
        )
        if (usual := rooms[len(rooms) // 4]) < 1.5 * row.size:
            least = max(least, 2 * usual)
    return [gap for gap in free_gaps(row.words, least) if gap[0] > -FAR and gap[1] < FAR]


def _is_continued(row: Row, gaps: Sequence[Gap]) -> bool:
    """One cell's second line: in one column, not the first."""
    return row.left >= gaps[0][1] - NEAR and any(
        left[1] - NEAR <= row.left and row.right <= right + NEAR
        for left, right in zip(gaps, [*(gap[0] for gap in gaps[1:]), FAR], strict=True)
    )


def _make_aligned(rows: Sequence[Row], gaps: Sequence[Gap]) -> Table | None:
    full = [row for row in rows if row.left < gaps[0][0]]
    if len(full) < 2 or (len(full) == 2 and len(gaps) < 2):
        return None
    xs = [-FAR, *((start + end) / 2 for start, end in gaps), FAR]
    written: list[tuple[Cell, ...]] = []
    for row in rows:
        cells = _cells(row.words, xs)
        if written and not cells[0] and sum(map(bool, cells)) == 1:
            written[-1] = _stack([written[-1], cells], len(cells))
        else:
            written.append(cells)
    filled = [column for column in range(len(gaps) + 1) if sum(1 for row in written if row[column]) * 2 > len(written)]
    if len(filled) < 2 or _is_list(written) or _is_formula(written) or _is_prose(written):
        return None
    return Table(
        tuple(written),
        min(row.left for row in rows),
        rows[0].top,
        max(row.right for row in rows),
        max(row.bottom for row in rows),
    )


def _is_list(rows: Sequence[tuple[Cell, ...]]) -> bool:
    """Marks or numbers and one text: a list."""
    firsts = ["".join(word.text for word in row[0]) for row in rows if row[0]]
    return len(rows[0]) == 2 and sum(1 for text in firsts if MARKER.fullmatch(text)) * 2 > len(firsts)


def _is_formula(rows: Sequence[tuple[Cell, ...]]) -> bool:
    """Mostly signs and single letters."""
    lengths = (
        max(2 if word.text.isdigit() else len(word.text) for word in cell) for row in rows for cell in row if cell
    )
    return median(lengths) < 2


def _is_prose(rows: Sequence[tuple[Cell, ...]]) -> bool:
    """Long cells beside each other in every row, as wide spaces of justified lines make them."""
    lengths = [sorted((sum(len(word.text) for word in cell) for cell in row), reverse=True)[:2] for row in rows]
    return median(two[-1] for two in lengths) >= PROSE_CHARACTERS
