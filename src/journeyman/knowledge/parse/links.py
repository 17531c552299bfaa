"""Links in Markdown and where they stand. Code holds none.

Every pattern looks ahead at most a stated number of characters, so that the time is linear whatever the text is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from journeyman.knowledge.document import Link

LABEL = r"(?:[^\[\]\\]|\\.|\[[^\[\]]{0,300}\](?:\([^()\s]{0,500}\))?){0,600}"
INLINE = re.compile(
    rf"(!?)\[{LABEL}\]\(\s{{0,9}}(?:<([^<>\r\n]{{0,2000}})>|([^\s()<>]{{0,2000}}(?:\([^\s()]{{0,500}}\)[^\s()]{{0,500}}){{0,5}}))"
    r"""(?:\s{1,9}(?:"[^"]{0,500}"|'[^']{0,500}'|\([^()]{0,500}\)))?\s{0,9}\)""",
    re.DOTALL,
)
REFERENCE = re.compile(r"(!?)\[([^\[\]]{1,300})\](?:\[([^\[\]]{0,300})\])?(?![(:])")
BARE = re.compile(r"""<?(https?://[^\s<>"'`\[\]{}|\\]{1,2000})""", re.IGNORECASE)
TICKS = re.compile(r"`+")
ESCAPED = re.compile(r"\\+$")
Span = tuple[int, int]


class Masks:
    """Spans in which nothing is a link: ascending after ``sort``."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: list[Span] = []
        self._starts: list[int] = []
        for start, end in sorted(spans):
            if self._spans and start < self._spans[-1][1]:
                self._spans[-1] = (self._spans[-1][0], max(end, self._spans[-1][1]))
            else:
                self._spans.append((start, end))
        self._starts = [start for start, _ in self._spans]

    def covers(self, position: int) -> bool:
        number = bisect_right(self._starts, position) - 1
        return number >= 0 and position < self._spans[number][1]

    def add(self, spans: Iterable[Span]) -> Masks:
        return Masks([*self._spans, *spans])


def find_code_spans(text: str, start: int, end: int) -> list[Span]:
    """Inline code: from a run of backticks to the next of the same length."""
    runs = [run.span() for run in TICKS.finditer(text, start, end)]
    following: dict[int, int] = {}
    closing = [-1] * len(runs)
    for number in range(len(runs) - 1, -1, -1):
        length = runs[number][1] - runs[number][0]
        closing[number] = following.get(length, -1)
        following[length] = number
    found: list[Span] = []
    number = 0
    while number < len(runs):
        close = closing[number]
        if close < 0 or _is_escaped(text, runs[number][0]):
            number += 1
            continue
        found.append((runs[number][0], runs[close][1]))
        number = close + 1
    return found


def find_links(text: str, parts: Iterable[Span], masks: Masks, references: Mapping[str, str]) -> list[Link]:
    """Links and images of ``parts``, ascending, none in another. ``references`` are targets by label, as ``normal_label`` writes it."""
    found: list[Link] = []
    for start, end in parts:
        inline = list(_find_inline(text, start, end, masks))
        taken = Masks((link.start, link.end) for link in inline)
        if references:
            more = [
                link for link in _find_references(text, start, end, masks, references) if not taken.covers(link.start)
            ]
            inline += more
            taken = taken.add((link.start, link.end) for link in more)
        for bare in BARE.finditer(text, start, end):
            if not masks.covers(bare.start(1)) and not taken.covers(bare.start(1)):
                target = bare[1].rstrip(".,;:!?)*_~")
                inline.append(Link(bare.start(1), bare.start(1) + len(target), target))
        found += sorted(inline, key=lambda link: link.start)
    return found


def normal_label(label: str) -> str:
    return " ".join(label.split()).casefold()


def _find_inline(text: str, start: int, end: int, masks: Masks) -> Iterator[Link]:
    for match in INLINE.finditer(text, start, end):
        target = match[2] if match[2] is not None else match[3]
        if target and not masks.covers(match.start()) and not _is_escaped(text, match.start()):
            yield Link(match.start(), match.end(), target, "embed" if match[1] else "link")


def _find_references(text: str, start: int, end: int, masks: Masks, references: Mapping[str, str]) -> Iterator[Link]:
    for match in REFERENCE.finditer(text, start, end):
        target = references.get(normal_label(match[3] or match[2]))
        if target and not masks.covers(match.start()) and not _is_escaped(text, match.start()):
            yield Link(match.start(), match.end(), target, "embed" if match[1] else "link")


def _is_escaped(text: str, position: int) -> bool:
    found = ESCAPED.search(text, max(0, position - 9), position)
    return found is not None and len(found[0]) % 2 == 1
