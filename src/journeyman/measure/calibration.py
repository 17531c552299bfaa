"""How far stated probabilities are from the shares that come true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from journeyman.measure.intervals import Interval, clopper_pearson

Floats = npt.NDArray[np.float64]
BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of like confidence: its mean, the share that was right with its 95 % interval, how many they are."""

    confidence: float
    right: float
    interval: Interval
    n: int


def brier_score(confidence: npt.ArrayLike, right: npt.ArrayLike) -> float:
    """Mean squared distance of confidence from outcome (Brier 1950): 0 is best, 0.25 is what a coin's 0.5 has.

    Raises:
        ValueError: as `calibration_error`.
    """
    said, came = _read(confidence, right)
    return float(((said - came) ** 2).mean())


def reliability(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """Bins of equally many rows in order of confidence; rows of one confidence share a bin.

    Raises:
        ValueError: as `calibration_error`.
    """
    said, came = _read(confidence, right)
    found = []
    for rows in _equal_mass(said, bins):
        k, n = round(float(came[rows].sum())), len(rows)
        found.append(Bin(float(said[rows].mean()), k / n, clopper_pearson(k, n), n))
    return tuple(found)


def debiased_error(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass, less what chance alone adds to it; not below 0.

    In each bin the gap is taken as normal around the true one, and the excess of its mean size over its size is subtracted: the debiasing of
    Kumar, Liang and Ma, "Verified Uncertainty Calibration" (arXiv:1909.10155), with the mean of the folded normal in closed form.

    Raises:
        ValueError: as `calibration_error`.
    """
    said, came = _read(confidence, right)
    total = 0.0
    for rows in _equal_mass(said, bins):
        n, gap = len(rows), float(abs((said[rows] - came[rows]).mean()))
        share = (float(came[rows].sum()) + 1) / (n + 2)  # Laplace's: a bin that is all right is not without spread
        total += n * (2 * gap - _folded_mean(gap, float(np.sqrt(share * (1 - share) / n))))
    return max(0.0, total / len(said))


def debiased_interval(
    confidence: npt.ArrayLike,
    right: npt.ArrayLike,
    bins: int = BINS,
    draws: int = 500,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> Interval:
    """Reflected bootstrap (the basic interval) of `debiased_error` over rows, or whole ``groups`` of them, 95 %, for drawing: what resampling adds lies on the other side."""
    said, came = _read(confidence, right)
    rng = np.random.default_rng(seed)
    own = _gather(groups) if groups is not None else None
    values = []
    for _ in range(draws):
        if own is None:
            rows = rng.integers(0, len(said), len(said))
        else:
            rows = np.concatenate([own[place] for place in rng.integers(0, len(own), len(own))])
        values.append(debiased_error(said[rows], came[rows], bins))
    low, high = np.quantile(values, [0.025, 0.975])
    point = debiased_error(said, came, bins)
    return Interval(max(0.0, 2 * point - float(high)), max(0.0, 2 * point - float(low), point))


def _gather(groups: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """The rows of each group."""
    _names, places = np.unique(np.array(groups), return_inverse=True)
    return np.split(np.argsort(places, kind="stable"), np.flatnonzero(np.diff(np.sort(places))) + 1)


def _folded_mean(gap: float, spread: float) -> float:
    """E|N(gap, spread²)|."""
    ratio = gap / spread
    return float(spread * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + gap * (1 - 2 * ndtr(-ratio)))


def _equal_mass(said: Floats, bins: int) -> list[npt.NDArray[np.int64]]:
    """Rows by bin. A bin ends where the next confidence is another one."""
    order = np.argsort(said, kind="stable")
    ends = np.flatnonzero(np.diff(said[order])) + 1
    wanted = np.arange(1, bins) * len(said) / bins
    cuts = sorted({int(ends[np.searchsorted(ends, cut)]) for cut in wanted if len(ends) and ends[-1] >= cut})
    return np.split(order, cuts)


def calibration_error(confidence: npt.ArrayLike, right: npt.ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error: rows in bins of equal width by ``confidence`` [n], mean gap between it and the share ``right`` [n].

    Guo et al., "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 2. It is biased upwards on few rows.

    Raises:
        ValueError: no rows, other lengths, or a confidence outside [0, 1].
    """
    said, came = _read(confidence, right)
    # A bin is open below and closed above, as in the paper.
    places = np.clip(np.ceil(said * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(places, weights=said - came, minlength=bins)
    return float(np.abs(gaps).sum() / len(said))


def _read(confidence: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Floats, Floats]:
    said, came = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if said.ndim != 1 or said.shape != came.shape or len(said) == 0:
        raise ValueError(f"expected equally many confidences and outcomes, got {said.shape} and {came.shape}")
    if not np.all((said >= 0) & (said <= 1)):
        raise ValueError("expected confidences between 0 and 1")
    return said, came
