"""Vectors of length one for comparing rows: of the embedding model where it is pulled, else of words.

Words' vectors are long and sparse; random signs bring them to ``WORD_NUMBERS`` numbers that keep their angles (Achlioptas, "Database-friendly random projections", 2003).

Legend: ``n`` texts, ``d`` numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from journeyman.core.errors import ModelError
from journeyman.core.progress import Progress
from journeyman.models.embedder import DEFAULT, Embedder, open_embedder
from journeyman.models.long_texts import embed_whole
from journeyman.models.words import weigh_words

Single = npt.NDArray[np.float32]

WORD_NUMBERS = 512
WEIGHED_TEXTS = 20_000
"""That say how much a word counts."""
BLOCK = 2_000


def embed_rows(texts: Sequence[str], progress: Progress) -> tuple[Single, str]:
    """[n, d], and what made them. Raises: ModelError: JM-403, JM-438 a damaged model."""
    encoder = _open_pulled()
    if encoder is not None:
        return embed_whole(encoder, texts, progress), DEFAULT
    return project_words(texts, progress), "words"


def _open_pulled() -> Embedder | None:
    try:
        return open_embedder(DEFAULT)
    except ModelError as error:
        if error.code != "JM-401":
            raise
        return None


def project_words(texts: Sequence[str], progress: Progress) -> Single:
    """[n, ``WORD_NUMBERS``], some texts in memory as sparse vectors at a time; of a text without a known word zeros."""
    words = weigh_words(texts[:: -(-len(texts) // WEIGHED_TEXTS) or 1])
    signs = np.random.default_rng(0).integers(0, 2, size=(len(words.terms), WORD_NUMBERS), dtype=np.int8) * 2 - 1
    matrix, found = signs.astype(np.float32), np.zeros((len(texts), WORD_NUMBERS), dtype=np.float32)
    progress.start("read words", len(texts), "texts")
    for start in range(0, len(texts), BLOCK):
        block = words.embed(texts[start : start + BLOCK]).vectors @ matrix
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        found[start : start + BLOCK] = block / np.where(lengths > 0, lengths, 1)
        progress.advance(len(block))
    progress.finish()
    return found
