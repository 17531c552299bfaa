"""Adapters without their base: several merged into one, and one extracted from a model that was tuned whole.

In the same YAML as a merge of models, with `adapter_method`:

    adapter_method: cat            # cat, svd, linear; the names and the meaning of PEFT's combinations
    adapters: [{adapter: one, weight: 0.7}, {adapter: two, weight: 0.3}]
    rank: 16                       # svd alone; default: the largest of the inputs

    adapter_method: extract        # from `model`, tuned from `base_model`
    model: tuned
    base_model: base
    rank: 32

The result is a PEFT folder with a scale of one. Shapes: A is [r, in], B is [out, r]; the change of a matrix is scale·B·A.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from torch import Tensor

from journeyman.core.errors import TuneError
from journeyman.core.progress import Progress
from journeyman.tuning.lora import LoraConfig
from journeyman.tuning.merge.blocks import Block, as_matrix
from journeyman.tuning.merge.sources import open_model
from journeyman.tuning.peft_layout import CONFIG, load_config, read_base_hash, read_pairs, write_peft

Method = Literal["cat", "svd", "linear", "extract"]
# Of an extraction: directions beyond the rank and rounds of power iteration (Halko et al. 2011, arXiv:0909.4061).
SPARE, ROUNDS = 8, 4


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    adapter: str
    weight: float = 1.0


class AdapterMerge(BaseModel):
    """One merge of adapters, or one extraction."""

    model_config = ConfigDict(extra="forbid")
    adapter_method: Method
    adapters: list[Part] = []
    rank: Annotated[int, Field(ge=1, le=4096)] | None = None
    model: str | None = None
    base_model: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> AdapterMerge:
        if self.adapter_method == "extract":
            if not (self.model and self.base_model and self.rank) or self.adapters:
                raise ValueError("an extraction has model, base_model and rank, and no adapters")
        elif not self.adapters or self.model or self.base_model:
            raise ValueError("a merge of adapters has adapters, and no models")
        elif self.rank and self.adapter_method != "svd":
            raise ValueError(
                f"the rank of {self.adapter_method} follows from the adapters; adapter_method: svd takes one"
            )
        return self


class Report(BaseModel):
    """Per matrix the share of the change's energy (squared Frobenius norm) that the result holds; ``left_out``: tensors that differ
    and that an adapter cannot hold."""

    folder: Path
    rank: int
    held: dict[str, float]
    left_out: list[str] = []


def merge_adapters(path: Path, out: Path, progress: Progress) -> Report:
    """Do what the YAML at ``path`` says; references are relative to its folder.

    Raises:
        TuneError: JM-540 not this form, JM-541 a model cannot be read, JM-542 a model that was not tuned from this base, JM-544 adapters that
            do not fit each other, JM-523 adapters of different bases; from adapters JM-520, JM-522. StoreError: JM-801, JM-802.
    """
    try:
        config = AdapterMerge.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        raise TuneError(
            "JM-540", "this merge cannot be read", where=str(path), got=f"{first['loc']}: {first['msg']}"
        ) from error
    if config.adapter_method == "extract":
        return _extract(config, path.parent, out, progress)
    parts = [(Adapter.open(path.parent / part.adapter), part.weight) for part in config.adapters]
    return _combine(config, parts, out)


class Adapter:
    """Every pair of a PEFT folder, with its scale, and what is known of its base."""

    def __init__(
        self, pairs: Mapping[str, tuple[Tensor, Tensor]], scale: float, base: str, base_hash: str, folder: Path
    ) -> None:
        self.pairs, self.scale, self.base, self.base_hash, self.folder = pairs, scale, base, base_hash, folder

    @staticmethod
    def open(folder: Path) -> Adapter:
        config = load_config(folder)
        if config.is_decomposed:
            raise TuneError("JM-522", "DoRA's magnitudes belong to one base and cannot be combined", where=str(folder))
        try:
            pairs, _magnitudes = read_pairs(folder)
        except (OSError, KeyError, SafetensorError) as error:
            raise TuneError(
                "JM-520", "this adapter cannot be read", where=str(folder), got=f"{type(error).__name__}: {error}"
            ) from error
        base = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path") or ""
        return Adapter(pairs, config.scale, str(base), read_base_hash(folder), folder)


def _combine(config: AdapterMerge, parts: list[tuple[Adapter, float]], out: Path) -> Report:
    first = parts[0][0]
    for adapter, _weight in parts[1:]:
        if adapter.pairs.keys() != first.pairs.keys():
            strange = sorted(adapter.pairs.keys() ^ first.pairs.keys())[0]
            raise TuneError("JM-544", "these adapters change other matrices", got=strange, where=str(adapter.folder))
        if adapter.base_hash and first.base_hash and adapter.base_hash != first.base_hash:
            raise TuneError(
                "JM-523",
                "this adapter was tuned on another base than the first",
                where=str(adapter.folder),
                expected=first.base_hash,
                got=adapter.base_hash,
                hint="merge adapters of one base",
            )
        for stem, (a, b) in first.pairs.items():
            other_a, other_b = adapter.pairs[stem]
            if (a.shape[1], b.shape[0]) != (other_a.shape[1], other_b.shape[0]):
                raise TuneError(
                    "JM-544",
                    "these adapters change matrices of other shapes",
                    where=str(adapter.folder),
                    expected=f"{stem} of {b.shape[0]} by {a.shape[1]}",
                    got=f"{other_b.shape[0]} by {other_a.shape[1]}",
                )
    ranks = [next(iter(adapter.pairs.values()))[0].shape[0] for adapter, _weight in parts]
    if config.adapter_method == "linear" and len(set(ranks)) > 1:
        raise TuneError(
            "JM-544", "linear needs adapters of one rank", got=", ".join(map(str, ranks)), hint="adapter_method: svd"
        )
    made, held = {}, {}
    for stem in first.pairs:
        a = torch.cat([adapter.pairs[stem][0] for adapter, _weight in parts])
        b = torch.cat([adapter.pairs[stem][1] * adapter.scale * weight for adapter, weight in parts], dim=1)
        if config.adapter_method == "cat":
            made[stem], held[stem] = (a, b), 1.0
        elif config.adapter_method == "svd":
            made[stem], held[stem] = _truncate(a, b, config.rank or max(ranks))
        else:
            made[stem], held[stem] = _average(stem, parts), 1.0
    rank = next(iter(made.values()))[0].shape[0]
    hashes = {adapter.base_hash for adapter, _weight in parts if adapter.base_hash}
    _save(out, made, rank, first.base, hashes.pop() if hashes else "")
    return Report(folder=out, rank=rank, held=held)


def _average(stem: str, parts: list[tuple[Adapter, float]]) -> tuple[Tensor, Tensor]:
    """PEFT's linear: each factor takes the root of its weight, so that one adapter alone is itself; products mix."""
    roots = [(abs(weight) * adapter.scale) ** 0.5 for adapter, weight in parts]
    signs = [1.0 if weight >= 0 else -1.0 for _adapter, weight in parts]
    pairs = [adapter.pairs[stem] for adapter, _weight in parts]
    a = torch.stack([pair[0] * root for pair, root in zip(pairs, roots, strict=True)]).sum(0)
    b = torch.stack([pair[1] * root * sign for pair, root, sign in zip(pairs, roots, signs, strict=True)]).sum(0)
    return a, b


def _truncate(a: Tensor, b: Tensor, rank: int) -> tuple[tuple[Tensor, Tensor], float]:
    """The best product of this rank for B·A, without forming it: its singular values are those of a small core."""
    left, upper = torch.linalg.qr(b)  # [out, R], [R, R]
    right, lower = torch.linalg.qr(a.T)  # [in, R], [R, R]
    u, values, vt = torch.linalg.svd(upper @ lower.T)
    kept = values[:rank]
    roots = kept.sqrt()
    energy = float(values.square().sum())
    share = float(kept.square().sum()) / energy if energy else 1.0
    new_b = (left @ u[:, : len(kept)]) * roots
    new_a = roots[:, None] * (vt[: len(kept)] @ right.T)
    return (_pad(new_a, rank, 0), _pad(new_b, rank, 1)), share


def _pad(tensor: Tensor, rank: int, dim: int) -> Tensor:
    missing = rank - tensor.shape[dim]
    if missing <= 0:
        return tensor
    shape = [missing, tensor.shape[1]] if dim == 0 else [tensor.shape[0], missing]
    return torch.cat([tensor, torch.zeros(shape)], dim=dim)


def _extract(config: AdapterMerge, root: Path, out: Path, progress: Progress) -> Report:
    assert config.model is not None
    assert config.base_model is not None
    assert config.rank is not None
    made, held, left_out = {}, {}, []
    tuned, base = (open_model(name, root) for name in (config.model, config.base_model))
    names = [name for name in base.shapes if tuned.shapes.get(name) == base.shapes[name]]
    left_out += sorted((tuned.shapes.keys() | base.shapes.keys()) - set(names))
    unlike = [name for name in left_out if _is_projection(name)]
    if unlike or not any(map(_is_projection, names)):
        raise TuneError(
            "JM-542",
            "the model was not tuned from this base: their matrices differ in shape",
            where=str(root / config.model),
            got=unlike[0] if unlike else "no matrix that an adapter could change",
            hint="name the base that the model was tuned from",
        )
    progress.start("extract", len(names), "tensors")
    for name in names:
        whole = Block(0, as_matrix(base.shapes[name])[0])
        delta = torch.from_numpy(tuned.read(name, whole) - base.read(name, whole))
        progress.advance()
        stem = name.removeprefix("model.").removesuffix(".weight")
        if not _is_projection(name):
            left_out += [name] if float(delta.abs().max()) > 0 else []
            continue
        rank = min(config.rank, *delta.shape)
        torch.manual_seed(0)  # the sketch is drawn from torch's own generator
        u, values, v = torch.svd_lowrank(delta, q=min(rank + SPARE, *delta.shape), niter=ROUNDS)
        roots = values[:rank].sqrt()
        energy = float(delta.square().sum())
        held[stem] = float(values[:rank].square().sum()) / energy if energy else 1.0
        made[stem] = (
            _pad(roots[:, None] * v[:, :rank].T, config.rank, 0),
            _pad(u[:, :rank] * roots, config.rank, 1),
        )
    progress.finish()
    _save(out, made, config.rank, str(config.base_model))
    return Report(folder=out, rank=config.rank, held=held, left_out=left_out)


def _is_projection(name: str) -> bool:
    return ".layers." in name and name.endswith("_proj.weight")


def _save(out: Path, pairs: Mapping[str, tuple[Tensor, Tensor]], rank: int, base: str, base_hash: str = "") -> None:
    named = {
        f"{stem}.lora_{kind}": tensor for stem, pair in pairs.items() for kind, tensor in zip("AB", pair, strict=True)
    }
    targets = tuple(sorted({stem.split(".", 2)[2] for stem in pairs}))
    layers = 1 + max((int(stem.split(".")[1]) for stem in pairs), default=0)
    write_peft(out, named, LoraConfig(rank, rank, targets), layers, base, base_hash)
