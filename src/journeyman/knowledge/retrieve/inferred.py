"""Documents that a question names itself: values of their facts stand in it, word for word.

"what did the board decide in Warsaw?" names the documents whose `city` is Warsaw, where there are such. A number counts where it has four digits (a year) or stands behind the fact's
name ("chapter 12"). Where one value stands within another, the longer one is meant. Knows nothing of synonyms, of "last year" and of "not".

What is named is preferred, and not all that is looked at: as a filter it loses more than it finds (docs/results/techniques.md).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from journeyman.knowledge.document import Fact
from journeyman.knowledge.index.file import Index, Shelved
from journeyman.knowledge.retrieve.lexical import COMMON
from journeyman.knowledge.retrieve.ranking import Hit

WORD = re.compile(r"\w+")
MOST_WORDS = 8
LEAST_LETTERS, LEAST_DIGITS = 3, 4
NAMED = 2
"""Chunks of documents that are named, behind the first hit of all."""
UNASKED = frozenset(("git_commit", "modified", "created", "url", "columns", "outline"))
"""Facts that nobody names, and those that are the text."""
Words = tuple[str, ...]
Values = Mapping[Words, tuple[int, ...]]
"""Ids of the documents that have a value, by its words."""


class Named:
    """The values of one index, by their words; read again when the file changes."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = -1
        self._values: Values = {}

    def find(self, question: str) -> list[int]:
        """Ids of the documents that have every value which the question names; none where it names no value, or values that no document has together."""
        version = self._index.version()
        if version != self._version or self._index.is_writer:
            self._values, self._version = collect_values(self._index.documents()), version
        named = [self._values[words] for words in find_named(question, self._values)]
        return sorted(frozenset(named[0]).intersection(*named[1:])) if named else []


def prefer(hits: Sequence[Hit], named: Sequence[Hit]) -> list[Hit]:
    """The first hit stays the first, those of named documents follow with its score at the most, then the others."""
    if not hits:
        return list(named)
    first, ids = hits[0], {hit.id for hit in named}
    moved = [Hit(hit.id, first.score) for hit in named if hit.id != first.id]
    return [first, *moved, *(hit for hit in hits[1:] if hit.id not in ids)]


def collect_values(documents: Iterable[Shelved]) -> Values:
    """Which documents have a value; those that all of them have tell nothing apart."""
    found: dict[Words, set[int]] = defaultdict(set)
    count = 0
    for item in documents:
        count += 1
        for key, fact in (("title", item.title), *item.facts.items()):
            for words in () if key in UNASKED else _write(key, fact):
                found[words].add(item.id)
    return {words: tuple(ids) for words, ids in found.items() if len(ids) < count}


def find_named(question: str, values: Values) -> list[Words]:
    """The values that stand in a question, from its beginning; of those that overlap the longest."""
    words = _split(question)
    found: list[Words] = []
    place = 0
    while place < len(words):
        longest = min(MOST_WORDS, len(words) - place)
        said = (words[place : place + size] for size in range(longest, 0, -1))
        match = next((part for part in said if part in values), None)
        if match:
            found.append(match)
        place += len(match) if match else 1
    return found


def _write(key: str, fact: Fact) -> Iterator[Words]:
    """How a question may say it."""
    for value in fact if isinstance(fact, tuple) else (fact,):
        if isinstance(value, bool):
            continue
        words = _split(str(value))
        if not words or len(words) > MOST_WORDS:
            continue
        if all(word.isdigit() for word in words):
            yield (*_split(key), *words)
            if len(words) != 1 or len(words[0]) < LEAST_DIGITS:
                continue
        if not COMMON.issuperset(words) and len("".join(words)) >= LEAST_LETTERS:
            yield words


def _split(text: str) -> Words:
    return tuple(word.lower() for word in WORD.findall(text))
