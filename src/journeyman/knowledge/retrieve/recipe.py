"""How a question is answered by chunks: every switch of retrieval in one frozen value, so that a grid can vary it and a trace can name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ranker = Literal["hybrid", "dense", "lexical"]
Fusion = Literal["ranks", "scores"]
DENSE_WEIGHT = 0.7  # chosen on 1,300 questions of nq_open (docs/notebook.md)


@dataclass(frozen=True, slots=True)
class Recipe:
    """``top`` passages from ``depth`` candidates of each ranking.

    ``is_blended`` vectors have a share of their neighbours' (`chunk.blend`). ``dense_weight`` is the vectors' share of a hybrid ranking, the words have the rest; None is what the
    index has learned from its questions, else ``DENSE_WEIGHT``. ``is_tuned`` uses the map that it has learned (`tuned`), where there is one. ``window`` neighbours on each side are
    read with a hit; ``diversity`` above 0 trades likeness to the question for difference between passages (MMR with 1 - diversity). Below ``least`` evidence (`Search.weigh`) nothing is found: the
    documents do not say it. ``rerank`` of the first hits of a hybrid ranking are put in the order that the index has learned (`retrieve.rerank`); None is as many as it was learned for, where it was, and 0 none. ``is_named``: of documents whose facts the question names (`retrieve.inferred`) the best two chunks follow the first hit. ``is_split``: what is asked in several sentences is also searched a sentence at a time (`retrieve.parts`).
    ``has_embeds``: what a passage embeds of other documents follows it, beyond the ``top``.
    """

    ranker: Ranker = "hybrid"
    fusion: Fusion = "scores"
    dense_weight: float | None = None
    is_tuned: bool = True
    is_blended: bool = True
    depth: int = 50
    top: int = 5
    window: int = 0
    diversity: float = 0.0
    least: float = 0.0
    rerank: int | None = None
    is_named: bool = False
    is_split: bool = True
    has_embeds: bool = False
