"""Which questions are kept: those whose quote stands in the passage and that can be asked without it.

The words that give a reference to the passage away are English ones; in other languages the check by a second call finds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from journeyman.knowledge.ground.align import align
from journeyman.knowledge.ground.alignment import Alignment
from journeyman.knowledge.ground.folded import fold
from journeyman.knowledge.ground.words import find_words
from journeyman.knowledge.questions.asking import Asked, Checked
from journeyman.knowledge.retrieve.lexical import COMMON

MOST_QUOTE = 400
LEAST_WORDS = 2
"""Of a question, besides those of grammar: fewer name nothing."""
_PART = r"(?:passage|text|excerpt|document|article|section|paragraph|page|chapter|author|writer|speaker|table|figure|context|snippet)"
_NAMES_IT = re.compile(
    rf"\b(?:th(?:e|is|at|ese|ose)|given|above|following|according to) (?:\w+ )?{_PART}s?\b(?! of\b)"
    rf"|\b(?:mentioned|described|listed|stated|shown|discussed|given) (?:above|below|here|in (?:it|this|the (?:\w+ )?{_PART}))\b"
    r"|\b(?:as above|aforementioned)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"^(?:\w+ ){0,3}?(?:did|does|do|is|are|was|were|has|have|had|can|could|will|would|should) (?:he|she|it|they|this|that|these|those)\b(?! (?:is|was|are|were)\b)"
    r"|^(?:\w+ ){1,3}(?:his|her|its|their)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A question and where its answer stands in the passage: ``text[start:end]``."""

    question: str
    start: int
    end: int


def sift(asked: Asked, text: str) -> Kept | str:
    """The question with its place, or why it is dropped."""
    place = find_quote(asked.quote, text)
    if not place.is_grounded:
        return "the quote does not stand in the passage"
    if place.end - place.start > MOST_QUOTE:
        return "the quote is too long"
    if _NAMES_IT.search(asked.question):
        return "it names the passage"
    words = [word for word in find_words(fold(asked.question).text) if word not in COMMON]
    if len(words) < LEAST_WORDS or _POINTS.search(asked.question):
        return "it can only be understood beside the passage"
    if fold(text[place.start : place.end]).text in fold(asked.question).text:
        return "it says its own answer"
    return Kept(asked.question, place.start, place.end)


def is_right(kept: Kept, checked: Checked, text: str) -> bool:
    """Whether a second reading found the answer in the same place, and understood the question by itself."""
    place = find_quote(checked.quote, text)
    return checked.is_clear and place.is_grounded and place.start < kept.end and kept.start < place.end


def find_quote(quote: str, text: str) -> Alignment:
    """Exactly or in another writing; never by likeness."""
    return align([quote], text, gates=None)[0]
