"""Regular expressions that a user writes, matched by RE2 (Cox, "Regular Expression Matching Can Be Simple And Fast", 2007): time linear in the text, whatever
the pattern. RE2 comes with pyarrow, which is loaded when the first pattern is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

Span = tuple[int, int]
OPEN, CLOSE, OTHER = "\ufdd0", "\ufdd1", "\ufdd2"  # no characters: Unicode keeps them free for uses such as this one
MARKS = str.maketrans({OPEN: OTHER, CLOSE: OTHER})
HALVES = re.compile("[\ud800-\udfff]")
PLAIN_PARTS = re.compile(r"\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]", re.S)
REPEATS = re.compile(r"\{\d+(?:,(\d+))?\}|\{\d+,\}")
MOST_REACH = 2000


@dataclass(frozen=True, slots=True)
class Patterns:
    """Several patterns as one. ``reach`` is the length of the longest match; None where there is no telling, or where the end of a text counts."""

    source: str
    reach: int | None

    def spans(self, text: str) -> Iterator[Span]:
        """Matches that are not empty, in order."""
        marked = _replace(text, f"({self.source})")
        before, *pieces = marked.split(OPEN)
        place = len(before)
        for piece in pieces:
            inside, _, behind = piece.partition(CLOSE)
            if inside:
                yield place, place + len(inside)
            place += len(inside) + len(behind)

    def is_whole(self, text: str) -> bool:
        """Whether a match is all of the text."""
        return bool(_replace(text, f"\\A(?s:()(?:{self.source}))\\z").startswith(OPEN))


def compile_patterns(sources: Sequence[str]) -> Patterns:
    """Raises: ValueError, with the reason: RE2 does not take a pattern, or it matches the empty text."""
    for source in sources:
        if _replace("", f"({source})"):
            raise ValueError("it matches the empty text, which is everywhere")
    reaches = [longest(source) for source in sources]
    known = [reach for reach in reaches if reach is not None]
    return Patterns("|".join(f"(?:{source})" for source in sources), max(known) if len(known) == len(reaches) else None)


def longest(source: str) -> int | None:
    """A length that no match exceeds, seen from the pattern's form; None where there is none, or none that is short."""
    plain = PLAIN_PARTS.sub(lambda match: "b" if match.group()[:2] not in (r"\A", r"\z") else "^", source)
    most = [match.group(1) or match.group()[1:-1] for match in REPEATS.finditer(plain)]
    if re.search(r"[*+^$]", plain) or any("," in repeats for repeats in most):
        return None
    found = len(plain) * prod(max(1, int(repeats)) for repeats in most)
    return found if found <= MOST_REACH else None


def _replace(text: str, pattern: str) -> str:
    """Each match of the pattern's first group in marks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    given = text.translate(MARKS) if OPEN in text or CLOSE in text else text
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in set(given)):
        given = HALVES.sub("?", given)
    try:
        done = pc.replace_substring_regex(pa.scalar(given), pattern=pattern, replacement=f"{OPEN}\\1{CLOSE}")
    except pa.ArrowInvalid as error:
        raise ValueError(str(error).removeprefix("Invalid regular expression: ")) from None
    return str(done.as_py())
