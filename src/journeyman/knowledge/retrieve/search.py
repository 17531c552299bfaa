"""From a question to passages: rankings by words and by vectors, fused, filtered exactly, read with their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from journeyman.core.errors import KnowledgeError
from journeyman.knowledge.index.file import Index, Piece
from journeyman.knowledge.index.matrix import Vectors
from journeyman.knowledge.links.shelf import Shelf
from journeyman.knowledge.retrieve.approximate import Approximate
from journeyman.knowledge.retrieve.dense import Exact
from journeyman.knowledge.retrieve.diverse import choose_diverse
from journeyman.knowledge.retrieve.embedded import find_embedded
from journeyman.knowledge.retrieve.filters import Filter, find_allowed
from journeyman.knowledge.retrieve.inferred import NAMED, Named, prefer
from journeyman.knowledge.retrieve.lexical import Words
from journeyman.knowledge.retrieve.nearest import Candidates, Nearest
from journeyman.knowledge.retrieve.pairs import Pairs
from journeyman.knowledge.retrieve.parts import Part, find_parts, join_parts
from journeyman.knowledge.retrieve.ranking import Hit, fuse_ranks, fuse_scores
from journeyman.knowledge.retrieve.recipe import DENSE_WEIGHT, Recipe
from journeyman.knowledge.retrieve.rerank import DEPTH, Order, reorder
from journeyman.knowledge.retrieve.tuned import Current, Tuned, Tuning

Floats = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True, slots=True)
class Found:
    """A passage: ``text`` is ``document.text[start:end]``, neighbours included; ``piece`` is the chunk that was hit, or the first one of what a passage before it embeds."""

    piece: Piece
    score: float
    start: int
    end: int
    text: str
    is_embedded: bool = False


@dataclass(frozen=True, slots=True)
class _Ranked:
    hits: list[Hit]
    evidence: float


class Search:
    """Questions to one index. ``embed`` makes unit vectors [n, d] of questions; without it words alone are ranked. ``tuned`` stands in for what the index has learned.

    ``candidates`` know near chunks without all products, by blended vectors, and are asked from ``least`` chunks on; vectors as they were embedded are always searched exactly.
    """

    def __init__(
        self,
        index: Index,
        embed: Embed | None,
        candidates: Candidates | None = None,
        least: int = 0,
        tuned: Current | None = None,
    ) -> None:
        self._index, self._embed = index, embed
        self._words, self._named, self._shelf = Words(index), Named(index), Shelf(index)
        self._pairs = Pairs(index, self._words)
        self._tuned = tuned or Tuning(index).current
        vectors = Vectors(index)
        self._plain: Nearest = Exact(vectors, is_blended=False)
        self._blended: Nearest = Exact(vectors, is_blended=True)
        if candidates is not None:
            self._blended = Approximate(index, candidates, self._blended, least)

    def find(self, question: str, recipe: Recipe, where: Filter | None = None) -> list[Found]:
        """At most ``recipe.top`` passages, best first, none with text of another; fewer only where fewer chunks match, none where they are less evidence than ``recipe.least``. What they embed follows each, where
        it is asked for."""
        ranked = self._rank(
            question, recipe if not recipe.window else replace(recipe, top=max(recipe.depth, recipe.top)), where
        )
        if recipe.least and ranked.evidence < recipe.least:
            return []
        scores = {hit.id: hit.score for hit in ranked.hits}
        passages: list[Found] = []
        for piece in self._index.pieces([hit.id for hit in ranked.hits]):
            self._add(passages, self._widen(piece, scores[piece.id], recipe.window))
            if len(passages) == recipe.top:
                break
        return self._with_embedded(passages, where) if recipe.has_embeds else passages

    def _with_embedded(self, found: Sequence[Found], where: Filter | None) -> list[Found]:
        allowed = find_allowed(self._index.documents(), where) if where else None
        passages: list[Found] = []
        for item in found:
            self._add(passages, item)
            span = (item.piece.document, item.start, item.end)
            for inner in find_embedded(self._index, self._shelf, *span, allowed):
                self._add(
                    passages, Found(inner.piece, item.score, inner.start, inner.end, inner.text, is_embedded=True)
                )
        return passages

    def weigh(self, question: str, recipe: Recipe, where: Filter | None = None, without: Collection[int] = ()) -> float:
        """How much speaks for it that the documents answer a question, comparable over questions: the highest cosine of any chunk, and what the highest BM25 is of what it could be, in the shares of the
        recipe's ranking. ``without`` documents of these ids."""
        return self._rank(question, recipe, where, without).evidence

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
        return self._rank(question, recipe, where).hits

    def _rank(
        self, question: str, recipe: Recipe, where: Filter | None = None, without: Collection[int] = ()
    ) -> _Ranked:
        allowed = find_allowed(self._index.documents(), where or {}) if where or without else None
        if allowed is not None and without:
            allowed = [id for id in allowed if id not in without]
        if allowed == []:
            return _Ranked([], 0.0)
        texts = [question, *(find_parts(question) if recipe.is_split else ())]
        embed = self._embed if recipe.ranker != "lexical" else None
        vectors = embed(texts) if embed else [None] * len(texts)
        whole, *parts = [self._fuse(text, vector, recipe, allowed) for text, vector in zip(texts, vectors, strict=True)]
        hits = join_parts(whole.hits, parts)
        chosen = self._choose(hits, recipe) if embed else hits[: recipe.top]
        named = self._named.find(question) if recipe.is_named else []
        if named and allowed is not None:
            named = [id for id in named if id in set(allowed)]
        if named:
            own = self._fuse(question, vectors[0], recipe, named).hits[:NAMED]
            chosen = prefer(chosen, own)[: recipe.top]
        return _Ranked(chosen, max(part.evidence for part in (whole, *parts)))

    def _choose(self, hits: list[Hit], recipe: Recipe) -> list[Hit]:
        if not hits or not recipe.diversity:
            return hits[: recipe.top]
        nearest = self._blended if recipe.is_blended else self._plain
        scores = np.array([hit.score for hit in hits], np.float32)
        order = choose_diverse(scores, nearest.take([hit.id for hit in hits]), recipe.top, 1 - recipe.diversity)
        return [hits[row] for row in order]

    def _fuse(self, question: str, vector: Floats | None, recipe: Recipe, allowed: Sequence[int] | None) -> Part:
        depth = max(recipe.depth, recipe.top, recipe.rerank or 0)
        by_words = self._words.rank(question, depth, allowed) if recipe.ranker != "dense" else []
        by_share = self._words.share(question, by_words[0].score) if by_words else 0.0
        tuned = self._tuned() if recipe.is_tuned and vector is not None else None
        order = self._choose_order(recipe, tuned)
        if vector is None:
            return Part(question, by_words, by_share)
        vector = tuned.turned(vector) if tuned else vector
        nearest = self._blended if recipe.is_blended else self._plain
        by_vectors = nearest.rank(vector, depth, allowed)
        hits, evidence = by_vectors, by_vectors[0].score if by_vectors else 0.0
        if recipe.ranker == "hybrid":
            fuse = fuse_ranks if recipe.fusion == "ranks" else fuse_scores
            learned = tuned.dense_weight if tuned else DENSE_WEIGHT
            share = learned if recipe.dense_weight is None else recipe.dense_weight
            hits, evidence = fuse([by_vectors, by_words], [share, 1 - share]), share * evidence + (1 - share) * by_share
        if order and hits:
            first = hits[: DEPTH if recipe.rerank is None else recipe.rerank]
            near = nearest.take([hit.id for hit in first]) @ vector
            described = self._pairs.describe(question, first, near, by_vectors, by_words)
            hits = [*reorder(first, order.score(described)), *hits[len(first) :]]
        return Part(question, hits, evidence)

    def _choose_order(self, recipe: Recipe, tuned: Tuned | None) -> Order | None:
        """What the index has learned, where the recipe ranks as it was learned for.

        Raises:
            KnowledgeError: JM-990 it is asked for and there is none.
        """
        is_like = recipe.ranker == "hybrid" and recipe.fusion == "scores" and recipe.is_blended
        order = tuned.order if tuned and is_like else None
        if recipe.rerank and order is None:
            raise KnowledgeError(
                "JM-990",
                "there is no learned order to put hits in",
                where=self._index.where,
                expected="an index that has learned one, and a hybrid search",
                got="nothing learned" if is_like else recipe.ranker,
                hint="journeyman knowledge tune learns one from questions; it is used where it is there, without being asked for",
            )
        return None if recipe.rerank == 0 else order

    def _widen(self, piece: Piece, score: float, window: int) -> Found:
        if not window:
            return Found(piece, score, piece.start, piece.end, piece.text)
        around = self._index.neighbours(piece.document, piece.number - window, piece.number + window)
        start, end = min(item.start for item in around), max(item.end for item in around)
        return Found(piece, score, start, end, self._index.document(piece.document).text[start:end])


def _is_met(one: Found, other: Found) -> bool:
    return one.piece.document == other.piece.document and one.start < other.end and other.start < one.end
