"""The models of a merge: tensors by Hugging Face's names, read one at a time.

A reference is a Hugging Face folder or a GGUF file, and may be followed by ``+FOLDER`` of a PEFT adapter, which is added to each tensor as
it is read, so that no merged copy is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor

from journeyman.core.errors import TuneError
from journeyman.models.torch_weights import load_decoder, open_shards
from journeyman.tuning.hf_layout import name_tensors
from journeyman.tuning.peft_layout import load_config, read_pairs

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Model(Protocol):
    """``shapes`` gives every tensor's shape; ``dtype`` is the number type of the files."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def read(self, name: str) -> Tensor:
        """A new fp32 tensor, which the caller may overwrite."""
        ...


class Folder:
    """A Hugging Face folder, memory-mapped."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._files = open_shards(folder, stack)
        slices = {name: file.get_slice(name) for name, file in self._files.items()}
        self.shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
        kinds = {part.get_dtype() for part in slices.values()}
        if unknown := kinds - DTYPES.keys():
            raise ValueError(f"tensors of type {', '.join(sorted(unknown))}")
        self.dtype = DTYPES[kinds.pop()] if len(kinds) == 1 else torch.float32

    def read(self, name: str) -> Tensor:
        tensor: Tensor = self._files[name].get_tensor(name)
        return tensor.clone() if tensor.dtype == torch.float32 else tensor.float()


class InMemory:
    """A GGUF file, dequantized as a whole."""

    dtype = torch.float32

    def __init__(self, path: Path) -> None:
        self._tensors = dict(name_tensors(load_decoder(path)))
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Tensor:
        return self._tensors[name].clone()


@dataclass(frozen=True)
class WithAdapter:
    """A model with s·B·A on top of the tensors that the adapter names, and DoRA's ``magnitudes`` as their rows' norms."""

    model: Model
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    magnitudes: Mapping[str, Tensor]
    scale: float

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.model.shapes

    @property
    def dtype(self) -> torch.dtype:
        return self.model.dtype

    def read(self, name: str) -> Tensor:
        tensor = self.model.read(name)
        if name in self.pairs:
            a, b = self.pairs[name]
            tensor.addmm_(b, a, alpha=self.scale)
        if name in self.magnitudes:
            tensor.mul_((self.magnitudes[name] / tensor.norm(dim=1))[:, None])
        return tensor


def open_model(reference: str, root: Path, stack: ExitStack) -> Model:
    """Open ``PATH`` or ``PATH+ADAPTER``, relative to ``root``; files stay open until the stack closes.

    Raises:
        TuneError: JM-541 it is not there or cannot be read; from the adapter JM-520, JM-522. ModelError: JM-405, JM-408 from a GGUF.
    """
    path, adapter = path_of(reference, root), reference.partition("+")[2]
    try:
        model: Model = InMemory(path) if path.suffix == ".gguf" else Folder(path, stack)
        return _with_adapter(model, root / adapter) if adapter else model
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise TuneError(
            "JM-541",
            "this model cannot be read for a merge",
            where=str(path),
            expected="a folder with config.json and model.safetensors, or a .gguf file; +FOLDER adds a PEFT adapter",
            got=f"{type(error).__name__}: {error}",
            hint="paths are relative to the merge's file",
        ) from error


def _with_adapter(model: Model, folder: Path) -> Model:
    config = load_config(folder)
    by_matrix, norms = read_pairs(folder)
    pairs = {f"model.{stem}.weight": pair for stem, pair in by_matrix.items()}
    magnitudes = {f"model.{stem}.weight": norm for stem, norm in norms.items()}
    if strange := sorted(pairs.keys() - model.shapes.keys()):
        raise ValueError(f"the adapter changes {strange[0]}, which the model does not have")
    return WithAdapter(model, pairs, magnitudes, config.scale)


def path_of(reference: str, root: Path) -> Path:
    """The folder or file of a reference, without its adapter."""
    return root / Path(reference.partition("+")[0]).expanduser()
