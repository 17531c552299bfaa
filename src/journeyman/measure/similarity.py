"""How alike two texts or two values are, from 0 to 1: what graded metrics are made of.

Words are runs of letters, marks and digits of any script; what is between them, and English articles, do not count, as in the evaluation of
SQuAD (Rajpurkar et al., arXiv:1606.05250). A text without any word is compared as it stands.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Sequence

from rapidfuzz.distance import LCSseq, Levenshtein

from journeyman.core.canonical import Json, dump

_ARTICLES = frozenset({"a", "an", "the"})


def normalize(text: str) -> str:
    """Compatibility form, case folded, words with one space between them; a text without words: stripped and folded."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in folded)
    return " ".join(word for word in plain.split() if word not in _ARTICLES) or folded.strip()


def words(text: str) -> list[str]:
    return normalize(text).split()


def edit_similarity(left: str, right: str) -> float:
    """1 less the edit distance (Levenshtein 1966) over the longer length; 1 for two empty texts."""
    return float(Levenshtein.normalized_similarity(left, right))


def token_f1(expected: str, got: str) -> float:
    """F1 over the two bags of words; 1 when both are empty."""
    wanted, given = Counter(words(expected)), Counter(words(got))
    return _f1((wanted & given).total(), wanted.total(), given.total())


def rouge_l(expected: str, got: str) -> float:
    """F1 of the longest common subsequence of words (Lin, ROUGE, 2004); 1 when both are empty."""
    wanted, given = words(expected), words(got)
    return _f1(LCSseq.similarity(wanted, given), len(wanted), len(given))


def set_f1(expected: Sequence[Json], got: Sequence[Json]) -> float:
    """F1 over two lists as bags: order does not count, repeats do; 1 when both are empty."""
    wanted, given = Counter(map(_write, expected)), Counter(map(_write, got))
    return _f1((wanted & given).total(), wanted.total(), given.total())


def sequence_f1(expected: Sequence[Json], got: Sequence[Json]) -> float:
    """F1 of the longest common subsequence of two lists; 1 when both are empty."""
    wanted, given = list(map(_write, expected)), list(map(_write, got))
    return _f1(LCSseq.similarity(wanted, given), len(wanted), len(given))


def _write(value: Json) -> str:
    """Equal values alike; NaN, which JSON does not have, is like itself."""
    try:
        return dump(value)
    except ValueError:
        return repr(value)


def is_close(expected: float, got: float, tolerance: float) -> bool:
    """Within ``tolerance`` of the expected number, as a share of it; of an expected 0, within ``tolerance`` itself."""
    if not math.isfinite(expected) or not math.isfinite(got):
        return False
    return abs(expected - got) <= tolerance * (abs(expected) or 1.0)


def is_grounded(quote: str, source: str) -> bool:
    """Whether the words of the quote stand in the source, in a row."""
    wanted, there = words(quote), words(source)
    if not wanted:
        return False
    return f" {' '.join(wanted)} " in f" {' '.join(there)} "


def _f1(common: int, wanted: int, given: int) -> float:
    return 2 * common / (wanted + given) if wanted + given else 1.0
