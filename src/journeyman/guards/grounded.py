"""Quotes that stand in no source: first as they are, then without regard to case, spaces, dashes and the form of quotation marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cached_property

from journeyman.guards.look import Look

Span = tuple[int, int]
MOST_QUOTE = 2000
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


def find_ungrounded(look: Look, source: Source) -> Iterator[Span]:
    """What stands in quotation marks, of two words or more: one alone may be a name or irony."""
    for match in QUOTE.finditer(look.plain):
        quote = match.group(match.lastindex or 0)
        if len(quote.split()) > 1 and not source.has(quote):
            yield look.span(*match.span(match.lastindex or 0))


def _level(text: str) -> str:
    if text.isascii():  # of all that is made the same, a backtick alone is ASCII
        return " ".join(text.replace("`", "'").lower().split())
    return " ".join(unicodedata.normalize("NFKC", text).translate(SAME).casefold().split())
