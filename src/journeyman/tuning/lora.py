"""LoRA on the fused projections of ``models.torch_decoder``: merged into the weights once per step, or added beside them.

Merged, W_eff = W + s·B·A is written into one buffer per projection at the start of a step; forward and backward then use plain products
with W_eff. That passes over all weights twice more, whatever the step's size. Added, y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ: two more thin products per
position. Small steps are faster added, large ones merged (docs/notebook.md); both give the same numbers.
Shapes: N positions, r rank, [out, in] weights. A is [r, in], B is [out, r] (PEFT's layout, by PEFT's names).
Method: Hu et al. 2021, arXiv:2106.09685; rsLoRA's scale alpha/sqrt(r): Kalajdzievski 2023, arXiv:2312.03732. DoRA (arXiv:2402.09353)
scales each row of V = W + s·B·A to a tuned magnitude m, with the row's norm taken as a constant in the gradient, as its authors do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from journeyman.models.torch_decoder import GROUPS, Decoder
from journeyman.models.torch_packed import Weight, dense


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """``targets`` are PEFT names such as ``self_attn.q_proj``; layers before ``first_layer`` have no adapters."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    is_rank_stabilized: bool = False
    is_decomposed: bool = False
    first_layer: int = 0

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.is_rank_stabilized else self.rank)


@dataclass(frozen=True, slots=True)
class Pair:
    """One adapter: ``a`` [r, in], ``b`` [out, r], DoRA's ``magnitude`` [out], and the rows of the fused weight that it changes."""

    a: Tensor
    b: Tensor
    start: int
    magnitude: Tensor | None = None


@dataclass(frozen=True)
class Adapters:
    """All pairs by (layer, group), each group's members in order, and the merged weights of this step.

    ``factors`` [out] of each merged weight are DoRA's m / ‖V‖ by row, one where nothing is decomposed. ``merged`` is empty where the
    adapters are added beside the weights.
    """

    config: LoraConfig
    pairs: dict[tuple[int, str], tuple[tuple[str, Pair], ...]]
    merged: dict[tuple[int, str], Tensor]
    factors: dict[tuple[int, str], Tensor] = field(default_factory=dict)

    def onto(self, decoder: Decoder) -> Adapters:
        """The same parameters on another copy of the base, merged."""
        merged = {key: torch.empty_like(dense(decoder.layers[key[0]].projections[key[1]])) for key in self.pairs}
        other = replace(self, merged=merged)
        other.merge(decoder)
        return other

    def parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(PEFT name, tensor) in a fixed order: ``layers.0.self_attn.q_proj.lora_A``."""
        for (layer, _group), members in self.pairs.items():
            for name, pair in members:
                yield f"layers.{layer}.{name}.lora_A", pair.a
                yield f"layers.{layer}.{name}.lora_B", pair.b
                if pair.magnitude is not None:
                    yield f"layers.{layer}.{name}.lora_magnitude_vector", pair.magnitude

    @torch.no_grad()
    def merge(self, decoder: Decoder) -> None:
        """Form W + s·B·A for every projection that has a buffer; call once after each change of the parameters."""
        for key, target in self.merged.items():
            target.copy_(dense(decoder.layers[key[0]].projections[key[1]]))
            for _name, pair in self.pairs[key]:
                place = slice(pair.start, pair.start + pair.b.shape[0])
                rows = target[place]
                whole = rows if rows.dtype == pair.b.dtype else rows.float()
                whole.addmm_(pair.b, pair.a, alpha=self.config.scale)
                if pair.magnitude is not None:
                    factor = pair.magnitude / whole.norm(dim=1)
                    self.factors[key][place] = factor
                    whole.mul_(factor[:, None])
                if whole is not rows:
                    rows.copy_(whole)

    def project(self, layer: int, group: str, x: Tensor, weight: Weight) -> Tensor:
        key = (layer, group)
        if key not in self.pairs:
            return torch.nn.functional.linear(x, dense(weight))
        pairs = [pair for _name, pair in self.pairs[key]]
        shape = Shape(self.config.scale, tuple(pair.start for pair in pairs), self.factors.get(key))
        flat = [tensor for pair in pairs for tensor in (pair.a, pair.b)]
        flat += [pair.magnitude for pair in pairs if pair.magnitude is not None]
        if key in self.merged:
            result: Tensor = _Merged.apply(x, self.merged[key], shape, *flat)  # type: ignore[no-untyped-call]
        else:
            result = _Added.apply(x, weight, shape, *flat)  # type: ignore[no-untyped-call]
        return result


def make_adapters(decoder: Decoder, config: LoraConfig, seed: int = 0, *, is_merged: bool = True) -> Adapters:
    """A from Kaiming-uniform (PEFT's and the paper's start), B zero, magnitudes the rows' norms, all fp32; merged buffers in the
    weights' dtype. DoRA is always merged."""
    generator = torch.Generator("cpu").manual_seed(seed)
    shapes = decoder.config.shapes()
    pairs: dict[tuple[int, str], tuple[tuple[str, Pair], ...]] = {}
    factors: dict[tuple[int, str], Tensor] = {}
    for layer in range(config.first_layer, decoder.config.layers):
        for group, names in GROUPS.items():
            weight = decoder.layers[layer].projections[group]
            start, members = 0, []
            for name in names:
                out, size = shapes[name]
                if name in config.targets:
                    pair = _make_pair(out, size, config.rank, start, generator)
                    if config.is_decomposed:
                        norms = dense(weight)[start : start + out].float().norm(dim=1)
                        pair = replace(pair, magnitude=norms.requires_grad_())
                    members.append((name, pair))
                start += out
            if members:
                pairs[(layer, group)] = tuple(members)
                if config.is_decomposed:
                    factors[(layer, group)] = torch.ones(weight.shape[0])
    with_buffer = pairs if is_merged or config.is_decomposed else ()
    merged = {key: torch.empty_like(dense(decoder.layers[key[0]].projections[key[1]])) for key in with_buffer}
    return Adapters(config, pairs, merged, factors)


def _make_pair(out: int, size: int, rank: int, start: int, generator: torch.Generator) -> Pair:
    bound = 1 / math.sqrt(size)
    a = (torch.rand(rank, size, generator=generator, device="cpu") * 2 - 1) * bound  # the same start on every device
    a = a.to(torch.get_default_device())
    return Pair(a.requires_grad_(), torch.zeros(out, rank).requires_grad_(), start)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a fused projection's backward needs to know: the scale, each member's first row, DoRA's factors [out]."""

    scale: float
    starts: tuple[int, ...]
    factors: Tensor | None


class _Merged(torch.autograd.Function):
    """y = x·W_effᵀ; gradients for x and for each A, B and magnitude of the fused projection."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, merged: Tensor, shape: Shape, *flat: Tensor) -> Tensor:
        y = torch.nn.functional.linear(x, merged)
        ctx.save_for_backward(x, merged, *([y] if shape.factors is not None else []), *flat)
        ctx.shape = shape
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, *rest = ctx.saved_tensors
        shape: Shape = ctx.shape
        grad = grads[0].reshape(-1, merged.shape[0])  # [N, out]
        grad_x = (grad @ merged).view_as(x) if ctx.needs_input_grad[0] else None
        x = x.reshape(grad.shape[0], -1)
        count = 2 * len(shape.starts)
        if shape.factors is None:
            return (grad_x, None, None, *_pair_grads(x, grad, rest, shape))
        y, *flat = rest
        turned = grad * shape.factors.to(grad.dtype)
        # y = m·(xVᵀ)/‖V‖ by row, so the slope of m is that of y times y/m, and m = factor·‖V‖
        slopes = (grad * y.view_as(grad)).sum(0, dtype=torch.float32)
        places = [slice(start, start + m.shape[0]) for start, m in zip(shape.starts, flat[count:], strict=True)]
        magnitudes = [slopes[place] / m for place, m in zip(places, flat[count:], strict=True)]
        return (grad_x, None, None, *_pair_grads(x, turned, flat[:count], shape), *magnitudes)


class _Added(torch.autograd.Function):
    """y = x·Wᵀ + s·(x·Aᵀ)·Bᵀ for each member's rows; gradients for x and for each A and B of the fused projection.

    A packed W is made dense in each of the two passes and kept in neither.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Weight, shape: Shape, *flat: Tensor) -> Tensor:
        flat_x = x.reshape(-1, x.shape[-1])
        y = torch.nn.functional.linear(flat_x, dense(weight))  # [N, out]
        down, up = flat[0::2], flat[1::2]
        rank = down[0].shape[0]
        low = flat_x @ torch.cat(down).to(x.dtype).T  # [N, members·r]
        for index, (start, b) in enumerate(zip(shape.starts, up, strict=True)):
            part = low[:, index * rank : (index + 1) * rank]
            y[:, start : start + b.shape[0]].addmm_(part, b.to(x.dtype).T, alpha=shape.scale)
        ctx.save_for_backward(flat_x, low, *flat)
        ctx.weight, ctx.shape = weight, shape
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, low, *flat = ctx.saved_tensors
        shape: Shape = ctx.shape
        grad = grads[0].reshape(-1, ctx.weight.shape[0])  # [N, out]
        back = _back(grad, flat, shape)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ dense(ctx.weight)
            grad_x.addmm_(back, torch.cat(flat[0::2]).to(grad.dtype), alpha=shape.scale)
            grad_x = grad_x.view(*grads[0].shape[:-1], -1)
        return (grad_x, None, None, *_grads(x, grad, low, back, flat, shape))


def _pair_grads(x: Tensor, grad: Tensor, flat: list[Tensor], shape: Shape) -> list[Tensor]:
    """dB = s·dyᵀ(xAᵀ) and dA = s·(dyB)ᵀx for each member; the products with x are shared by the group."""
    low = x @ torch.cat(flat[0::2]).to(x.dtype).T  # [N, members·r]
    return _grads(x, grad, low, _back(grad, flat, shape), flat, shape)


def _back(grad: Tensor, flat: list[Tensor], shape: Shape) -> Tensor:
    """dy·B of each member side by side: [N, members·r]."""
    pieces = [
        grad[:, start : start + b.shape[0]] @ b.to(grad.dtype)
        for start, b in zip(shape.starts, flat[1::2], strict=True)
    ]
    return torch.cat(pieces, dim=1) if len(pieces) > 1 else pieces[0]


def _grads(x: Tensor, grad: Tensor, low: Tensor, back: Tensor, flat: list[Tensor], shape: Shape) -> list[Tensor]:
    rank = flat[0].shape[0]
    grad_a = (back.T @ x).float() * shape.scale  # [members·r, in]
    result = []
    for index, (start, b) in enumerate(zip(shape.starts, flat[1::2], strict=True)):
        rows = slice(index * rank, (index + 1) * rank)
        piece = grad[:, start : start + b.shape[0]]
        result += [grad_a[rows], (piece.T @ low[:, rows]).float() * shape.scale]
    return result
