"""A decoder's weights from a GGUF file (dequantized) or from a Hugging Face folder (safetensors), under PEFT's names.

How the two are laid out is in ``gguf_layout``; tied models have no output matrix.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, dequantize
from safetensors import SafetensorError, safe_open
from torch import Tensor

from journeyman.core.errors import ModelError
from journeyman.models.families import DecoderConfig, read_config, refuse_architecture
from journeyman.models.gguf_header import TensorInfo, read_header
from journeyman.models.gguf_layout import GGUF_NAMES, OUTER, norm_names, permuted_heads, unpermute_rows
from journeyman.models.torch_decoder import GROUPS, Decoder, Layer
from journeyman.models.torch_packed import Weight, dense, pack

Number = Literal["float32", "bfloat16"]
DTYPES: dict[Number, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Take = Callable[[str], Tensor | None]


def load_decoder(path: Path, number: Number = "float32", *, is_packed: bool = False) -> Decoder:
    """Read a GGUF file or a Hugging Face folder of a known family, onto torch's default device; ``is_packed``: its projections in 4 bits.

    Raises:
        ModelError: JM-405 unreadable, JM-408 another architecture, JM-440 packed without bitsandbytes.
    """
    config = read_config(path)
    load = _load_folder if path.is_dir() else _load_gguf
    try:
        return load(path, config, DTYPES[number], is_packed).to(torch.get_default_device())
    except (OSError, ValueError, KeyError, IndexError, SafetensorError) as error:
        raise ModelError(
            "JM-405",
            "this model's tensors cannot be read",
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            hint="pull or copy the model again",
        ) from error


def name_projections(config: DecoderConfig, layer: Layer) -> Iterator[tuple[str, Tensor]]:
    """The members of a layer's fused matrices, and their biases, under Hugging Face's names within the layer; views."""
    for group, names in GROUPS.items():
        sizes = [config.shapes()[name][0] for name in names]
        for name, weight in zip(names, torch.split(dense(layer.projections[group]), sizes), strict=True):
            yield f"{name}.weight", weight
        if group == "qkv" and layer.qkv_bias is not None:
            for name, bias in zip(names, torch.split(layer.qkv_bias, sizes), strict=True):
                yield f"{name}.bias", bias


def _load_gguf(path: Path, config: DecoderConfig, dtype: torch.dtype, is_packed: bool) -> Decoder:
    tensors = read_header(path).tensors
    if "rope_freqs.weight" in tensors:
        raise ModelError(
            "JM-408",
            "this architecture cannot be tuned yet",
            where=str(path),
            got=f"{config.family.architecture} with scaled rotary positions (rope_freqs)",
        )
    data = np.memmap(path, mode="r")
    taken: set[str] = set()

    def take(name: str) -> Tensor | None:
        taken.add(name)
        return _dequantize(data, tensors[name]).to(dtype) if name in tensors else None

    def from_layer(index: int, name: str) -> Tensor | None:
        stem, _, kind = name.rpartition(".")
        found = take(f"blk.{index}.{GGUF_NAMES.get(stem, stem)}.{kind}")
        heads = permuted_heads(config, stem)
        return unpermute_rows(found, heads) if found is not None and heads else found

    decoder = _build(
        config, lambda name: take(f"{OUTER[name]}.weight"), from_layer, gguf=True, offset=0.0, is_packed=is_packed
    )
    if left := tensors.keys() - taken:  # what is not read would be missing from every answer
        refuse_architecture(path, f"{config.family.architecture} with the tensor {min(left)}")
    return decoder


def _dequantize(data: np.memmap, info: TensorInfo) -> Tensor:
    kind = GGMLQuantizationType(info.kind)
    values, size = GGML_QUANT_SIZES[kind]
    *rows, columns = info.shape
    count = math.prod(rows) * columns // values * size
    raw = data[info.offset : info.offset + count]
    if len(raw) < count:
        raise ValueError("the file ends before its tensors do")
    plain = {GGMLQuantizationType.F32: np.float32, GGMLQuantizationType.F16: np.float16}
    if kind in plain:
        return torch.from_numpy(np.array(raw.view(plain[kind]).reshape(info.shape), dtype=np.float32))
    blocks = raw.reshape(*rows, columns // values * size)
    return torch.from_numpy(np.ascontiguousarray(dequantize(blocks, kind), dtype=np.float32))


def _load_folder(folder: Path, config: DecoderConfig, dtype: torch.dtype, is_packed: bool) -> Decoder:
    with ExitStack() as stack:
        where = open_shards(folder, stack)

        def take(name: str) -> Tensor | None:
            return where[name].get_tensor(name).to(dtype) if name in where else None

        def outer(name: str) -> Tensor | None:
            return take("lm_head.weight" if name == "lm_head" else f"model.{name}.weight")

        def from_layer(index: int, name: str) -> Tensor | None:
            return take(f"model.layers.{index}.{name}")

        return _build(config, outer, from_layer, gguf=False, offset=config.family.norm_offset, is_packed=is_packed)


def open_shards(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Every tensor's name -> the open, memory-mapped safetensors file that holds it."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    where: dict[str, Any] = {}
    for name in sorted(names):
        file = stack.enter_context(safe_open(str(folder / name), framework="pt"))
        where |= dict.fromkeys(file.keys(), file)
    return where


def _build(
    config: DecoderConfig,
    outer: Take,
    from_layer: Callable[[int, str], Tensor | None],
    *,
    gguf: bool,
    offset: float,
    is_packed: bool,
) -> Decoder:
    embedding = _present("embed_tokens", outer("embed_tokens"))
    head = outer("lm_head")
    norms = norm_names(config)
    device = torch.get_default_device()

    def hold(weight: Tensor) -> Weight:
        return pack(weight.to(device)) if is_packed else weight

    def layer(index: int) -> Layer:
        def need(name: str) -> Tensor:
            return _present(f"layer {index}: {name}", from_layer(index, name))

        bias = None
        if config.family.has_qkv_bias:
            bias = torch.cat([need(f"{name}.bias") for name in GROUPS["qkv"]])
        return Layer(
            norms={key: need(f"{names[gguf]}.weight") + offset for key, names in norms.items()},
            projections={
                group: hold(torch.cat([need(f"{name}.weight") for name in names])) for group, names in GROUPS.items()
            },
            qkv_bias=bias,
        )

    return Decoder(
        config=config,
        embedding=embedding,
        head=embedding if head is None else head,
        final_norm=_present("norm", outer("norm")) + offset,
        layers=tuple(layer(index) for index in range(config.layers)),
    )


def _present(name: str, tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise KeyError(f"no tensor {name}")
    return tensor
