"""LoRA on the fused projections of ``models.torch_decoder``, with the merged weight formed once per step.

W_eff = W + s·B·A is written into one buffer per projection at the start of a step; forward and backward then use plain products with
W_eff, and the gradients of A and B come from two thin products each. Nothing of rank r touches the activations in forward.
Shapes: N positions, r rank, [out, in] weights. A is [r, in], B is [out, r] (PEFT's layout, by PEFT's names).
Method: Hu et al. 2021, arXiv:2106.09685; rsLoRA's scale alpha/sqrt(r): Kalajdzievski 2023, arXiv:2312.03732.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from journeyman.models.torch_decoder import GROUPS, Decoder


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """``targets`` are PEFT names such as ``self_attn.q_proj``; ``layers`` None means all."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    is_rank_stabilized: bool = False

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.is_rank_stabilized else self.rank)


@dataclass(frozen=True, slots=True)
class Pair:
    """One adapter: ``a`` [r, in], ``b`` [out, r], and the rows of the fused weight that it changes."""

    a: Tensor
    b: Tensor
    start: int


@dataclass(frozen=True)
class Adapters:
    """All pairs by (layer, group), each group's members in order, and the merged weights of this step."""

    config: LoraConfig
    pairs: dict[tuple[int, str], tuple[tuple[str, Pair], ...]]
    merged: dict[tuple[int, str], Tensor]

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(PEFT name, tensor) in a fixed order: ``layers.0.self_attn.q_proj.lora_A``."""
        for (layer, _group), members in self.pairs.items():
            for name, pair in members:
                yield f"layers.{layer}.{name}.lora_A", pair.a
                yield f"layers.{layer}.{name}.lora_B", pair.b

    @torch.no_grad()
    def merge(self, decoder: Decoder) -> None:
        """Form W + s·B·A for every projection; call once after each change of the parameters."""
        for key, members in self.pairs.items():
            frozen = decoder.layers[key[0]].projections[key[1]]
            target = self.merged[key]
            target.copy_(frozen)
            for _name, pair in members:
                rows = target[pair.start : pair.start + pair.b.shape[0]]
                if rows.dtype == pair.b.dtype:
                    rows.addmm_(pair.b, pair.a, alpha=self.config.scale)
                else:
                    rows.copy_(rows.float().addmm_(pair.b, pair.a, alpha=self.config.scale))

    def project(self, layer: int, group: str, x: Tensor, weight: Tensor) -> Tensor:
        key = (layer, group)
        if key not in self.pairs:
            return torch.nn.functional.linear(x, weight)
        members = self.pairs[key]
        flat = [tensor for _name, pair in members for tensor in (pair.a, pair.b)]
        starts = [pair.start for _name, pair in members]
        result: Tensor = _Merged.apply(x, self.merged[key], self.config.scale, starts, *flat)  # type: ignore[no-untyped-call]
        return result


def make_adapters(decoder: Decoder, config: LoraConfig, seed: int = 0) -> Adapters:
    """A from Kaiming-uniform (PEFT's and the paper's start), B zero, both fp32; merged buffers in the weights' dtype."""
    generator = torch.Generator().manual_seed(seed)
    shapes = decoder.config.shapes()
    pairs: dict[tuple[int, str], tuple[tuple[str, Pair], ...]] = {}
    for layer in range(decoder.config.layers):
        for group, names in GROUPS.items():
            start, members = 0, []
            for name in names:
                out, size = shapes[name]
                if name in config.targets:
                    members.append((name, _make_pair(out, size, config.rank, start, generator)))
                start += out
            if members:
                pairs[(layer, group)] = tuple(members)
    merged = {key: torch.empty_like(decoder.layers[key[0]].projections[key[1]]) for key in pairs}
    return Adapters(config, pairs, merged)


def _make_pair(out: int, size: int, rank: int, start: int, generator: torch.Generator) -> Pair:
    bound = 1 / math.sqrt(size)
    a = (torch.rand(rank, size, generator=generator) * 2 - 1) * bound
    return Pair(a.requires_grad_(), torch.zeros(out, rank).requires_grad_(), start)


class _Merged(torch.autograd.Function):
    """y = x·W_effᵀ; gradients for x and for each A, B of the fused projection."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, merged: Tensor, scale: float, starts: list[int], *flat: Tensor) -> Tensor:
        ctx.save_for_backward(x, merged, *flat)
        ctx.scale, ctx.starts = scale, starts
        return torch.nn.functional.linear(x, merged)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, *flat = ctx.saved_tensors
        grad = grads[0].reshape(-1, merged.shape[0])  # [N, out]
        grad_x = (grad @ merged).view_as(x) if ctx.needs_input_grad[0] else None
        return (grad_x, None, None, None, *_pair_grads(x.reshape(grad.shape[0], -1), grad, flat, ctx.starts, ctx.scale))


def _pair_grads(x: Tensor, grad: Tensor, flat: list[Tensor], starts: list[int], scale: float) -> list[Tensor]:
    """dB = s·dyᵀ(xAᵀ) and dA = s·(dyB)ᵀx for each member; the products with x are shared by the group."""
    down, up = flat[0::2], flat[1::2]
    rank = down[0].shape[0]
    low = x @ torch.cat(down).to(x.dtype).T  # [N, members·r]
    slices = [grad[:, start : start + b.shape[0]] for start, b in zip(starts, up, strict=True)]
    back = torch.cat([piece @ b.to(grad.dtype) for piece, b in zip(slices, up, strict=True)], dim=1)
    grad_a = (back.T @ x).float() * scale  # [members·r, in]
    result = []
    for index, piece in enumerate(slices):
        rows = slice(index * rank, (index + 1) * rank)
        result += [grad_a[rows], (piece.T @ low[:, rows]).float() * scale]
    return result
