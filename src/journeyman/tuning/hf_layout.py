"""A whole model as a Hugging Face folder: ``config.json``, ``model.safetensors`` and the tokenizer, which transformers and vLLM load."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from journeyman.core.canonical import Json
from journeyman.core.files import disk_errors, write_atomic
from journeyman.models.families import LOCAL_ROPE_BASE, DecoderConfig
from journeyman.models.gguf_layout import norm_names
from journeyman.models.template import Template
from journeyman.models.tokenizer import Tokenizer
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import name_projections

FolderType = Literal["F32", "F16", "BF16"]
FOLDER_TYPES: dict[FolderType, torch.dtype] = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gemma3": "Gemma3ForCausalLM",
}


def name_tensors(decoder: Decoder) -> Iterator[tuple[str, Tensor]]:
    """Every tensor under Hugging Face's name, in a fixed order."""
    config = decoder.config
    yield "model.embed_tokens.weight", decoder.embedding
    for index, layer in enumerate(decoder.layers):
        prefix = f"model.layers.{index}."
        for key, (name, _gguf) in norm_names(config).items():
            yield f"{prefix}{name}.weight", layer.norms[key] - config.family.norm_offset
        for name, tensor in name_projections(config, layer):
            yield f"{prefix}{name}", tensor
    yield "model.norm.weight", decoder.final_norm - config.family.norm_offset
    if decoder.head is not decoder.embedding:
        yield "lm_head.weight", decoder.head


def save_folder(folder: Path, decoder: Decoder, template: Template, dtype: torch.dtype = torch.float32) -> None:
    """Write the model in ``dtype``; ``config.json`` comes last, so a folder that has one is whole.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.to(dtype).contiguous().clone() for name, tensor in name_tensors(decoder)}
        save_file(tensors, str(folder / "model.safetensors.partial"), metadata={"format": "pt"})
        (folder / "model.safetensors.partial").replace(folder / "model.safetensors")
    number = str(dtype).removeprefix("torch.")
    save_description(folder, decoder.config, template, number, is_tied=decoder.head is decoder.embedding)


def save_description(folder: Path, config: DecoderConfig, template: Template, number: str, *, is_tied: bool) -> None:
    """Tokenizer, chat template and ``config.json``: all but the weights, which are of type ``number`` (float32, ...)."""
    tokenizer = template.tokenizer
    write_atomic(folder / "tokenizer.json", tokenizer.to_json())
    write_atomic(folder / "tokenizer_config.json", _text(_tokenizer_json(tokenizer, template.source, config.context)))
    write_atomic(folder / "config.json", _text(_config_json(config, tokenizer, number, is_tied)))


def _text(value: dict[str, Json]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _tokenizer_json(tokenizer: Tokenizer, template: str, context: int) -> dict[str, Json]:
    names = {token: text for text, token in tokenizer.special.items()}
    raw: dict[str, Json] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": names[tokenizer.end],
        "pad_token": names[tokenizer.end],
        "chat_template": template,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    return raw if tokenizer.bos is None else raw | {"bos_token": names[tokenizer.bos], "add_bos_token": True}


def _config_json(config: DecoderConfig, tokenizer: Tokenizer, number: str, is_tied: bool) -> dict[str, Json]:
    raw: dict[str, Json] = {
        "architectures": [CLASSES[config.family.architecture]],
        "model_type": config.family.model_types[0],
        "dtype": number,
        "hidden_size": config.hidden,
        "intermediate_size": config.feed_forward,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.epsilon,
        "tie_word_embeddings": is_tied,
        "eos_token_id": tokenizer.end,
        "bos_token_id": tokenizer.bos,
        "pad_token_id": tokenizer.end,
    }
    return raw | (_sliding_json(config) if config.family.window_period else _rope_json(config))


def _rope_json(config: DecoderConfig) -> dict[str, Json]:
    """``rope_theta`` is what transformers 4 and vLLM read, ``rope_parameters`` what transformers 5 does."""
    return {
        "hidden_act": "silu",
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_base},
    }


def _sliding_json(config: DecoderConfig) -> dict[str, Json]:
    kinds = ["sliding_attention" if config.is_sliding(index) else "full_attention" for index in range(config.layers)]
    return {
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": round(config.query_scale**-2),
        "sliding_window": config.window,
        "layer_types": list[Json](kinds),
        "rope_theta": config.rope_base,
        "rope_local_base_freq": LOCAL_ROPE_BASE,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": config.rope_base},
            "sliding_attention": {"rope_type": "default", "rope_theta": LOCAL_ROPE_BASE},
        },
    }
