"""A page's words to regions in reading order, each of rows and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from journeyman.knowledge.parse.pdf_drawn import Drawn, Line
from journeyman.knowledge.parse.pdf_order import order_words
from journeyman.knowledge.parse.pdf_rows import Row, make_rows
from journeyman.knowledge.parse.pdf_tables import Table, find_aligned, find_ruled
from journeyman.knowledge.parse.pdf_words import Shown, Word

Region = list[Row | Table]
STANDS_FOR_TABLE = "\ufffc" * 40  # as long as a line of running text


def lay_out(words: Sequence[Word], drawn: Drawn, shown: Shown) -> list[Region]:
    """Words that are turned otherwise than most stand in regions of their own, at the end.

    Rows and tables have the positions of the page turned so that they are upright; their words those of the page as it is shown.
    """
    by_turn: dict[int, list[Word]] = {}
    for word in words:
        by_turn.setdefault(word.turn, []).append(word)
    regions: list[Region] = []
    for turn in sorted(by_turn, key=lambda turn: -sum(len(word.text) for word in by_turn[turn])):
        if turn == 0:
            regions.extend(_regions(by_turn[turn], drawn.horizontal, drawn.vertical))
            continue
        upright = {_turn(word, turn, shown): word for word in by_turn[turn]}
        lines = [_turn_lines(kind, turn, shown) for kind in (drawn.horizontal, drawn.vertical)]
        across, down = lines if turn % 2 == 0 else reversed(lines)
        regions.extend(
            [_turn_back(item, upright) for item in region] for region in _regions(list(upright), across, down)
        )
    return regions


def _regions(words: list[Word], horizontal: Sequence[Line], vertical: Sequence[Line]) -> list[Region]:
    tables: dict[Word, Table] = {}
    rest = words
    size = median(word.size for word in words)
    for table in find_ruled(words, horizontal, vertical):
        taken = {id(word) for row in table.rows for cell in row for word in cell}
        left = [word for word in rest if id(word) not in taken]
        if len(rest) - len(left) < len(taken):
            continue  # a frame around another table
        rest = left
        tables[Word(STANDS_FOR_TABLE, table.left, table.top, table.right, table.bottom, size)] = table
    regions = []
    for group in order_words([*rest, *tables]):
        region: Region = list(find_aligned(make_rows(word for word in group if word not in tables)))
        region.extend(tables[word] for word in group if word in tables)
        regions.append(sorted(region, key=lambda item: (item.top + item.bottom) / 2))
    return regions


def _turn(word: Word, turn: int, shown: Shown) -> Word:
    left, top, right, bottom = _turn_box((word.left, word.top, word.right, word.bottom), turn, shown)
    return replace(word, left=left, top=top, right=right, bottom=bottom)


def _turn_lines(lines: Sequence[Line], turn: int, shown: Shown) -> list[Line]:
    return [_turn_box(line, turn, shown) for line in lines]


def _turn_box(box: Line, turn: int, shown: Shown) -> Line:
    """Turned against the clock by ``turn`` quarters."""
    left, top, right, bottom = box
    match turn:
        case 1:
            return (top, shown.width - right, bottom, shown.width - left)
        case 2:
            return (shown.width - right, shown.height - bottom, shown.width - left, shown.height - top)
        case 3:
            return (shown.height - bottom, left, shown.height - top, right)
    return box


def _turn_back(item: Row | Table, shown_words: dict[Word, Word]) -> Row | Table:
    if isinstance(item, Row):
        return replace(item, words=tuple(shown_words[word] for word in item.words))
    rows = tuple(tuple(tuple(shown_words[word] for word in cell) for cell in row) for row in item.rows)
    return replace(item, rows=rows)
