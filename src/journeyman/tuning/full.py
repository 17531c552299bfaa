"""All weights of the projections, tuned themselves: no adapters, a whole model as the result.

Norms, biases and embeddings stay as they are: together they are what a narrow task moves least, and the tied head's gradient alone would
cost as much as a third of the model's. Masters are fp32; where products run in another type, ``merged`` holds their copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from journeyman.models.torch_decoder import GROUPS, Decoder
from journeyman.models.torch_packed import Weight, dense


@dataclass(frozen=True)
class Weights:
    """Fused projections by (layer, group): the fp32 ``masters`` that are tuned, and what products are formed with."""

    masters: dict[tuple[int, str], Tensor]
    merged: dict[tuple[int, str], Tensor]

    def onto(self, decoder: Decoder) -> Weights:
        """The same parameters for another copy of the base."""
        merged = {key: torch.empty_like(dense(decoder.layers[key[0]].projections[key[1]])) for key in self.masters}
        other = Weights(self.masters, merged)
        other.merge(decoder)
        return other

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(``layers.0.qkv``, tensor) in a fixed order."""
        for (layer, group), tensor in self.masters.items():
            yield f"layers.{layer}.{group}", tensor

    @torch.no_grad()
    def merge(self, _decoder: Decoder) -> None:
        """Bring ``merged`` up to date; nothing to do where it is the masters."""
        for key, master in self.masters.items():
            if self.merged[key] is not master:
                self.merged[key].copy_(master)

    def project(self, layer: int, group: str, x: Tensor, weight: Weight) -> Tensor:
        key = (layer, group)
        if key not in self.masters:
            return torch.nn.functional.linear(x, dense(weight))
        result: Tensor = _Dense.apply(x, self.merged[key].detach(), self.masters[key])  # type: ignore[no-untyped-call]
        return result


def make_weights(decoder: Decoder, first_layer: int = 0, *, is_rounded: bool = False) -> Weights:
    """Copies of the projections from ``first_layer`` on; ``is_rounded``: products are formed with others, which will be rounded."""
    masters, merged = {}, {}
    for layer in range(first_layer, decoder.config.layers):
        for group in GROUPS:
            frozen = dense(decoder.layers[layer].projections[group])
            master = frozen.float().clone().requires_grad_()
            masters[(layer, group)] = master
            is_same = frozen.dtype == torch.float32 and not is_rounded
            merged[(layer, group)] = master if is_same else frozen.clone()
    return Weights(masters, merged)


class _Dense(torch.autograd.Function):
    """y = x·Wᵀ with the gradient of W given to its fp32 master."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, merged: Tensor, _master: Tensor) -> Tensor:
        ctx.save_for_backward(x, merged)
        return torch.nn.functional.linear(x, merged)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, merged = ctx.saved_tensors
        grad = grads[0].reshape(-1, merged.shape[0])  # [N, out]
        grad_x = (grad @ merged).view_as(x) if ctx.needs_input_grad[0] else None
        return grad_x, None, (grad.T @ x.reshape(grad.shape[0], -1)).float()
