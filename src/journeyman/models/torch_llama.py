"""A llama-class decoder in plain torch, for tuning: weights from a GGUF, projections that an adapter can take over.

Shapes: B rows, T positions, H hidden, V vocabulary, N = B*T.
Projections that read the same input are one matrix (q|k|v and gate|up), so that a step has fewer and larger products.
Positions are right-padded without a mask, which is exact for a causal model as long as padded positions carry no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from gguf import GGUFReader, dequantize
from torch import Tensor

from journeyman.core.errors import ModelError
from journeyman.models.gguf_header import read_fields

Number = Literal["float32", "bfloat16"]
DTYPES: dict[Number, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# (layer, group, input [B, T, in], frozen weight [out, in]) -> [B, T, out]
Project = Callable[[int, str, Tensor, Tensor], Tensor]

# Fused group -> its members in PEFT's names, in the order of their rows.
GROUPS: dict[str, tuple[str, ...]] = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "o": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True, slots=True)
class LlamaConfig:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    feed_forward: int
    vocabulary: int
    rope_base: float
    epsilon: float
    context: int

    @property
    def body_parameters(self) -> int:
        return self.layers * sum(out * size for out, size in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns [out, in] of each projection of a layer, by PEFT's names."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "self_attn.q_proj": (queries, self.hidden),
            "self_attn.k_proj": (keys, self.hidden),
            "self_attn.v_proj": (keys, self.hidden),
            "self_attn.o_proj": (self.hidden, queries),
            "mlp.gate_proj": (self.feed_forward, self.hidden),
            "mlp.up_proj": (self.feed_forward, self.hidden),
            "mlp.down_proj": (self.hidden, self.feed_forward),
        }


@dataclass(frozen=True, slots=True)
class Layer:
    attention_norm: Tensor
    ffn_norm: Tensor
    projections: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Past:
    """Keys and values of positions read before, each [layers, B, kv_heads, S, head_size]; ``lengths`` [B] of them count."""

    keys: Tensor
    values: Tensor
    lengths: Tensor

    def positions(self, count: int) -> Tensor:
        """Where ``count`` new tokens of each row go: [B, count]."""
        return self.lengths[:, None] + torch.arange(count)

    def put(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Add new [B, kv_heads, T, head_size] ones: all keys, all values, and who sees what, [B, 1, T, S]."""
        positions = self.positions(keys.shape[2])
        rows = torch.arange(len(self.lengths))[:, None]
        self.keys[layer][rows, :, positions] = keys.transpose(1, 2)
        self.values[layer][rows, :, positions] = values.transpose(1, 2)
        mask = torch.arange(self.keys.shape[3]) <= positions[:, None, :, None]
        return self.keys[layer], self.values[layer], mask


@dataclass(frozen=True, slots=True)
class Llama:
    """Frozen weights. ``embedding`` and ``head`` are [V, H] and may be one tensor."""

    config: LlamaConfig
    embedding: Tensor
    head: Tensor
    final_norm: Tensor
    layers: tuple[Layer, ...]

    def hidden(self, ids: Tensor, project: Project | None = None, past: Past | None = None) -> Tensor:
        """Last hidden states, normed: [B, T] ids -> [B, T, H]; with ``past`` the ids follow what it holds, and join it."""
        project = project or _frozen
        x = F.embedding(ids, self.embedding)
        positions = torch.arange(ids.shape[1]) if past is None else past.positions(ids.shape[1])[:, None]
        rope = _rope(self.config, positions, x.dtype)
        for index, layer in enumerate(self.layers):
            normed = _norm(x, layer.attention_norm, self.config.epsilon)
            x = x + self._attention(index, layer, normed, rope, project, past)
            x = x + self._feed_forward(index, layer, _norm(x, layer.ffn_norm, self.config.epsilon), project)
        return _norm(x, self.final_norm, self.config.epsilon)

    def empty_past(self, rows: int, positions: int) -> Past:
        config = self.config
        shape = (config.layers, rows, config.kv_heads, positions, config.head_size)
        dtype = self.embedding.dtype
        return Past(
            torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype), torch.zeros(rows, dtype=torch.long)
        )

    def _attention(
        self,
        index: int,
        layer: Layer,
        x: Tensor,
        rope: tuple[Tensor, Tensor],
        project: Project,
        past: Past | None,
    ) -> Tensor:
        config = self.config
        rows, positions, _ = x.shape
        qkv = project(index, "qkv", x, layer.projections["qkv"])
        qkv = qkv.view(rows, positions, config.heads + 2 * config.kv_heads, config.head_size).transpose(1, 2)
        rotated = _rotate(qkv[:, : config.heads + config.kv_heads], rope)
        q, k = rotated[:, : config.heads], rotated[:, config.heads :]
        v, mask = qkv[:, config.heads + config.kv_heads :], None
        if past is not None:
            k, v, mask = past.put(index, k, v)
        is_grouped = config.heads != config.kv_heads
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=is_grouped)
        out = out.transpose(1, 2).reshape(rows, positions, config.heads * config.head_size)
        return project(index, "o", out, layer.projections["o"])

    def _feed_forward(self, index: int, layer: Layer, x: Tensor, project: Project) -> Tensor:
        gate, up = project(index, "gate_up", x, layer.projections["gate_up"]).chunk(2, dim=-1)
        return project(index, "down", F.silu(gate) * up, layer.projections["down"])


def load_llama(path: Path, number: Number = "float32") -> Llama:
    """Read a llama-architecture GGUF, dequantized.

    Raises:
        ModelError: JM-405 unreadable, JM-408 another architecture.
    """
    config, dtype = read_config(path), DTYPES[number]
    try:
        tensors = {tensor.name: tensor for tensor in GGUFReader(str(path)).tensors}

        def take(name: str) -> Tensor:
            tensor = tensors[name]
            return torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)).to(dtype)

        embedding = take("token_embd.weight")
        head = take("output.weight") if "output.weight" in tensors else embedding
        layers = tuple(_load_layer(config, index, take) for index in range(config.layers))
        return Llama(config, embedding, head, take("output_norm.weight"), layers)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ModelError(
            "JM-405",
            "this GGUF's tensors cannot be read",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            hint="pull or copy the model again",
        ) from error


def read_config(path: Path) -> LlamaConfig:
    fields = read_fields(path)
    architecture = fields.get("general.architecture")
    if architecture != "llama":
        raise ModelError(
            "JM-408",
            "this architecture cannot be tuned yet",
            where=str(path),
            expected="llama",
            got=str(architecture),
            hint="use a llama-class base such as smollm2-135m-instruct",
        )
    heads = cast(int, fields["llama.attention.head_count"])
    hidden = cast(int, fields["llama.embedding_length"])
    return LlamaConfig(
        layers=cast(int, fields["llama.block_count"]),
        hidden=hidden,
        heads=heads,
        kv_heads=cast(int, fields.get("llama.attention.head_count_kv", heads)),
        head_size=cast(int, fields.get("llama.attention.key_length", hidden // heads)),
        feed_forward=cast(int, fields["llama.feed_forward_length"]),
        vocabulary=len(cast(list[str], fields["tokenizer.ggml.tokens"])),
        rope_base=cast(float, fields.get("llama.rope.freq_base", 10000.0)),
        epsilon=cast(float, fields["llama.attention.layer_norm_rms_epsilon"]),
        context=cast(int, fields["llama.context_length"]),
    )


def permute_rows(weight: Tensor, heads: int) -> Tensor:
    """Hugging Face's half-split row order -> ggml's interleaved one, for q and k rows of llama GGUFs: [out, in]."""
    out = weight.shape[0]
    return weight.view(heads, 2, out // heads // 2, -1).transpose(1, 2).reshape(weight.shape)


def unpermute_rows(weight: Tensor, heads: int) -> Tensor:
    """The inverse of ``permute_rows``."""
    out = weight.shape[0]
    return weight.view(heads, out // heads // 2, 2, -1).transpose(1, 2).reshape(weight.shape)


def _load_layer(config: LlamaConfig, index: int, take: Callable[[str], Tensor]) -> Layer:
    def member(name: str) -> Tensor:
        weight = take(f"blk.{index}.{GGUF_NAMES[name]}.weight")
        if name.endswith("q_proj"):
            return unpermute_rows(weight, config.heads)
        return unpermute_rows(weight, config.kv_heads) if name.endswith("k_proj") else weight

    return Layer(
        attention_norm=take(f"blk.{index}.attn_norm.weight"),
        ffn_norm=take(f"blk.{index}.ffn_norm.weight"),
        projections={group: torch.cat([member(name) for name in names]) for group, names in GROUPS.items()},
    )


def _frozen(_layer: int, _group: str, x: Tensor, weight: Tensor) -> Tensor:
    return F.linear(x, weight)


def _norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight, epsilon)


def _rope(config: LlamaConfig, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin, each [*positions.shape, head_size]."""
    half = torch.arange(0, config.head_size, 2, dtype=torch.float32) / config.head_size
    angles = positions[..., None].float() * config.rope_base**-half
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def _rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rope
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin
