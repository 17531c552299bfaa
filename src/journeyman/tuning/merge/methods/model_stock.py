"""Model Stock (arXiv:2403.19522): as far from the base towards the mean as the angle between the models says."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from journeyman.tuning.merge.methods.method import Job, Method

LEAST = 1e-12


def _model_stock(job: Job) -> Tensor:
    assert job.base is not None
    base, count = job.base, len(job.parts)
    is_by_row = bool(job.numbers["filter_wise"])
    mean = sum(part.tensor for part in job.parts) / count
    deltas = [part.tensor.sub_(base) for part in job.parts]
    deltas = [delta.reshape(-1, delta.shape[-1]) if is_by_row else delta.reshape(1, -1) for delta in deltas]
    norms = [delta.norm(dim=1) for delta in deltas]
    cosines = [
        ((deltas[i] * deltas[j]).sum(1) / (norms[i] * norms[j]).clamp(min=LEAST)).clamp(-1, 1)
        for i, j in combinations(range(count), 2)
    ]
    cosine = torch.stack(cosines).mean(0)  # [1] or [rows]
    t = count * cosine / (1 + (count - 1) * cosine)
    job.report.update(cosine=float(cosine.mean()), t=float(t.mean()))
    shape = (*base.shape[:-1], 1) if is_by_row else (1,) * max(1, base.dim())
    t = t.reshape(shape)
    return t * mean + (1 - t) * base


MODEL_STOCK = Method(_model_stock, needs_base=True, models=(2, 10_000), of_whole={"filter_wise": 0.0})
