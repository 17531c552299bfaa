"""The output head and its losses. Only supervised positions are projected, in chunks, with the gradient formed in the forward pass.

Shapes: M supervised positions, H hidden, V vocabulary.
The idea of forming the gradient while the logits are at hand (two head products per step, not three): Liger kernel, arXiv:2410.10989.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 1 << 26


class _HeadCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        grad = torch.empty_like(hidden)
        rows = max(16, CHUNK_BYTES // (4 * head.shape[0]))
        total = torch.zeros((), dtype=torch.float64)
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            loss, grad[part] = _chunk(hidden[part], head, targets[part], weights[part])
            total += loss
        ctx.save_for_backward(grad)
        return total.to(torch.float32)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * grads[0].to(grad.dtype), None, None, None


def _chunk(hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sum of the chunk's losses and its gradient with regard to ``hidden``."""
    logits = (hidden @ head.T).float()  # [m, V]
    normalizer = logits.logsumexp(dim=1, keepdim=True)
    picked = logits.gather(1, targets[:, None])
    loss = ((normalizer - picked)[:, 0].double() * weights.double()).sum()
    probabilities = logits.sub_(normalizer).exp_()
    probabilities.scatter_add_(1, targets[:, None], torch.full_like(picked, -1.0))
    probabilities.mul_(weights[:, None])
    return loss, probabilities.to(head.dtype) @ head


def head_cross_entropy(hidden: Tensor, head: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of token cross-entropies.

    Args:
        hidden: [M, H] states of the positions that predict ``targets``.
        head: [V, H].
        targets: [M] token ids.
        weights: [M]; with 1/M each the result is the mean.
    """
    loss: Tensor = _HeadCrossEntropy.apply(hidden, head, targets, weights)  # type: ignore[no-untyped-call]
    return loss
