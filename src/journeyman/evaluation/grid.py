"""Prompt work as a grid: its cells, each cell's paired difference to the first one, and the inputs that two cells disagree on.

All differences of a grid hold together with 95 %: each of k has 0.05 / k of the error (Bonferroni), with the bounds of the gate (Tango's interval where
every row is single and right or wrong, else a betting bound on groups), because these keep their level at a few dozen rows and have a width where two
cells agree everywhere, where a bootstrapped maximum has none.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from journeyman.evaluation.gate import Method, Score, decide
from journeyman.evaluation.pairs import make_pairs, refuse_others
from journeyman.evaluation.run import Prediction, Predictions, Row
from journeyman.measure.intervals import Paired
from journeyman.measure.metrics import Metric
from journeyman.task.grid import Grid
from journeyman.task.task import Gate

ERROR = 0.05  # that any interval of a grid misses
SEED = 20_26
STUDENT = "student"


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of the grid, numbered from 1. A student has its own prompt: its instruction is ""."""

    number: int
    instruction: str
    model: str
    shots: int
    temperature: float

    @property
    def name(self) -> str:
        if not self.instruction and self.model != STUDENT:
            return self.model
        warm = f" T={self.temperature:g}" if self.temperature else ""
        return f"{self.model} {f'{self.instruction}, {self.shots} shots' if self.instruction else 'as tuned'}{warm}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Cell minus baseline on one metric, with an interval whose two ends spend ``error`` together; ``n`` counts rows, ``groups`` independent ones, and
    ``counts`` rows by cell and baseline where the metric is right or wrong."""

    value: float
    low: float
    high: float
    error: float
    n: int
    groups: int
    method: Method
    counts: Paired | None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A row on which two cells score differently, with what each answered."""

    row: Row
    first: Prediction
    second: Prediction
    scores: tuple[float, float]


def make_cells(grid: Grid) -> tuple[Cell, ...]:
    """The product of the axes, the last axis fastest; a tuned student has neither another instruction nor examples, so it is one cell a temperature."""
    keys = dict.fromkeys(
        ("" if model == STUDENT else instruction, model, 0 if model == STUDENT else shots, temperature)
        for instruction, model, shots, temperature in product(
            grid.instruction, grid.model, grid.shots, grid.temperature
        )
    )
    return tuple(Cell(number, *key) for number, key in enumerate(keys, start=1))


def draw_rows(rows: Sequence[Row], count: int, seed: int = SEED) -> list[Row]:
    """At most ``count`` rows that have an expected answer: one of each group first, in an order that the seed alone decides."""
    known = sorted((row for row in rows if row.expected is not None), key=lambda row: row.hash)
    random.Random(seed).shuffle(known)
    firsts, others, seen = list[Row](), list[Row](), set[str]()
    for row in known:
        name = row.group or row.hash
        (others if name in seen else firsts).append(row)
        seen.add(name)
    return [*firsts, *others][:count]


def split_rows(rows: Sequence[Row], seed: int = SEED) -> tuple[list[Row], list[Row]]:
    """Two halves, no group in both: one to pick a variant on, one to measure it on."""
    names = sorted({row.group or row.hash for row in rows})
    random.Random(seed).shuffle(names)
    chosen = set(names[: (len(names) + 1) // 2])
    halves: tuple[list[Row], list[Row]] = [], []
    for row in rows:
        halves[(row.group or row.hash) not in chosen].append(row)
    return halves


def score_answers(metric: Metric, rows: Sequence[Row], answered: Predictions) -> list[float]:
    """A score from 0 to 1 per row, against what the row expects; a missing or unreadable answer has what the metric gives it.

    Raises:
        GateError: JM-603 predictions of other rows; what the metric raises.
    """
    refuse_others(rows, answered)
    pairs = make_pairs(zip(rows, answered.items, strict=True))
    return [top / bottom for top, bottom in metric.score(pairs)]


def compare_scores(
    metric: Metric,
    rows: Sequence[Row],
    scores: Sequence[float],
    baseline: Sequence[float],
    error: float,
    heaviest: float,
) -> Difference:
    """The paired difference with an interval that misses with chance ``error``, half on each side.

    Raises:
        GateError: JM-605 fewer than two rows, JM-607 scores that no gate could decide on.
    """
    paired = [
        Score(score, reference, float(row.count), row.group)
        for row, score, reference in zip(rows, scores, baseline, strict=True)
    ]
    found = decide(Gate(metric.name, "teacher", 1.0), paired, error / 2, metric.kind, heaviest)
    return Difference(found.difference, found.low, found.high, error, found.n, found.groups, found.method, found.counts)


def compare_cells(
    metric: Metric, rows: Sequence[Row], scores: Mapping[int, Sequence[float]], baseline: int, heaviest: float
) -> dict[int, Difference]:
    """Each cell's difference to ``baseline``, by number; all intervals hold together with 95 %. Raises as `compare_scores`."""
    others = [number for number in scores if number != baseline]
    return {
        number: compare_scores(metric, rows, scores[number], scores[baseline], ERROR / len(others), heaviest)
        for number in others
    }


def find_disagreements(
    rows: Sequence[Row], first: Predictions, second: Predictions, scores: tuple[Sequence[float], Sequence[float]]
) -> list[Disagreement]:
    """Rows that the two score differently (one right and the other wrong, where there is nothing between), the largest difference first, in turns between
    those that the first and those that the second is better on."""
    found = [
        Disagreement(row, one, other, (left, right))
        for row, one, other, left, right in zip(rows, first.items, second.items, *scores, strict=True)
        if left != right
    ]
    found.sort(key=lambda item: -abs(item.scores[0] - item.scores[1]))
    sides = [[item for item in found if (item.scores[0] > item.scores[1]) == is_first] for is_first in (True, False)]
    turns = [(place, side, item) for side, items in enumerate(sides) for place, item in enumerate(items)]
    return [item for _place, _side, item in sorted(turns, key=lambda turn: turn[:2])]
