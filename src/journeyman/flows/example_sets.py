"""Sets of train rows that stand before every input: one that covers what the inputs are like, and some that chance drew (as DSPy's random search does,
Khattab et al. 2023)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from journeyman.models.nearest import Examples

NEAREST = (1, 2, 4, 8)
SIZES = (4, 8)
DRAWN = 2  # sets of each size
SEED = 20_26
MOST_ROWS = 1000  # that a covering set is looked for among


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown: the ``shots`` nearest rows, or the rows ``chosen`` by hash."""

    name: str
    shots: int = 0
    chosen: tuple[str, ...] = ()


def find_sets(hashes: Sequence[str], examples: Examples) -> list[Shown]:
    """Nothing, the nearest rows, covering sets and drawn ones, the cheapest first. ``hashes`` are those of the rows of ``examples``, in order."""
    count = len(hashes)
    nearest = [Shown(f"{shots} nearest", shots) for shots in NEAREST if shots <= count]
    draw = random.Random(SEED)
    fixed = []
    for size in SIZES:
        if size < count:
            fixed.append(Shown(f"{size} covering", size, tuple(hashes[place] for place in cover(examples, size))))
            fixed += [Shown(f"{size} drawn ({n + 1})", size, tuple(draw.sample(hashes, size))) for n in range(DRAWN)]
    return sorted([Shown("no examples"), *nearest, *fixed], key=lambda shown: shown.shots)


def cover(examples: Examples, size: int) -> list[int]:
    """Places of ``size`` rows to which the rows are most similar in words, each to its nearest: greedy, which is within 1 - 1/e of the best (Nemhauser et
    al. 1978)."""
    vectors = examples.words.embed(examples.texts[:MOST_ROWS]).vectors
    alike = np.asarray((vectors @ vectors.T).toarray())  # type: ignore[union-attr]
    best, chosen = np.zeros(len(alike)), list[int]()
    for _ in range(min(size, len(alike))):
        gains = np.maximum(alike, best[:, None]).sum(axis=0)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        best = np.maximum(best, alike[:, chosen[-1]])
    return chosen
