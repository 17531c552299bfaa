"""A text in the form in which writings that say the same are equal, with the way back to each character.

Compatibility form and small letters (NFKC and case folding, Unicode Standard Annex 15 and chapter 3.13), one form of quotation marks, dashes and blanks, nothing that
is not seen. A dash right between letters does not count, with or without the line's end behind it: nobody can say of "co-" at the end of a line whether the word has one.
Raised digits and fractions stay apart from digits before them: 10² is not 102.

A run is a stretch of the text that became as many characters, or one unit that became fewer or more.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from journeyman.knowledge.ground.edges import is_mark

_SAME = {
    **dict.fromkeys("‘’‚‛`´′", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
    "⁄": "/",
}
_UNSEEN = frozenset("\u00ad\u0640\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u202a\u202b\u202c\u202d\u202e")
_RAISED = ("<super>", "<sub>", "<fraction>")
_LETTER = r"[^\W\d_]"
_DASH = "[-‐‑–—−\u00ad]"
# Each begins with what it looks for: one class of characters per alternative, and no look back from everywhere.
_ALWAYS = (
    rf"(?P<hyphen>{_DASH}(?<={_LETTER}{_DASH})(?:[ \t]*\r?\n\s*)?(?={_LETTER}))",
    r"(?P<line>-[ \t]*\r?\n\s*(?=\w))",
    r"(?P<blanks>\s\s+)",
)
_FIXED = {"hyphen": "", "line": "-", "blanks": " "}


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """``text`` came from an original; run ``r`` begins at ``places[r]`` of it and at ``origins[r]`` of the original. A unit ends there at ``ends[r]``, else that is -1."""

    text: str
    places: list[int]
    origins: list[int]
    ends: list[int]

    def span(self, start: int, end: int) -> tuple[int, int] | None:
        """Where ``text[start:end]``, which is not empty, stands in the original; None where it begins or ends within a unit."""
        first, last = bisect_right(self.places, start) - 1, bisect_right(self.places, end - 1) - 1
        if self.ends[first] >= 0 and start != self.places[first]:
            return None
        if self.ends[last] < 0:
            return self._origin(first, start), self._origin(last, end - 1) + 1
        if last + 1 < len(self.places):
            if end != self.places[last + 1]:
                return None
        elif end != len(self.text):
            return None
        return self._origin(first, start), self.ends[last]

    def _origin(self, run: int, place: int) -> int:
        return self.origins[run] + place - self.places[run]


def fold(text: str) -> Folded:
    table = {letter: _fold(letter) for letter in set(text)}
    even = {ord(letter): said for letter, said in table.items() if len(said) == 1}
    parts, places, origins, ends = list[str](), list[int](), list[int](), list[int]()
    length = place = 0

    def add(part: str, origin: int, end: int) -> None:
        nonlocal length
        if part:
            parts.append(part)
            places.append(length)
            origins.append(origin)
            ends.append(end)
            length += len(part)

    for match in _find_uneven(text, table):
        start, end = match.span()
        add(text[place:start].translate(even), place, -1)
        add(_fold_unit(match), start, end)
        place = end
    add(text[place:].translate(even), place, -1)
    return Folded("".join(parts), places, origins, ends)


def _find_uneven(text: str, table: dict[str, str]) -> Iterator[re.Match[str]]:
    """What does not become one character by itself."""
    wanted = [*_ALWAYS, *([] if text.isascii() else _classes(text, table))]
    return re.finditer("|".join(wanted), text, re.DOTALL)


def _classes(text: str, table: dict[str, str]) -> Iterator[str]:
    if not unicodedata.is_normalized("NFKC", text):
        if marks := _either(letter for letter in table if is_mark(letter)):
            yield f"(?P<marked>.{marks}+)"
        yield "(?P<syllables>[\u1100-\u11ff]+)"
    if raised := _either(letter for letter in table if unicodedata.decomposition(letter).startswith(_RAISED)):
        yield rf"(?P<raised>{raised}(?<=\d{raised}))"
    if uneven := _either(letter for letter, said in table.items() if len(said) != 1):
        yield f"(?P<uneven>{uneven})"


def _either(letters: Iterable[str]) -> str:
    found = "".join(letters)
    return f"[{re.escape(found)}]" if found else ""


def _fold_unit(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    if kind in _FIXED:
        return _FIXED[kind]
    return ("^" if kind == "raised" else "") + _fold(match.group())


def _fold(part: str) -> str:
    if part.isspace():
        return " "
    if part in _UNSEEN or "\ufe00" <= part <= "\ufe0f":
        return ""
    said = "".join(_SAME.get(letter, letter) for letter in part)
    said = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", said).casefold())
    return "".join(_SAME.get(letter, letter) for letter in said)
