"""Weighted mean of models (Model Soups, arXiv:2203.05482), and one model as it is."""

from __future__ import annotations

import numpy as np

from journeyman.tuning.merge.blocks import Array, Block
from journeyman.tuning.merge.methods.method import Blend, Job, Method


def _linear(job: Job) -> Blend:
    total = sum(part.numbers["weight"] for part in job.parts)
    scale = 1 / total if job.numbers["normalize"] and total else 1.0
    shares = [np.float32(part.numbers["weight"] * scale) for part in job.parts]

    def blend(block: Block) -> Array:
        result = job.parts[0].read(block)
        result *= shares[0]
        for part, share in zip(job.parts[1:], shares[1:], strict=True):
            other = part.read(block)
            other *= share
            result += other
        return result

    return blend


def _passthrough(job: Job) -> Blend:
    (part,) = job.parts
    scale = np.float32(part.numbers["scale"])
    return lambda block: part.read(block) * scale


LINEAR = Method(_linear, of_part={"weight": None}, of_whole={"normalize": 1.0})
PASSTHROUGH = Method(_passthrough, models=(1, 1), of_part={"scale": 1.0})
