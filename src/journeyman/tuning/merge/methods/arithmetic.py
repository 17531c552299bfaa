"""Task arithmetic and its kin: add what each model learned beyond the base, thinned and with quarrels settled.

Task arithmetic arXiv:2212.04089; TIES arXiv:2306.01708 (keep the largest changes, let signs vote); DARE arXiv:2311.03099 (drop changes at
random and make up for it: here, as in mergekit, so that the sum of magnitudes stays, not by 1/density).
"""

from __future__ import annotations

import torch
from torch import Tensor

from journeyman.tuning.merge.methods.method import Job, Method
from journeyman.tuning.merge.methods.select import keep_largest

LEAST = 1e-8


def _arithmetic(job: Job, *, is_random: bool, has_vote: bool) -> Tensor:
    assert job.base is not None
    deltas, weights = [], []
    generator = torch.Generator().manual_seed(job.seed)
    kept = 0
    for part in job.parts:
        delta = part.tensor.sub_(job.base)
        density = part.numbers["density"]
        if density < 1:
            thin = _drop_at_random if is_random else _keep_largest
            delta = thin(delta, density, bool(job.numbers["rescale"]), generator)
        kept += int((delta != 0).sum())
        deltas.append(delta.mul_(part.numbers["weight"]))
        weights.append(part.numbers["weight"])
    job.report["kept"] = kept / max(1, len(deltas) * job.base.numel())
    total = _vote(job, deltas, weights) if has_vote else _sum(job, deltas, weights)
    return job.base.add_(total, alpha=job.numbers["lambda"])


def _sum(job: Job, deltas: list[Tensor], weights: list[float]) -> Tensor:
    total = deltas[0]
    for delta in deltas[1:]:
        total.add_(delta)
    divisor = sum(weights)
    return total.div_(divisor) if job.numbers["normalize"] and abs(divisor) > LEAST else total


def _vote(job: Job, deltas: list[Tensor], weights: list[float]) -> Tensor:
    """Only changes of the majority's sign count; the majority is of weighted magnitude, and an even vote is a plus."""
    ballot = deltas[0].clone()
    for delta in deltas[1:]:
        ballot.add_(delta)
    is_positive = ballot >= 0
    total, divisor = ballot.zero_(), torch.zeros_like(ballot)
    agreeing = 0
    for delta, weight in zip(deltas, weights, strict=True):
        agrees = (delta > 0) == is_positive
        agrees &= delta != 0
        agreeing += int(agrees.sum())
        total.add_(delta.mul_(agrees))
        divisor.add_(agrees, alpha=weight)
    job.report["agreeing"] = agreeing / max(1, len(deltas) * ballot.numel())
    if job.numbers["normalize"]:
        divisor[divisor.abs() < LEAST] = 1
        total.div_(divisor)
    return total


def _keep_largest(delta: Tensor, density: float, is_rescaled: bool, _generator: torch.Generator) -> Tensor:
    before = float(delta.abs().sum()) if is_rescaled else 0.0
    keep_largest(delta, int(density * delta.numel()))
    return _match(delta, before) if is_rescaled else delta


def _drop_at_random(delta: Tensor, density: float, is_rescaled: bool, generator: torch.Generator) -> Tensor:
    before = float(delta.abs().sum()) if is_rescaled else 0.0
    delta.mul_(torch.rand(delta.shape, generator=generator) < density)
    return _match(delta, before) if is_rescaled else delta


def _match(delta: Tensor, magnitude: float) -> Tensor:
    """Scale to a sum of magnitudes."""
    after = float(delta.abs().sum())
    return delta.mul_(magnitude / after) if after > 0 else delta


def _method(*, is_random: bool = False, has_vote: bool = False, normalize: float, rescale: float) -> Method:
    return Method(
        lambda job: _arithmetic(job, is_random=is_random, has_vote=has_vote),
        needs_base=True,
        of_part={"weight": None, "density": 1.0},
        of_whole={"normalize": normalize, "rescale": rescale, "lambda": 1.0, "int8_mask": 0.0},
    )


TASK_ARITHMETIC = _method(normalize=0.0, rescale=0.0)
TIES = _method(has_vote=True, normalize=1.0, rescale=0.0)
DARE_LINEAR = _method(is_random=True, normalize=0.0, rescale=1.0)
DARE_TIES = _method(is_random=True, has_vote=True, normalize=0.0, rescale=1.0)
