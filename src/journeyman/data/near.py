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


def near_text(example: Example, filled: str = "") -> str:
    """What is compared: all earlier turns and input values, but for the field that retrieval ``filled``: two questions about one page are not one."""
    said = (value for name, value in example.input.items() if name != filled)
    values = [value if isinstance(value, str) else dump(value) for value in said]
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
    shingles = [make_shingles(text) for text in texts]
    index = _Index(shingles, _rows_per_band(threshold))
    for later, own in enumerate(shingles):
        for earlier in index.propose(later, threshold - ESTIMATE_SLACK, kept):
            if jaccard(shingles[earlier], own) >= threshold:
                yield earlier, later
        index.add(later, is_kept=later < kept)


class Known:
    """Texts that were seen, one after the other: whether a further one is a near copy of any of them."""

    def __init__(self, threshold: float, texts: Iterable[str] = ()) -> None:
        self._threshold = threshold
        self._rows_per_band = _rows_per_band(threshold)
        self._buckets: defaultdict[tuple[int, bytes], list[Shingles]] = defaultdict(list)
        for text in texts:
            self.add(text)

    def add(self, text: str) -> bool:
        """Remember a text; True where none before it was a near copy. One that was is not remembered itself."""
        own = make_shingles(text)
        (hashes,) = _hash_rows([own])
        keys = [
            (start, hashes[start : start + self._rows_per_band].tobytes())
            for start in range(0, P - self._rows_per_band + 1, self._rows_per_band)
        ]
        near = {id(other): other for key in keys for other in self._buckets.get(key, ())}
        is_new = all(jaccard(other, own) < self._threshold for other in near.values())
        for key in keys if is_new else ():
            self._buckets[key].append(own)
        return is_new


class _Index:
    """The hash values of every row, for estimates, and buckets of the rows so far by what they share a band with. Most rows share none: a bucket for each of their
    bands would take four times the memory of all else."""

    def __init__(self, shingles: Sequence[Shingles], rows_per_band: int) -> None:
        self._hashes = _hash_rows(shingles)
        self._shared = _find_shared(self._hashes, rows_per_band)
        self._buckets: defaultdict[int, list[int]] = defaultdict(list)

    def propose(self, row: int, floor: float, kept: int) -> list[int]:
        """Earlier rows that share a band with this one and whose estimated similarity is at least ``floor``.

        At most ``COMPARED`` of the first ``kept`` rows, and as many others: neither can crowd out the other.
        """
        found = {other for name in self._names(row) for other in self._buckets.get(name, ())}
        if not found:
            return []
        rows = np.array(sorted(found))
        estimates = (self._hashes[rows] == self._hashes[row]).mean(axis=1)
        order = np.argsort(-estimates, kind="stable")
        likely = [int(other) for other in rows[order[estimates[order] >= floor]]]
        first = [other for other in likely if other < kept][:COMPARED]
        return first + [other for other in likely if other >= kept][:COMPARED]

    def add(self, row: int, *, is_kept: bool) -> None:
        """Put the row into its buckets; a full bucket takes only rows to keep."""
        for name in self._names(row):
            bucket = self._buckets[name]
            if is_kept or len(bucket) < BUCKET_ROWS:
                bucket.append(row)

    def _names(self, row: int) -> list[int]:
        names = self._shared[row]
        found: list[int] = names[names >= 0].tolist()
        return found


def _hash_rows(shingles: Sequence[Shingles]) -> npt.NDArray[np.uint32]:
    from datasketch import MinHash  # here: it brings scipy along, a second that readers of a dataset need not wait

    empty = MinHash(num_perm=P, seed=SEED, hashfunc=int)
    hashes = np.empty((len(shingles), P), dtype=np.uint32)  # datasketch's hash values have 32 bits
    for row, own in enumerate(shingles):
        minhash = empty.copy()
        minhash.update_batch(own.tolist())
        hashes[row] = minhash.hashvalues
    return hashes


def _find_shared(hashes: npt.NDArray[np.uint32], rows_per_band: int) -> npt.NDArray[np.int64]:
    """For each row and band the name of the bucket, the same for rows with the same values there; -1 where no other row has them.

    Values are compared by a multilinear hash modulo 2^64 (Carter and Wegman, "Universal classes of hash functions", 1979).
    """
    size, count = len(hashes), P // rows_per_band
    factors = np.random.default_rng(SEED).integers(2**64, size=rows_per_band, dtype=np.uint64) | np.uint64(1)
    shared = np.full((size, count), -1, dtype=np.int64)
    for band in range(count):
        values = hashes[:, band * rows_per_band : (band + 1) * rows_per_band]
        sums = (values * factors).sum(axis=1, dtype=np.uint64)
        _, names, counts = np.unique(sums, return_inverse=True, return_counts=True)
        shared[:, band] = np.where(counts[names] > 1, names + band * size, -1)
    return shared


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
