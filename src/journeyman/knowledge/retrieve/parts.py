"""What is asked in several sentences, searched a sentence at a time beside the whole: one vector of two questions is near to neither answer, and a sentence that says who asks takes the place of what is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from journeyman.knowledge.chunk.sentences import split_sentences
from journeyman.knowledge.ground.words import find_words
from journeyman.knowledge.retrieve.lexical import COMMON
from journeyman.knowledge.retrieve.ranking import Hit, Ranking, fuse_scores

MOST_PARTS = 8
LEAST_WORDS = 2
"""Of a sentence, besides those of grammar: fewer look for nothing."""
SHARE = 0.7  # of a sentence in its ranking, the whole question has the rest: it says whom a pronoun means
LEAST_EVIDENCE = 0.5  # of what the clearest sentence has that asks


@dataclass(frozen=True, slots=True)
class Part:
    """What a text finds, and what speaks for it that the documents answer it."""

    text: str
    hits: Ranking
    evidence: float


def find_parts(question: str) -> list[str]:
    """Its sentences, those that ask before the others; none where it is one."""
    sentences = [question[start:end] for start, end in split_sentences(question)]
    if len(sentences) < 2:
        return []
    telling = [
        text for text in sentences if sum(word not in COMMON for word in find_words(text.lower())) >= LEAST_WORDS
    ]
    return sorted(telling, key=lambda text: not is_asking(text))[:MOST_PARTS]


def is_asking(sentence: str) -> bool:
    return sentence.endswith(("?", "？", "؟"))


def join_parts(whole: Ranking, parts: Sequence[Part]) -> list[Hit]:
    """Each chunk with its best score in any part, those left out that have little evidence: a greeting finds something, too. All of ``whole`` where there are no parts."""
    clear = [part.evidence for part in parts if is_asking(part.text)] or [part.evidence for part in parts]
    least = LEAST_EVIDENCE * max(clear, default=0.0)
    best: dict[int, float] = {}
    for part in parts:
        if part.evidence < least:
            continue
        for hit in fuse_scores([part.hits, whole], [SHARE, 1 - SHARE]):
            best[hit.id] = max(hit.score, best.get(hit.id, 0.0))
    return [Hit(id, score) for id, score in sorted(best.items(), key=lambda item: (-item[1], item[0]))] or list(whole)
