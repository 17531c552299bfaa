"""From a question to passages: rankings by words and by vectors, fused, filtered exactly, read with their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.index.file import Index, Piece
from journeyman.knowledge.index.matrix import Vectors
from journeyman.knowledge.retrieve.dense import rank_dense
from journeyman.knowledge.retrieve.diverse import choose_diverse
from journeyman.knowledge.retrieve.filters import Filter, find_allowed
from journeyman.knowledge.retrieve.lexical import Words
from journeyman.knowledge.retrieve.ranking import Hit, fuse_ranks, fuse_scores
from journeyman.knowledge.retrieve.recipe import DENSE_WEIGHT, Recipe
from journeyman.knowledge.retrieve.tuned import Current, Tuning

Floats = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True, slots=True)
class Found:
    """A passage: ``text`` is ``document.text[start:end]``, neighbours included; ``piece`` is the chunk that was hit."""

    piece: Piece
    score: float
    start: int
    end: int
    text: str


class Search:
    """Questions to one index. ``embed`` makes unit vectors [n, d] of questions; without it words alone are ranked. ``tuned`` stands in for what the index has learned."""

    def __init__(self, index: Index, embed: Embed | None, tuned: Current | None = None) -> None:
        self._index, self._embed = index, embed
        self._vectors, self._words = Vectors(index), Words(index)
        self._tuned = tuned or Tuning(index).current

    def find(self, question: str, recipe: Recipe, where: Filter | None = None) -> list[Found]:
        """At most ``recipe.top`` passages, best first, none with text of another; fewer only where fewer chunks match."""
        hits = self.rank(
            question, recipe if not recipe.window else replace(recipe, top=max(recipe.depth, recipe.top)), where
        )
        scores = {hit.id: hit.score for hit in hits}
        passages: list[Found] = []
        for piece in self._index.pieces([hit.id for hit in hits]):
            self._add(passages, self._widen(piece, scores[piece.id], recipe.window))
            if len(passages) == recipe.top:
                break
        return passages

    def _add(self, passages: list[Found], found: Found) -> None:
        """Windows that meet are one passage, in the place of the best hit."""
        met = [other for other in passages if _is_met(other, found)]
        if not met:
            passages.append(found)
            return
        start, end = min(item.start for item in (found, *met)), max(item.end for item in (found, *met))
        text = self._index.document(found.piece.document).text[start:end]
        passages[passages.index(met[0])] = replace(met[0], start=start, end=end, text=text)
        for other in met[1:]:
            passages.remove(other)

    def rank(self, question: str, recipe: Recipe, where: Filter | None = None) -> list[Hit]:
        allowed = find_allowed(self._index.documents(), where) if where else None
        if allowed == []:
            return []
        depth = max(recipe.depth, recipe.top)
        by_words = self._words.rank(question, depth, allowed) if recipe.ranker != "dense" else []
        if recipe.ranker == "lexical" or self._embed is None:
            return by_words[: recipe.top]
        tuned = self._tuned() if recipe.is_tuned else None
        vector = self._embed([question])[0]
        vector = tuned.turned(vector) if tuned else vector
        matrix = self._vectors.current(recipe.is_blended)
        mask = np.isin(matrix.documents, np.array(allowed, np.int64)) if allowed is not None else None
        by_vectors = rank_dense(matrix, vector, depth, mask)
        hits = by_vectors
        if recipe.ranker == "hybrid":
            fuse = fuse_ranks if recipe.fusion == "ranks" else fuse_scores
            learned = tuned.dense_weight if tuned else DENSE_WEIGHT
            share = learned if recipe.dense_weight is None else recipe.dense_weight
            hits = fuse([by_vectors, by_words], [share, 1 - share])
        if recipe.diversity > 0 and hits:
            rows = np.searchsorted(matrix.ids, [hit.id for hit in hits])
            order = choose_diverse(vector, matrix.vectors[rows], recipe.top, 1 - recipe.diversity)
            return [hits[row] for row in order]
        return hits[: recipe.top]

    def _widen(self, piece: Piece, score: float, window: int) -> Found:
        if not window:
            return Found(piece, score, piece.start, piece.end, piece.text)
        around = self._index.neighbours(piece.document, piece.number - window, piece.number + window)
        start, end = min(item.start for item in around), max(item.end for item in around)
        return Found(piece, score, start, end, self._index.document(piece.document).text[start:end])


def _is_met(one: Found, other: Found) -> bool:
    return one.piece.document == other.piece.document and one.start < other.end and other.start < one.end
