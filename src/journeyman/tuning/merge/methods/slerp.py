"""Spherical interpolation between two models, each tensor as one vector (Shoemake 1985); nearly parallel ones go straight."""

from __future__ import annotations

import math

from torch import Tensor

from journeyman.tuning.merge.methods.method import Job, Method

PARALLEL = 0.9995


def _slerp(job: Job) -> Tensor:
    """``t`` 0 is the base, 1 the other model."""
    assert job.base is not None
    (other,) = job.parts
    t, base = job.numbers["t"], job.base
    norms = float(base.norm()) * float(other.tensor.norm())
    cosine = float((base * other.tensor).sum()) / norms if norms > 0 else 1.0
    job.report["cosine"] = cosine
    if abs(cosine) > PARALLEL:
        return base.mul_(1 - t).add_(other.tensor, alpha=t)
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    near, far = math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
    return base.mul_(near).add_(other.tensor, alpha=far)


SLERP = Method(_slerp, needs_base=True, models=(1, 1), of_whole={"t": None})
