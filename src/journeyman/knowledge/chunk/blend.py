"""A chunk's vector with a share of its neighbours': small chunks are found by what they say and by what is said around them.

An encoder that averages over tokens reads a window about as the mean of its parts, so that the neighbours' vectors stand in for the window, and nothing is embedded twice.
Measured in benchmarks/chunking.py: it helps chunks of about 100 tokens and costs those of 200, which are a window already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from journeyman.models.embedder import Floats

Ids = npt.NDArray[np.int64]

SHARES = (
    0.4,
    0.3,
    0.2,
)  # of neighbours at distance 1, 2, 3; chosen on three of the five corpora in docs/results/chunking.md


def blend_neighbours(vectors: Floats, shares: Sequence[float] = SHARES, documents: Ids | None = None) -> Floats:
    """Of chunks in order, [n, d]: each vector plus its neighbours' times the shares, of length one again. ``documents`` [n] says to which document or section each belongs, where there are several."""
    blended = vectors.astype(np.float32, copy=True)
    for distance, share in enumerate(shares[: max(0, len(vectors) - 1)], 1):
        if documents is None:
            blended[distance:] += share * vectors[:-distance]
            blended[:-distance] += share * vectors[distance:]
        else:
            first = np.flatnonzero(documents[distance:] == documents[:-distance])
            blended[first + distance] += share * vectors[first]
            blended[first] += share * vectors[first + distance]
    lengths = np.linalg.norm(blended, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    blended /= lengths
    return blended
