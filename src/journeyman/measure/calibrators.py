"""From a model's own confidence to the chance that its answer is right, learned on rows with known answers.

Four maps, from no parameter to many: identity, temperature (Guo et al., arXiv:1706.04599), beta (Kull, Silva Filho and Flach, AISTATS 2017) and
isotonic (Zadrozny and Elkan, KDD 2002). Which one a release uses is chosen by cross-validated log loss: the one with the fewest parameters that is within half a
standard error of the least (cf. Breiman et al. 1984, who take a whole one), since few rows make a good confidence worse more easily than better. Log loss and the half
were measured against the Brier score, a whole error and none (docs/notebook.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import Json

Floats = npt.NDArray[np.float64]
Kind = Literal["identity", "temperature", "beta", "isotonic"]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOLDS = 5
SLACK = 0.5
EDGE = 1e-6
"""Confidences are kept this far from 0 and 1, where logarithms end."""


@dataclass(frozen=True, slots=True)
class Calibrator:
    """``points`` are nothing for identity, temperature's (slope,), beta's (a, b, c), or isotonic's confidences followed by as many shares."""

    kind: Kind
    points: tuple[float, ...]

    def __call__(self, confidence: npt.ArrayLike) -> Floats:
        """Chances in [0, 1], rising with confidence; same shape."""
        said = np.clip(np.asarray(confidence, dtype=np.float64), EDGE, 1 - EDGE)
        if self.kind == "identity":
            return said
        if self.kind == "temperature":
            return _expit(self.points[0] * (np.log(said) - np.log1p(-said)))
        if self.kind == "beta":
            a, b, c = self.points
            return _expit(a * np.log(said) - b * np.log1p(-said) + c)
        half = len(self.points) // 2
        return np.interp(said, self.points[:half], self.points[half:])

    def to_json(self) -> dict[str, Json]:
        return {"kind": self.kind, "points": list(self.points)}

    @staticmethod
    def from_json(raw: Mapping[str, Json]) -> Calibrator:
        return Calibrator(cast(Kind, raw["kind"]), tuple(cast(list[float], raw["points"])))


def fit(
    kind: Kind, confidence: npt.ArrayLike, right: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Calibrator:
    """The map of this kind with the least loss; arrays of shape (n,), ``right`` 0 or 1.

    Raises:
        ValueError: no rows, other lengths, a confidence outside [0, 1].
    """
    from scipy.optimize import minimize  # only where something is fitted: a server applies maps alone

    said, came, weight = _read(confidence, right, weights)
    if kind == "identity":
        return Calibrator(kind, ())
    if kind == "isotonic":
        return _fit_isotonic(said, came, weight)
    # One pseudo-row on either side keeps the fit finite where all answers are right, or none.
    targets = _shrink(came, weight)
    lower, upper = np.log(said), -np.log1p(-said)
    columns = [lower + upper] if kind == "temperature" else [lower, upper, np.ones_like(said)]
    features = np.stack(columns, axis=1)

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        scores = features @ coefficients
        gradient = weight * (_expit(scores) - targets)
        value = (weight * (np.logaddexp(0, scores) - targets * scores)).sum()
        return float(value / weight.sum()), features.T @ gradient / weight.sum()

    bounds: list[tuple[float | None, None]] = [(0.0, None), (0.0, None), (None, None)]  # never falling in confidence
    start, bounds = np.array([1.0, 1.0, 0.0])[: len(columns)], bounds[: len(columns)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return Calibrator(kind, tuple(float(value) for value in found.x))


def choose(
    confidence: npt.ArrayLike,
    right: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[Calibrator, dict[str, float]]:
    """The plainest kind whose cross-validated log loss is within ``SLACK`` standard errors of the least, fitted on all rows, and the losses of all kinds.

    Rows of one group ("": its own) are in one fold. With fewer than two folds' worth of groups, identity, unchecked.
    """
    said, came, weight = _read(confidence, right, weights)
    given = groups if groups is not None else [""] * len(said)
    names = [name or f"\0{row}" for row, name in enumerate(given)]
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    if len(places) < 2 * FOLDS:
        return fit("identity", said, came, weight), {}
    fold_of = np.random.default_rng(seed).permutation(len(places)) % FOLDS
    group = np.array([places[name] for name in names])
    folds = fold_of[group]
    losses: dict[Kind, Floats] = {}
    for kind in KINDS:
        errors = np.zeros_like(said)
        for fold in range(FOLDS):
            kept, out = folds != fold, folds == fold
            errors[out] = _log_loss(fit(kind, said[kept], came[kept], weight[kept])(said[out]), came[out])
        losses[kind] = errors
    scores = {kind: float((weight * errors).sum() / weight.sum()) for kind, errors in losses.items()}
    best = min(KINDS, key=lambda kind: scores[kind])
    chosen = next(kind for kind in KINDS if _is_within(losses[kind] - losses[best], weight, group))
    return fit(chosen, said, came, weight), {str(kind): score for kind, score in scores.items()}


def _log_loss(said: Floats, came: Floats) -> Floats:
    """In nats, shape (n,)."""
    chance = np.clip(said, EDGE, 1 - EDGE)
    return np.asarray(-came * np.log(chance) - (1 - came) * np.log1p(-chance))


def _is_within(excess: Floats, weight: Floats, group: npt.NDArray[np.int64]) -> bool:
    """Whether the mean of paired differences is no more than ``SLACK`` of its own standard errors above zero; groups are what is independent."""
    shares = np.bincount(group, weight) / weight.sum()
    sums = np.bincount(group, weight * excess) / weight.sum()
    mean = float(sums.sum())
    return mean <= SLACK * float(np.sqrt(((sums - mean * shares) ** 2).sum()))


def _fit_isotonic(said: Floats, came: Floats, weight: Floats) -> Calibrator:
    from scipy.optimize import isotonic_regression

    order = np.argsort(said, kind="stable")
    distinct, starts = np.unique(said[order], return_index=True)
    total = np.add.reduceat(weight[order], starts)
    share = np.add.reduceat((weight * came)[order], starts) / total
    level = isotonic_regression(share, weights=total).x
    # Each step's ends alone; between steps the map is a line.
    keep = np.ones(len(level), dtype=bool)
    keep[1:-1] = (np.diff(level)[:-1] != 0) | (np.diff(level)[1:] != 0)
    # Below all that was seen it falls to zero: where every row was right, even a guess would else be called certain.
    return Calibrator("isotonic", (0.0, *map(float, distinct[keep]), 0.0, *map(float, level[keep])))


def _expit(scores: Floats) -> Floats:
    """The logistic function, without overflow on either side."""
    return np.asarray(np.exp(-np.logaddexp(0, -scores)))


def _shrink(came: Floats, weight: Floats) -> Floats:
    """Platt's targets (1999): right is (n1 + 1) / (n1 + 2), wrong 1 / (n0 + 2)."""
    ones = float((weight * came).sum() / weight.mean())
    zeros = len(came) - ones
    return np.asarray(np.where(came > 0, (ones + 1) / (ones + 2), 1 / (zeros + 2)))


def _read(
    confidence: npt.ArrayLike, right: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Floats, Floats]:
    said, came = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    weight = np.ones_like(said) if weights is None else np.asarray(weights, dtype=np.float64)
    if said.ndim != 1 or not said.shape == came.shape == weight.shape or len(said) == 0:
        raise ValueError(f"expected equally many confidences, outcomes and weights, got {said.shape}, {came.shape}")
    if not np.all((said >= 0) & (said <= 1)):
        raise ValueError("expected confidences between 0 and 1")
    return np.clip(said, EDGE, 1 - EDGE), came, weight
