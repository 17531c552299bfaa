"""Tensors of a Hugging Face folder, mapped from its safetensors files one at a time, with numpy alone.

The format: eight bytes of length, a JSON header with each tensor's type, shape and place, the bytes. numpy has no BF16: such a tensor is
given as its 16 bits. What a tensor means is not known here.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journeyman.core.errors import ModelError

NUMBERS: Mapping[str, type[Any]] = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a tensor lies: ``start`` counts from the beginning of the file."""

    path: Path
    kind: str
    shape: tuple[int, ...]
    start: int

    def map(self) -> NDArray[Any]:
        """A read-only view of the file; BF16 as uint16."""
        return np.memmap(self.path, dtype=NUMBERS[self.kind], mode="r", offset=self.start, shape=self.shape)


def to_fp32(data: NDArray[Any], kind: str) -> NDArray[np.float32]:
    """Stored numbers in fp32; those that are in fp32 come back as they are."""
    if kind == "BF16":
        return (data.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return data.astype(np.float32, copy=False)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, shards in the order of their names; whether they are there is not looked at.

    Raises:
        ModelError: JM-418 the index cannot be read.
    """
    index = folder / INDEX
    if not index.is_file():
        return [folder / WHOLE]
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [folder / Path(name).name for name in sorted(names)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise misfit(index, f"{type(error).__name__}: {error}") from error


def read_tensors(folder: Path) -> dict[str, Stored]:
    """Every tensor by its name.

    Raises:
        ModelError: JM-417 quantized or in another type, JM-418 a file is damaged or not whole.
    """
    found: dict[str, Stored] = {}
    for path in weight_files(folder):
        found |= _read_file(path)
    return found


def _read_file(path: Path) -> dict[str, Stored]:
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            size = path.stat().st_size
            if length > size - 8:
                raise ValueError("the header reaches past the end of the file")
            header = json.loads(file.read(length))
        return {
            name: _place(path, name, entry, 8 + length, size)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise misfit(path, f"{type(error).__name__}: {error}") from error


def _place(path: Path, name: str, entry: Mapping[str, Any], base: int, size: int) -> Stored:
    kind, shape = str(entry["dtype"]), tuple(int(side) for side in entry["shape"])
    start, end = (base + int(place) for place in entry["data_offsets"])
    if kind not in NUMBERS:
        raise quantized(f"{path}: {name}", kind)
    if start < base or end > size or end - start != math.prod(shape) * np.dtype(NUMBERS[kind]).itemsize:
        raise ValueError(f"{name} does not fill its place, or lies past the end of the file")
    return Stored(path, kind, shape, start)


def quantized(where: str, got: str) -> ModelError:
    return ModelError(
        "JM-417",
        "these weights are quantized, or in a number type that a base cannot have",
        where=where,
        expected=" | ".join(NUMBERS),
        got=got,
        hint="take the model that it was quantized from; `journeyman quantize` makes it smaller afterwards",
    )


def misfit(where: Path | str, got: str, expected: str = "") -> ModelError:
    return ModelError(
        "JM-418",
        "the files of this model are damaged, or do not fit each other",
        where=str(where),
        expected=expected,
        got=got,
        hint="copy or download the folder again",
    )
