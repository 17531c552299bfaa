"""Whether a passage says what a sentence says, in other words and another order: the sentences of it that share the most of its words.

It knows words and numbers, not meaning: "A sued B" and "B sued A" are the same to it, and so is a "not" more or less. It therefore is called ``fuzzy``, and what is asked for are quotes.
"""

from __future__ import annotations

import re
from itertools import pairwise
from math import log

from journeyman.knowledge.ground.alignment import Alignment
from journeyman.knowledge.ground.folded import fold
from journeyman.knowledge.ground.source import Source
from journeyman.knowledge.ground.words import Words, find_words, has_digit

LEAST = 0.6
"""Share of a sentence's words, by their weight, that its support has."""
MOST_SENTENCES = 3
_STOP = re.compile(r"[.!?…][\"'”’)]*\s+|\n\s*\n|[。！？]")


def find_support(sentence: str, source: Source, least: float = LEAST) -> Alignment:
    """The fewest sentences in a row, three at most, that have most of the words of ``sentence``, and all of its numbers; of equally many the best."""
    nowhere = Alignment(sentence, 0, 0, "ungrounded", 0.0)
    likes = {word: source.words.find_like(word) for word in find_words(fold(sentence).text)}
    if not likes or any(has_digit(word) and like is None for word, like in likes.items()):
        return nowhere
    weights = {like or word: _weigh(like or word, source.words) for word, like in likes.items()}
    total = sum(weights.values())
    sentences = [(start, end, _words(source.text[start:end])) for start, end in find_sentences(source.text)]
    for count in range(1, MOST_SENTENCES + 1):
        best = nowhere
        for first in range(len(sentences) - count + 1):
            stretch = sentences[first : first + count]
            there = frozenset().union(*(words for _start, _end, words in stretch))
            score = sum(weight for word, weight in weights.items() if word in there) / total
            if score >= least and score > best.score and all(word in there for word in weights if has_digit(word)):
                best = Alignment(sentence, stretch[0][0], stretch[-1][1], "fuzzy", round(score, 4))
        if best.is_grounded:
            return best
    return nowhere


def share_words(asked: str, text: str, source: Source) -> float:
    """The share of the words of ``asked``, by their weight in ``source``, that ``text``, a part of it, has."""
    likes = [source.words.find_like(word) or word for word in dict.fromkeys(find_words(fold(asked).text))]
    there = _words(text)
    total = sum(_weigh(word, source.words) for word in likes)
    return sum(_weigh(word, source.words) for word in likes if word in there) / total if total else 0.0


def _weigh(word: str, words: Words) -> float:
    """More for what the passage says seldom, and most for what it does not say."""
    return log(1 + (1 + len(words.words)) / (1 + len(words.places.get(word, ()))))


def _words(text: str) -> frozenset[str]:
    return frozenset(find_words(fold(text).text))


def find_sentences(text: str) -> list[tuple[int, int]]:
    """Where they stand, without blanks around them; also what has no full stop but a blank line behind it."""
    bounds = [0, *(match.end() for match in _STOP.finditer(text)), len(text)]
    spans = []
    for start, end in pairwise(bounds):
        said = text[start:end]
        if said.strip():
            spans.append((start + len(said) - len(said.lstrip()), start + len(said.rstrip())))
    return spans
