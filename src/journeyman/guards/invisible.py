"""Text that people do not see, or see in another order: zero-width characters, tags, overrides of direction, control characters.

Joiners, marks and variation selectors that writing systems and emoji need are left alone where they are needed: beside letters from the Arabic block on,
in pictures, in the flags of England, Scotland and Wales.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]
JOINERS = "\u200c\u200d\u200e\u200f\u061c"
CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f"
DIRECTIONS = "\u202a-\u202e\u2066-\u206f"
HIDDEN = "\u180e\u200b\u2060-\u2065\ufeff\ufff9-\ufffb\u115f\u1160\u3164\uffa0\u17b4\u17b5\U000e0000-\U000e007f"
SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{4,6}\U000e007f"
CANDIDATE = re.compile(f"({FLAG})|[{CONTROLS}{DIRECTIONS}{HIDDEN}]+|[{JOINERS}]+|[{SELECTORS}]+")
UNSEEN = re.compile(f"[{CONTROLS}{DIRECTIONS}{HIDDEN}{JOINERS}{SELECTORS}\u00ad]+")
PLAIN_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
FIRST_JOINED = "\u0590"
FIRST_IDEOGRAPH = "\u3400"


def find_invisible(text: str) -> Iterator[Span]:
    if text.isascii() and not PLAIN_CONTROL.search(text):
        return
    for match in CANDIDATE.finditer(text):
        start, end = match.span()
        if (
            match.group(1) is None
            and not (start == 0 and match.group() == "\ufeff")
            and not _is_needed(text, start, end)
        ):
            yield start, end


def find_unseen(text: str) -> Iterator[Span]:
    """What may stand inside a word without being seen, needed or not."""
    if text.isascii() and not PLAIN_CONTROL.search(text):
        return
    for match in UNSEEN.finditer(text):
        yield match.span()


def _is_needed(text: str, start: int, end: int) -> bool:
    first, before, behind = text[start], text[start - 1 : start], text[end : end + 1]
    if end - start > 1:
        return False
    if first in JOINERS:
        return before >= FIRST_JOINED and (behind >= FIRST_JOINED or first not in "\u200c\u200d")
    if "\ufe00" <= first <= "\ufe0f":
        return bool(before)
    return first >= "\U000e0100" and before >= FIRST_IDEOGRAPH
