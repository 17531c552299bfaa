"""The line of a document that each row of a list was read from: rows come in the document's order, each from a line of its own.

A line is as good for a row as the row's values stand in it or near it, the rarer a value the more; the best sum over all rows wins (a longest increasing
subsequence with weights, by a tree of prefix maxima). A row that no line fits gets none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NEAR = 3
"""Lines between a row's line and a value of it that was broken over several."""
MOST_LINES = 64  # of one row, that are compared
Row = Sequence[Sequence[int]]
"""For each value the lines that say it, ascending."""


@dataclass(frozen=True, slots=True)
class _Step:
    """A row in a line, and what came before it."""

    row: int
    line: int
    score: float
    before: int


def find_row_lines(rows: Sequence[Row]) -> list[int | None]:
    """The line of each row."""
    steps: list[_Step] = []
    lines = sorted({line for row in rows for cell in row for line in cell})
    places = {line: place for place, line in enumerate(lines)}
    best = _PrefixMaxima(len(lines))
    for number, row in enumerate(rows):
        made = []
        for line, score in _score_lines(row):
            before = best.find(places[line])
            reached = score + (steps[before].score if before >= 0 else 0.0)
            made.append(_Step(number, line, reached, before))
        for step in made:  # only now: a row does not follow itself
            steps.append(step)
            best.put(places[step.line], step.score, len(steps) - 1)
    found: list[int | None] = [None] * len(rows)
    place = best.find(len(lines))
    while place >= 0:
        found[steps[place].row] = steps[place].line
        place = steps[place].before
    return found


def _score_lines(row: Row) -> list[tuple[int, float]]:
    """Lines that say a value of this row, with their scores, ascending."""
    scores: dict[int, float] = {}
    for cell in row:
        weight = 1 / (1 + math.log2(len(cell))) if cell else 0.0
        reached: dict[int, float] = {}
        for line in cell:
            for near in range(line - NEAR, line + NEAR + 1):
                reached[near] = max(reached.get(near, 0.0), weight / (1 + abs(near - line)))
        for line, score in reached.items():
            scores[line] = scores.get(line, 0.0) + score
    own = {line for cell in row for line in cell}
    ranked = sorted(((line, score) for line, score in scores.items() if line in own), key=lambda one: (-one[1], one[0]))
    return sorted(ranked[:MOST_LINES])


class _PrefixMaxima:
    """A Fenwick tree: the best that ends before a place, the earliest among equals."""

    def __init__(self, size: int) -> None:
        self._scores, self._steps = [0.0] * (size + 1), [-1] * (size + 1)

    def find(self, end: int) -> int:
        """The step of the highest score at places below ``end``; -1 where there is none."""
        score, step = 0.0, -1
        while end > 0:
            if self._scores[end] > score:
                score, step = self._scores[end], self._steps[end]
            end -= end & -end
        return step

    def put(self, place: int, score: float, step: int) -> None:
        place += 1
        while place < len(self._scores):
            if score > self._scores[place]:
                self._scores[place], self._steps[place] = score, step
            place += place & -place
