"""Where a document says each value of an answer: its span, page and boxes, and in which writing.

Rows of a list are placed row by row in the document's order (``rows``), their values in the columns in which the clearest rows have them, items of a list of plain values in
order. A value outside lists goes where its name stands before it, else to the first place that is left; no two share a place while one is free. A short number of a row counts only near that row: elsewhere in a long
document it stands by chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np

from journeyman.core.canonical import Json
from journeyman.core.nodes import Node, dotted
from journeyman.knowledge.document import Box, Document
from journeyman.knowledge.extract.candidates import Candidate, PlacedStatus, find_candidates
from journeyman.knowledge.extract.leaves import Leaf, Path, find_leaves, without
from journeyman.knowledge.extract.rows import NEAR, find_row_lines
from journeyman.knowledge.extract.textlines import TextLines
from journeyman.knowledge.ground.align import GATES
from journeyman.knowledge.ground.fuzzy import Gates
from journeyman.knowledge.ground.order import choose_in_order
from journeyman.knowledge.ground.source import Source

Ungrounded = Literal["null", "keep"]
"""What becomes of values that the document does not say: they are left away, or they stay with their status."""
TELLING = 5  # characters of a text that does not stand somewhere by chance
TELLING_DIGITS = 4  # of a number, if it has more than digits: a year has not
ANY_LINE = 1 << 60
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """``value`` stands at ``start`` to ``end`` of the document's text; both are 0 where it does not, or where a choice is not said. ``confidence`` is how sure the model was, where it says so."""

    path: Path
    value: str | int | float | bool
    status: PlacedStatus
    score: float = 0.0
    start: int = 0
    end: int = 0
    page: int = 0
    boxes: tuple[Box, ...] = ()
    confidence: float | None = None

    @property
    def is_grounded(self) -> bool:
        return self.end > self.start


def place(
    answer: Json,
    schema: Node,
    document: Document,
    *,
    start: int = 0,
    end: int | None = None,
    confidence: Mapping[str, float] | None = None,
    gates: Gates | None = GATES,
) -> list[Placed]:
    """Every value but null and empty text, in the order of the answer, placed in ``text[start:end]``. ``confidence`` by dotted path; where a value in a list has none, it is the list's."""
    text = document.text[start : len(document.text) if end is None else end]
    placing = _Placing(find_leaves(answer, schema), text, gates)
    found = placing.find()
    sure = confidence or {}
    return [
        _describe(leaf, found.get(leaf.path), document, start, _confidence(leaf.path, sure)) for leaf in placing.leaves
    ]


def keep_grounded(answer: Json, placed: Sequence[Placed], ungrounded: Ungrounded = "null") -> Json:
    """The answer without what its document does not say."""
    return (
        without(answer, (one.path for one in placed if one.status == "ungrounded")) if ungrounded == "null" else answer
    )


class _Placing:
    def __init__(self, leaves: Sequence[Leaf], text: str, gates: Gates | None) -> None:
        self.leaves, self._text = leaves, text
        self._lines, self._taken = TextLines(text), set[Span]()
        source, known = Source(text), dict[tuple[object, ...], list[Candidate]]()
        self._candidates: dict[Path, list[Candidate]] = {}
        for leaf in leaves:
            key = (leaf.written, leaf.kind)
            if key not in known:
                known[key] = find_candidates(leaf, source, gates)
            self._candidates[leaf.path] = known[key]

    def find(self) -> dict[Path, Candidate]:
        found: dict[Path, Candidate] = {}
        lists: dict[Path, list[Leaf]] = {}
        for leaf in self.leaves:
            if (depth := _depth(leaf.path)) is not None:
                lists.setdefault(leaf.path[:depth], []).append(leaf)
        for path, members in lists.items():
            is_plain = all(len(leaf.path) == len(path) + 1 for leaf in members)
            found |= self._find_items(members) if is_plain else self._find_rows(members, len(path))
        return found | self._find_singles([leaf for leaf in self.leaves if _depth(leaf.path) is None])

    def _find_items(self, items: Sequence[Leaf]) -> dict[Path, Candidate]:
        said = [leaf for leaf in items if self._candidates[leaf.path]]
        spans = [np.array([(one.start, one.end) for one in self._candidates[leaf.path]], np.int64) for leaf in said]
        chosen = choose_in_order(spans, [leaf.value for leaf in said], len(self._text))
        return {
            leaf.path: self._take(self._candidates[leaf.path][place]) for leaf, place in zip(said, chosen, strict=True)
        }

    def _find_rows(self, members: Sequence[Leaf], depth: int) -> dict[Path, Candidate]:
        rows = [list(row) for _number, row in groupby(members, key=lambda leaf: leaf.path[depth])]
        lines = find_row_lines([[self._said_in(leaf) for leaf in row] for row in rows])
        columns = self._find_columns(rows, lines, depth)
        found: dict[Path, Candidate] = {}
        for number, row in enumerate(rows):
            least, most = _reach(lines, number)
            for leaf in sorted(
                row, key=lambda leaf: (leaf.path[depth + 1 :] not in columns, len(self._candidates[leaf.path]))
            ):
                fitting = [one for one in self._candidates[leaf.path] if self._fits(one, least, most)]
                if fitting:
                    found[leaf.path] = self._take(self._choose(fitting, lines[number], columns, leaf.path[depth + 1 :]))
        return found

    def _said_in(self, leaf: Leaf) -> list[int]:
        return sorted({self._lines.number(one.start) for one in self._candidates[leaf.path]})

    def _find_columns(self, rows: Sequence[Sequence[Leaf]], lines: Sequence[int | None], depth: int) -> dict[Path, int]:
        """In which cell of their lines the values of each name stand, by the rows that say them once."""
        votes: dict[Path, Counter[int]] = {}
        for row, line in zip(rows, lines, strict=True):
            for leaf in row:
                there = [one for one in self._candidates[leaf.path] if self._lines.number(one.start) == line]
                if len(there) == 1:
                    votes.setdefault(leaf.path[depth + 1 :], Counter())[self._lines.cell(there[0].start)] += 1
        return {name: counts.most_common(1)[0][0] for name, counts in votes.items()}

    def _fits(self, one: Candidate, least: int, most: int) -> bool:
        return _is_telling(self._text[one.start : one.end]) or least <= self._lines.number(one.start) <= most

    def _choose(
        self, fitting: Sequence[Candidate], line: int | None, columns: Mapping[Path, int], name: Path
    ) -> Candidate:
        """A free one, the nearest to the row's line, in the column of its name, or else in none that is another's."""
        others = set(columns.values())

        def rank(one: Candidate) -> tuple[bool, int, bool, int]:
            away = abs(self._lines.number(one.start) - line) if line is not None else 0
            cell = self._lines.cell(one.start)
            is_elsewhere = cell != columns[name] if name in columns else cell in others
            return ((one.start, one.end) in self._taken, away, is_elsewhere, one.start)

        return min(fitting, key=rank)

    def _find_singles(self, singles: Sequence[Leaf]) -> dict[Path, Candidate]:
        """Those with the clearest labels first, so that a total does not take the place of the subtotal that is as large."""
        ranked = sorted(self._rank_singles(singles), key=lambda ranked: -ranked[0])
        found: dict[Path, Candidate] = {}
        for _best, leaf, labels in ranked:
            candidates = self._candidates[leaf.path]
            order = sorted(
                range(len(candidates)),
                key=lambda number: (
                    (candidates[number].start, candidates[number].end) in self._taken,
                    -labels[number],
                    candidates[number].start,
                ),
            )
            found[leaf.path] = self._take(candidates[order[0]])
        return found

    def _rank_singles(self, singles: Sequence[Leaf]) -> Iterator[tuple[float, Leaf, list[float]]]:
        for leaf in singles:
            if candidates := self._candidates[leaf.path]:
                labels = [self._lines.label(leaf, one.start) for one in candidates]
                yield max(labels), leaf, labels

    def _take(self, one: Candidate) -> Candidate:
        self._taken.add((one.start, one.end))
        return one


def _is_telling(said: str) -> bool:
    """Whether it says enough to be known again far from its row."""
    if any(letter.isalpha() for letter in said):
        return len(said) >= TELLING
    return not said.isdigit() and sum(letter.isdigit() for letter in said) >= TELLING_DIGITS


def _depth(path: Path) -> int | None:
    """How many steps lead to the outermost list that a value stands in."""
    return next((number for number, step in enumerate(path) if isinstance(step, int)), None)


def _reach(lines: Sequence[int | None], number: int) -> Span:
    """The lines between which a row's values may stand: those of the rows before and after it, and a few of its own around its line."""
    before = next((line for line in reversed(lines[:number]) if line is not None), None)
    after = next((line for line in lines[number + 1 :] if line is not None), None)
    line = lines[number]
    if line is None:
        return before or 0, ANY_LINE if after is None else after
    least = line - NEAR if before is None else max(before + 1, line - NEAR)
    return least, line + NEAR if after is None else min(after - 1, line + NEAR)


def _confidence(path: Path, sure: Mapping[str, float]) -> float | None:
    own = sure.get(dotted(str(step) for step in path))
    if own is not None:
        return own
    depth = _depth(path)
    return sure.get(dotted(str(step) for step in path[:depth]))


def _describe(leaf: Leaf, one: Candidate | None, document: Document, offset: int, confidence: float | None) -> Placed:
    if one is None:
        status: PlacedStatus = "chosen" if leaf.kind == "choice" else "ungrounded"
        return Placed(leaf.path, leaf.value, status, 1.0 if leaf.kind == "choice" else 0.0, confidence=confidence)
    start, end = one.start + offset, one.end + offset
    boxes = tuple(document.places.find(start, end))
    page = boxes[0].page if boxes else document.page_of(start)
    return Placed(leaf.path, leaf.value, one.status, one.score, start, end, page, boxes, confidence)
