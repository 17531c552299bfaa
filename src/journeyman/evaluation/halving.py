"""Successive halving (Jamieson and Talwalkar 2016): many arms on few rows, the better half of them on twice as many, until one is left."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

LEAST = 8  # rows of a first round, where there are as many


def plan_rounds(arms: int, rows: int) -> tuple[int, ...]:
    """Rows that every arm still in the race has been asked at the end of each round; the last round has all of them.

    Raises:
        ValueError: no arms or no rows.
    """
    if arms < 1 or rows < 1:
        raise ValueError(f"expected arms and rows, got {arms} and {rows}")
    rounds = max(1, ceil(log2(arms)))
    return tuple(max(min(LEAST, rows), ceil(rows / 2 ** (rounds - place))) for place in range(1, rounds + 1))


def keep_better(scores: Sequence[float]) -> list[int]:
    """Places of the better half, in their order; of equal ones the earlier stay."""
    ranked = sorted(range(len(scores)), key=lambda place: -scores[place])
    return sorted(ranked[: ceil(len(scores) / 2)])
