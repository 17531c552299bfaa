"""How far stated probabilities are from the shares that come true."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BINS = 15


def calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: rows in bins of equal width by ``confidence`` [n], mean gap between it and the share ``right`` [n].

    Guo et al., "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 2. It is biased upwards on few rows.

    Raises:
        ValueError: no rows, other lengths, or a confidence outside [0, 1].
    """
    said, came = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if said.ndim != 1 or said.shape != came.shape or len(said) == 0:
        raise ValueError(f"expected equally many confidences and outcomes, got {said.shape} and {came.shape}")
    if not np.all((said >= 0) & (said <= 1)):
        raise ValueError("expected confidences between 0 and 1")
    # A bin is open below and closed above, as in the paper.
    places = np.clip(np.ceil(said * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=said - came, minlength=bins)
    return float(np.abs(gaps).sum() / len(said))
