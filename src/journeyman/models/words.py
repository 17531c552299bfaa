"""Texts to sparse vectors by the words that are in them: no weights, no model file, some microseconds.

A term is a word, two words in a row, or three to four letters of a word. Each has its weight 1 + ln(how often), times the smoothed inverse document
frequency ln((1 + n) / (1 + df)) + 1 (Spärck Jones 1972), and a text's vector has length one. Patterns are few terms of words, there or not.

Legend: ``n`` texts, ``d`` terms.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from journeyman.core.canonical import content_hash
from journeyman.core.files import write_atomic
from journeyman.core.progress import Progress
from journeyman.models.damaged import refuse_damaged
from journeyman.models.embedder import Embedded

FILE = "words.json"
EDITION = 1
LETTERS = (3, 4)
NO_END = 2**31  # a text has no most words
LEAST_TEXTS = 2  # that have a term
MOST_TERMS = 20_000
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Words:
    """``terms`` [d] in the order of the vector's numbers, ``weights`` [d] what each counts. ``is_pattern``: a term is there or not, and no length is
    made one."""

    terms: tuple[str, ...]
    weights: tuple[float, ...]
    is_pattern: bool = False

    @cached_property
    def id(self) -> str:
        return content_hash([list(self.terms), list(self.weights), self.is_pattern])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {term: place for place, term in enumerate(self.terms)}

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Embedded:
        """One sparse vector per text, float32 [n, d]; nothing is cut."""
        from scipy.sparse import csr_array

        starts, columns, values = [0], list[int](), list[float]()
        lengths = np.empty(len(texts), dtype=np.int64)
        for row, text in enumerate(texts):
            words = find_words(text)
            lengths[row] = len(words)
            counts = Counter(place for term in find_terms(words) if (place := self._places.get(term)) is not None)
            places = sorted(counts)
            found = np.array([self._weigh(place, counts[place]) for place in places])
            if not self.is_pattern and len(found):
                found /= np.linalg.norm(found)
            columns += places
            values += found.tolist()
            starts.append(len(columns))
        parts = (
            np.array(values, dtype=np.float32),
            np.array(columns, dtype=np.int32),
            np.array(starts, dtype=np.int32),
        )
        return Embedded(csr_array(parts, shape=(len(texts), len(self.terms))), lengths, NO_END)

    def _weigh(self, place: int, count: int) -> float:
        return self.weights[place] if self.is_pattern else self.weights[place] * float(1 + np.log(count))


def weigh_words(texts: Sequence[str]) -> Words:
    """The terms of at least two texts, the commonest where they are too many (of equals the first by name), by inverse document frequency."""
    counts = Counter(term for text in texts for term in set(find_terms(find_words(text))))
    commonest = sorted(counts, key=lambda term: (-counts[term], term))[:MOST_TERMS]
    kept = sorted(term for term in commonest if counts[term] >= LEAST_TEXTS)
    weights = [float(np.log((1 + len(texts)) / (1 + counts[term])) + 1) for term in kept]
    return Words(tuple(kept), tuple(round(weight, 6) for weight in weights))


def find_words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, in compatibility form and case-folded."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def find_terms(words: Sequence[str]) -> Iterator[str]:
    """Words, pairs of them, and with a mark before it each run of letters of a word with its ends."""
    yield from words
    yield from (f"{first} {second}" for first, second in pairwise(words))
    for word in words:
        whole = f"<{word}>"
        for size in LETTERS:
            yield from (f"#{whole[start : start + size]}" for start in range(len(whole) - size + 1))


def save_words(folder: Path, words: Words) -> None:
    """Write ``words.json``. Raises: StoreError: JM-801, JM-802."""
    text = {"edition": EDITION, "is_pattern": words.is_pattern, "terms": words.terms, "weights": words.weights}
    write_atomic(folder / FILE, json.dumps(text, ensure_ascii=False) + "\n")


def load_words(folder: Path) -> Words:
    """Raises: ModelError: JM-436 missing or damaged."""
    path = folder / FILE
    with refuse_damaged("words", path, f"{FILE} of edition {EDITION}, as it was written"):
        raw = json.loads(path.read_text(encoding="utf-8"))
        words = Words(tuple(map(str, raw["terms"])), tuple(map(float, raw["weights"])), bool(raw["is_pattern"]))
        if raw["edition"] != EDITION or len(words.terms) != len(words.weights):
            raise ValueError("terms and weights of edition 1")
    return words
