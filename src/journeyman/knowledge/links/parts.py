"""The part of a document that a link means behind its ``#``: a section, a block, a page."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from unicodedata import normalize
from urllib.parse import unquote

from journeyman.knowledge.document import Document

BLOCK_ID = re.compile(r"(?:^|(?<=\s))\^([A-Za-z0-9-]{1,100})[^\S\r\n]*$", re.MULTILINE)
ITEM = re.compile(r"^[^\S\r\n]*(?:[-*+]|\d{1,9}[.)])[^\S\r\n]", re.MULTILINE)
PAGE = re.compile(r"page=(\d{1,6})(?:&.*)?")
WORDS = re.compile(r"[\W_]+")
Span = tuple[int, int]


def find_part(document: Document, part: str) -> Span | None:
    """``Heading``, ``Heading#Below it``, ``^block`` or, where there are pages, ``page=3``; None where the document does not have it."""
    part = unquote(part).strip()
    if part.startswith("^"):
        return find_blocks(document).get(part[1:].lower())
    if document.pages and (page := PAGE.fullmatch(part)):
        return _find_page(document, int(page[1]))
    return _find_section(document, part.split("#"))


def is_sure(document: Document, part: str) -> bool:
    """Whether a part that was not found is not there: the anchors of other formats are not read."""
    return document.media == "text/markdown" or (bool(document.pages) and part.startswith("page="))


def find_blocks(document: Document) -> dict[str, Span]:
    """By their ids. An id stands at the end of its paragraph or list item, or on a line below its block."""
    found: dict[str, Span] = {}
    text = document.text
    for number, block in enumerate(document.blocks):
        if block.kind == "code":
            continue
        items = [item.start() for item in ITEM.finditer(text, block.start, block.end)] if block.kind == "list" else []
        for match in BLOCK_ID.finditer(text, block.start, block.end):
            start, end = block.start, match.start()
            if before := bisect_left(items, end):
                start = items[before - 1]
            if not text[start:end].strip() and number:
                start, end = document.blocks[number - 1].start, document.blocks[number - 1].end
            found.setdefault(match[1].lower(), (start, start + len(text[start:end].rstrip())))
    return found


def _find_page(document: Document, page: int) -> Span | None:
    blocks = [block for block in document.blocks if block.page == page]
    return (min(block.start for block in blocks), max(block.end for block in blocks)) if blocks else None


def _find_section(document: Document, path: Sequence[str]) -> Span | None:
    """From the heading to before the next of its level or a higher one. ``path`` names headings below one another."""
    headings = [block for block in document.blocks if block.kind == "heading"]
    first, last, start = 0, len(headings), 0
    for name in path:
        number = next(
            (
                n
                for n in range(first, last)
                if _words(document.text[headings[n].start : headings[n].end]) == _words(name)
            ),
            -1,
        )
        if number < 0:
            return None
        following = (n for n in range(number + 1, last) if headings[n].level <= headings[number].level)
        first, last, start = number + 1, next(following, last), headings[number].start
    beyond = headings[last].start if last < len(headings) else len(document.text) + 1
    end = max((block.end for block in document.blocks if start <= block.start < beyond), default=len(document.text))
    return start, end


def _words(text: str) -> str:
    return WORDS.sub(" ", normalize("NFC", text).casefold()).strip()
