"""A quote that stands nowhere as it is: where most of its words stand in its order.

Its rarest words say where to look; there the longest common subsequence of words decides, cut to the stretch in which its words stand close together. A word with a slip of the
pen is the word of the text that it is nearest to. All numbers of the quote must be among the common words: a quote with another number says something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rapidfuzz.distance import LCSseq, Levenshtein

from journeyman.knowledge.ground.words import Words, find_like, find_words, has_digit

MOST_WORDS = 4000
"""Of a quote; a longer one is not looked for."""
ANCHORS, MOST_HITS, WINDOWS, MOST_LIKE = 6, 600, 6, 32
FEW = 3
"""Words of a quote of which all may be misspelt."""
GAP = 0.35
"""What a word of the text between two common ones costs, as a share of a common one's worth."""


@dataclass(frozen=True, slots=True)
class Gates:
    """``coverage``: common words of those of the quote. ``density``: common words of those of the span. ``words``: how many are common at least where one is missing.
    ``letters``: of a quote's only common word."""

    coverage: float = 0.7
    density: float = 0.5
    words: int = 4
    letters: int = 6


@dataclass(frozen=True, slots=True)
class Near:
    """``text[start:end]`` of the folded text; ``score`` is the harmonic mean of coverage and density."""

    start: int
    end: int
    score: float


def find_near(quote: str, words: Words, gates: Gates) -> list[Near]:
    """The best place of the folded ``quote``, with others that are as good, in the order of the text."""
    given = find_words(quote)
    numbers = {place for place, word in enumerate(given) if has_digit(word)}
    if not 0 < len(given) <= MOST_WORDS or any(given[place] not in words.places for place in numbers):
        return []
    known = [word if word in words.places else "" for word in given]
    if not any(known) and len(given) <= FEW:
        known = [words.find_like(word) or "" for word in given]
    found = [
        near for window in _windows(known, words) if (near := _align(given, numbers, words, window, gates)) is not None
    ]
    best = max((near.score for near in found), default=0.0)
    return sorted({near for near in found if near.score == best}, key=lambda near: near.start)


def _windows(wanted: Sequence[str], words: Words) -> Iterator[tuple[int, int]]:
    """Stretches of the text's words in which the quote's rarest ones stand about where they do in the quote, the likeliest first."""
    size, slack = len(wanted), len(wanted) // 4 + 2
    hits = sorted(_hits(wanted, words))
    groups = list[list[tuple[int, int]]]()
    for hit in hits:
        if groups and hit[0] - groups[-1][0][0] <= slack:
            groups[-1].append(hit)
        else:
            groups.append([hit])
    groups.sort(key=lambda group: -len({place for _start, place in group}))
    for group in groups[:WINDOWS]:
        yield max(0, group[0][0] - slack), group[-1][0] + size + slack


def _hits(wanted: Sequence[str], words: Words) -> Iterator[tuple[int, int]]:
    """Where the quote would begin, by the place of each rare word in the text, and that word's place in the quote."""
    places = {word: place for place, word in reversed(list(enumerate(wanted))) if word}
    left = MOST_HITS
    for word in sorted(places, key=lambda word: len(words.places[word]))[:ANCHORS]:
        found = words.places[word]
        if left < MOST_HITS and len(found) > left:
            return
        yield from ((place - places[word], places[word]) for place in found[:left])
        left -= len(found)


def _align(given: Sequence[str], numbers: set[int], words: Words, window: tuple[int, int], gates: Gates) -> Near | None:
    first, last = window
    wanted = _correct(given, words.words[first:last])
    common = _common(wanted, words, first, last)
    if common:  # again where the best stretch may reach: elsewhere a word's equal may have stood in its way
        reach_left, reach_right = common[0][0] + 1, len(wanted) - common[-1][0]
        common = _common(wanted, words, max(0, common[0][1] - reach_left), common[-1][1] + 1 + reach_right)
    if len(common) < min(gates.words, len(given)) or numbers - {place for place, _there in common}:
        return None
    start, end = common[0][1], common[-1][1] + 1
    if len(common) == 1 and len(words.words[start]) < gates.letters:
        return None
    worth = sum(Levenshtein.normalized_similarity(given[place], wanted[place]) for place, _there in common)
    coverage, density = worth / len(given), worth / (end - start)
    if coverage < gates.coverage or density < gates.density:
        return None
    score = 2 * coverage * density / (coverage + density)
    return Near(words.spans[start][0], words.spans[end - 1][1], score)


def _correct(given: Sequence[str], there: Sequence[str]) -> list[str]:
    """Each word as it is written there, with a slip of the pen or two between them; some of those that are not, for the rest cannot be common."""
    choices = dict.fromkeys(there)
    unknown = list(dict.fromkeys(word for word in given if word not in choices))[:MOST_LIKE]
    like = {word: find_like(word, choices) for word in unknown}
    return [like.get(word) or word for word in given]


def _common(wanted: Sequence[str], words: Words, first: int, last: int) -> list[tuple[int, int]]:
    """The densest stretch of the longest common subsequence: places in the quote and in the text."""
    matches = [
        (block.src_start + step, first + block.dest_start + step)
        for block in LCSseq.opcodes(wanted, words.words[first:last])
        if block.tag == "equal"
        for step in range(block.src_end - block.src_start)
    ]
    begin, end = _densest(matches)
    return matches[begin:end]


def _densest(matches: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The stretch of matches that is worth most when each word of the text between them costs."""
    worth = best = 1.0
    begin, found = 0, (0, min(1, len(matches)))
    for number, (before, after) in enumerate(pairwise(matches), start=1):
        worth -= GAP * (after[1] - before[1] - 1)
        if worth <= 0:
            worth, begin = 0.0, number
        worth += 1
        if worth > best:
            best, found = worth, (begin, number + 1)
    return found
