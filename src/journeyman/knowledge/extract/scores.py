"""How good extractions are: precision, recall and F1 by field, documents that are right as a whole, and how much of what is said stands in its document.

A row of a list is compared with the true row that it shares most with, in their order. Intervals at 95 %: exact ones (Clopper and Pearson) of shares of documents, and of precision and
recall of fields that a document has once; a document's rows are alike, so figures over rows, and every F1, come from a bootstrap that draws documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import Json
from journeyman.knowledge.extract.equal import canonical, is_equal
from journeyman.knowledge.extract.leaves import Path, field_of
from journeyman.knowledge.extract.place import Placed
from journeyman.measure.bootstrap import bootstrap_ratio
from journeyman.measure.intervals import Interval, clopper_pearson

ALL = "*"
"""Under this name the counts of all fields together."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was said of one document, and what is true."""

    answer: Json
    gold: Json
    placed: Sequence[Placed] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    value: float
    interval: Interval
    n: int


@dataclass(frozen=True, slots=True)
class FieldScore:
    """``n`` of precision counts values said, of recall true ones, of F1 and ``whole`` documents that say or should say the field; ``whole`` is their share that is right in all its values."""

    field: str
    precision: Figure | None
    recall: Figure | None
    f1: Figure | None
    whole: Figure | None


@dataclass(frozen=True, slots=True)
class Scores:
    """``fields`` in the order of their first document, all together first; ``grounded``: of the values said that a document has to say, those that it does."""

    fields: tuple[FieldScore, ...]
    whole: Figure
    grounded: Figure | None


@dataclass(slots=True)
class _Count:
    right: int = 0
    said: int = 0
    true: int = 0


def score_extractions(extractions: Sequence[Extraction]) -> Scores:
    """Raises: ValueError without any."""
    if not extractions:
        raise ValueError("there are no extractions to score")
    counts = [count_fields(one.answer, one.gold) for one in extractions]
    names = dict.fromkeys(name for each in counts for name in each)
    whole = sum(all(_is_right(count) for count in each.values()) for each in counts)
    return Scores(
        tuple(_score_field(name, [each[name] for each in counts if name in each]) for name in names),
        Figure(whole / len(counts), clopper_pearson(whole, len(counts)), len(counts)),
        _grounded(extractions),
    )


def count_fields(said: Json, gold: Json) -> Mapping[str, _Count]:
    """Right, said and true values of each field of one document, and of all under ``ALL``."""
    counts: dict[str, _Count] = {ALL: _Count()}
    _count(said, gold, (), counts)
    return counts


def _count(said: Json, gold: Json, path: Path, counts: dict[str, _Count]) -> None:
    if isinstance(said, dict) or isinstance(gold, dict):
        left, right = said if isinstance(said, dict) else {}, gold if isinstance(gold, dict) else {}
        for key in dict.fromkeys((*right, *left)):
            _count(left.get(key), right.get(key), (*path, key), counts)
    elif isinstance(said, list) or isinstance(gold, list):
        for one, other in _pair(said if isinstance(said, list) else [], gold if isinstance(gold, list) else []):
            _count(one, other, (*path, 0), counts)
    else:
        has_said, has_gold = canonical(said) is not None, canonical(gold) is not None
        if has_said or has_gold:
            for name in (ALL, field_of(path)):
                count = counts.setdefault(name, _Count())
                count.said += has_said
                count.true += has_gold
                count.right += has_said and is_equal(said, gold)


def _pair(said: Sequence[Json], gold: Sequence[Json]) -> list[tuple[Json, Json]]:
    """Rows with the true ones that they share most values with, in order; the others with nothing."""
    shared = [[_share(one, other) for other in gold] for one in said]
    best = np.zeros((len(said) + 1, len(gold) + 1))
    for i in range(len(said) - 1, -1, -1):
        for j in range(len(gold) - 1, -1, -1):
            together = shared[i][j] + best[i + 1, j + 1] if shared[i][j] else 0.0
            best[i, j] = max(best[i + 1, j], best[i, j + 1], together)
    pairs: list[tuple[Json, Json]] = []
    i = j = 0
    while i < len(said) and j < len(gold):
        if shared[i][j] and best[i, j] == shared[i][j] + best[i + 1, j + 1]:
            pairs.append((said[i], gold[j]))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            pairs.append((said[i], None))
            i += 1
        else:
            pairs.append((None, gold[j]))
            j += 1
    return [*pairs, *((one, None) for one in said[i:]), *((None, other) for other in gold[j:])]


def _share(one: Json, other: Json) -> int:
    """How many values two rows have in common."""
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(canonical(item) is not None and is_equal(item, other.get(key)) for key, item in one.items())
    return int(canonical(one) is not None and is_equal(one, other))


def _is_right(count: _Count) -> bool:
    return count.right == count.said == count.true


def _score_field(name: str, counts: Sequence[_Count]) -> FieldScore:
    right, said, true = (np.array([getattr(one, key) for one in counts]) for key in ("right", "said", "true"))
    having = [one for one in counts if one.said or one.true]
    whole = sum(map(_is_right, having))
    return FieldScore(
        name,
        _figure(right, said, is_once=bool((said <= 1).all())),
        _figure(right, true, is_once=bool((true <= 1).all())),
        _figure(2 * right, said + true, is_once=False, n=len(having)),
        Figure(whole / len(having), clopper_pearson(whole, len(having)), len(having)) if having else None,
    )


def _figure(
    top: npt.NDArray[np.int64], bottom: npt.NDArray[np.int64], *, is_once: bool, n: int | None = None
) -> Figure | None:
    total, of = int(top.sum()), int(bottom.sum())
    if not of:
        return None
    interval = clopper_pearson(total, of) if is_once else bootstrap_ratio(top, bottom)
    return Figure(total / of, interval, of if n is None else n)


def _grounded(extractions: Sequence[Extraction]) -> Figure | None:
    sought = [Counter(one.is_grounded for one in each.placed if one.status != "chosen") for each in extractions]
    found = np.array([each[True] for each in sought])
    return _figure(found, np.array([each.total() for each in sought]), is_once=False)
