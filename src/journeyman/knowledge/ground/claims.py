"""What an answer says, claim by claim, held against all passages that it was given.

A claim is a sentence of a text, or a value of an object. Its support is the share of its words, by their weight, that stand together in one passage (`support`); 1 where it stands there as it is. A claim of few
words may stand there and answer something else: half of its support is what the sentence around it has of the question. It knows words and numbers, not meaning.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter

from journeyman.core.canonical import Json
from journeyman.knowledge.ground.align import align
from journeyman.knowledge.ground.answers import read_marked
from journeyman.knowledge.ground.folded import fold
from journeyman.knowledge.ground.passages import Passage
from journeyman.knowledge.ground.support import find_sentences, find_support, share_words
from journeyman.knowledge.ground.task_answers import PASSAGE, is_absent
from journeyman.knowledge.ground.words import find_words

LEAST = 1e-6
SHORT = 6
"""Words below which a claim is held with its question."""


def find_claims(value: Json, absent: str, fields: Collection[str] = (), closed: Collection[str] = ()) -> list[str]:
    """Of a text or an object; none of an answer that says nothing. ``fields`` alone, where there are such; without those whose values are chosen (``closed``)."""
    if is_absent(value, absent):
        return []
    if isinstance(value, str):
        return [statement.text for statement in read_marked(value)]
    return [text for text in _leaves(value, fields, closed, is_open=not fields) if text.strip()]


def weigh_claim(claim: str, question: str, passages: Sequence[Passage]) -> float:
    """The best of all passages, 0 to 1."""
    is_short = len(find_words(fold(claim).text)) < SHORT
    return max((_weigh(claim, question if is_short else "", passage) for passage in passages), default=0.0)


def _leaves(value: Json, fields: Collection[str], closed: Collection[str], *, is_open: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if name != PASSAGE and name not in closed:
                yield from _leaves(item, fields, (), is_open=is_open or name in fields)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, fields, (), is_open=is_open)
    elif is_open and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _weigh(claim: str, question: str, passage: Passage) -> float:
    found = align([claim], passage.source)[0]
    if not found.is_grounded:
        found = find_support(claim, passage.source, LEAST)
    if not question or not found.is_grounded:
        return found.score
    places = passage.source.find_exact(claim, "text") or passage.source.find_normalized(claim, "text")
    spans = [(place.start, place.end) for place in places] or [(found.start, found.end)]
    return found.score * (1 + _weigh_around(question, spans, passage)) / 2


def _weigh_around(question: str, spans: Sequence[tuple[int, int]], passage: Passage) -> float:
    """The share of the question's words that stand in the sentence around a claim, at the best of its places."""
    sentences = find_sentences(passage.text)
    best = 0.0
    for start, end in spans:
        first = max(0, bisect_right(sentences, start, key=itemgetter(0)) - 1)
        last = max(first + 1, bisect_left(sentences, end, key=itemgetter(0)))
        near = passage.text[sentences[first][0] : sentences[last - 1][1]]
        best = max(best, share_words(question, near, passage.source))
    return best
