"""Near vectors of more chunks than one multiplies with at every question: candidates from elsewhere, scored exactly, and everything where these are too few.

What candidates do not know yet is multiplied; what has left the index is dropped; a filter that leaves few chunks is searched exactly among them. Scores are those of the exact search.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from journeyman.knowledge.index.file import Index
from journeyman.knowledge.index.matrix import EMPTY, Floats, Matrix, read_blended, read_documents
from journeyman.knowledge.retrieve.dense import pick, rank_dense
from journeyman.knowledge.retrieve.nearest import Candidates, Nearest
from journeyman.knowledge.retrieve.ranking import Hit

FEW, FEW_SHARE = 5000, 0.01  # chunks that a filter leaves, or their share: reading 5,000 takes about 50 ms
SPARE = 2  # candidates for each hit that is wanted, as their order is not exact
TRIES = (1, 4, 16)
MOST_LATER = 50_000  # chunks that the candidates do not know yet


class Approximate:
    """`Nearest` by ``candidates`` in an index of ``least`` chunks or more; ``exact`` is asked where they do not do."""

    def __init__(self, index: Index, candidates: Candidates, exact: Nearest, least: int = 0) -> None:
        self._index, self._candidates, self._exact, self._least = index, candidates, exact, least
        self._version = -1
        self._known, self._total = 0, 0
        self._later = EMPTY

    def rank(self, vector: Floats, depth: int, allowed: Sequence[int] | None = None) -> list[Hit]:
        self._renew()
        if not self._known:
            return self._exact.rank(vector, depth, allowed)
        count = self._total if allowed is None else self._count(allowed)
        if allowed is not None and count <= max(FEW, FEW_SHARE * self._total):
            return rank_dense(read_documents(self._index, allowed), vector, depth)
        later = _rank(self._later, vector, depth, allowed)
        for times in TRIES:
            found = self._candidates.find(vector, times * SPARE * depth, allowed)
            matrix = read_blended(self._index, found[found <= self._known]) if len(found) else EMPTY
            hits = _rank(matrix, vector, depth, allowed)
            if len(hits) + len(later) >= min(depth, count):
                return sorted(hits + later, key=lambda hit: (-hit.score, hit.id))[:depth]
        return self._exact.rank(vector, depth, allowed)

    def take(self, ids: Sequence[int]) -> Floats:
        return pick(read_blended(self._index, np.array(ids, np.int64)), ids)

    def _renew(self) -> None:
        version = self._index.version()
        if version == self._version and not self._index.is_writer:
            return
        self._total = int(self._index.rows("SELECT count(*) FROM chunks")[0][0])
        self._known, self._later = self._candidates.renew() if self._total >= self._least else 0, EMPTY
        if self._known:
            rows = self._index.rows("SELECT id FROM chunks WHERE id > ?", (self._known,))
            if len(rows) > MOST_LATER:
                self._known = 0
            elif rows:
                self._later = read_blended(self._index, np.array(rows, np.int64)[:, 0])
        self._version = version

    def _count(self, documents: Sequence[int]) -> int:
        given = json.dumps(list(documents))
        counted = self._index.rows(
            "SELECT count(*) FROM chunks WHERE document IN (SELECT value FROM json_each(?))", (given,)
        )
        return int(counted[0][0])


def _rank(matrix: Matrix, vector: Floats, depth: int, allowed: Sequence[int] | None) -> list[Hit]:
    mask = None if allowed is None else np.isin(matrix.documents, np.array(allowed, np.int64))
    return rank_dense(matrix, vector, depth, mask)
