"""A whole model as one GGUF: its configuration, a GGUF's tokenizer, the tuned template, and weights in plain or quantized types.

Presets follow llama.cpp's mixtures: more bits for the head and for the values and down projections of some layers. A row that is no
multiple of a K type's 256 values falls back to a type of 32, and the report says how many did: at these sizes most of a "Q4_K_M" is Q5_0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFValueType, GGUFWriter, LlamaFileType
from gguf.quants import dequantize
from numpy.typing import NDArray
from torch import Tensor

from journeyman.core.files import disk_errors
from journeyman.models.gguf_header import read_header
from journeyman.models.gguf_layout import GGUF_NAMES, add_config, norm_names, permute_rows, permuted_heads
from journeyman.models.llamacpp_quants import quantize
from journeyman.models.torch_decoder import Decoder
from journeyman.models.torch_weights import name_projections

Preset = Literal["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_0", "Q5_K_M", "Q4_0", "Q4_K_M"]
Kind = GGMLQuantizationType
Importance = Mapping[str, NDArray[np.float32]]

# Preset -> (most tensors, those that get more bits, embedding and head, llama.cpp's number of the file's type)
PRESETS: dict[Preset, tuple[Kind, Kind, Kind, LlamaFileType]] = {
    "F32": (Kind.F32, Kind.F32, Kind.F32, LlamaFileType.ALL_F32),
    "F16": (Kind.F16, Kind.F16, Kind.F16, LlamaFileType.MOSTLY_F16),
    "BF16": (Kind.BF16, Kind.BF16, Kind.BF16, LlamaFileType.MOSTLY_BF16),
    "Q8_0": (Kind.Q8_0, Kind.Q8_0, Kind.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "Q6_K": (Kind.Q6_K, Kind.Q6_K, Kind.Q6_K, LlamaFileType.MOSTLY_Q6_K),
    "Q5_0": (Kind.Q5_0, Kind.Q5_0, Kind.Q6_K, LlamaFileType.MOSTLY_Q5_0),
    "Q5_K_M": (Kind.Q5_K, Kind.Q6_K, Kind.Q6_K, LlamaFileType.MOSTLY_Q5_K_M),
    "Q4_0": (Kind.Q4_0, Kind.Q4_0, Kind.Q6_K, LlamaFileType.MOSTLY_Q4_0),
    "Q4_K_M": (Kind.Q4_K, Kind.Q6_K, Kind.Q6_K, LlamaFileType.MOSTLY_Q4_K_M),
}
# What llama.cpp takes instead when a row is no multiple of 256.
FALLBACK = {Kind.Q4_K: Kind.Q5_0, Kind.Q5_K: Kind.Q5_1, Kind.Q6_K: Kind.Q8_0}
# Of the base's fields those that do not describe weights are taken over, but for these.
OWN_FIELDS = (
    "general.architecture",
    "general.file_type",
    "general.name",
    "general.alignment",
    "tokenizer.chat_template",
)
TAKEN_OVER = ("general.", "tokenizer.")


@dataclass(frozen=True, slots=True)
class Written:
    """``kinds`` counts the matrices by type; ``fell_back`` of them could not have the preset's own."""

    path: Path
    preset: str
    bytes: int
    kinds: Mapping[str, int]
    fell_back: int


def save_model(
    path: Path,
    decoder: Decoder,
    base: Path,
    preset: Preset,
    name: str,
    template: str = "",
    importance: Importance | None = None,
) -> Written:
    """Write ``decoder`` with the tokenizer and provenance of the GGUF at ``base``; the file is replaced by rename.

    Args:
        template: the chat template; empty keeps the base's.
        importance: by GGUF tensor name, see ``llamacpp_quants.quantize``.

    Raises:
        StoreError: JM-801 disk full, JM-802 not writable. ModelError: JM-405 the base cannot be read.
    """
    partial = path.with_name(path.name + ".partial")
    kinds: Counter[str] = Counter()
    fell_back = 0
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = GGUFWriter(str(partial), decoder.config.family.architecture)
        _copy_fields(writer, base, template)
        add_config(writer, decoder.config)
        writer.add_name(name)
        writer.add_file_type(PRESETS[preset][3])
        for tensor_name, tensor in name_gguf_tensors(decoder):
            data = np.ascontiguousarray(tensor.detach().float().cpu().numpy())
            if data.ndim < 2:
                writer.add_tensor(tensor_name, data, raw_dtype=Kind.F32)
                continue
            wanted = choose_kind(preset, tensor_name, decoder.config.layers)
            kind = _fitting(wanted, data)
            fell_back += kind != wanted
            kinds[kind.name] += 1
            _add(writer, tensor_name, data, kind, (importance or {}).get(tensor_name))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.replace(path)
    return Written(path, preset, path.stat().st_size, dict(kinds), fell_back)


@torch.no_grad()
def find_lost(before: Decoder, after: Decoder, preset: Preset) -> list[str]:
    """Matrices that moved by less than their error in the type that they are written in: much of what was tuned is lost there.

    Both are root mean squares: of what changed, and of what rounding to the type takes away.
    """
    lost = []
    olds = dict(name_gguf_tensors(before))
    for name, tensor in name_gguf_tensors(after):
        moved = (tensor - olds[name]).float().square().mean().sqrt()
        if tensor.dim() < 2 or not moved:
            continue
        data = np.ascontiguousarray(tensor.detach().float().cpu().numpy())
        kind = _fitting(choose_kind(preset, name, after.config.layers), data)
        error = np.sqrt(np.mean((_rounded(data, kind) - data) ** 2))
        if float(moved) < float(error):
            lost.append(name)
    return lost


def _rounded(data: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
    """What is read back of a matrix that was written in this type."""
    if kind == Kind.F32:
        return data
    if kind in (Kind.F16, Kind.BF16):
        dtype = torch.float16 if kind == Kind.F16 else torch.bfloat16
        rounded: NDArray[np.float32] = torch.from_numpy(data).to(dtype).float().numpy()
        return rounded
    result: NDArray[np.float32] = dequantize(quantize(data, kind), kind)
    return result


def name_gguf_tensors(decoder: Decoder) -> Iterator[tuple[str, Tensor]]:
    """Every tensor under GGUF's name, with q and k rows in ggml's order where the family has them so."""
    config = decoder.config
    yield "token_embd.weight", decoder.embedding
    yield "output_norm.weight", decoder.final_norm
    if decoder.head is not decoder.embedding:
        yield "output.weight", decoder.head
    for index, layer in enumerate(decoder.layers):
        for key, (_hf, gguf) in norm_names(config).items():
            yield f"blk.{index}.{gguf}.weight", layer.norms[key]
        for full, tensor in name_projections(config, layer):
            name, _, kind = full.rpartition(".")
            heads = permuted_heads(config, name)
            yield f"blk.{index}.{GGUF_NAMES[name]}.{kind}", permute_rows(tensor, heads) if heads else tensor


def choose_kind(preset: Preset, name: str, layers: int) -> Kind:
    """The preset's type for a matrix, before any fallback."""
    most, more, outer, _ = PRESETS[preset]
    if not name.startswith("blk."):
        return outer
    index, tensor = int(name.split(".")[1]), name.split(".")[2]
    return more if tensor in ("attn_v", "ffn_down") and _has_more_bits(index, layers) else most


def _has_more_bits(layer: int, layers: int) -> bool:
    """llama.cpp's choice for its M mixtures: the first and last eighth, and every third layer between."""
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _copy_fields(writer: GGUFWriter, base: Path, template: str) -> None:
    header = read_header(base)
    for key, value in header.fields.items():
        if key in OWN_FIELDS or not key.startswith(TAKEN_OVER):
            continue
        kind, item = header.kinds[key]
        writer.add_key_value(key, value, GGUFValueType(kind), None if item is None else GGUFValueType(item))
    chosen = template or header.fields.get("tokenizer.chat_template")
    if isinstance(chosen, str):
        writer.add_chat_template(chosen)


def _fitting(wanted: Kind, data: NDArray[np.float32]) -> Kind:
    """The type, or what stands in for it where its blocks do not fill the rows."""
    kinds = (wanted, FALLBACK.get(wanted, Kind.F16), Kind.F16)
    return next(kind for kind in kinds if data.shape[1] % GGML_QUANT_SIZES[kind][0] == 0)


def _add(
    writer: GGUFWriter, name: str, data: NDArray[np.float32], kind: Kind, importance: NDArray[np.float32] | None
) -> None:
    if kind == Kind.F32:
        writer.add_tensor(name, data, raw_dtype=kind)
    elif kind == Kind.F16:
        writer.add_tensor(name, data.astype(np.float16), raw_dtype=kind)
    elif kind == Kind.BF16:
        rounded = torch.from_numpy(data).to(torch.bfloat16).view(torch.uint8).numpy().reshape(data.shape[0], -1)
        writer.add_tensor(name, rounded, raw_dtype=kind)
    else:
        writer.add_tensor(name, quantize(data, kind, importance), raw_dtype=kind)
