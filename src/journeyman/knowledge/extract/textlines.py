"""The lines of a text: which one a place stands in, in which cell of it, and how far what stands before it calls it by its name."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

from journeyman.knowledge.document import CELL
from journeyman.knowledge.extract.leaves import Leaf
from journeyman.knowledge.parse.lines import find_lines

BEFORE = 100  # characters of a line in which a label is looked for
_WORD = re.compile(r"[^\W\d_]+|\d+")
_NAME, _DESCRIPTION = 2.0, 1.0  # what a word of each counts
_ABOVE = 0.5  # of what a label in the line above counts


class TextLines:
    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def starts(self) -> Sequence[int]:
        return find_lines(self._text) or [0]

    def number(self, place: int) -> int:
        return max(0, bisect_right(self.starts, place) - 1)

    def cell(self, place: int) -> int:
        """Cells of a table's row before this place."""
        return self._text.count(CELL, self.starts[self.number(place)], place)

    def label(self, leaf: Leaf, place: int) -> float:
        """How much of the value's name and description stands right before it, or in the line above."""
        number = self.number(place)
        start = self.starts[number]
        near = self._count(leaf, self._text[max(start, place - BEFORE) : place])
        if number == 0:
            return near
        return max(near, _ABOVE * self._count(leaf, self._text[self.starts[number - 1] : start][-BEFORE:]))

    def _count(self, leaf: Leaf, text: str) -> float:
        said = {word.casefold() for word in _WORD.findall(text)}
        return _NAME * len(leaf.names & said) + _DESCRIPTION * len(leaf.words & said)
