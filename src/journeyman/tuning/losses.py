"""The output head: log-probabilities of the tokens that carry a loss, in chunks, with their gradient formed in the forward pass.

Only supervised positions are projected. The gradient of a token's log-probability with regard to its state does not depend on what is
later done with it but for a factor, so it is formed while the logits are at hand and every loss is built on top of it: two products
with the head per step, not three, and no [M, V] tensor is kept (the idea: Liger kernel, arXiv:2410.10989).
Shapes: M supervised positions, H hidden, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 1 << 26


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        unit = torch.empty_like(hidden)
        result = torch.empty(hidden.shape[0], dtype=torch.float32, device=hidden.device)
        rows = max(16, CHUNK_BYTES // (4 * head.shape[0]))
        for start in range(0, hidden.shape[0], rows):
            part = slice(start, start + rows)
            result[part], unit[part] = _chunk(hidden[part], head, targets[part])
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
    result: Tensor = _TokenLogprobs.apply(hidden, head, targets)  # type: ignore[no-untyped-call]
    return result


def cross_entropy(logprobs: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of token losses; [M] and [M] -> a scalar. With 1/M each it is the mean."""
    return -(logprobs * weights).sum()
