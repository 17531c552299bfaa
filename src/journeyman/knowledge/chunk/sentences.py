"""Where sentences end, by rules: abbreviations, initials, numbers, quotes, lines that were wrapped, and the marks of Chinese and Japanese. Linear in the text.

The rules are those that rule-based splitters share (Grefenstette and Tapanainen 1994; Kiss and Strunk 2006 learn the abbreviations that are listed here). Where a text knows no capital
letters, the letter after a full stop says nothing, and only the word before it counts.
"""

from __future__ import annotations

import re
from itertools import pairwise

Span = tuple[int, int]

CLOSERS = "\"'”’»›)\\]}*_"
STOP = re.compile(
    rf"(?<![.!?…؟।॥۔])[.!?…؟।॥۔]++[{CLOSERS}]*+(?:\[\d{{1,3}}\])*+(?=\s)|[。！？｡︒]++[」』”’）】》]*+|\n"
)
BLANKS = re.compile(r"\s*+")
WORD_BEFORE = 24
WIDTHS = (40, 120)  # characters of the longest line where somebody wrapped lines
FEW_CAPITALS = 0.004  # of the letters

ENDING = "etc inc ltd co corp jr sr a.m p.m u.s u.k u.n d.c ph.d m.d usw al"
SHORT = """
mr mrs ms mx dr prof sr jr st messrs mme mlle hon rev fr gen col lt sgt capt cmdr adm maj gov sen rep pres vs etc cf al ca approx
resp viz incl excl est ed eds trans repr fig figs eq eqs sec sect ch chap vol vols no nos p pp para art ref refs tab app suppl
vers ver inc ltd co corp bros dept univ assn ave blvd rd mt ft jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed
thu thur thurs fri sat sun e.g i.e a.m p.m u.s u.k u.n d.c ph.d m.d b.a m.a z.b d.h u.a s.o u.ä o.ä z.t i.d.r v.a bzw usw ggf evtl
nr abs bsp bzgl ca dipl ing hr fr str tel vgl zzgl inkl av apdo sra srta ud uds pág núm p.ej ej n° m mm
"""
ABBREVIATIONS = frozenset(SHORT.split())
ENDS_TOO = frozenset(ENDING.split())
"""Abbreviations that a sentence may end with: they go on only where a small letter or a digit follows."""


def split_sentences(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Spans of the sentences of ``text[start:end]`` without the blanks around them, ascending; together they hold all that is not blank."""
    end = len(text) if end is None else end
    cased = _is_cased(text[start:end])
    soft = find_soft_breaks(text, start, end)
    spans: list[Span] = []
    begin = _skip_blanks(text, start, end)
    for found in STOP.finditer(text, start, end):
        if found.end() <= begin:
            continue
        if text[found.start()] == "\n":
            ends = found.start() not in soft
        else:
            ends = _ends_sentence(text, begin, found, end, cased)
        if ends:
            _add(spans, text, begin, found.end())
            begin = _skip_blanks(text, found.end(), end)
    _add(spans, text, begin, end)
    return spans


def _ends_sentence(text: str, begin: int, found: re.Match[str], end: int, cased: bool) -> bool:
    mark = found[0]
    if mark[0] in "。！？｡︒":
        return True
    after = _next_letter(text, found.end(), end)
    goes_on = cased and after.islower()
    if mark[0] != ".":
        return not goes_on
    if mark.startswith(("..", "…")):
        return not goes_on
    word = _word_before(text, max(begin, found.start() - WORD_BEFORE), found.start())
    if not word:
        return True
    small = word.lower()
    if small in ABBREVIATIONS:
        return small in ENDS_TOO and not after.islower() and not after.isdigit()
    if len(word) == 1 and word.isalpha() and word.isupper():
        return False
    if word.isdigit() and len(word) <= 3 and found.start() - len(word) <= begin:
        return False  # the number of a list's item
    return not goes_on


def _skip_blanks(text: str, start: int, end: int) -> int:
    found = BLANKS.match(text, start, end)
    return found.end() if found else start


def _word_before(text: str, start: int, end: int) -> str:
    words = text[start:end].split()
    return words[-1].lstrip("([{\"'“‘«") if words and not text[end - 1].isspace() else ""


def _next_letter(text: str, start: int, end: int) -> str:
    """The first character after the blanks and opening quotes, as far as can be seen; empty where there is none."""
    return text[start : min(end, start + 16)].lstrip().lstrip("([{\"'“‘«¿¡—–-")[:1]


def _is_cased(text: str) -> bool:
    """Whether capital letters begin sentences here; short pieces are believed."""
    sample = text[:20_000]
    capitals = sum(map(str.isupper, sample))
    return capitals > FEW_CAPITALS * sum(map(str.isalpha, sample)) if len(sample) > 400 else True


def find_soft_breaks(text: str, start: int, end: int) -> frozenset[int]:
    """Line ends that only a narrow page asked for: the next line's first word would not have fitted in a line."""
    lines = text[start:end].split("\n")
    width = max(map(len, lines))
    if len(lines) < 3 or not WIDTHS[0] <= width <= WIDTHS[1]:
        return frozenset()
    soft, place = set(), start
    for line, following in pairwise(lines):
        place += len(line) + 1
        first = following.split(None, 1)[0] if following.strip() else ""
        if first and line.strip() and len(line.rstrip()) + 1 + len(first) > width:
            soft.add(place - 1)
    return frozenset(soft)


def _add(spans: list[Span], text: str, start: int, end: int) -> None:
    """The span without blanks around it, where something is left."""
    part = text[start:end]
    inner = part.strip()
    if inner:
        first = start + len(part) - len(part.lstrip())
        spans.append((first, first + len(inner)))
