"""Model Stock (arXiv:2403.19522): as far from the base towards the mean as the angle between the models says."""

from __future__ import annotations

from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from journeyman.tuning.merge.blocks import Array, Block
from journeyman.tuning.merge.methods.method import Blend, Job, Method

LEAST = 1e-12
Doubles = NDArray[np.float64]


def _model_stock(job: Job) -> Blend:
    """The angle is that of whole tensors, or with ``filter_wise`` of each row."""
    assert job.base is not None
    read_base, is_by_row = job.base, bool(job.numbers["filter_wise"])
    rows = sum(block.stop - block.start for block in job.blocks)
    whole = np.zeros(1)
    if not is_by_row:
        grams = [_gram(_deltas(job, block)).sum(0) for block in job.blocks]
        whole = _share(job, np.sum(grams, axis=0)[None], 1)

    def blend(block: Block) -> Array:
        base, deltas = read_base(block), _deltas(job, block)
        t = _share(job, _gram(deltas), rows) if is_by_row else whole
        mean = deltas[0]
        for delta in deltas[1:]:
            mean += delta
        mean *= (t / len(deltas)).astype(np.float32)[:, None]
        base += mean
        return base

    return blend


def _deltas(job: Job, block: Block) -> list[Array]:
    assert job.base is not None
    base = job.base(block)
    return [part.read(block) - base for part in job.parts]


def _gram(deltas: list[Array]) -> Doubles:
    """Products of the models' changes, row by row: [rows, models, models]. Without BLAS, whose threads would stand in the merge's way."""
    count = len(deltas)
    products = np.empty((len(deltas[0]), count, count))
    for i, j in combinations_with_replacement(range(count), 2):
        products[:, i, j] = products[:, j, i] = np.einsum("rw,rw->r", deltas[i], deltas[j])
    return products


def _share(job: Job, gram: Doubles, rows: int) -> Doubles:
    """How far to go [n], from products [n, models, models] of the models' changes; noted as the mean over ``rows``."""
    count = len(job.parts)
    norms = np.sqrt(np.maximum(np.diagonal(gram, axis1=1, axis2=2), 0))
    pairs = [gram[:, i, j] / np.maximum(norms[:, i] * norms[:, j], LEAST) for i, j in combinations(range(count), 2)]
    cosine = np.clip(pairs, -1, 1).mean(0)
    t: Doubles = count * cosine / (1 + (count - 1) * cosine)
    job.note("cosine", float(cosine.sum()) / rows)
    job.note("t", float(t.sum()) / rows)
    return t


MODEL_STOCK = Method(_model_stock, needs_base=True, models=(2, 10_000), of_whole={"filter_wise": 0.0})
