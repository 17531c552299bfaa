"""Adapters in PEFT's file layout: ``adapter_config.json`` and ``adapter_model.safetensors``, written and read without PEFT."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from journeyman.core.errors import TuneError
from journeyman.core.files import write_atomic
from journeyman.models.torch_decoder import Decoder
from journeyman.tuning.lora import Adapters, LoraConfig, make_adapters

BASE_HASH = "base_sha256"
PREFIX = "base_model.model.model."
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def save_peft(folder: Path, adapters: Adapters, base: str, base_hash: str = "") -> None:
    """Write a folder that ``peft.PeftModel.from_pretrained`` loads; ``base`` names the base model in it, ``base_hash`` proves it."""
    layers = 1 + max((layer for layer, _group in adapters.pairs), default=0)
    write_peft(folder, dict(adapters.parameters()), adapters.config, layers, base, base_hash)


def write_peft(
    folder: Path, named: Mapping[str, Tensor], config: LoraConfig, layers: int, base: str, base_hash: str = ""
) -> None:
    """As ``save_peft``, from tensors by name (``layers.0.self_attn.q_proj.lora_A``) for a model of ``layers``."""
    tensors = {_file_name(name): tensor.detach().contiguous() for name, tensor in named.items()}
    data = save(tensors, metadata={"format": "pt", BASE_HASH: base_hash})
    write_atomic(folder / WEIGHTS, _in_order(data))
    text = json.dumps(_config_json(config, base, layers), indent=2, sort_keys=True)
    write_atomic(folder / CONFIG, text + "\n")


def load_peft(folder: Path, adapters: Adapters) -> None:
    """Copy a PEFT adapter's weights into ``adapters`` of the same rank and targets.

    Raises:
        TuneError: JM-520 unreadable, JM-521 of another shape.
    """
    try:
        tensors = load_file(str(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise TuneError("JM-520", "this adapter cannot be read", where=str(folder), got=str(error)) from error
    expected = {_file_name(name): tensor for name, tensor in adapters.parameters()}
    differing = sorted(
        name
        for name in expected.keys() | tensors.keys()
        if name not in expected or name not in tensors or expected[name].shape != tensors[name].shape
    )
    if differing:
        raise TuneError(
            "JM-521",
            "this adapter does not fit this base and configuration",
            where=str(folder),
            got=f"{len(differing)} tensors differ, first {differing[0]}",
            hint="use the base and rank that the adapter was tuned with",
        )
    with torch.no_grad():
        for name, tensor in expected.items():
            tensor.copy_(tensors[name])


def read_pairs(folder: Path) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, Tensor]]:
    """A (and B) in fp32 by the matrix that they change, such as ``layers.0.self_attn.q_proj``, and DoRA's magnitudes.

    Raises:
        KeyError, OSError, SafetensorError: the file is not there or not one of PEFT's.
    """
    tensors = load_file(str(folder / WEIGHTS))
    stems = sorted({name.removeprefix(PREFIX).rsplit(".lora_", 1)[0] for name in tensors})

    def part(stem: str, kind: str) -> Tensor:
        return tensors[_file_name(f"{stem}.lora_{kind}")].float()

    pairs = {stem: (part(stem, "A"), part(stem, "B")) for stem in stems}
    names = {stem: _file_name(f"{stem}.lora_magnitude_vector") for stem in stems}
    return pairs, {stem: tensors[name].float() for stem, name in names.items() if name in tensors}


def open_peft(decoder: Decoder, folder: Path, base_hash: str = "") -> Adapters:
    """A stored adapter on its base, merged and ready.

    Args:
        base_hash: SHA-256 of the base that ``decoder`` was loaded from, held against the adapter's own where it has one.

    Raises:
        TuneError: JM-520, JM-521, JM-522, JM-523 the adapter belongs to another base.
    """
    _check_base(folder, base_hash)
    adapters = make_adapters(decoder, load_config(folder))
    load_peft(folder, adapters)
    adapters.merge(decoder)
    return adapters


def read_base_hash(folder: Path) -> str:
    """SHA-256 of the base that an adapter of ours was tuned on; empty where the file does not say.

    Raises:
        TuneError: JM-520 unreadable.
    """
    try:
        with safe_open(str(folder / WEIGHTS), framework="pt") as file:
            return str((file.metadata() or {}).get(BASE_HASH, ""))
    except (OSError, SafetensorError) as error:
        raise TuneError("JM-520", "this adapter cannot be read", where=str(folder), got=str(error)) from error


def _check_base(folder: Path, base_hash: str) -> None:
    known = read_base_hash(folder)
    if base_hash and known and known != base_hash:
        raise TuneError(
            "JM-523",
            "this adapter was tuned on another base",
            where=str(folder),
            expected=known,
            got=base_hash,
            hint="use the base that it was tuned on: its adapter_config.json names it",
        )


def load_config(folder: Path) -> LoraConfig:
    """The rank, scale and targets of a PEFT adapter.

    Raises:
        TuneError: JM-520 unreadable, JM-522 uses a feature that is not supported here.
    """
    try:
        raw = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        unsupported = [key for key in ("modules_to_save", "rank_pattern", "alpha_pattern") if raw.get(key)]
        if raw["peft_type"] != "LORA" or raw.get("bias", "none") != "none" or unsupported:
            raise TuneError(
                "JM-522",
                "this adapter uses a feature that is not supported",
                where=str(folder),
                expected="plain LoRA without bias",
                got=", ".join(unsupported) or f"{raw['peft_type']}, bias {raw.get('bias')}",
            )
        return LoraConfig(
            raw["r"],
            raw["lora_alpha"],
            _targets(raw["target_modules"]),
            is_rank_stabilized=bool(raw.get("use_rslora")),
            is_decomposed=bool(raw.get("use_dora")),
            first_layer=_first_layer(raw.get("layers_to_transform"), folder),
        )
    except (OSError, KeyError, json.JSONDecodeError) as error:
        raise TuneError("JM-520", "this adapter cannot be read", where=str(folder), got=str(error)) from error


def _in_order(data: bytes) -> bytes:
    """The same file with its header's keys sorted: the library writes them as its hash table has them, another way in each process."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text = json.dumps({"__metadata__": header.pop("__metadata__"), **header}, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def _file_name(name: str) -> str:
    return PREFIX + name + ("" if name.endswith("lora_magnitude_vector") else ".weight")


def _first_layer(layers: list[int] | None, folder: Path) -> int:
    """PEFT's list of layers, which here can only leave out the first ones."""
    if not layers:
        return 0
    if sorted(layers) != list(range(min(layers), max(layers) + 1)):
        raise TuneError("JM-522", "this adapter leaves out layers in the middle", where=str(folder), got=str(layers))
    return min(layers)


def _targets(names: list[str]) -> tuple[str, ...]:
    known = {
        **{name: f"self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj")},
        **{name: f"mlp.{name}" for name in ("gate_proj", "up_proj", "down_proj")},
    }
    return tuple(full for short, full in known.items() if short in names)


def _config_json(config: LoraConfig, base: str, layers: int) -> dict[str, object]:
    some = {"layers_to_transform": list(range(config.first_layer, layers))} if config.first_layer else {}
    return some | {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(name.split(".")[-1] for name in config.targets),
        "use_rslora": config.is_rank_stabilized,
        "use_dora": config.is_decomposed,
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
