"""A linear map for questions' vectors, so that they come nearer to the chunks that answer them than to all others.

Minimises the mean of -log(sum over right chunks of exp(s) / sum over all chunks of exp(s)), s = cos(question x map, chunk) / ``TEMPERATURE``: InfoNCE (van den Oord et al., arXiv:1807.03748) with every
chunk given as a negative, those that rank highest without being right among them. A penalty pulls the map towards the identity, where it starts. All questions at once, by L-BFGS: equal questions give equal bits on one
machine. Knows nothing about files and documents.

Legend: ``m`` questions, ``n`` chunks, ``d`` numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

TEMPERATURE = 0.05  # what all-MiniLM-L6-v2 was trained with
PULLS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Of |map - identity|^2 / 2, strongest first; the loss is a mean over questions."""
WORSE_IN_A_ROW = 2  # ends the path
STEPS = 15  # from each pull to the next; the path goes on from where it was
BLOCK = 256  # questions whose scores are in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """``vectors`` [m, d] of questions, each with the rows of the chunks that answer it, at least one."""

    vectors: Floats
    right: Sequence[Ints]


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """``turn`` [d, d] from all questions, or None where no map is better than none on questions that it has not seen; ``held`` [m, d] are the questions' vectors, each turned by a map that has not seen it.
    ``losses`` by pull, the first without a map."""

    turn: Floats | None
    held: Floats
    pull: float | None
    losses: tuple[tuple[float | None, float], ...]


def train_turn(asked: Asked, folds: Ints, chunks: Floats, look: Callable[[], None] | None = None) -> Turned:
    """The pull with the smallest loss on questions of the other ``folds`` [m], along the path from the strongest to the weakest; then the map of all questions with it. ``chunks`` [n, d]."""
    identity = np.eye(chunks.shape[1], dtype=np.float32)
    parts = [(_take(asked, folds != fold), _take(asked, folds == fold), folds == fold) for fold in np.unique(folds)]
    turns = [identity for _ in parts]
    losses: list[tuple[float | None, float]] = [(None, measure_loss(identity, asked, chunks))]
    best, worse, held, start = 0, 0, asked.vectors, identity
    for pull in PULLS:
        turns = [fit_turn(train, chunks, pull, turn) for (train, _, _), turn in zip(parts, turns, strict=True)]
        lost = [measure_loss(turn, dev, chunks) for (_, dev, _), turn in zip(parts, turns, strict=True)]
        losses.append((pull, float(np.average(lost, weights=[len(dev.right) for _, dev, _ in parts]))))
        worse += 1
        if losses[-1][1] < losses[best][1]:
            best, worse, held = len(losses) - 1, 0, _turn_each(asked, parts, turns)
            start = np.mean(turns, axis=0, dtype=np.float32)
        if look:
            look()
        if worse == WORSE_IN_A_ROW:
            break
    chosen = losses[best][0]
    turn = None if chosen is None else fit_turn(asked, chunks, chosen, start)
    return Turned(turn, held, chosen, tuple(losses))


def _take(asked: Asked, kept: Mask) -> Asked:
    return Asked(asked.vectors[kept], [asked.right[row] for row in np.flatnonzero(kept).tolist()])


def _turn_each(asked: Asked, parts: Sequence[tuple[Asked, Asked, Mask]], turns: Sequence[Floats]) -> Floats:
    held = asked.vectors.copy()
    for (_, dev, mask), turn in zip(parts, turns, strict=True):
        held[mask] = _unit(dev.vectors @ turn)[0]
    return held


def fit_turn(asked: Asked, chunks: Floats, pull: float, start: Floats | None = None) -> Floats:
    size = chunks.shape[1]
    identity = np.eye(size, dtype=np.float32)

    def value_and_slope(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        turn = flat.reshape(size, size).astype(np.float32)
        loss, slope = 0.0, pull * (turn - identity)
        for part, mask in _blocks(asked, len(chunks)):
            value, gradient = _loss_and_slope(turn, part, mask, chunks)
            loss, slope = loss + value / len(asked.right), slope + gradient / np.float32(len(asked.right))
        return loss + pull / 2 * float(np.square(turn - identity).sum()), slope.ravel().astype(np.float64)

    begin = (identity if start is None else start).ravel().astype(np.float64)
    best = minimize(value_and_slope, begin, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    found: Floats = best.x.reshape(size, size).astype(np.float32)
    return found


def measure_loss(turn: Floats, asked: Asked, chunks: Floats) -> float:
    """The mean over questions, without the penalty."""
    total = sum(float(_losses(turn, part, mask, chunks).sum()) for part, mask in _blocks(asked, len(chunks)))
    return total / len(asked.right)


def _blocks(asked: Asked, count: int) -> Iterator[tuple[Floats, Mask]]:
    """Questions with a mask [b, n] of what is right."""
    for start in range(0, len(asked.right), BLOCK):
        right = asked.right[start : start + BLOCK]
        mask = np.zeros((len(right), count), np.bool_)
        for row, found in enumerate(right):
            mask[row, found] = True
        yield asked.vectors[start : start + BLOCK], mask


def _losses(turn: Floats, vectors: Floats, mask: Mask, chunks: Floats) -> Floats:
    scores = _unit(vectors @ turn)[0] @ chunks.T / np.float32(TEMPERATURE)
    return _log_sum(scores)[:, 0] - _log_sum(np.where(mask, scores, -np.inf))[:, 0]


def _loss_and_slope(turn: Floats, vectors: Floats, mask: Mask, chunks: Floats) -> tuple[float, Floats]:
    """Summed over the questions, with the slope in ``turn`` [d, d]."""
    unit, lengths = _unit(vectors @ turn)
    scores = unit @ chunks.T / np.float32(TEMPERATURE)
    every = _log_sum(scores)
    right = np.where(mask, scores, np.float32(-np.inf))
    wanted = _log_sum(right)
    pushed = (np.exp(scores - every) - np.exp(right - wanted)) @ chunks / np.float32(TEMPERATURE)
    across = (pushed - (pushed * unit).sum(axis=1, keepdims=True) * unit) / lengths
    return float((every - wanted).sum()), vectors.T @ across


def _unit(vectors: Floats) -> tuple[Floats, Floats]:
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-6))
    return vectors / lengths, lengths


def _log_sum(scores: Floats) -> Floats:
    """log of the sum of exp over a row, [b, 1]."""
    highest = scores.max(axis=1, keepdims=True)
    found: Floats = highest + np.log(np.exp(scores - highest).sum(axis=1, keepdims=True))
    return found
