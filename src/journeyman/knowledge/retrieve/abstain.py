"""From which evidence on a question is answered: below it the documents are taken not to say it.

Chosen on one half of the questions, shown on the other, by the mean of two shares: of the questions that the documents answer and that are answered, and of those that they do not answer and that
are refused. Where no question is known to be unanswerable, each is asked a second time without the documents that answer it; another that says the same then makes the figures worse than they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.retrieve.filters import Filter
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.trial import Question
from journeyman.measure.intervals import Interval, clopper_pearson

Weigh = Callable[[str, Recipe, Filter | None, Collection[int]], float]
Floats = npt.NDArray[np.float64]
LEAST_HALF = 20


@dataclass(frozen=True, slots=True)
class Share:
    """``value`` of ``n``."""

    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class Abstention:
    """``least`` evidence; what it does on questions that chose nothing, where ``is_held_out``. ``is_left_out``: the unanswerable ones are the others without their documents."""

    least: float
    answered: Share
    refused: Share
    chosen_on: int
    is_held_out: bool
    is_left_out: bool

    @property
    def accuracy(self) -> float:
        """The mean of both shares: one half is what a coin has."""
        return (self.answered.value + self.refused.value) / 2


def try_abstention(weigh: Weigh, recipe: Recipe, questions: Sequence[Question]) -> Abstention | None:
    """``questions`` without right places are the unanswerable ones; None where there is nothing to choose by."""
    asked = [question for question in questions if question.gold]
    unasked = [question for question in questions if not question.gold]
    inside = [weigh(question.text, recipe, question.where, ()) for question in asked]
    outside = [weigh(question.text, recipe, question.where, ()) for question in unasked] or [
        weigh(question.text, recipe, question.where, {place.document for place in question.gold}) for question in asked
    ]
    return judge_evidence(np.array(inside), np.array(outside), is_left_out=not unasked)


def judge_evidence(inside: Floats, outside: Floats, *, is_left_out: bool) -> Abstention | None:
    """Of questions that the documents answer, and of questions that they do not answer."""
    if not len(inside) or not len(outside) or (is_left_out and not outside.any()):
        return None  # of a single document nothing is left
    halves = [_halve(values) for values in (inside, outside)]
    is_held_out = all(len(first) >= LEAST_HALF for first, _ in halves)
    choosing, shown = zip(*halves, strict=True) if is_held_out else ((inside, outside), (inside, outside))
    least = choose_least(*choosing)
    return Abstention(
        least=least,
        answered=_share(shown[0] >= least),
        refused=_share(shown[1] < least),
        chosen_on=len(choosing[0]) + len(choosing[1]),
        is_held_out=is_held_out,
        is_left_out=is_left_out,
    )


def choose_least(inside: Floats, outside: Floats) -> float:
    """The bound with the highest mean of both shares, in the middle between two scores; of equal ones the lowest, which refuses least."""
    scores = np.unique(np.concatenate([inside, outside]))
    bounds = np.concatenate([scores[:1], (scores[1:] + scores[:-1]) / 2])
    answered = 1 - np.searchsorted(np.sort(inside), bounds) / len(inside)
    refused = np.searchsorted(np.sort(outside), bounds) / len(outside)
    return float(bounds[int(np.argmax(answered + refused))])


def _halve(values: Floats) -> tuple[Floats, Floats]:
    """By a fixed draw. A question and the same one without its documents are in the same half."""
    order = np.random.default_rng(0).permutation(len(values))
    half = len(values) // 2
    return values[order[:half]], values[order[half:]]


def _share(hits: npt.NDArray[np.bool_]) -> Share:
    return Share(float(hits.mean()), clopper_pearson(int(hits.sum()), len(hits)), len(hits))
