"""What is embedded of a chunk: the title and headings above it, a table's header, then its own text ("contextual chunk headers").

A chunk of a table's later rows says nothing without the header, and one of a section's middle nothing without the heading. Nothing of it is kept: it is read from the document.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from typing import TYPE_CHECKING

from journeyman.knowledge.chunk.chunk import Chunk, Tokens
from journeyman.knowledge.chunk.tokens import find_tokens
from journeyman.knowledge.document import Block, Document

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WINDOW = 254  # tokens that all-MiniLM-L6-v2 reads, without its own two marks
BETWEEN = " > "
HEADER = 400  # characters of a table's header


def write_context(document: Document, chunk: Chunk, tokens: Tokens, tokenizer: Tokenizer | None = None) -> str:
    """The chunk's text below what stands above it."""
    return join_context(write_above(document, chunk, tokens, tokenizer), document.text[chunk.start : chunk.end])


def join_context(above: str, text: str) -> str:
    return f"{above}\n{text}" if above else text


def write_above(document: Document, chunk: Chunk, tokens: Tokens, tokenizer: Tokenizer | None = None) -> str:
    """Title, headings and table's header in one line, without those that the text says itself; the outermost are left out where all is longer than the window."""
    text = document.text[chunk.start : chunk.end]
    above = [part for part in dict.fromkeys((document.title, *chunk.headings, find_header(document, chunk))) if part]
    above = [part for part in above if part not in text]
    room = WINDOW - tokens.count(chunk.start, chunk.end)
    while above and not _fits(BETWEEN.join(above), room, tokenizer):
        above = above[1:]
    return BETWEEN.join(above)


def _fits(line: str, room: int, tokenizer: Tokenizer | None) -> bool:
    """A line of ASCII has at most as many tokens as characters; most need no counting."""
    return (line.isascii() and len(line) <= room) or len(find_tokens(line, tokenizer).starts) <= room


def find_header(document: Document, chunk: Chunk) -> str:
    """The first row of the table in which the chunk begins, where the chunk begins below it; else nothing. Long tables are several blocks, a line's end between them."""
    number = bisect_right(document.blocks, chunk.start, key=_start) - 1
    block = document.blocks[number] if number >= 0 else None
    if block is None or block.kind != "table" or chunk.start >= block.end:
        return ""
    first = document.blocks[_find_firsts(document)[number]]
    if chunk.start == first.start:
        return ""
    row = document.text[first.start : min(first.end, first.start + HEADER)].lstrip("\n").partition("\n")[0]
    return row.strip()


@lru_cache(maxsize=1)
def _find_firsts(document: Document) -> list[int]:
    """For each block the number of the first one of the table that it belongs to: a table may have very many."""
    firsts: list[int] = []
    for number, block in enumerate(document.blocks):
        goes_on = number > 0 and _goes_on(document, document.blocks[number - 1], block)
        firsts.append(firsts[-1] if goes_on else number)
    return firsts


def _goes_on(document: Document, before: Block, after: Block) -> bool:
    return before.kind == after.kind == "table" and document.text[before.end : after.start] in ("", "\n", "\r\n", "\r")


def _start(block: Block) -> int:
    return block.start
