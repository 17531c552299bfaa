"""Words and patterns of a list: found in a text, or all that a text may be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from journeyman.guards.look import Look
from journeyman.guards.patterns import Patterns, compile_patterns
from journeyman.guards.starts import fold

Span = tuple[int, int]
FIRST_UNSPACED = "\u2e80"


@dataclass(frozen=True, slots=True)
class Listed:
    """Words stand for themselves, in any case, and not inside of others."""

    words: frozenset[str]
    spelled: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...]
    """For each word: what has to stand in a text in small letters where it does, and what finds it."""
    patterns: Patterns | None
    reach: int | None

    def find(self, look: Look) -> Iterator[Span]:
        for parts, pattern in self.spelled:
            if all(part in look.folded for part in parts):
                for match in pattern.finditer(look.plain):
                    yield look.span(*match.span())
        if self.patterns is not None:
            for start, end in self.patterns.spans(look.plain):
                yield look.span(start, end)

    def is_all(self, look: Look) -> bool:
        """Whether the text, without spaces at its ends, is one of the words, or what a pattern describes."""
        plain = look.plain.strip()
        return plain.casefold() in self.words or (self.patterns is not None and self.patterns.is_whole(plain))


def compile_list(words: Sequence[str], patterns: Sequence[str]) -> Listed:
    """Raises: ValueError, as `compile_patterns`."""
    compiled = compile_patterns(patterns) if patterns else None
    reaches = [max(map(len, words)) if words else 0, compiled.reach if compiled else 0]
    reach = None if None in reaches else max(item for item in reaches if item is not None)
    spelled = tuple((_parts(word), re.compile(_spell(word), re.I)) for word in words)
    return Listed(frozenset(word.strip().casefold() for word in words), spelled, compiled, reach)


def _parts(word: str) -> tuple[str, ...]:
    """None of a word of other letters than ASCII's, which may have more than one small form."""
    return tuple(fold(word).split()) if word.isascii() else ()


def _spell(word: str) -> str:
    """A space in it may be any one. Scripts that write no spaces have no ends of words."""
    parts = word.split()
    left = r"(?<!\w)" if parts[0][0] < FIRST_UNSPACED else ""
    right = r"(?!\w)" if parts[-1][-1] < FIRST_UNSPACED else ""
    return left + r"\s".join(map(re.escape, parts)) + right
