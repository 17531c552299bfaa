"""Splits at the coarsest mark that a text has (blank lines, lines, full stops, blanks), and what is still too long at the next finer one; neighbours that fit together are joined.

The well-known baseline: the spans equal the texts of LangChain's RecursiveCharacterTextSplitter with these marks, kept at the beginning of what follows, and lengths in tokens
(benchmarks/chunking.py compares them). Knows nothing about blocks and headings.
"""

from __future__ import annotations

import re
from itertools import pairwise

from journeyman.knowledge.chunk.chunk import Chunk, Tokens
from journeyman.knowledge.chunk.fixed import trim
from journeyman.knowledge.document import Document

MARKS = ("\n\n", "\n", ".", "?", "!", " ")
Span = tuple[int, int]


def chunk_recursive(document: Document, tokens: Tokens, size: int = 200, overlap: int = 0) -> list[Chunk]:
    """Chunks of at most ``size`` tokens, of which up to ``overlap`` stand in the one before too."""
    spans: list[Span] = []
    _split(document.text, tokens, (0, len(document.text)), 0, (size, overlap), spans)
    chunks = (trim(document.text, start, end) for start, end in spans)
    return [chunk for chunk in chunks if chunk.end > chunk.start]


def _split(text: str, tokens: Tokens, span: Span, level: int, sizes: tuple[int, int], out: list[Span]) -> None:
    """Appends the chunks of ``span``, which is split at the first mark from ``level`` on that it has. At most as deep as there are marks."""
    while level < len(MARKS) and text.find(MARKS[level], *span) < 0:
        level += 1
    if level == len(MARKS):
        _split_tokens(tokens, span, sizes, out)
        return
    small: list[Span] = []
    for piece in _pieces(text, span, MARKS[level]):
        if tokens.count(*piece) < sizes[0]:
            small.append(piece)
            continue
        _merge(tokens, small, sizes, out)
        small = []
        _split(text, tokens, piece, level + 1, sizes, out)
    _merge(tokens, small, sizes, out)


def _pieces(text: str, span: Span, mark: str) -> list[Span]:
    """Each but the first begins with the mark."""
    places = [found.start() for found in re.compile(re.escape(mark)).finditer(text, *span)]
    cuts = [span[0], *places, span[1]]
    return [(start, end) for start, end in pairwise(cuts) if end > start]


def _merge(tokens: Tokens, pieces: list[Span], sizes: tuple[int, int], out: list[Span]) -> None:
    """Joins neighbours as long as they fit; the next begins with as many of the last pieces as the overlap allows."""
    size, overlap = sizes
    held: list[tuple[Span, int]] = []
    first = total = 0
    for piece in pieces:
        length = tokens.count(*piece)
        if total + length > size and len(held) > first:
            out.append((held[first][0][0], held[-1][0][1]))
            while total > overlap or (total + length > size and total > 0):
                total -= held[first][1]
                first += 1
        held.append((piece, length))
        total += length
    if len(held) > first:
        out.append((held[first][0][0], held[-1][0][1]))


def _split_tokens(tokens: Tokens, span: Span, sizes: tuple[int, int], out: list[Span]) -> None:
    """A word that is longer than a chunk."""
    start, end = span
    while start < end:
        reach = max(start + 1, tokens.reach(start, sizes[0], end))
        out.append((start, reach))
        start = reach
