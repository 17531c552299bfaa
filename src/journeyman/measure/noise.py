"""Labels that are likely wrong, from out-of-sample probabilities: confident learning (Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021).

A row is suspected where a class that is not its label reaches that class' own mean confidence: the mean probability of the class over the rows that are labelled so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST_ROWS = 50
"""With an answer, for labels to be looked at."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """``row`` has the class ``label``, of probability ``given``, and is likelier of class ``likely``, of probability ``taken``."""

    row: int
    label: int
    likely: int
    given: float
    taken: float


def find_suspects(shares: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> list[Suspect]:
    """``shares`` [n, k] by a model that did not learn the row, ``labels`` [n]; the most certain suspects first."""
    thresholds = np.array(
        [
            shares[labels == label, label].mean() if (labels == label).any() else np.inf
            for label in range(shares.shape[1])
        ]
    )
    confident = np.where(shares >= thresholds, shares, -1.0)
    likely = confident.argmax(axis=1)
    rows = np.flatnonzero((confident.max(axis=1) >= 0) & (likely != labels))
    found = [
        Suspect(
            int(row),
            int(labels[row]),
            int(likely[row]),
            float(shares[row, labels[row]]),
            float(shares[row, likely[row]]),
        )
        for row in rows
    ]
    return sorted(found, key=lambda item: (item.given - item.taken, item.row))
