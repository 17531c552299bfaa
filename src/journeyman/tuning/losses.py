"""The output head: log-probabilities of the tokens that carry a loss, in chunks, with their gradient formed in the forward pass.

Only supervised positions are projected. The gradient of a token's log-probability with regard to its state does not depend on what is
later done with it but for a factor, so it is formed while the logits are at hand and every loss is built on top of it: two products
with the head per step, not three, and no [M, V] tensor is kept (the idea: Liger kernel, arXiv:2410.10989).
Shapes: M supervised positions, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 1 << 26


Chunk = Callable[[slice], tuple[Tensor, Tensor]]


class _WithSlope(torch.autograd.Function):
    """Values [M] and their gradients [M, H], chunk by chunk, for a function of a slice of the positions."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, vocabulary: int, chunk: Chunk) -> Tensor:
        unit = torch.empty_like(hidden)
        result = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
        rows = max(16, CHUNK_BYTES // (4 * vocabulary))
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            result[part], unit[part] = chunk(part)
        ctx.save_for_backward(unit)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (unit,) = ctx.saved_tensors
        return unit * grads[0][:, None].to(unit.dtype), None, None


def _chunk(hidden: Tensor, head: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities [m] and their gradients [m, H]."""
    logits = (hidden @ head.T).float()  # [m, V]
    normalizer = logits.logsumexp(dim=1, keepdim=True)
    picked = logits.gather(1, targets[:, None])
    slope = logits.sub_(normalizer).exp_().neg_()
    slope.scatter_add_(1, targets[:, None], torch.ones_like(picked))
    return (picked - normalizer)[:, 0], slope.to(head.dtype) @ head


def token_logprobs(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    """Natural log-probability of each target, [M], with a gradient for ``hidden`` alone.

    Args:
        hidden: [M, H] states of the positions that predict ``targets``.
        head: [V, H].
        targets: [M] token ids.
    """
    states = hidden.detach()

    def chunk(part: slice) -> tuple[Tensor, Tensor]:
        return _chunk(states[part], head, targets[part])

    result: Tensor = _WithSlope.apply(hidden, head.shape[0], chunk)  # type: ignore[no-untyped-call]
    return result


def cross_entropy(logprobs: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of token losses; [M] and [M] -> a scalar. With 1/M each it is the mean."""
    return -(logprobs * weights).sum()


@dataclass(frozen=True, slots=True)
class SoftTargets:
    """What a teacher gave to its best K tokens at each position: ``ids`` [M, K] and ``probabilities`` [M, K], zero where there are fewer.

    What is missing to one is the tail: the teacher's mass on all other tokens, held against the student's mass on them. Renormalizing
    the best K instead would teach too sure a student (arXiv:2503.16870). ``share`` [M] is the weight of this loss beside the target's
    own cross-entropy; 0 where the teacher's tokens do not line up with ours.
    """

    ids: Tensor
    probabilities: Tensor
    share: Tensor


def _soft_chunk(hidden: Tensor, head: Tensor, targets: Tensor, soft: SoftTargets) -> tuple[Tensor, Tensor]:
    """Losses [m] and their gradients [m, H].

    With student p, teacher q, tail t and the student's mass O outside the best K, the divergence is
    Σ q·log(q/p) + t·log(t/O), and its slope over the logits is p - q on the best K, p·(1 - t/O) elsewhere.
    """
    logits = (hidden @ head.T).float()  # [m, V]
    normalizer = logits.logsumexp(dim=1, keepdim=True)
    picked = (logits.gather(1, targets[:, None]) - normalizer)[:, 0]
    q, share = soft.probabilities, soft.share
    best = (logits.gather(1, soft.ids) - normalizer).masked_fill(q == 0, 0.0)  # [m, K] log p
    p = logits.sub_(normalizer).exp_()
    held = p.gather(1, soft.ids) * (q > 0)
    p.scatter_add_(1, soft.ids, -held)
    tail = (1 - q.sum(1)).clamp(min=0)
    others = p.sum(1).clamp(min=torch.finfo(torch.float32).tiny)
    own = torch.xlogy(q, q).sum(1) + torch.xlogy(tail, tail)
    divergence = own - (q * best).sum(1) - tail * others.log()
    slope = p.mul_((1 - share * tail / others)[:, None])
    slope.scatter_add_(1, soft.ids, held - share[:, None] * q)
    slope.scatter_add_(1, targets[:, None], (share - 1)[:, None])
    return share * divergence - (1 - share) * picked, slope.to(head.dtype) @ head


def soft_losses(hidden: Tensor, head: Tensor, targets: Tensor, soft: SoftTargets) -> Tensor:
    """(1 - share)·cross-entropy + share·KL(teacher || student) of each position, [M], with a gradient for ``hidden`` alone.

    The two cost one pass over the logits, as the cross-entropy alone does. Distillation: arXiv:1503.02531, at temperature 1, which is
    the only one that stored log-probabilities can be read at.
    """
    states = hidden.detach()

    def chunk(part: slice) -> tuple[Tensor, Tensor]:
        cut = SoftTargets(soft.ids[part], soft.probabilities[part], soft.share[part])
        return _soft_chunk(states[part], head, targets[part], cut)

    result: Tensor = _WithSlope.apply(hidden, head.shape[0], chunk)  # type: ignore[no-untyped-call]
    return result
