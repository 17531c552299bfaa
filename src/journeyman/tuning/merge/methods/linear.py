"""Weighted mean of models (Model Soups, arXiv:2203.05482), and one model as it is."""

from __future__ import annotations

from torch import Tensor

from journeyman.tuning.merge.methods.method import Job, Method


def _linear(job: Job) -> Tensor:
    total = sum(part.numbers["weight"] for part in job.parts)
    scale = 1 / total if job.numbers["normalize"] and total else 1.0
    first, *others = job.parts
    result = first.tensor.mul_(first.numbers["weight"] * scale)
    for part in others:
        result.add_(part.tensor, alpha=part.numbers["weight"] * scale)
    return result


def _passthrough(job: Job) -> Tensor:
    (part,) = job.parts
    return part.tensor.mul_(part.numbers["scale"])


LINEAR = Method(_linear, of_part={"weight": None}, of_whole={"normalize": 1.0})
PASSTHROUGH = Method(_passthrough, models=(1, 1), of_part={"scale": 1.0})
