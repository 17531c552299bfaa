"""Indexes of made chunks: vectors in clusters, as those of texts are."""

from pathlib import Path

import numpy as np

from journeyman.knowledge.chunk.chunk import Chunk
from journeyman.knowledge.document import Document
from journeyman.knowledge.index.file import Index, Origin, Ready
from journeyman.knowledge.index.matrix import Floats, Vectors
from journeyman.knowledge.retrieve.dense import Exact
from journeyman.knowledge.retrieve.ranking import Hit

DIMENSION = 32


def draw(count: int, seed: int, dimension: int = DIMENSION, clusters: int = 40) -> Floats:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((clusters, dimension))
    drawn = centres[random.integers(clusters, size=count)] + 0.6 * random.standard_normal((count, dimension))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def put_chunks(index: Index, name: str, vectors: Floats) -> int:
    """A document of as many chunks, five under each heading."""
    keys = [f"{name:>10}{row:06}".encode() for row in range(len(vectors))]
    ready = [Ready(Chunk(row, row + 1, (str(row // 5),)), "", "x", key) for row, key in enumerate(keys)]
    document = Document(name, "text/plain", "x" * len(vectors), ())
    return index.put(Origin("/made", name, "", "", ""), document, ready, dict(zip(keys, vectors, strict=True)))


def rank_exactly(index: Index, vector: Floats, depth: int, allowed: list[int] | None = None) -> list[Hit]:
    return Exact(Vectors(index), is_blended=True).rank(vector, depth, allowed)


def recall(found: list[Hit], right: list[Hit]) -> float:
    return len({hit.id for hit in found} & {hit.id for hit in right}) / max(1, len(right))


def files_of(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.glob(f"{path.stem}.graph-*") if not file.name.endswith("-lock"))
