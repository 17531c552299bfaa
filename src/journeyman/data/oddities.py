"""Rows to look at by their text alone: inputs that say their own answer, inputs of few letters, inputs unlike all others.

Legend: ``n`` rows, ``d`` numbers of a vector.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median

import numpy as np
import numpy.typing as npt

BLOCK = 1024
DEVIATIONS = 4.0
"""Below the middle similarity, for a row to be far: of a normal distribution three in 100,000 are."""
LEAST_ROWS = 50


def says_answer(text: str, field: str, value: str) -> bool:
    """Whether an input holds the value as no person would write it: after the field's name, as ``intent: refund``, or as a name of more than one part, as ``card_lost``."""
    if not value:
        return False
    quoted = re.escape(value)
    if field and re.search(rf"(?<!\w){re.escape(field)}\W{{0,3}}[:=]\W{{0,3}}{quoted}(?!\w)", text, re.IGNORECASE):
        return True
    return "_" in value.strip("_") and re.search(rf"(?<!\w){quoted}(?!\w)", text) is not None


def find_garbled(texts: Sequence[str]) -> list[int]:
    """Texts with less than half of the letters and digits, as a share, of the middle one: markup, tables, encoded data. An empty one is none."""
    shares = [_plain_share(text) for text in texts]
    known = [share for share in shares if share is not None]
    if not known:
        return []
    middle = median(known)
    return [row for row, share in enumerate(shares) if share is not None and share < middle / 2]


def find_far(vectors: npt.NDArray[np.float32]) -> list[int]:
    """Rows of ``vectors`` [n, d], of length one, whose most similar other row is far less so than is usual, the farthest first. In blocks: n² products, n numbers kept."""
    size = len(vectors)
    if size < LEAST_ROWS:
        return []
    nearest = np.empty(size)
    for start in range(0, size, BLOCK):
        block = vectors[start : start + BLOCK] @ vectors.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        nearest[start : start + BLOCK] = block.max(axis=1)
    middle = float(np.median(nearest))
    spread = 1.4826 * float(np.median(np.abs(nearest - middle)))
    order = np.argsort(nearest, kind="stable")
    return [int(row) for row in order if nearest[row] < middle - DEVIATIONS * spread]


def _plain_share(text: str) -> float | None:
    letters = [char for char in text if not char.isspace()]
    return sum(char.isalnum() for char in letters) / len(letters) if letters else None
