"""What finds near vectors, however many there are: all products, a graph in a file, a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from journeyman.knowledge.index.matrix import Floats, Ids
from journeyman.knowledge.retrieve.ranking import Hit


class Nearest(Protocol):
    """Chunks of one index by their vectors [d]; scores are inner products in float32, whoever found them."""

    def rank(self, vector: Floats, depth: int, allowed: Sequence[int] | None = None) -> list[Hit]:
        """The ``depth`` nearest chunks, best first, of the documents ``allowed`` where a filter says so; fewer only where there are fewer."""
        ...

    def take(self, ids: Sequence[int]) -> Floats:
        """Vectors [n, d] of chunks; zeros for one that has left the index."""
        ...


class Candidates(Protocol):
    """Near chunks of one index, looked up without all products; it need not know every chunk, nor forget those that have left."""

    def renew(self) -> int:
        """See what there is now. Returns the highest number of a chunk up to which it knows all; 0: none."""
        ...

    def find(self, vector: Floats, most: int, allowed: Sequence[int] | None = None) -> Ids:
        """About the ``most`` nearest that it knows, of the documents ``allowed`` where a filter says so."""
        ...
