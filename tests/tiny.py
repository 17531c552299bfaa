"""A tiny random llama as a GGUF with a byte-level tokenizer: made in the test, loads in torch and in llama.cpp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from tokenizers import pre_tokenizers

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tiny_llama(
    path: Path,
    *,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    feed_forward: int = 96,
    seed: int = 0,
    chat: str = CHAT,
    context: int = 512,
    more: tuple[str, ...] = (),
) -> Path:
    """fp32 weights of scale 0.1, vocabulary of 3 control tokens 256 bytes and one merged pair; ``more`` names vectors that no llama of ours has."""
    rng = np.random.default_rng(seed)
    tokens = SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet()) + ["ĠĠ"]
    head = hidden // heads
    writer = GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_file_type(0)
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(head)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * 257)
    writer.add_token_merges(["Ġ Ġ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    if chat:
        writer.add_chat_template(chat)

    def add(name: str, *shape: int, scale: float = 0.1) -> None:
        data = rng.normal(0, scale, shape) if len(shape) > 1 else 1 + rng.normal(0, 0.1, shape)
        writer.add_tensor(name, data.astype(np.float32), raw_dtype=GGMLQuantizationType.F32)

    add("token_embd.weight", len(tokens), hidden, scale=0.5)
    add("output_norm.weight", hidden)
    for layer in range(layers):
        add(f"blk.{layer}.attn_norm.weight", hidden)
        add(f"blk.{layer}.ffn_norm.weight", hidden)
        add(f"blk.{layer}.attn_q.weight", heads * head, hidden)
        add(f"blk.{layer}.attn_k.weight", kv_heads * head, hidden)
        add(f"blk.{layer}.attn_v.weight", kv_heads * head, hidden)
        add(f"blk.{layer}.attn_output.weight", hidden, heads * head)
        add(f"blk.{layer}.ffn_gate.weight", feed_forward, hidden)
        add(f"blk.{layer}.ffn_up.weight", feed_forward, hidden)
        add(f"blk.{layer}.ffn_down.weight", hidden, feed_forward)
    for name in more:
        add(name, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
