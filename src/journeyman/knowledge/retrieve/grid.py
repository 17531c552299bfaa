"""Recipes compared on the same questions: what each finds, what it costs, and the cheapest that is not worse than the best.

The choice is made on one half of the questions, drawn by a fixed seed, and the figures are of the other half, so that the best of many is not praised for its luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from journeyman.core.progress import Progress, Silent
from journeyman.knowledge.retrieve.abstain import Abstention
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.rerank import DEPTH
from journeyman.knowledge.retrieve.trial import Find, Question, Scores, try_recipe
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import Interval

MARGIN = 0.02
"""Of recall: a recipe is not worse than the best where the paired interval of the difference lies above minus this."""
LEAST_HALF = 20
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Row:
    """A recipe's means over ``n`` questions. ``difference``: its recall minus that of the recipe that was best, paired."""

    name: str
    recipe: Recipe
    n: int
    recall: Figure
    reciprocal: Figure
    precision: Figure
    iou: Figure
    difference: Figure
    read: float
    median_ms: float


@dataclass(frozen=True, slots=True)
class Compared:
    """``best`` and ``recommended`` are names of rows; ``chosen_on`` questions decided that, and where that is all of them the figures flatter. ``abstention`` is that of the recommended one; ``look`` counts the settings that were compared on
    these questions."""

    rows: tuple[Row, ...]
    best: str
    recommended: str
    chosen_on: int
    is_held_out: bool
    abstention: Abstention | None = None
    look: int = 1

    @property
    def recipe(self) -> Recipe:
        """The recommended one."""
        return next(row.recipe for row in self.rows if row.name == self.recommended)


def make_grid(top: int = 5, *, has_order: bool = False) -> Mapping[str, Recipe]:
    """The recipes that are compared by default, each by what it is called; ``has_order``: the index has learned one of the first hits."""
    plain = Recipe(top=top, depth=max(50, 2 * top), rerank=0)
    grid = {
        "words": Recipe(ranker="lexical", top=top, depth=plain.depth, rerank=0),
        "vectors": Recipe(ranker="dense", top=top, depth=plain.depth, rerank=0),
        "hybrid by ranks": Recipe(fusion="ranks", dense_weight=0.5, top=top, depth=plain.depth, rerank=0),
    }
    for weight in (0.5, 0.7, 0.85):
        grid[f"hybrid, {weight:g} vectors"] = Recipe(dense_weight=weight, top=top, depth=plain.depth, rerank=0)
    grid["hybrid, vectors as they are"] = Recipe(is_blended=False, top=top, depth=plain.depth, rerank=0)
    grid["hybrid, passages that differ"] = Recipe(diversity=0.3, top=top, depth=plain.depth, rerank=0)
    grid["hybrid, with neighbours"] = Recipe(window=1, top=top, depth=plain.depth, rerank=0)
    grid["hybrid, several sentences as one"] = Recipe(is_split=False, top=top, depth=plain.depth, rerank=0)
    grid["hybrid, documents that the question names"] = Recipe(is_named=True, top=top, depth=plain.depth, rerank=0)
    if has_order:
        grid["hybrid, in the order it has learned"] = replace(plain, rerank=DEPTH)
    return grid


def compare_recipes(
    find: Find, grid: Mapping[str, Recipe], questions: Sequence[Question], progress: Progress | None = None
) -> Compared:
    """Every recipe on every question; at least one of each."""
    bar = progress or Silent()
    bar.start("search", total=len(grid), unit="recipes")
    tried: dict[str, list[Scores]] = {}
    for name, recipe in grid.items():
        tried[name] = try_recipe(find, recipe, questions)
        bar.advance(1, name)
    bar.finish()
    order = np.random.default_rng(0).permutation(len(questions))
    half = len(questions) // 2
    is_held_out = half >= LEAST_HALF
    choosing, shown = (order[:half], order[half:]) if is_held_out else (order, order)
    best, recommended = choose(tried, choosing)
    rows = tuple(
        _describe(name, grid[name], _take(scores, shown), _take(tried[best], shown)) for name, scores in tried.items()
    )
    return Compared(rows, best, recommended, len(choosing), is_held_out)


def choose(tried: Mapping[str, Sequence[Scores]], rows: npt.NDArray[np.int64]) -> tuple[str, str]:
    """The recipe of the highest recall, and the one that reads least (then: takes least time) among those that are not worse."""
    recalls = {name: _column(_take(scores, rows), "recall") for name, scores in tried.items()}
    best = max(recalls, key=lambda name: float(recalls[name].mean()))
    not_worse = [name for name in tried if _is_not_worse(recalls[name], recalls[best])]

    def cost(name: str) -> tuple[float, float]:
        scores = _take(tried[name], rows)
        return round(float(_column(scores, "read").mean()), -2), float(np.median(_column(scores, "ms")))

    return best, min(not_worse, key=cost)


def _is_not_worse(recall: Floats, best: Floats) -> bool:
    return bool(np.array_equal(recall, best)) or bootstrap_ratio(recall - best).low > -MARGIN


def _describe(name: str, recipe: Recipe, scores: Sequence[Scores], best: Sequence[Scores]) -> Row:
    recall, reciprocal, precision, iou = (_column(scores, key) for key in ("recall", "reciprocal", "precision", "iou"))
    return Row(
        name=name,
        recipe=recipe,
        n=len(scores),
        recall=_figure(recall),
        reciprocal=_figure(reciprocal),
        precision=_figure(precision),
        iou=_figure(iou),
        difference=_figure(recall - _column(best, "recall")),
        read=float(_column(scores, "read").mean()),
        median_ms=float(np.median(_column(scores, "ms"))),
    )


def _figure(values: Floats) -> Figure:
    return Figure(float(values.mean()), bootstrap_ratio(values))


def _take(scores: Sequence[Scores], rows: npt.NDArray[np.int64]) -> list[Scores]:
    return [scores[row] for row in rows]


def _column(scores: Sequence[Scores], name: str) -> Floats:
    return np.array([getattr(item, name) for item in scores], float)
