"""Words by BM25, in SQLite's FTS5: stems of English words, accents off; any of the question's words may match."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from math import log

from journeyman.knowledge.index.file import Index
from journeyman.knowledge.retrieve.ranking import Hit

WORD = re.compile(r"\w+")
ABOVE_WEIGHT = 1.0
K1 = 1.2  # FTS5's
MOST_WORDS = 64  # of a question; longer ones are texts, of which the rarest words decide
GRAMMAR = """
a an and are as at be been but by can could did do does for from had has have he her him his how i if in into is it its me my no not of on or our s she should so
t than that the their them then there these they this to was we were what when where which who whom whose why will with would you your
"""
COMMON = frozenset(GRAMMAR.split())
SCORED = 25_000  # scoring one takes half a microsecond; with a fifth of all chunks, R@1 on nq_open is 0.795 for 0.798
LEAST_WORDS = 2
MOST_COUNTS = 100_000


def find_words(question: str) -> list[str]:
    """What is looked for, each once: without words of grammar, unless there are no others."""
    words = list(dict.fromkeys(word.lower() for word in WORD.findall(question)))
    return ([word for word in words if word not in COMMON] or words)[:MOST_WORDS]


class Words:
    """The words of one index. How many chunks have a word is counted once, until the file changes."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._version = -1
        self._counts: dict[str, int] = {}

    def rank(self, question: str, most: int, documents: Sequence[int] | None = None) -> list[Hit]:
        """The ``most`` chunks with the best BM25 (k1 = 1.2, b = 0.75); only those of ``documents`` where a filter says so."""
        words = self._choose(find_words(question))
        if not words:
            return []
        query = " OR ".join(f'"{word}"' for word in words)
        if documents is None:
            rows = self._index.rows(
                "SELECT rowid, bm25(words, 1.0, ?) FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?",
                (ABOVE_WEIGHT, query, most),
            )
        else:
            rows = self._index.rows(
                "SELECT w.rowid, bm25(words, 1.0, ?) AS score FROM words w JOIN chunks c ON c.id = w.rowid "
                "WHERE words MATCH ? AND c.document IN (SELECT value FROM json_each(?)) ORDER BY score LIMIT ?",
                (ABOVE_WEIGHT, query, "[" + ",".join(map(str, documents)) + "]", most),
            )
        return [Hit(int(row[0]), -float(row[1])) for row in rows]

    def share(self, question: str, best: float) -> float:
        """What a BM25 score is of the highest that any chunk could have: 1 for every word of the question, again and again; 0 for a question without words."""
        bound = sum(self._weigh(word) for word in self._choose(find_words(question)))
        return best / bound if bound else 0.0

    def rarity(self, word: str) -> float:
        """0 for a word that all chunks have, more the fewer have it."""
        return log((self._count("") + 1) / (self._count(word) + 0.5))

    def _weigh(self, word: str) -> float:
        having, all_chunks = self._count(word), self._count("")
        return (K1 + 1) * max(log((all_chunks - having + 0.5) / (having + 0.5)), 0.0)

    def _choose(self, words: Sequence[str]) -> list[str]:
        """The rarest, as long as no more than ``SCORED`` chunks must be scored; the two rarest in any case."""
        rarest = sorted(words, key=self._count)
        total = list(accumulate(self._count(word) for word in rarest))
        kept = {word for place, word in enumerate(rarest) if place < LEAST_WORDS or total[place] <= SCORED}
        return [word for word in words if word in kept]

    def _count(self, word: str) -> int:
        """Of the chunks that have a word; of all for none."""
        version = self._index.version()
        if version != self._version or self._index.is_writer or len(self._counts) > MOST_COUNTS:
            self._counts, self._version = {}, version
        if word not in self._counts:
            matching = ("SELECT count(*) FROM words WHERE words MATCH ?", (f'"{word}"',))
            rows = self._index.rows(*matching) if word else self._index.rows("SELECT count(*) FROM chunks")
            self._counts[word] = int(rows[0][0])
        return self._counts[word]
