"""Tiny random models of each family, made and saved by transformers: the oracle for our decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

FAMILIES = ("llama", "qwen2", "qwen3", "gemma3")
SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}


def make_model(family: str, seed: int = 0, **sizes: int) -> PreTrainedModel:
    """fp32, eager attention; norms are random too, so that a missing one shows. gemma3 slides over 6 positions on two layers of three."""
    chosen = SIZES | sizes
    config = {
        "llama": lambda: LlamaConfig(**chosen | {"tie_word_embeddings": False}),
        "qwen2": lambda: Qwen2Config(**chosen),
        "qwen3": lambda: Qwen3Config(**chosen, head_dim=32),
        "gemma3": lambda: Gemma3TextConfig(
            **chosen | {"num_hidden_layers": 7}, head_dim=32, sliding_window=6, query_pre_attn_scalar=32
        ),
    }[family]()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(0, 0.3 if "norm" in name or "bias" in name else 0.15)
            if "norm" in name and family != "gemma3":
                parameter.add_(1)
    return model.eval()


def save_model(family: str, folder: Path, seed: int = 0, **sizes: int) -> PreTrainedModel:
    model = make_model(family, seed, **sizes)
    model.save_pretrained(folder)
    return model
