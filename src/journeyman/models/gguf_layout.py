"""What Hugging Face's tensors and configuration are called in a GGUF, and in which order its rows lie. No torch here.

Facts of the format: llama GGUFs keep the rows of q and k in ggml's interleaved rotary order; norm weights are stored whole.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from gguf import GGUFWriter

from journeyman.models.families import DecoderConfig

# Our name (Hugging Face's without `model.layers.N.`) -> GGUF's without `blk.N.`; both without `.weight`.
GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# The norms of a layer: key in Layer.norms -> (Hugging Face's name, GGUF's name).
NORMS = {
    "attention": ("input_layernorm", "attn_norm"),
    "ffn": ("post_attention_layernorm", "ffn_norm"),
    "q": ("self_attn.q_norm", "attn_q_norm"),
    "k": ("self_attn.k_norm", "attn_k_norm"),
}
POST_NORMS = {
    "attention_out": ("post_attention_layernorm", "post_attention_norm"),
    "ffn": ("pre_feedforward_layernorm", "ffn_norm"),
    "ffn_out": ("post_feedforward_layernorm", "post_ffw_norm"),
}
OUTER = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}


class Rows(Protocol):
    """A matrix [out, in] of numpy or of torch."""

    @property
    def shape(self) -> Any: ...
    @property
    def reshape(self) -> Any: ...


Matrix = TypeVar("Matrix", bound=Rows)


def norm_names(config: DecoderConfig) -> dict[str, tuple[str, str]]:
    """The norms that a layer of this family has: key -> (Hugging Face's name, GGUF's name)."""
    names = dict(NORMS) if config.family.has_qk_norm else {key: NORMS[key] for key in ("attention", "ffn")}
    return names | POST_NORMS if config.family.has_post_norms else names


def permute_rows(weight: Matrix, heads: int) -> Matrix:
    """Hugging Face's half-split row order -> ggml's interleaved one, for q and k rows of llama GGUFs: [out, in]."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1)
    permuted: Matrix = halves.swapaxes(1, 2).reshape(weight.shape)
    return permuted


def unpermute_rows(weight: Matrix, heads: int) -> Matrix:
    """The inverse of ``permute_rows``."""
    pairs = weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1)
    restored: Matrix = pairs.swapaxes(1, 2).reshape(weight.shape)
    return restored


def permuted_heads(config: DecoderConfig, name: str) -> int:
    """How many heads the rows of a projection are permuted by in GGUF; 0 for those that are not."""
    if not config.family.has_permuted_rows:
        return 0
    return config.heads if name.endswith("q_proj") else config.kv_heads if name.endswith("k_proj") else 0


def add_config(writer: GGUFWriter, config: DecoderConfig) -> None:
    """The fields that llama.cpp, and ``families.read_config``, make the decoder from."""
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.feed_forward)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_key_length(config.head_size)
    writer.add_value_length(config.head_size)
    writer.add_layer_norm_rms_eps(config.epsilon)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_rope_dimension_count(config.head_size)
    writer.add_vocab_size(config.vocabulary)
    if config.window:
        writer.add_sliding_window(config.window)
