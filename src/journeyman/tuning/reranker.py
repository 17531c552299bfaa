"""Weights for what questions and passages have in common, so that the right ones among the first hits come first.

Minimises the mean of -log(sum over right passages of exp(s) / sum over all of exp(s)), s = numbers x weights, over each question's own hits: those that rank high without being right are its negatives
(listwise softmax, Cao et al., ICML 2007). A penalty on the weights of scaled numbers is chosen across folds. By L-BFGS: equal questions give equal bits on one machine. Knows nothing about what the numbers mean.

Legend: ``m`` questions, ``n`` passages of all questions, ``f`` numbers of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

PULLS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Of |weights|^2 / 2, with numbers scaled to a deviation of one; the loss is a mean over questions."""
STEPS = 80


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The hits of one question: their ``numbers`` [n, f], and which of them are ``right`` [n]."""

    numbers: Floats
    right: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """``weights`` [f] from all questions; ``held`` are the scores of each question's hits by weights that have not seen it; ``losses`` by pull."""

    weights: Floats
    held: tuple[Floats, ...]
    pull: float
    losses: tuple[tuple[float, float], ...]


def train_order(judged: Sequence[Judged], folds: Ints, look: Callable[[], None] | None = None) -> Ordered | None:
    """The pull with the smallest loss on questions of the other ``folds`` [m], then the weights of all questions with it; None where no question has both right and wrong hits on both sides.
    A question without a right hit teaches nothing."""
    useful = np.array([bool(item.right.any() and not item.right.all()) for item in judged], np.bool_)
    parts = [(_rows(useful & (folds != fold)), _rows(folds == fold)) for fold in np.unique(folds)]
    if len(parts) < 2 or any(not taught for taught, _ in parts):
        return None
    tried: list[tuple[float, float, tuple[Floats, ...]]] = []
    for pull in PULLS:
        scores: list[Floats] = [np.zeros(0)] * len(judged)
        for taught, others in parts:
            weights = fit_order([judged[row] for row in taught], pull)
            for row in others:
                scores[row] = judged[row].numbers @ weights
        losses = [_lose(scores[row], judged[row].right) for row in _rows(useful)]
        tried.append((float(np.mean(losses)), pull, tuple(scores)))
        if look:
            look()
    _, pull, held = min(tried, key=lambda one: one[0])
    weights = fit_order([judged[row] for row in _rows(useful)], pull)
    return Ordered(weights, held, pull, tuple((pull, loss) for loss, pull, _ in tried))


def fit_order(judged: Sequence[Judged], pull: float) -> Floats:
    """Weights [f] for numbers as they are, of questions that each have a right hit."""
    numbers, right = np.concatenate([item.numbers for item in judged]), np.concatenate([item.right for item in judged])
    varies = np.ptp(numbers, axis=0) > 0  # the deviation of equal numbers is not quite 0
    spread = np.where(varies, numbers.std(axis=0), 1.0)
    scaled = numbers / spread
    counts = np.array([len(item.right) for item in judged])
    starts, of = np.cumsum(counts) - counts, np.repeat(np.arange(len(judged)), counts)

    def value_and_slope(weights: Floats) -> tuple[float, Floats]:
        scores = scaled @ weights
        raised = np.exp(scores - np.maximum.reduceat(scores, starts)[of])
        wanted = np.where(right, raised, 0.0)
        every, good = np.add.reduceat(raised, starts), np.add.reduceat(wanted, starts)
        good = np.maximum(good, np.finfo(float).tiny)
        slope = scaled.T @ (raised / every[of] - wanted / good[of]) / len(judged)
        return float(np.log(every / good).mean() + pull / 2 * weights @ weights), slope + pull * weights

    best = minimize(
        value_and_slope, np.zeros(numbers.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}
    )
    found: Floats = np.where(varies, best.x / spread, 0.0)
    return found


def _rows(mask: Mask) -> list[int]:
    found: list[int] = np.flatnonzero(mask).tolist()
    return found


def _lose(scores: Floats, right: Mask) -> float:
    highest = scores.max()
    wanted = np.exp(scores[right] - highest).sum()
    return float(np.log(np.exp(scores - highest).sum()) - np.log(max(wanted, np.finfo(float).tiny)))
