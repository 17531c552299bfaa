"""Multinomial logistic regression with an L2 penalty, by L-BFGS on all rows at once.

Legend: ``n`` rows, ``d`` numbers of a vector, ``k`` classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from journeyman.models.head import Layer, log_softmax
from journeyman.tuning.head_rows import ScaledRows

LIMITS = {"maxiter": 300, "gtol": 2e-5, "ftol": 1e-10}

Floats = npt.NDArray[np.float64]


def fit_linear(rows: ScaledRows, strength: float, start: Layer | None = None) -> Layer:
    """Minimise sum of weights x losses + ``strength`` |W|^2 / 2 over W [k, d] and a free bias [k], from ``start`` on.

    In float32: float64 takes twice the time for the same dev loss to three digits (banking77, docs/notebook.md).
    """
    count, size = rows.vectors.shape
    begin = start or Layer(np.zeros((rows.classes, size), np.float32), np.zeros(rows.classes, np.float32))

    def value_and_slope(flat: Floats) -> tuple[float, Floats]:
        layer = _unflatten(flat, rows.classes, size)
        scores = log_softmax(rows.vectors @ layer.weight.T + layer.bias)
        loss = -float(rows.weights @ scores[np.arange(count), rows.labels])
        loss += strength / 2 * float(np.vdot(layer.weight, layer.weight))
        errors = np.exp(scores)
        errors[np.arange(count), rows.labels] -= 1
        errors *= rows.weights[:, None]
        slope = np.concatenate([(errors.T @ rows.vectors + strength * layer.weight).ravel(), errors.sum(axis=0)])
        return loss / count, slope.astype(np.float64) / count

    flat = np.concatenate([begin.weight.ravel(), begin.bias]).astype(np.float64)
    best = minimize(value_and_slope, flat, jac=True, method="L-BFGS-B", options=LIMITS)
    return _unflatten(best.x, rows.classes, size)


def _unflatten(flat: Floats, classes: int, size: int) -> Layer:
    single = flat.astype(np.float32)
    return Layer(single[: classes * size].reshape(classes, size), single[classes * size :])
