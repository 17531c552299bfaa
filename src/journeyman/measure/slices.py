"""Many slices of the same rows at once: a drawn interval for each, wide enough that all of them hold together.

The bootstrap resamples groups (near copies, conversations), each with all its rows, and takes the same resamples for every slice. Intervals are
percentiles at the chance of error divided by the number of slices (Bonferroni), so that of all slices shown the chance that any interval
misses is the stated one. For reading: no gate decides on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 10_000
BLOCK = 2_000_000
"""Most counts of one block of resamples, 8 MB."""


@dataclass(frozen=True, slots=True)
class SliceInterval:
    """A weighted mean over the rows of a slice, its simultaneous interval, and the rows and groups behind it."""

    value: float
    low: float
    high: float
    n: int
    groups: int


def slice_intervals(
    values: Floats,
    weights: Floats,
    groups: NDArray[np.int64],
    members: Sequence[NDArray[np.bool_]],
    *,
    alpha: float = 0.05,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[SliceInterval | None]:
    """One interval per slice for the mean of ``values`` (n,) over its rows; ``groups`` (n,) numbers the groups from 0.

    None where a slice has fewer than two groups: nothing can be drawn there.

    Raises:
        ValueError: unequal lengths.
    """
    if not len(values) == len(weights) == len(groups) or any(len(mask) != len(values) for mask in members):
        raise ValueError("expected arrays of one length")
    if not members:
        return []
    count = int(groups.max()) + 1 if len(groups) else 0
    masks = np.stack([np.asarray(mask, dtype=np.float64) for mask in members], axis=1)
    tops, bottoms = (_by_group(part[:, None] * masks, groups, count) for part in (values * weights, weights))
    inside = _by_group(masks, groups, count) > 0
    low, high = _percentiles(tops, bottoms, alpha / len(members), draws, seed)
    found: list[SliceInterval | None] = []
    for place, mask in enumerate(members):
        of_slice = int(inside[:, place].sum())
        if of_slice < 2:
            found.append(None)
            continue
        value = float(tops[:, place].sum() / bottoms[:, place].sum())
        found.append(SliceInterval(value, min(value, low[place]), max(value, high[place]), int(np.sum(mask)), of_slice))
    return found


def _by_group(parts: Floats, groups: NDArray[np.int64], count: int) -> Floats:
    """Sums of rows by group: [n, s] -> [groups, s]."""
    total = np.zeros((count, parts.shape[1]))
    np.add.at(total, groups, parts)
    return total


def _percentiles(tops: Floats, bottoms: Floats, alpha: float, draws: int, seed: int) -> tuple[list[float], list[float]]:
    """Ends per slice over resamples of groups: how often each group is drawn, times the groups' sums."""
    rng = np.random.default_rng(seed)
    count, slices = tops.shape
    both = np.concatenate([tops, bottoms], axis=1).astype(np.float32)
    ratios = np.empty((draws, slices), dtype=np.float32)
    block = max(1, min(draws, BLOCK // max(1, count)))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = rng.integers(0, count, size=(rows, count), dtype=np.int32)
        drawn += (np.arange(rows, dtype=np.int32) * count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float32)
        sums = times @ both
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios[start : start + rows] = sums[:, :slices] / sums[:, slices:]
    ends = np.nanquantile(ratios, [alpha / 2, 1 - alpha / 2], axis=0)
    return ends[0].tolist(), ends[1].tolist()
