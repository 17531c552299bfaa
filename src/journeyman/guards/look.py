"""One text as the guards see it: without what people do not see, so that a word cannot be broken up by it, and looked through once for all of them."""

from __future__ import annotations

import re
from functools import cached_property

from journeyman.guards.detect import ASKED_FOR, Finding, detect
from journeyman.guards.invisible import find_unseen
from journeyman.guards.starts import fold

Span = tuple[int, int]
WORD = re.compile(r"\w+")


class Look:
    """``text`` is what came, ``plain`` the same without what is not seen."""

    def __init__(self, text: str) -> None:
        self.text = text
        unseen = list(find_unseen(text))
        self._places: list[int] | None = None
        self.plain = text
        if unseen:
            kept, place = list[int](), 0
            for start, end in unseen:
                kept += range(place, start)
                place = end
            self._places = [*kept, *range(place, len(text))]
            self.plain = "".join(text[index] for index in self._places)

    def span(self, start: int, end: int) -> Span:
        """Where ``plain[start:end]``, which is not empty, stands in ``text``."""
        return (start, end) if self._places is None else (self._places[start], self._places[end - 1] + 1)

    def place(self, start: int) -> int:
        """Where ``plain[start:]`` begins in ``text``."""
        if self._places is None:
            return start
        return self._places[start] if start < len(self._places) else len(self.text)

    @cached_property
    def findings(self) -> list[Finding]:
        """Of ``plain``."""
        return detect(self.plain)

    @cached_property
    def all_findings(self) -> list[Finding]:
        """Of ``plain``, those too that are found only where they are asked for."""
        return detect(self.plain, ASKED_FOR)

    @cached_property
    def words(self) -> list[str]:
        """Of ``plain``, in small letters."""
        return [word.casefold() for word in WORD.findall(self.plain)]

    @cached_property
    def word_spans(self) -> list[Span]:
        """Where the words stand in ``plain``."""
        return [match.span() for match in WORD.finditer(self.plain)]

    @cached_property
    def folded(self) -> str:
        """``plain`` in small letters, place for place."""
        return fold(self.plain)
