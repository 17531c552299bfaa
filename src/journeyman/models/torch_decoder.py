"""A causal decoder in plain torch, for tuning: frozen weights, projections that an adapter can take over.

Shapes: B rows, T positions, N = all positions of a batch side by side, H hidden, V vocabulary, h heads, d head size.
Projections that read the same input are one matrix (q|k|v and gate|up), so that a step has fewer and larger products.
Everything but attention sees a flat [N, H]; how positions see each other is one small class per layout: rows, rows that go on
from a past of their own or from one past, rows that share a beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from journeyman.models.families import LOCAL_ROPE_BASE, DecoderConfig
from journeyman.models.torch_packed import Weight, dense

# (layer, group, input [N, in], frozen weight [out, in]) -> [N, out]
Project = Callable[[int, str, Tensor, Weight], Tensor]

# Fused group -> its members in PEFT's names, in the order of their rows.
GROUPS: dict[str, tuple[str, ...]] = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "o": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


@dataclass(frozen=True, slots=True)
class Layer:
    """``norms``: ``attention``, ``ffn``, and where the family has them ``q``, ``k``, ``attention_out``, ``ffn_out``."""

    norms: dict[str, Tensor]
    projections: dict[str, Weight]
    qkv_bias: Tensor | None = None


class Layout(Protocol):
    """How the positions of a batch see each other."""

    def positions(self) -> Tensor:
        """The place of each of the N positions in its row: [N]."""
        ...

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
        """[N, h, d], [N, kv, d], [N, kv, d] -> [N, h·d]; a position sees the last ``window`` ones (0: all)."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """B right-padded rows of T. No mask is needed: padding comes last, and its own states carry no loss."""

    rows: int
    length: int

    def positions(self) -> Tensor:
        return torch.arange(self.length).repeat(self.rows)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
        q, k, v = (_split(x, self.rows) for x in (q, k, v))
        mask = None
        if 0 < window < self.length:
            places = torch.arange(self.length, device=q.device)
            mask = _sees(places, places, window)
        return _attention(q, k, v, mask, scale)


@dataclass(frozen=True, slots=True)
class Past:
    """Keys and values of positions read before, each [layers, B, kv, S, d]; ``lengths`` [B] of them count."""

    keys: Tensor
    values: Tensor
    lengths: Tensor

    def of(self, rows: Tensor) -> Past:
        """That of some rows alone, a copy."""
        return Past(self.keys[:, rows], self.values[:, rows], self.lengths[rows])


@dataclass(frozen=True, slots=True)
class Following:
    """B rows of T new positions after a past, which they join."""

    past: Past
    length: int

    def positions(self) -> Tensor:
        return self._places().flatten()

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
        places, past = self._places(), self.past
        rows = torch.arange(len(past.lengths))[:, None]
        q, k, v = (_split(x, len(past.lengths)) for x in (q, k, v))
        past.keys[layer][rows, :, places] = k.transpose(1, 2)
        past.values[layer][rows, :, places] = v.transpose(1, 2)
        mask = _sees(places[:, None], torch.arange(past.keys.shape[3]), window)
        return _attention(q, past.keys[layer], past.values[layer], mask, scale)

    def _places(self) -> Tensor:
        return self.past.lengths[:, None] + torch.arange(self.length)


@dataclass(frozen=True, slots=True)
class Continuations:
    """B right-padded rows of T, each going on from the same past of P positions, which none of them changes."""

    past: Past  # of one row
    rows: int
    length: int

    def positions(self) -> Tensor:
        return self._places().repeat(self.rows)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
        q, k, v = (_split(x, self.rows) for x in (q, k, v))
        shape = (self.rows, -1, -1, -1)
        keys = torch.cat([self.past.keys[layer].expand(shape), k], dim=2)
        values = torch.cat([self.past.values[layer].expand(shape), v], dim=2)
        return _attention(q, keys, values, _sees(self._places(), torch.arange(keys.shape[2]), window), scale)

    def _places(self) -> Tensor:
        return self.past.keys.shape[3] + torch.arange(self.length)


@dataclass(frozen=True, slots=True)
class Branches:
    """G trunks of P positions, right-padded, then B branches of T: branch b goes on after trunk ``parents[b]``.

    What several rows have in common (an instruction, the prompt of a pair) is computed once and its gradient is the sum over
    its branches, so the result equals that of separate rows. Flat order: all trunks [G·P], then all branches [B·T].
    """

    lengths: Tensor  # [G] positions of each trunk that count
    trunk: int  # P
    parents: Tensor  # [B]
    branch: int  # T

    def positions(self) -> Tensor:
        trunks = torch.arange(self.trunk).repeat(len(self.lengths))
        return torch.cat([trunks, self._branch_places().flatten()])

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int) -> Tensor:
        count, cut = len(self.lengths), len(self.lengths) * self.trunk
        first = Rows(count, self.trunk).attend(layer, q[:cut], k[:cut], v[:cut], scale, window)
        rows = len(self.parents)
        keys, values = (torch.cat([_split(x[:cut], count)[self.parents], _split(x[cut:], rows)], dim=2) for x in (k, v))
        second = _attention(_split(q[cut:], rows), keys, values, self._mask(window), scale)
        return torch.cat([first, second])

    def _branch_places(self) -> Tensor:
        return self.lengths[self.parents][:, None] + torch.arange(self.branch)

    def _mask(self, window: int) -> Tensor:
        """[B, 1, T, P + T]: what lies in the parent's trunk, and what came before in the branch itself."""
        places = self._branch_places()
        trunk = torch.arange(self.trunk)
        seen = _sees(places[:, None], trunk, window) & (trunk < self.lengths[self.parents][:, None, None, None])
        return torch.cat([seen, _sees(places[:, None], places[:, None], window).expand(seen.shape[0], 1, -1, -1)], -1)


@dataclass(frozen=True, slots=True)
class Decoder:
    """Frozen weights. ``embedding`` and ``head`` are [V, H] and may be one tensor."""

    config: DecoderConfig
    embedding: Tensor
    head: Tensor
    final_norm: Tensor
    layers: tuple[Layer, ...]

    @property
    def is_exact(self) -> bool:
        """Whether its weights are whole and in fp32, in which adapters are merged."""
        return self.embedding.dtype == torch.float32 and isinstance(self.layers[0].projections["o"], Tensor)

    def weight_size(self) -> float:
        """Root mean square of all projections."""
        squares, count = 0.0, 0
        for layer in self.layers:
            for weight in layer.projections.values():
                whole = dense(weight)
                squares += float(whole.float().square().sum())
                count += whole.numel()
        return math.sqrt(squares / count)

    def to(self, device: torch.device) -> Decoder:
        """The same weights on a device; itself where they are there."""
        if self.embedding.device == device:
            return self
        layers = tuple(
            Layer(
                {name: tensor.to(device) for name, tensor in layer.norms.items()},
                {group: tensor.to(device) for group, tensor in layer.projections.items()},
                None if layer.qkv_bias is None else layer.qkv_bias.to(device),
            )
            for layer in self.layers
        )
        embedding = self.embedding.to(device)
        head = embedding if self.head is self.embedding else self.head.to(device)
        return Decoder(self.config, embedding, head, self.final_norm.to(device), layers)

    def hidden(self, ids: Tensor, project: Project | None = None, past: Past | None = None) -> Tensor:
        """Last hidden states, normed: [B, T] ids -> [B, T, H]; with ``past`` the ids follow what it holds, and join it."""
        layout: Layout = Rows(*ids.shape) if past is None else Following(past, ids.shape[1])
        return self.states(ids.flatten(), layout, project).view(*ids.shape, -1)

    def states(self, ids: Tensor, layout: Layout, project: Project | None = None) -> Tensor:
        """Last hidden states, normed: [N] ids -> [N, H]."""
        project = project or _frozen
        config, family = self.config, self.config.family
        x = F.embedding(ids, self.embedding)
        if family.has_scaled_embedding:
            x = x * torch.tensor(config.hidden**0.5, dtype=x.dtype)
        positions = layout.positions()
        rope = _rope(config.rope_base, config.head_size, positions, x.dtype)
        local = _rope(LOCAL_ROPE_BASE, config.head_size, positions, x.dtype) if config.window else rope
        for index, layer in enumerate(self.layers):
            turned = local if config.is_sliding(index) else rope
            added = self._attention(index, layer, self._norm(x, layer, "attention"), turned, layout, project)
            x = x + (self._norm(added, layer, "attention_out") if family.has_post_norms else added)
            added = self._feed_forward(index, layer, self._norm(x, layer, "ffn"), project)
            x = x + (self._norm(added, layer, "ffn_out") if family.has_post_norms else added)
        return F.rms_norm(x, (x.shape[-1],), self.final_norm, config.epsilon)

    @torch.no_grad()
    def read(self, ids: Tensor, project: Project | None = None) -> Past:
        """What positions after [P] ids see of them, as constants."""
        past = self.empty_past(1, len(ids))
        self.hidden(ids[None], project, past)
        return past

    def empty_past(self, rows: int, positions: int) -> Past:
        config = self.config
        shape = (config.layers, rows, config.kv_heads, positions, config.head_size)
        dtype = self.embedding.dtype
        return Past(
            torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype), torch.zeros(rows, dtype=torch.long)
        )

    def _norm(self, x: Tensor, layer: Layer, name: str) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), layer.norms[name], self.config.epsilon)

    def _attention(
        self, index: int, layer: Layer, x: Tensor, rope: tuple[Tensor, Tensor], layout: Layout, project: Project
    ) -> Tensor:
        config = self.config
        qkv = project(index, "qkv", x, layer.projections["qkv"])
        if layer.qkv_bias is not None:
            qkv = qkv + layer.qkv_bias
        qkv = qkv.view(x.shape[0], config.heads + 2 * config.kv_heads, config.head_size)
        qk, v = qkv[:, : -config.kv_heads], qkv[:, -config.kv_heads :]
        if config.family.has_qk_norm:
            q, k = qk[:, : config.heads], qk[:, config.heads :]
            qk = torch.cat([self._norm(q, layer, "q"), self._norm(k, layer, "k")], dim=1)
        qk = _rotate(qk, rope)
        q, k = qk[:, : config.heads], qk[:, config.heads :]
        window = config.window if config.is_sliding(index) else 0
        return project(index, "o", layout.attend(index, q, k, v, config.query_scale, window), layer.projections["o"])

    def _feed_forward(self, index: int, layer: Layer, x: Tensor, project: Project) -> Tensor:
        gate, up = project(index, "gate_up", x, layer.projections["gate_up"]).chunk(2, dim=-1)
        is_silu = self.config.family.activation == "silu"
        gate = F.silu(gate) if is_silu else F.gelu(gate, approximate="tanh")
        return project(index, "down", gate * up, layer.projections["down"])


def _split(x: Tensor, rows: int) -> Tensor:
    """[B·T, heads, d] -> [B, heads, T, d], a view."""
    return x.view(rows, -1, *x.shape[1:]).transpose(1, 2)


def _sees(queries: Tensor, keys: Tensor, window: int) -> Tensor:
    """Whether a place sees another: [..., T] and [..., S] -> [..., T, S]."""
    distance = queries[..., :, None] - keys[..., None, :]
    return (distance >= 0) & (distance < window) if window else distance >= 0


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """[B, heads, T, d] queries over [B, kv, S, d] -> [B·T, heads·d]; without a mask it is causal."""
    is_grouped = q.shape[1] != k.shape[1]
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=is_grouped
    )
    return out.transpose(1, 2).reshape(q.shape[0] * q.shape[2], -1)


def _frozen(_layer: int, _group: str, x: Tensor, weight: Weight) -> Tensor:
    return F.linear(x, dense(weight))


def _rope(base: float, size: int, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin, each [N, 1, d]."""
    half = torch.arange(0, size, 2, dtype=torch.float32, device=positions.device) / size
    angles = positions[:, None, None].float() * base**-half
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rope
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
