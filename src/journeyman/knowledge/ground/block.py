"""Passages as a model reads them: a numbered block, and the block read back.

    [1] Returns > Within the European Union
    Goods may be returned within thirty days.

    [2] ...

A line of a document that begins like a number of ours is moved by one blank, so that no document can speak for another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from journeyman.knowledge.ground.passages import Passage

_MARK = re.compile(r"^\[(\d{1,4})\] ", re.MULTILINE)
_LIKE_MARK = re.compile(r"^(?=\[\d{1,4}\] )", re.MULTILINE)


def write_passages(said: Iterable[tuple[str, str]]) -> str:
    """``said``: for each passage what stands above it, which may be empty, and its text."""
    return "\n\n".join(_write(number, above, text) for number, (above, text) in enumerate(said, 1))


def read_passages(block: str) -> list[Passage]:
    """Those of a block; a text without numbers, as other programs write it, is one passage."""
    marks = list(_MARK.finditer(block))
    if not marks:
        return [Passage(1, "", 0, block)] if block.strip() else []
    bounds = [*(mark.start() for mark in marks), len(block)]
    return [
        Passage(int(mark.group(1)), "", mark.end(), block[mark.end() : end].rstrip("\n"))
        for mark, (_start, end) in zip(marks, pairwise(bounds), strict=True)
    ]


def _write(number: int, above: str, text: str) -> str:
    head = f"[{number}] {' '.join(above.split())}\n" if above.strip() else f"[{number}] "
    return head + _LIKE_MARK.sub(" ", text.strip("\n"))
