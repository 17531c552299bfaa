"""Quotes that stand in no source: first as they are, then without regard to case, spaces, dashes and the form of quotation marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property

from journeyman.guards.look import Look

Span = tuple[int, int]
MOST_QUOTE = 4000  # characters
QUOTE = re.compile(rf'"([^"\n]{{1,{MOST_QUOTE}}})"|[“„]([^“”„\n]{{1,{MOST_QUOTE}}})[”“]|«([^«»\n]{{1,{MOST_QUOTE}}})»')
SAME = str.maketrans({**dict.fromkeys("‘’‚`´", "'"), **dict.fromkeys("“”„«»", '"'), **dict.fromkeys("‐‑‒–—−", "-")})
EDGES = " .,;:!?…"


class Source:
    """What quotes are held against, read once for all of them."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def level(self) -> str:
        return _level(self.text)

    def has(self, quote: str) -> bool:
        return quote in self.text or _level(quote).strip(EDGES) in self.level


def find_quotes(text: str) -> Iterator[Span]:
    """What stands in quotation marks, of two words or more: one alone may be a name or irony."""
    for match in QUOTE.finditer(text):
        start, end = match.span(match.lastindex or 0)
        if len(text[start:end].split()) > 1:
            yield start, end


def find_ungrounded(look: Look, source: Source) -> Iterator[Span]:
    """Quotes that the source does not have."""
    for start, end in find_quotes(look.plain):
        if not source.has(look.plain[start:end]):
            yield look.span(start, end)


def _level(text: str) -> str:
    if text.isascii():  # of all that is made the same, a backtick alone is ASCII
        return " ".join(text.replace("`", "'").lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).translate(SAME).casefold().split())
