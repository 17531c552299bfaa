"""Adapters as a LoRA GGUF for llama.cpp.

Facts of the format: ``general.type=adapter``, one alpha per file (the scale alpha/rank is applied at run time), tensors
``<base tensor>.lora_a`` [r, in] and ``.lora_b`` [out, r]; rows of q and k are in ggml's interleaved order for llama models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from torch import Tensor

from journeyman.core.files import disk_errors
from journeyman.models.families import DecoderConfig
from journeyman.models.gguf_layout import GGUF_NAMES, permute_rows, permuted_heads
from journeyman.tuning.lora import Adapters


def save_gguf(path: Path, adapters: Adapters, config: DecoderConfig, name: str) -> None:
    """Write the adapter; matrices in fp32, which is what was trained. The file is replaced by rename.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with disk_errors(path):
        writer = GGUFWriter(str(partial), config.family.architecture)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        # alpha / r is what llama.cpp applies; a rank-stabilized scale is written as the alpha that gives the same product.
        writer.add_float32("adapter.lora.alpha", adapters.config.scale * adapters.config.rank)
        writer.add_name(name)
        for tensor_name, tensor in _tensors(adapters, config):
            data = np.ascontiguousarray(tensor.detach().float().cpu().numpy())
            writer.add_tensor(tensor_name, data, raw_dtype=GGMLQuantizationType.F32)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.replace(path)


def _tensors(adapters: Adapters, config: DecoderConfig) -> list[tuple[str, Tensor]]:
    result: list[tuple[str, Tensor]] = []
    for (layer, _group), members in adapters.pairs.items():
        for name, pair in members:
            target = f"blk.{layer}.{GGUF_NAMES[name]}.weight"
            result += [(f"{target}.lora_a", pair.a), (f"{target}.lora_b", _rows_in_ggml_order(name, pair.b, config))]
    return result


def _rows_in_ggml_order(name: str, b: Tensor, config: DecoderConfig) -> Tensor:
    heads = permuted_heads(config, name)
    return permute_rows(b, heads) if heads else b
