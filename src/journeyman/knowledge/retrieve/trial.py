"""What a recipe's passages are worth for questions whose answers are known spans.

All by characters: of a question with right spans R and passages whose union is P, recall is |R and P| / |R|, precision |R and P| / |P|, IoU |R and P| / |R or P| (as Smith and
Troynikov, "Evaluating Chunking Strategies for Retrieval", 2024, count tokens); ``reciprocal`` is 1 / rank of the first passage that holds some of R, 0 where none does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from journeyman.knowledge.retrieve.filters import Filter
from journeyman.knowledge.retrieve.recipe import Recipe
from journeyman.knowledge.retrieve.search import Found

Find = Callable[[str, Recipe, Filter | None], Sequence[Found]]


@dataclass(frozen=True, slots=True)
class Gold:
    """``text[start:end]`` of the document with this number in the index."""

    document: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    gold: tuple[Gold, ...]
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one question; ``read`` is how many characters the passages have, ``ms`` how long finding them took."""

    recall: float
    precision: float
    iou: float
    reciprocal: float
    read: int
    ms: float


def try_recipe(find: Find, recipe: Recipe, questions: Sequence[Question]) -> list[Scores]:
    """In the questions' order."""
    scores = []
    for question in questions:
        began = time.perf_counter()
        found = find(question.text, recipe, question.where)
        scores.append(score(found, question.gold, 1000 * (time.perf_counter() - began)))
    return scores


def score(found: Sequence[Found], gold: Sequence[Gold], ms: float = 0.0) -> Scores:
    right = _union((item.document, item.start, item.end) for item in gold)
    read = _union((item.piece.document, item.start, item.end) for item in found)
    common = sum(_common(right[document], read.get(document, [])) for document in right)
    wanted, taken = _length(right), _length(read)
    ranks = (rank for rank, item in enumerate(found, 1) if _holds(item, gold))
    return Scores(
        recall=common / wanted if wanted else 0.0,
        precision=common / taken if taken else 0.0,
        iou=common / (wanted + taken - common) if wanted + taken - common else 0.0,
        reciprocal=1 / next(ranks, float("inf")),
        read=taken,
        ms=ms,
    )


Spans = list[tuple[int, int]]


def _union(spans: Iterable[tuple[int, int, int]]) -> Mapping[int, Spans]:
    """Spans of each document, ascending and apart."""
    found: dict[int, Spans] = {}
    for document, start, end in sorted(spans):
        of = found.setdefault(document, [])
        if of and start <= of[-1][1]:
            of[-1] = (of[-1][0], max(of[-1][1], end))
        else:
            of.append((start, end))
    return found


def _common(left: Spans, right: Spans) -> int:
    total, a, b = 0, 0, 0
    while a < len(left) and b < len(right):
        total += max(0, min(left[a][1], right[b][1]) - max(left[a][0], right[b][0]))
        if left[a][1] < right[b][1]:
            a += 1
        else:
            b += 1
    return total


def _length(spans: Mapping[int, Spans]) -> int:
    return sum(end - start for of in spans.values() for start, end in of)


def _holds(found: Found, gold: Sequence[Gold]) -> bool:
    return any(
        found.piece.document == item.document and found.start < item.end and item.start < found.end for item in gold
    )
