"""Ranked chunks, and rankings made one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

RRF_K = 60.0  # Cormack, Clarke, Büttcher 2009


@dataclass(frozen=True, slots=True)
class Hit:
    """Chunk ``id`` with what it scored: higher is better, comparable within one ranking only."""

    id: int
    score: float


Ranking = Sequence[Hit]


def fuse_ranks(rankings: Sequence[Ranking], weights: Sequence[float] | None = None, k: float = RRF_K) -> list[Hit]:
    """Reciprocal rank fusion: the sum of ``weight / (k + rank)`` with ranks from 1 (Cormack, Clarke and Büttcher, SIGIR 2009)."""
    scores: dict[int, float] = defaultdict(float)
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, hit in enumerate(ranking, 1):
            scores[hit.id] += weight / (k + rank)
    return _sorted(scores)


def fuse_scores(rankings: Sequence[Ranking], weights: Sequence[float]) -> list[Hit]:
    """The weighted sum of scores, each ranking's first scaled to 0 for its last and 1 for its first; what a ranking lacks has 0 there (Bruch, Gai and Ingber, arXiv:2210.11934)."""
    scores: dict[int, float] = defaultdict(float)
    for ranking, weight in zip(rankings, weights, strict=True):
        if not ranking:
            continue
        low, high = min(hit.score for hit in ranking), max(hit.score for hit in ranking)
        for hit in ranking:
            scores[hit.id] += weight * ((hit.score - low) / (high - low) if high > low else 1.0)
    return _sorted(scores)


def _sorted(scores: dict[int, float]) -> list[Hit]:
    return [Hit(id, score) for id, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))]
