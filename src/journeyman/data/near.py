"""Near copies: MinHash LSH proposes pairs, exact Jaccard similarity decides.

A text's shingles are its words, its pairs of words and its character 4-grams, after NFKC, lower case and single spaces.
Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec et al., "Mining of Massive
Datasets", section 3.4. MinHash is ``datasketch``'s.

Legend: ``P`` permutations, ``r`` rows per band, ``b`` bands.
"""

from __future__ import annotations

import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from journeyman.core.canonical import dump
from journeyman.core.example import Example

P = 128
SEED = 1
MISSED_SHARE = 1e-3  # of the pairs exactly at the threshold; above it far fewer
BUCKET_ROWS = 48  # rows that a bucket takes: a thousand lines of one pattern must not be compared pair by pair
COMPARED = 64  # candidates compared exactly per row, the most alike by estimate first
ESTIMATE_SLACK = 0.2  # five standard deviations of a MinHash estimate over P = 128

Shingles = npt.NDArray[np.uint32]


def near_text(example: Example) -> str:
    """What is compared: all earlier turns and input values."""
    values = [value if isinstance(value, str) else dump(value) for value in example.input.values()]
    return "\n".join([message.text for message in example.context] + values)


def make_shingles(text: str) -> Shingles:
    """Sorted, distinct 32-bit hashes of a text's shingles; an empty text has one."""
    words = unicodedata.normalize("NFKC", text).casefold().split()
    joined = f" {' '.join(words)} "
    parts = {f"w{word}" for word in words}
    parts.update(f"p{first} {second}" for first, second in pairwise(words))
    parts.update(joined[start : start + 4] for start in range(max(1, len(joined) - 3)))
    hashes = {zlib.crc32(part.encode("utf-8", "surrogatepass")) for part in parts}
    return np.sort(np.fromiter(hashes, dtype=np.uint32, count=len(hashes)))


def jaccard(first: Shingles, second: Shingles) -> float:
    common = len(np.intersect1d(first, second, assume_unique=True))
    return common / (len(first) + len(second) - common)


def find_pairs(texts: Sequence[str], threshold: float, *, kept: int = 0) -> Iterator[tuple[int, int]]:
    """Pairs ``(earlier, later)`` of texts whose Jaccard similarity is at least ``threshold``.

    Work is bounded: of very many alike texts only the most alike are compared, so a pair may be missing where each of
    its two has ``COMPARED`` others as close. The first ``kept`` texts are always in the index: a copy of one shows up
    in some pair with one of them.
    """
    rows_per_band = _rows_per_band(threshold)
    index = _Index(rows_per_band, len(texts))
    shingles: list[Shingles] = []
    for later, text in enumerate(texts):
        own = make_shingles(text)
        shingles.append(own)
        for earlier in index.propose(own, threshold - ESTIMATE_SLACK, kept):
            if jaccard(shingles[earlier], own) >= threshold:
                yield earlier, later
        index.add(is_kept=later < kept)


class Known:
    """Texts that were seen, one after the other: whether a further one is a near copy of any of them."""

    def __init__(self, threshold: float, texts: Iterable[str] = ()) -> None:
        self._threshold = threshold
        self._index = _Index(_rows_per_band(threshold), 1024)
        self._shingles: list[Shingles] = []
        for text in texts:
            self.add(text)

    def add(self, text: str) -> bool:
        """Remember a text; True where none before it was a near copy."""
        own = make_shingles(text)
        proposed = self._index.propose(own, self._threshold - ESTIMATE_SLACK, 0)
        is_new = all(jaccard(self._shingles[row], own) < self._threshold for row in proposed)
        if is_new:  # a near copy of it is one of what is known, or at its edge
            self._index.add(is_kept=True)
            self._shingles.append(own)
        return is_new


class _Index:
    """Buckets of rows by band, and the hash values of every row so far, for estimates."""

    def __init__(self, rows_per_band: int, size: int) -> None:
        from datasketch import MinHash  # here: it brings scipy along, a second that readers of a dataset need not wait

        self._bands = [(start, start + rows_per_band) for start in range(0, P - rows_per_band + 1, rows_per_band)]
        self._buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
        self._empty = MinHash(num_perm=P, seed=SEED, hashfunc=int)
        self._hashes = np.empty((size, P), dtype=self._empty.hashvalues.dtype)
        self._size = 0

    def propose(self, shingles: Shingles, floor: float, kept: int) -> list[int]:
        """Earlier rows that share a band with this one and whose estimated similarity is at least ``floor``.

        At most ``COMPARED`` of the first ``kept`` rows, and as many others: neither can crowd out the other.
        """
        minhash = self._empty.copy()
        minhash.update_batch(shingles.tolist())
        if self._size == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        own = self._hashes[self._size] = minhash.hashvalues
        self._keys = [(start, own[start:end].tobytes()) for start, end in self._bands]
        found = {row for key in self._keys for row in self._buckets.get(key, ())}
        if not found:
            return []
        rows = np.array(sorted(found))
        estimates = (self._hashes[rows] == own).mean(axis=1)
        order = np.argsort(-estimates, kind="stable")
        likely = [int(row) for row in rows[order[estimates[order] >= floor]]]
        first = [row for row in likely if row < kept][:COMPARED]
        return first + [row for row in likely if row >= kept][:COMPARED]

    def add(self, *, is_kept: bool) -> None:
        """Put the row that was proposed for last into its buckets; a full bucket takes only rows to keep."""
        for key in self._keys:
            bucket = self._buckets[key]
            if is_kept or len(bucket) < BUCKET_ROWS:
                bucket.append(self._size)
        self._size += 1


def _rows_per_band(threshold: float) -> int:
    """The largest ``r`` that still finds all but ``MISSED_SHARE`` of the pairs at the threshold: 1 - (1 - s^r)^b."""
    for rows in range(16, 1, -1):
        if (1 - threshold**rows) ** (P // rows) <= MISSED_SHARE:
            return rows
    return 1


class Groups:
    """Union-find over row numbers."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, row: int) -> int:
        while self._parent[row] != row:
            self._parent[row] = self._parent[self._parent[row]]
            row = self._parent[row]
        return row

    def join(self, first: int, second: int) -> None:
        """The smaller number leads, so that a group's leader is its first row."""
        low, high = sorted((self.find(first), self.find(second)))
        self._parent[high] = low
