"""The index of near copies as it began: a bucket is a list under the band's own bytes. It takes far more memory, and is plain to see right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from datasketch import MinHash

from journeyman.data.near import (
    BUCKET_ROWS,
    COMPARED,
    ESTIMATE_SLACK,
    SEED,
    P,
    Shingles,
    _rows_per_band,
    jaccard,
    make_shingles,
)


def find_pairs(texts: Sequence[str], threshold: float, *, kept: int = 0) -> Iterator[tuple[int, int]]:
    rows_per_band = _rows_per_band(threshold)
    bands = [(start, start + rows_per_band) for start in range(0, P - rows_per_band + 1, rows_per_band)]
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    shingles: list[Shingles] = []
    hashes = np.empty((len(texts), P), dtype=np.uint64)
    for later, text in enumerate(texts):
        shingles.append(make_shingles(text))
        minhash = MinHash(num_perm=P, seed=SEED, hashfunc=int)
        minhash.update_batch(shingles[later].tolist())
        hashes[later] = minhash.hashvalues
        keys = [(start, hashes[later][start:end].tobytes()) for start, end in bands]
        rows = sorted({row for key in keys for row in buckets[key]})
        estimates = (hashes[rows] == hashes[later]).mean(axis=1)
        order = np.argsort(-estimates, kind="stable")
        likely = [rows[place] for place in order if estimates[place] >= threshold - ESTIMATE_SLACK]
        first = [row for row in likely if row < kept][:COMPARED]
        for earlier in first + [row for row in likely if row >= kept][:COMPARED]:
            if jaccard(shingles[earlier], shingles[later]) >= threshold:
                yield earlier, later
        for key in keys:
            if later < kept or len(buckets[key]) < BUCKET_ROWS:
                buckets[key].append(later)
