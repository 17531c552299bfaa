"""Writes the parts of a PDF as a document's text and keeps where each word stands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from journeyman.knowledge.document import CELL, Places
from journeyman.knowledge.parse.pdf_paragraphs import Paragraph, Part
from journeyman.knowledge.parse.pdf_rows import is_glued
from journeyman.knowledge.parse.pdf_words import Word
from journeyman.knowledge.writing import Writing

HYPHENS = "-‐"
CJK = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF))

Placed = tuple[int, int, int, tuple[float, float, float, float]]  # start, end, page, box


@dataclass(slots=True)
class _Line:
    """A growing text with the places of its words."""

    text: str = ""
    placed: list[Placed] = field(default_factory=list)

    def put(self, word: Word, page: int, between: str) -> None:
        self.text += between
        start = len(self.text)
        self.text += word.text
        box = (word.left, word.top, word.right, word.bottom)
        self.placed.append((start, len(self.text), page, box))

    def drop_hyphen(self) -> None:
        self.text = self.text[:-1]
        start, end, page, box = self.placed[-1]
        self.placed[-1] = (start, end - 1, page, box)


class PlacedWriting:
    """A ``Writing`` and the boxes of its words."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.writing = Writing()
        self._placed: list[Placed] = []
        self._known = _inner_words(parts)

    def add_part(self, part: Part) -> None:
        if isinstance(part, Paragraph):
            line = self._join(part)
            start, _ = self.writing.add(part.kind, line.text, part.level, part.page)
        else:
            rows = [[_spell(cell, part.page) for cell in row] for row in part.table.rows]
            rows = [row for row in rows if any(cell.text.replace(CELL.strip(), "") for cell in row)]
            start, _ = self.writing.table([[cell.text for cell in row] for row in rows], part.page)
            line = _lay(rows)
        self._keep(line.placed, start)

    def add_text(self, kind: str, text: str, page: int, box: tuple[float, float, float, float]) -> None:
        """A form's field, or a remark: one box for all of it."""
        start, end = self.writing.add("field" if kind == "field" else "paragraph", text.strip(), page=page)
        self._keep([(0, end - start, page, box)], start)

    @property
    def places(self) -> Places:
        if not self._placed:
            return Places()
        return Places(
            np.asarray([(start, end) for start, end, _, _ in self._placed], np.int32),
            np.asarray([page for _, _, page, _ in self._placed], np.int32),
            np.asarray([box for _, _, _, box in self._placed], np.float32),
        )

    def _keep(self, placed: Iterable[Placed], start: int) -> None:
        self._placed.extend(
            (start + first, start + last, page, box) for first, last, page, box in placed if last > first
        )

    def _join(self, part: Paragraph) -> _Line:
        line = _Line()
        left = min(row.left for _, row in part.rows)
        for number, (page, row) in enumerate(part.rows):
            between = self._between(line, row.words[0], number in part.breaks and part.kind != "heading")
            if part.kind == "code":
                between += " " * min(40, round((row.left - left) / max(0.6 * row.size, 1)))
            for place, word in enumerate(row.words):
                if place:
                    between = "" if is_glued(row.words[place - 1], word) else " "
                line.put(word, page, between)
        return line

    def _between(self, line: _Line, word: Word, is_kept: bool) -> str:
        """What joins a row to the next; a word that was parted is whole again."""
        if not line.text:
            return ""
        if is_kept:
            return "\n"
        last = line.text.rsplit(None, 1)[-1]
        if last[-1] in HYPHENS and len(last) > 2 and last[-2].isalpha() and word.text[0].isalpha():
            core, rest = last[:-1].lstrip("([\"'„“»«‘’").casefold(), word.text.rstrip(".,;:!?)]\"'”’»").casefold()
            if word.text[0].islower() and (core + rest in self._known or f"{core}-{rest}" not in self._known):
                line.drop_hyphen()
            return ""
        return "" if _is_cjk(last[-1]) and _is_cjk(word.text[0]) else " "


def _inner_words(parts: Sequence[Part]) -> set[str]:
    """Words that stand inside of rows, where nothing is parted; only those that tell about hyphens."""
    known: set[str] = set()
    for part in parts:
        if isinstance(part, Paragraph):
            for _, row in part.rows:
                known.update(word.text.strip(".,;:!?()[]\"'„“”").casefold() for word in row.words[1:-1])
    return known


def _spell(cell: Sequence[Word], page: int) -> _Line:
    line = _Line()
    for number, word in enumerate(cell):
        line.put(word, page, " " if number and not is_glued(cell[number - 1], word) else "")
    return line


def _lay(rows: Sequence[Sequence[_Line]]) -> _Line:
    """As ``Writing.table`` does."""
    placed: list[Placed] = []
    start = 0
    for row in rows:
        for cell in row:
            placed.extend((start + first, start + last, page, box) for first, last, page, box in cell.placed)
            start += len(cell.text) + len(CELL)
        start += 1 - len(CELL)
    return _Line(placed=placed)


def _is_cjk(letter: str) -> bool:
    return any(low <= ord(letter) <= high for low, high in CJK)
