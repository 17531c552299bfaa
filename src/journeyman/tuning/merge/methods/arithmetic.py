"""Task arithmetic and its kin: add what each model learned beyond the base, thinned and with quarrels settled.

Task arithmetic arXiv:2212.04089; TIES arXiv:2306.01708 (keep the largest changes, let signs vote); DARE arXiv:2311.03099 (drop changes at
random and make up for it: here, as in mergekit, so that the sum of magnitudes stays, not by 1/density).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from journeyman.tuning.merge.blocks import Array, Block
from journeyman.tuning.merge.methods.method import Blend, Job, Method, Part
from journeyman.tuning.merge.methods.select import Largest, find_edge

LEAST = 1e-8
DRAWS = 1 << 16  # a density is kept to one part in this many
Thin = Callable[[Array], Array]
"""Takes the blocks of one model's changes in order and sets some to zero, in place."""
Pass = Callable[[], Thin]
"""Begins a pass over the blocks; every pass sets the same ones to zero."""


def _arithmetic(job: Job, *, is_random: bool, has_vote: bool) -> Blend:
    assert job.base is not None
    read_base = job.base
    prepare = _drop_at_random if is_random else _keep_largest
    passes = [
        prepare(job, part, place) if part.numbers.get("density", 1) < 1 else _pass_all
        for place, part in enumerate(job.parts)
    ]
    scales = _measure_loss(job, [begin() for begin in passes]) if job.numbers["rescale"] else [1.0] * len(job.parts)
    thinned = [begin() for begin in passes]
    weights = [np.float32(part.numbers["weight"]) for part in job.parts]
    step = np.float32(job.numbers["lambda"])
    total = len(job.parts) * job.size

    def blend(block: Block) -> Array:
        base, deltas = read_base(block), []
        for part, thin, scale, weight in zip(job.parts, thinned, scales, weights, strict=True):
            delta = part.read(block)
            delta -= base
            thin(delta)
            job.note("kept", np.count_nonzero(delta) / total)
            if scale != 1:
                delta *= np.float32(scale)
            delta *= weight
            deltas.append(delta)
        change = _vote(job, deltas, weights) if has_vote else _sum(job, deltas, weights)
        change *= step
        base += change
        return base

    return blend


def _sum(job: Job, deltas: list[Array], weights: Sequence[np.float32]) -> Array:
    total = deltas[0]
    for delta in deltas[1:]:
        total += delta
    divisor = sum(float(weight) for weight in weights)
    if job.numbers["normalize"] and abs(divisor) > LEAST:
        total /= np.float32(divisor)
    return total


def _vote(job: Job, deltas: list[Array], weights: Sequence[np.float32]) -> Array:
    """Only changes of the majority's sign count; the majority is of weighted magnitude, and an even vote is a plus."""
    ballot = deltas[0].copy()
    for delta in deltas[1:]:
        ballot += delta
    is_positive = ballot >= 0
    agreeing = [((delta > 0) == is_positive) & (delta != 0) for delta in deltas]
    for delta, agrees in zip(deltas, agreeing, strict=True):
        job.note("agreeing", np.count_nonzero(agrees) / (len(deltas) * job.size))
        delta *= agrees
    total = deltas[0]
    for delta in deltas[1:]:
        total += delta
    if job.numbers["normalize"]:
        divisor = sum(agrees * weight for agrees, weight in zip(agreeing, weights, strict=True))
        total /= np.where(np.abs(divisor) < LEAST, np.float32(1), divisor)
    return total


def _measure_loss(job: Job, thinned: Sequence[Thin]) -> list[float]:
    """By how much each model's thinned changes must grow to have their old sum of magnitudes."""
    assert job.base is not None
    before, after = np.zeros(len(thinned)), np.zeros(len(thinned))
    for block in job.blocks:
        base = job.base(block)
        for place, (part, thin) in enumerate(zip(job.parts, thinned, strict=True)):
            if thin is not _keep_all:
                delta = part.read(block)
                delta -= base
                before[place] += _magnitude(delta)
                after[place] += _magnitude(thin(delta))
    return [float(old / new) if new > 0 else 1.0 for old, new in zip(before, after, strict=True)]


def _keep_all(delta: Array) -> Array:
    return delta


def _pass_all() -> Thin:
    return _keep_all


def _keep_largest(job: Job, part: Part, _place: int) -> Pass:
    edge = find_edge(lambda: _deltas(job, part), job.size, int(part.numbers["density"] * job.size))
    return lambda: Largest(edge).keep


def _drop_at_random(job: Job, part: Part, place: int) -> Pass:
    """The same draws in each pass."""
    least = round(part.numbers["density"] * DRAWS)

    def begin() -> Thin:
        generator = np.random.Generator(np.random.SFC64([job.seed, place]))

        def thin(delta: Array) -> Array:
            delta *= generator.integers(0, DRAWS, delta.shape, dtype=np.uint16) < least
            return delta

        return thin

    return begin


def _deltas(job: Job, part: Part) -> Iterator[Array]:
    assert job.base is not None
    for block in job.blocks:
        delta = part.read(block)
        delta -= job.base(block)
        yield delta


def _magnitude(delta: Array) -> float:
    return float(np.abs(delta).sum())


def _method(
    *, is_random: bool = False, has_vote: bool = False, is_thinned: bool = True, normalize: float, rescale: float
) -> Method:
    return Method(
        lambda job: _arithmetic(job, is_random=is_random, has_vote=has_vote),
        needs_base=True,
        of_part={"weight": None, "density": 1.0} if is_thinned else {"weight": None},
        of_whole={"normalize": normalize, "rescale": rescale, "lambda": 1.0, "int8_mask": 0.0},
    )


TASK_ARITHMETIC = _method(is_thinned=False, normalize=0.0, rescale=0.0)
TIES = _method(has_vote=True, normalize=1.0, rescale=0.0)
DARE_LINEAR = _method(is_random=True, normalize=0.0, rescale=1.0)
DARE_TIES = _method(is_random=True, has_vote=True, normalize=0.0, rescale=1.0)
