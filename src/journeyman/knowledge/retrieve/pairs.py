"""What a question and a passage have in common, in the numbers that a learned order weighs.

Ranks tell what each ranking thinks of a passage; these also say which of the question's words stand in it, whether they stand together, and what kind of text it is. Words count by how rare they are in
the index, in their stems; the headings above a passage are part of it. All numbers are comparable over questions. Knows nothing about which of them matter.

Legend: ``n`` passages, ``f`` numbers of each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.index.file import Index
from journeyman.knowledge.retrieve.lexical import Words, find_words
from journeyman.knowledge.retrieve.ranking import Hit

NAMES = ("fused", "near", "words", "matched", "covered", "in_a_row", "together", "length", "capitals")
WORD = re.compile(r"\w+")
TOGETHER = 25  # words in which those of the question stand together
ENDINGS = ("ing", "edly", "ed", "ies", "es", "s", "ly")
LEAST_STEM = 3
Floats = npt.NDArray[np.float64]


class Pairs:
    """Of one index; ``words`` knows how rare each is."""

    def __init__(self, index: Index, words: Words) -> None:
        self._index, self._words = index, words

    def describe(
        self,
        question: str,
        hits: Sequence[Hit],
        near: npt.NDArray[np.float32],
        by_vectors: Sequence[Hit],
        by_words: Sequence[Hit],
    ) -> Floats:
        """[n, f] of fused ``hits`` [n], whose cosines are ``near`` [n]; ``by_vectors`` and ``by_words`` are the rankings that were fused."""
        rarity = {word: self._words.rarity(word) for word in find_words(question)}
        total = sum(rarity.values()) or 1.0
        stems = _add_stems(rarity)
        rows = set(pairwise(map(stem, map(str.lower, WORD.findall(question)))))
        scores = {hit.id: hit.score for hit in by_words}
        best = max(scores.values(), default=0.0)
        nearest = by_vectors[0].score if by_vectors else 0.0
        texts = self._read(hits)
        described = np.zeros((len(hits), len(NAMES)))
        for row, (hit, cosine) in enumerate(zip(hits, near.tolist(), strict=True)):
            words = (scores.get(hit.id, 0.0) - best) / total
            described[row, :4] = hit.score, cosine - nearest, words, hit.id in scores
            described[row, 4:] = _compare(texts.get(hit.id, ""), stems, total, rows)
        return described

    def _read(self, hits: Sequence[Hit]) -> Mapping[int, str]:
        ids = [hit.id for hit in hits]
        above = {id: standing.above for id, standing in self._index.standing(ids).items()}
        return {piece.id: f"{above.get(piece.id, '')}\n{piece.text}" for piece in self._index.pieces(ids)}


def stem(word: str) -> str:
    """Without the commonest endings of English, as the index's own stems do it, roughly."""
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= LEAST_STEM:
            return word[: -len(ending)]
    return word


def _add_stems(rarity: Mapping[str, float]) -> dict[str, float]:
    stems: dict[str, float] = {}
    for word, value in rarity.items():
        stems[stem(word)] = stems.get(stem(word), 0.0) + value
    return stems


def _compare(
    text: str, stems: Mapping[str, float], total: float, rows: set[tuple[str, str]]
) -> tuple[float, float, float, float, float]:
    written = WORD.findall(text)
    words = [stem(word.lower()) for word in written]
    places = [(place, word) for place, word in enumerate(words) if word in stems]
    covered = sum(stems[word] for word in {word for _, word in places})
    in_a_row = len(rows.intersection(pairwise(words)))
    capitals = sum(word[0].isupper() for word in written)
    return (
        covered / total,
        in_a_row / max(1, len(rows)),
        _weigh_together(places, stems) / total,
        log(max(1, len(words))),
        capitals / max(1, len(words)),
    )


def _weigh_together(places: Sequence[tuple[int, str]], stems: Mapping[str, float]) -> float:
    """The most that the question's words in any ``TOGETHER`` words of the passage weigh."""
    most = 0.0
    for start, (first, _) in enumerate(places):
        here: set[str] = set()
        for place, word in places[start:]:
            if place - first >= TOGETHER:
                break
            here.add(word)
        most = max(most, sum(stems[word] for word in here))
    return most
