"""Where the tokens of a text begin: with an encoder's own tokenizer, or by words where there is none.

A text is read in pieces, so that memory does not grow with more than the beginnings themselves. What a tokenizer takes for one unknown word however long it is (WordPiece: more than
100 characters, such as base64) counts by its characters, or a chunk of 200 tokens could be as long as a book.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from journeyman.knowledge.chunk.chunk import Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PIECE = 32_768  # characters
BATCH = 16  # pieces
LONGEST = 24  # characters of a token that is still counted as one
USUAL = 4  # characters of a token
STRETCH = 1_000  # characters
WORDS = re.compile(
    r"[\u0e00-\u0fff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u0e00-\u0fff\u3040-\u9fff\uac00-\ud7af]{1,8}|[^\w\s]"
)

Starts = npt.NDArray[np.int32]


def find_tokens(text: str, tokenizer: Tokenizer | None = None) -> Tokens:
    """The beginnings without the marks that an encoder puts around a text. Without a tokenizer, words count one for each eight letters begun."""
    if tokenizer is None:
        return Tokens(np.fromiter((found.start() for found in WORDS.finditer(text)), np.int32))
    parts = [np.empty(0, np.int32)]
    pieces = list(cut_pieces(text))
    for first in range(0, len(pieces), BATCH):
        some = pieces[first : first + BATCH]
        plain = [text[start:end].encode("utf-8", "replace").decode() for start, end in some]
        for (start, _end), encoding in zip(some, tokenizer.encode_batch(plain, add_special_tokens=False), strict=True):
            parts.append(_starts(np.array(encoding.offsets, np.int32).reshape(-1, 2)) + np.int32(start))
    return Tokens(_fill(np.concatenate(parts), len(text)))


def _fill(starts: Starts, length: int) -> Starts:
    """A long stretch of what is no token at all (marks that combine, zero-width characters) counts by its characters too."""
    edges = np.concatenate([np.zeros(1, np.int32), starts, np.full(1, length, np.int32)])
    long = np.flatnonzero(np.diff(edges) > STRETCH)
    if not len(long):
        return starts
    within = [np.arange(edges[row], edges[row + 1], USUAL, dtype=np.int32) for row in long]
    return np.unique(np.concatenate([starts, *within]))


def cut_pieces(text: str) -> Iterator[tuple[int, int]]:
    """Spans of at most ``PIECE`` characters that end at a blank where there is one."""
    start = 0
    while start < len(text):
        end = min(len(text), start + PIECE)
        if end < len(text):
            blank = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
            end = blank if blank > start else end
        yield start, end
        start = end


def _starts(offsets: Starts) -> Starts:
    """Each beginning once; a token of several pieces of one character (bytes) begins where the character does."""
    starts, lengths = offsets[:, 0], offsets[:, 1] - offsets[:, 0]
    within = [
        np.arange(start, start + length, USUAL, dtype=np.int32)
        for start, length in zip(starts[lengths > LONGEST], lengths[lengths > LONGEST], strict=True)
    ]
    return np.unique(np.concatenate([starts, *within])) if within else np.maximum.accumulate(starts)
