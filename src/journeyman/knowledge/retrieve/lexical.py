"""Words by BM25, in SQLite's FTS5: stems of English words, accents off; any of the question's words may match."""

from __future__ import annotations

import re
from collections.abc import Sequence

from journeyman.knowledge.index.file import Index
from journeyman.knowledge.retrieve.ranking import Hit

WORD = re.compile(r"\w+")
ABOVE_WEIGHT = 1.0
MOST_WORDS = 64  # of a question; longer ones are texts, of which the rarest words decide
GRAMMAR = """
a an and are as at be been but by can could did do does for from had has have he her him his how i if in into is it its me my no not of on or our s she should so
t than that the their them then there these they this to was we were what when where which who whom whose why will with would you your
"""
COMMON = frozenset(GRAMMAR.split())


def make_query(question: str) -> str:
    """FTS5's syntax for any of these words; words of grammar only if there are no others."""
    words = list(dict.fromkeys(word.lower() for word in WORD.findall(question)))
    telling = [word for word in words if word not in COMMON] or words
    return " OR ".join(f'"{word}"' for word in telling[:MOST_WORDS])


def rank_lexical(index: Index, question: str, most: int, documents: Sequence[int] | None = None) -> list[Hit]:
    """The ``most`` chunks with the best BM25 (k1 = 1.2, b = 0.75); only those of ``documents`` where a filter says so."""
    query = make_query(question)
    if not query:
        return []
    if documents is None:
        rows = index.rows(
            "SELECT rowid, bm25(words, 1.0, ?) FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?",
            (ABOVE_WEIGHT, query, most),
        )
    else:
        rows = index.rows(
            "SELECT w.rowid, bm25(words, 1.0, ?) AS score FROM words w JOIN chunks c ON c.id = w.rowid "
            "WHERE words MATCH ? AND c.document IN (SELECT value FROM json_each(?)) ORDER BY score LIMIT ?",
            (ABOVE_WEIGHT, query, "[" + ",".join(map(str, documents)) + "]", most),
        )
    return [Hit(int(row[0]), -float(row[1])) for row in rows]
