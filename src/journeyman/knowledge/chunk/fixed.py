"""Windows of equally many tokens: what the others are compared with."""

from __future__ import annotations

from journeyman.knowledge.chunk.chunk import Chunk, Tokens
from journeyman.knowledge.document import Document


def chunk_fixed(document: Document, tokens: Tokens, size: int = 200, overlap: int = 0) -> list[Chunk]:
    """Windows of ``size`` tokens, each beginning ``size - overlap`` after the one before; the last ends with the text."""
    starts, text = tokens.starts, document.text
    chunks: list[Chunk] = []
    for first in range(0, len(starts), size - overlap):
        beyond = first + size
        end = int(starts[beyond]) if beyond < len(starts) else len(text)
        start = int(starts[first]) if first else 0
        chunks.append(trim(text, start, end))
        if beyond >= len(starts):
            break
    return chunks


def trim(text: str, start: int, end: int) -> Chunk:
    """Without the blanks around it."""
    part = text[start:end]
    inner = part.strip()
    first = start + len(part) - len(part.lstrip())
    return Chunk(first, first + len(inner))
