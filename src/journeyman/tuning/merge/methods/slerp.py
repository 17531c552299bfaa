"""Spherical interpolation between two models, each tensor as one vector (Shoemake 1985); nearly parallel ones go straight."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from journeyman.tuning.merge.blocks import Array, Block
from journeyman.tuning.merge.methods.method import Blend, Job, Method

PARALLEL = 0.9995
Doubles = NDArray[np.float64]


def _slerp(job: Job) -> Blend:
    """``t`` 0 is the base, 1 the other model."""
    assert job.base is not None
    read_base, (other,) = job.base, job.parts
    t, cosine = job.numbers["t"], _cosine(job)
    job.report["cosine"] = cosine
    if abs(cosine) > PARALLEL:
        near, far = 1 - t, t
    else:
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        near, far = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)

    def blend(block: Block) -> Array:
        result, moved = read_base(block), other.read(block)
        result *= np.float32(near)
        moved *= np.float32(far)
        result += moved
        return result

    return blend


def _cosine(job: Job) -> float:
    """Of the whole tensors, in double: between near models the angle is small, and what an fp32 sum loses comes back tenfold."""
    assert job.base is not None
    dot = base_square = other_square = 0.0
    for block in job.blocks:
        base, other = (read(block).ravel().astype(np.float64) for read in (job.base, job.parts[0].read))
        dot += _product(base, other)
        base_square += _product(base, base)
        other_square += _product(other, other)
    norms = math.sqrt(base_square) * math.sqrt(other_square)
    return dot / norms if norms > 0 else 1.0


def _product(a: Doubles, b: Doubles) -> float:
    """Without BLAS, whose own threads would only stand in the way of those that merge."""
    return float(np.einsum("i,i->", a, b))


SLERP = Method(_slerp, needs_base=True, models=(1, 1), of_whole={"t": None})
