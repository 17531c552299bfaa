"""Vectors of whole texts, also of those that are longer than an encoder reads.

Legend: ``n`` texts, ``d`` numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from journeyman.core.progress import Progress
from journeyman.models.embedder import Embedder, Floats

MARKS = 2  # [CLS] and [SEP] are tokens of every text, and none of its own


def embed_whole(embedder: Embedder, texts: Sequence[str], progress: Progress | None = None) -> Floats:
    """Vectors [n, d] of length one. A text that is too long has the mean of its pieces' vectors, each as heavy as it has tokens; one without any token
    that the encoder knows has the vector of zeros."""
    sums = np.zeros((len(texts), embedder.dimension), dtype=np.float32)
    pieces = list(enumerate(texts))
    while pieces:
        found = embedder.embed([piece for _row, piece in pieces], progress)
        vectors, cut = np.asarray(found.vectors, dtype=np.float32), set(found.cut)
        longer = []
        for place, ((row, piece), tokens) in enumerate(zip(pieces, found.tokens, strict=True)):
            if place in cut:
                longer += [(row, part) for part in split_text(piece, 1 + ceil(int(tokens) / found.most_tokens))]
            else:
                sums[row] += (int(tokens) - MARKS) * vectors[place]
        pieces = longer
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    sums /= lengths
    return sums


def split_text(text: str, count: int) -> list[str]:
    """At least ``count`` pieces of about the same length, between words where there is a space to cut at; none is longer than a ``count``-th. Together they are the text."""
    size, pieces = max(1, len(text) // count), []
    while text:
        space = text.rfind(" ", 1, size + 1)
        end = space if space > 0 and len(text) > size else size
        pieces.append(text[:end])
        text = text[end:]
    return pieces
