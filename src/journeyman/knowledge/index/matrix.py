"""All vectors of an index in memory, kept as the file changes: exact search is one product with this matrix.

float16 in the file, float32 here: converting once is cheaper than at every question, and sums in float32 keep the order of near neighbours.

Legend: ``n`` chunks, ``d`` numbers of a vector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.chunk.blend import blend_neighbours
from journeyman.knowledge.index.file import Index

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
FETCHED = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """``vectors`` float32 [n, d] of the chunks ``ids`` int64 [n], ascending; ``documents`` int64 [n] says whose each is."""

    ids: Ids
    documents: Ids
    vectors: Floats


class Vectors:
    """The matrix of one index. `current` looks whether the file has changed, which costs microseconds, and reads what is new."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = -1
        self._blended: Matrix | None = None
        self._matrix = Matrix(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32))

    def current(self, is_blended: bool = False) -> Matrix:
        """The vectors as they were embedded, or each with a share of its neighbours' (`chunk.blend`), which are made when first asked for."""
        version = self._index.version()
        if version != self._version or self._index.is_writer:
            renewed = self._renewed(self._matrix)
            self._blended = self._blended if renewed is self._matrix else None
            self._matrix, self._version = renewed, version
        if not is_blended:
            return self._matrix
        if self._blended is None:
            vectors = blend_neighbours(self._matrix.vectors, documents=self._matrix.documents)
            self._blended = replace(self._matrix, vectors=vectors)
        return self._blended

    def _renewed(self, old: Matrix) -> Matrix:
        """Chunks that have left are dropped, new ones read; what stayed is copied only if something left."""
        now = np.array([row[0] for row in self._index.rows("SELECT id FROM chunks ORDER BY id")], np.int64)
        if len(now) == len(old.ids) and np.array_equal(now, old.ids):
            return old
        kept = np.isin(old.ids, now, assume_unique=True)
        stayed = old if kept.all() else Matrix(old.ids[kept], old.documents[kept], old.vectors[kept])
        return self._extended(stayed, now[~np.isin(now, stayed.ids, assume_unique=True)])

    def _extended(self, old: Matrix, new: Ids) -> Matrix:
        if not len(new):
            return old
        first = int(new[0])
        ids, documents, blocks = [old.ids], [old.documents], [old.vectors] if len(old.ids) else []
        for start in range(0, len(new), FETCHED):
            last = int(new[min(start + FETCHED, len(new)) - 1])
            rows = self._index.rows(
                "SELECT c.id, c.document, v.vector FROM chunks c JOIN vectors v ON v.hash = c.vector WHERE c.id BETWEEN ? AND ? ORDER BY c.id",
                (first, last),
            )
            first = last + 1
            ids.append(np.array([row[0] for row in rows], np.int64))
            documents.append(np.array([row[1] for row in rows], np.int64))
            packed = np.frombuffer(b"".join(row[2] for row in rows), "<f2")
            blocks.append(packed.reshape(len(rows), -1).astype(np.float32))
        return Matrix(np.concatenate(ids), np.concatenate(documents), np.concatenate(blocks))
