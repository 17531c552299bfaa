"""The models of a merge: tensors by Hugging Face's names, read one at a time.

A reference is a Hugging Face folder or a GGUF file, and may be followed by ``+FOLDER`` of a PEFT adapter, which is added to each tensor as
it is read, so that no merged copy is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from journeyman.core.errors import ModelError, TuneError
from journeyman.models.safetensors_file import read_tensors
from journeyman.tuning.merge.blocks import Array, Block, NumberType, as_matrix
from journeyman.tuning.merge.files import KINDS, read_block


class Model(Protocol):
    """``shapes`` gives every tensor's shape; ``kind`` is the number type of the files."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...

    @property
    def kind(self) -> NumberType: ...

    def read(self, name: str, block: Block) -> Array:
        """A block as a new fp32 array [rows, width], which the caller may overwrite."""
        ...


class Folder:
    """A Hugging Face folder."""

    def __init__(self, folder: Path) -> None:
        self._tensors = read_tensors(folder)
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        kinds = {KINDS[tensor.kind] for tensor in self._tensors.values()}
        self.kind: NumberType = kinds.pop() if len(kinds) == 1 else "float32"

    def read(self, name: str, block: Block) -> Array:
        return read_block(self._tensors[name], block)


class InMemory:
    """A GGUF file, dequantized as a whole."""

    kind: NumberType = "float32"

    def __init__(self, path: Path) -> None:
        from journeyman.models.torch_weights import load_decoder
        from journeyman.tuning.hf_layout import name_tensors

        self._tensors = {name: tensor.numpy() for name, tensor in name_tensors(load_decoder(path))}
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def read(self, name: str, block: Block) -> Array:
        matrix = self._tensors[name].reshape(as_matrix(self.shapes[name]))
        return matrix[block.start : block.stop].copy()


@dataclass(frozen=True)
class WithAdapter:
    """A model with s·B·A on top of the tensors that the adapter names, and DoRA's ``magnitudes`` as their rows' norms."""

    model: Model
    pairs: Mapping[str, tuple[Array, Array]]
    magnitudes: Mapping[str, Array]
    scale: float

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.model.shapes

    @property
    def kind(self) -> NumberType:
        return self.model.kind

    def read(self, name: str, block: Block) -> Array:
        values, rows = self.model.read(name, block), slice(block.start, block.stop)
        if name in self.pairs:
            a, b = self.pairs[name]
            values += np.float32(self.scale) * (b[rows] @ a)
        if name in self.magnitudes:
            values *= (self.magnitudes[name][rows] / np.linalg.norm(values, axis=1))[:, None]
        return values


def open_model(reference: str, root: Path) -> Model:
    """Open ``PATH`` or ``PATH+ADAPTER``, relative to ``root``.

    Raises:
        TuneError: JM-541 it is not there or cannot be read; from the adapter JM-520, JM-522.
    """
    path, adapter = path_of(reference, root), reference.partition("+")[2]
    try:
        model: Model = InMemory(path) if path.suffix == ".gguf" else Folder(path)
        return _with_adapter(model, root / adapter) if adapter else model
    except (OSError, ValueError, KeyError, ModelError) as error:
        expected = "a folder with config.json and model.safetensors, or a .gguf file; +FOLDER adds a PEFT adapter"
        raise unreadable(path, expected, error) from error


def unreadable(path: Path, expected: str, error: Exception) -> TuneError:
    """JM-541."""
    return TuneError(
        "JM-541",
        "this model cannot be read for a merge",
        where=str(path),
        expected=expected,
        got=error.what if isinstance(error, ModelError) else f"{type(error).__name__}: {error}",
        hint="paths are relative to the merge's file",
    )


def _with_adapter(model: Model, folder: Path) -> Model:
    from safetensors import SafetensorError

    from journeyman.tuning.peft_layout import load_config, read_pairs

    config = load_config(folder)
    try:
        by_matrix, norms = read_pairs(folder)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    pairs = {f"model.{stem}.weight": (a.numpy(), b.numpy()) for stem, (a, b) in by_matrix.items()}
    magnitudes = {f"model.{stem}.weight": norm.numpy() for stem, norm in norms.items()}
    if strange := sorted(pairs.keys() - model.shapes.keys()):
        raise ValueError(f"the adapter changes {strange[0]}, which the model does not have")
    for name, (a, b) in pairs.items():
        if model.shapes[name] != (b.shape[0], a.shape[1]):
            raise ValueError(f"the adapter's {name} is {b.shape[0]} by {a.shape[1]}, the model's {model.shapes[name]}")
    return WithAdapter(model, pairs, magnitudes, config.scale)


def path_of(reference: str, root: Path) -> Path:
    """The folder or file of a reference, without its adapter."""
    return root / Path(reference.partition("+")[0]).expanduser()
