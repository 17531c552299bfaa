"""Texts cut for Chroma, which brings no readers and no splitter: what a page of its documentation would have a user write, and cheap."""

from __future__ import annotations

import re
from pathlib import Path

SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def read(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".html":
        return text
    from bs4 import BeautifulSoup

    return BeautifulSoup(text, "html.parser").get_text("\n", strip=True)


def cut(text: str, words: int) -> list[str]:
    """Sentences joined as long as they have together at most ``words`` words; a longer one stands alone."""
    pieces: list[list[str]] = []
    length = words
    for sentence in filter(None, SENTENCE_END.split(text)):
        own = len(sentence.split())
        if length + own > words:
            pieces.append([])
            length = 0
        pieces[-1].append(sentence)
        length += own
    return [" ".join(piece) for piece in pieces]
