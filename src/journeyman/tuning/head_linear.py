"""Multinomial logistic regression with an L2 penalty, by L-BFGS on all rows at once.

Legend: ``n`` rows, ``d`` numbers of a vector, ``k`` classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from journeyman.models.head import Layer

LIMITS = {"maxiter": 300, "gtol": 2e-5, "ftol": 1e-10}

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def fit_linear(
    vectors: Single, labels: Ints, weights: Single, classes: int, strength: float, start: Layer | None = None
) -> Layer:
    """Minimise sum of ``weights`` x losses + ``strength`` |W|^2 / 2 over W [k, d] and a free bias [k], from ``start`` on.

    In float32: float64 takes twice the time for the same dev loss to three digits (banking77, docs/notebook.md).
    """
    rows, size = vectors.shape
    begin = start or Layer(np.zeros((classes, size), np.float32), np.zeros(classes, np.float32))

    def value_and_slope(flat: Floats) -> tuple[float, Floats]:
        layer = _unflatten(flat, classes, size)
        scores = _log_softmax(vectors @ layer.weight.T + layer.bias)
        loss = -float(weights @ scores[np.arange(rows), labels])
        loss += strength / 2 * float(np.vdot(layer.weight, layer.weight))
        errors = np.exp(scores)
        errors[np.arange(rows), labels] -= 1
        errors *= weights[:, None]
        slope = np.concatenate([(errors.T @ vectors + strength * layer.weight).ravel(), errors.sum(axis=0)])
        return loss / rows, slope.astype(np.float64) / rows

    flat = np.concatenate([begin.weight.ravel(), begin.bias]).astype(np.float64)
    best = minimize(value_and_slope, flat, jac=True, method="L-BFGS-B", options=LIMITS)
    return _unflatten(best.x, classes, size)


def _log_softmax(logits: Single) -> Single:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Single = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _unflatten(flat: Floats, classes: int, size: int) -> Layer:
    single = flat.astype(np.float32)
    return Layer(single[: classes * size].reshape(classes, size), single[classes * size :])
