"""Tiny synthetic LoRA adapters, as llama.cpp reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter

from journeyman.core.canonical import file_hash


def write_adapter(
    path: Path, *, seed: int, width: int, layers: int = 2, rank: int = 4, scale: float = 1.0
) -> tuple[str, Path]:
    """A random adapter on the query projections, strong enough to change answers; its content hash and path."""
    rng = np.random.default_rng(seed)
    writer = GGUFWriter(str(path), "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * rank)
    for layer in range(layers):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", rng.normal(0, 0.1, (rank, width)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", rng.normal(0, scale, (width, rank)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file_hash(path), path
