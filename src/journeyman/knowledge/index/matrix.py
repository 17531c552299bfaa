"""All vectors of an index in memory, kept as the file changes: exact search is one product with this matrix.

float16 in the file, float32 here: converting once is cheaper than at every question, and sums in float32 keep the order of near neighbours.

Legend: ``n`` chunks, ``d`` numbers of a vector.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.chunk.blend import SHARES, blend_neighbours
from journeyman.knowledge.index.file import Index

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]
FETCHED = 8192
SELECT = "SELECT c.id, c.document, c.headings, v.vector FROM chunks c JOIN vectors v ON v.hash = c.vector "


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """``vectors`` float32 [n, d] of the chunks ``ids`` int64 [n], ascending; ``documents`` int64 [n] says whose each is, ``sections`` int64 [n] is equal for those of one document under the same headings."""

    ids: Ids
    documents: Ids
    sections: Ids
    vectors: Floats

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, kept: npt.NDArray[np.bool_]) -> Matrix:
        return Matrix(self.ids[kept], self.documents[kept], self.sections[kept], self.vectors[kept])


NONE = np.empty(0, np.int64)
EMPTY = Matrix(NONE, NONE, NONE, np.empty((0, 0), np.float32))


class Vectors:
    """The matrix of one index. `current` looks whether the file has changed, which costs microseconds, and reads what is new."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = -1
        self._blended: Matrix | None = None
        self._matrix = EMPTY

    def current(self, is_blended: bool = False) -> Matrix:
        """The vectors as they were embedded, or each with a share of its neighbours' in the same section (`chunk.blend`), which are made when first asked for."""
        version = self._index.version()
        if version != self._version or self._index.is_writer:
            renewed = self._renewed(self._matrix)
            self._blended = self._blended if renewed is self._matrix else None
            self._matrix, self._version = renewed, version
        if not is_blended:
            return self._matrix
        if self._blended is None:
            self._blended = _blend(self._matrix)
        return self._blended

    def _renewed(self, old: Matrix) -> Matrix:
        """Chunks that have left are dropped, new ones read; what stayed is copied only if something left."""
        now = np.array([row[0] for row in self._index.rows("SELECT id FROM chunks ORDER BY id")], np.int64)
        if len(now) == len(old.ids) and np.array_equal(now, old.ids):
            return old
        kept = np.isin(old.ids, now, assume_unique=True)
        stayed = old if kept.all() else old.take(kept)
        return self._extended(stayed, now[~np.isin(now, stayed.ids, assume_unique=True)])

    def _extended(self, old: Matrix, new: Ids) -> Matrix:
        if not len(new):
            return old
        parts, first = [old] if len(old) else [], int(new[0])
        for start in range(0, len(new), FETCHED):
            last = int(new[min(start + FETCHED, len(new)) - 1])
            rows = self._index.rows(f"{SELECT} WHERE c.id BETWEEN ? AND ? ORDER BY c.id", (first, last))
            parts.append(_read(rows))
            first = last + 1
        return Matrix(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.documents for part in parts]),
            np.concatenate([part.sections for part in parts]),
            np.concatenate([part.vectors for part in parts]),
        )


def read_blended(index: Index, ids: Ids) -> Matrix:
    """Blended vectors of these chunks alone, the same as in the whole matrix; ascending, those that have left the index are left out.

    A document's chunks have numbers in a row, so what a vector has a share of is read by them.
    """
    reach = np.arange(-len(SHARES), len(SHARES) + 1)
    wanted = np.unique(ids[:, None] + reach)
    rows = index.rows(
        f"{SELECT} WHERE c.id IN (SELECT value FROM json_each(?)) ORDER BY c.id", (json.dumps(wanted.tolist()),)
    )
    around = _blend(_read(rows))
    return around.take(np.isin(around.ids, ids))


def read_documents(index: Index, documents: Iterable[int]) -> Matrix:
    """Blended vectors of all chunks of these documents, the same as in the whole matrix."""
    given = json.dumps(list(documents))
    rows = index.rows(f"{SELECT} WHERE c.document IN (SELECT value FROM json_each(?)) ORDER BY c.id", (given,))
    return _blend(_read(rows))


def _blend(matrix: Matrix) -> Matrix:
    return replace(matrix, vectors=blend_neighbours(matrix.vectors, documents=matrix.sections))


def _read(rows: Sequence[tuple[Any, ...]]) -> Matrix:
    ids, documents = (np.array([row[place] for row in rows], np.int64) for place in (0, 1))
    sections = np.array([hash(row[1:3]) for row in rows], np.int64)
    packed = np.frombuffer(b"".join(row[3] for row in rows), "<f2")
    return Matrix(ids, documents, sections, packed.reshape(len(rows), -1 if rows else 0).astype(np.float32))
