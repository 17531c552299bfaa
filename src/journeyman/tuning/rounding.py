"""Weights as a block type would hold them, while tuning: the forward and backward passes see what will be served.

Gradients go straight through to the fp32 parameters (Bengio et al. 2013, arXiv:1308.3432). The rounding is ggml's, block by block of 32
along a row, scales in 16 bits, so that what is written afterwards is what was tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor

Rounded = Literal["Q8_0", "Q4_0"]
BLOCK = 32
ROWS = 256  # at once, so that a pass stays in cache


def round_q8_0(blocks: Tensor) -> Tensor:
    """[n, 32] -> the same as 8-bit steps of the largest magnitude / 127."""
    step = blocks.abs().amax(dim=1, keepdim=True) / 127
    inverse = torch.where(step > 0, 1 / step, 0)
    return round_half_away(blocks * inverse) * step.half().float()


def round_q4_0(blocks: Tensor) -> Tensor:
    """[n, 32] -> the same as 4-bit steps, of which the one of largest magnitude is -8."""
    place = blocks.abs().argmax(dim=1, keepdim=True)
    step = blocks.gather(1, place) / -8
    inverse = torch.where(step != 0, 1 / step, 0)
    steps = (blocks * inverse + 8.5).trunc().clamp(0, 15) - 8
    return steps * step.half().float()


def round_half_away(x: Tensor) -> Tensor:
    """C's roundf, which torch's rounding to even is not."""
    return torch.copysign((x.abs() + 0.5).floor(), x)


ROUND: Mapping[Rounded, Callable[[Tensor], Tensor]] = {"Q8_0": round_q8_0, "Q4_0": round_q4_0}


@torch.no_grad()
def round_weights(merged: Mapping[tuple[int, str], Tensor], kind: Rounded) -> None:
    """Round every matrix in place; rows are a multiple of 32 long."""
    for weight in merged.values():
        for start in range(0, weight.shape[0], ROWS):
            part = weight[start : start + ROWS]
            part.copy_(ROUND[kind](part.float().view(-1, BLOCK)).view_as(part))
