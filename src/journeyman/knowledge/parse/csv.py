"""CSV: the text is the file, each block some 50 rows of it. ``columns`` among the facts names the columns, for blocks after the first."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import pairwise

from journeyman.knowledge.document import Block, Document, Fact
from journeyman.knowledge.parse.lines import find_lines, trim
from journeyman.knowledge.parse.plain import decode

DELIMITERS = ",;\t|"
BLOCK_ROWS = 50
LOOKED_AT_LINES = 50
MOST_LINES_OF_A_ROW = 200
MOST_COLUMNS = 500
Span = tuple[int, int]


def read_csv(name: str, data: bytes) -> Document:
    """Raises: KnowledgeError: JM-906, this is no text."""
    text, notes = decode(name, data)
    lines = find_lines(text)
    delimiter = find_delimiter(text, lines)
    rows = find_rows(text, lines)
    if rows is None:
        rows = list(pairwise(lines))
        notes += ("a quote is never closed; each line was read as a row",)
    facts: dict[str, Fact] = {}
    if columns := _find_columns(text, rows, delimiter):
        facts["columns"] = columns
    return Document(name, "text/csv", text, tuple(_find_blocks(text, rows)), facts=facts, notes=notes)


def find_rows(text: str, lines: Sequence[int]) -> list[Span] | None:
    """Begin and end of each row: lines are joined while a quote is open. None where one stays open over many lines."""
    rows: list[Span] = []
    begin, is_open, count = 0, False, 0
    for start, end in pairwise(lines):
        if not is_open:
            begin, count = start, 0
        count += 1
        is_open ^= text.count('"', start, end) % 2 == 1
        if not is_open:
            rows.append((begin, end))
        elif count > MOST_LINES_OF_A_ROW:
            return None
    return None if is_open else rows


def find_delimiter(text: str, lines: Sequence[int]) -> str:
    """What cuts the first lines into more than one cell each, and most evenly."""
    head = [text[start:end].strip("\r\n") for start, end in pairwise(lines[: LOOKED_AT_LINES + 1])]
    head = [line[:100_000] for line in head if line.strip()]

    def evenness(delimiter: str) -> tuple[float, int]:
        counts = [len(_cut(line, delimiter)) for line in head]
        usual = max(set(counts), key=counts.count, default=1)
        return (counts.count(usual) / len(counts) if usual > 1 else 0.0, usual)

    return max(DELIMITERS, key=evenness) if head else ","


def _find_blocks(text: str, rows: Sequence[Span]) -> Iterator[Block]:
    """Runs of rows between blank ones."""
    begin, end, count = -1, 0, 0
    for start, stop in rows:
        is_blank = not text[start:stop].strip()
        if begin >= 0 and (is_blank or count == BLOCK_ROWS):
            yield Block("table", *trim(text, begin, end))
            begin, count = -1, 0
        if not is_blank:
            begin, end, count = (begin if begin >= 0 else start), stop, count + 1
    if begin >= 0:
        yield Block("table", *trim(text, begin, end))


def _find_columns(text: str, rows: Sequence[Span], delimiter: str) -> tuple[str, ...]:
    """The first row's cells, where they look like names: none empty, none a number, none twice."""
    first = next((row for row in rows if text[slice(*row)].strip()), None)
    if first is None:
        return ()
    cells = [cell.strip() for cell in _cut(text[slice(*first)].strip("\r\n"), delimiter)]
    is_header = len(set(cells)) == len(cells) and 1 <= len(cells) <= MOST_COLUMNS
    return tuple(cells) if is_header and all(cell and not _is_number(cell) for cell in cells) else ()


def _cut(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return line.split(delimiter)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
