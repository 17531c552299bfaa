"""What a chunk is, and how chunkers know the length of a text in tokens without counting each piece anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.document import Document


@dataclass(frozen=True, slots=True)
class Chunk:
    """``document.text[start:end]`` under the headings above it, outermost first."""

    start: int
    end: int
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Where the tokens of a text begin: int32 [T] ascending. A span's length in tokens is the number of beginnings inside.

    What is searched for is int32 too: numpy would else copy all beginnings to another type for each search.
    """

    starts: npt.NDArray[np.int32]

    def count(self, start: int, end: int) -> int:
        first, last = self.starts.searchsorted(np.array((start, end), np.int32))
        return int(last - first)

    def reach(self, start: int, most: int, end: int) -> int:
        """The last position up to which ``most`` tokens from ``start`` go, at most ``end``."""
        beyond = int(self.starts.searchsorted(np.int32(start))) + most
        return min(end, int(self.starts[beyond])) if beyond < len(self.starts) else end


Chunker = Callable[[Document, Tokens], list[Chunk]]
"""Chunks ascending; those of the default do not overlap."""
