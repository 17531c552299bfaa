"""Safetensors files by blocks: read without a mapping, so that memory holds what is worked on, and written in any order.

Format: eight bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, then the tensors' bytes in that order.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np

from journeyman.core.files import disk_errors
from journeyman.tuning.merge.blocks import STORED, Array, Block, NumberType, as_matrix, from_fp32, to_fp32

NAMES: dict[NumberType, str] = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
KINDS = {name: kind for kind, name in NAMES.items()}
MOST_HEADER = 100_000_000  # bytes, as in the format's own library


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies: ``offset`` bytes from the beginning of the file."""

    path: Path
    kind: NumberType
    shape: tuple[int, ...]
    offset: int

    def read(self, block: Block) -> Array:
        """A block as a new fp32 array [rows, width].

        Raises:
            OSError: the file cannot be read, or is shorter than its header says.
        """
        _rows, width = as_matrix(self.shape)
        stored, count = STORED[self.kind], (block.stop - block.start) * width
        found = np.fromfile(self.path, stored, count, offset=self.offset + block.start * width * stored.itemsize)
        if len(found) != count:
            raise OSError(f"{self.path} ends before its last tensor")
        return to_fp32(found.reshape(-1, width), self.kind)


def find_tensors(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a Hugging Face folder, in the order of the files.

    Raises:
        OSError, ValueError, KeyError: a file is not there, damaged, or of a type that is not supported.
    """
    index, names = folder / "model.safetensors.index.json", {"model.safetensors"}
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return {name: tensor for file in sorted(names) for name, tensor in _read_header(folder / file).items()}


def _read_header(path: Path) -> dict[str, StoredTensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(MOST_HEADER, size - 8):
            raise ValueError(f"{path.name} is no safetensors file")
        header = json.loads(file.read(length))
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in KINDS:
            raise ValueError(f"{name} is of type {entry['dtype']}")
        kind, shape, (start, stop) = KINDS[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        if not 0 <= start <= stop <= size - 8 - length or stop - start != prod(shape) * STORED[kind].itemsize:
            raise ValueError(f"{name} lies outside the file")
        found[name] = StoredTensor(path, kind, shape, 8 + length + start)
    return found


class TensorWriter:
    """Use as a context; blocks may come in any order and from any thread. The file takes its name when the context ends well."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], kind: NumberType) -> None:
        self.path, self.shapes, self.kind = path, shapes, kind
        self._partial = path.with_name(path.name + ".partial")
        self._lock = Lock()

    def __enter__(self) -> TensorWriter:
        width = STORED[self.kind].itemsize
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        offsets, offset = {}, 0
        for name, shape in self.shapes.items():
            size = width * prod(shape)
            header[name] = {"dtype": NAMES[self.kind], "shape": list(shape), "data_offsets": [offset, offset + size]}
            offsets[name] = offset
            offset += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._offsets = {name: place + 8 + len(text) for name, place in offsets.items()}
        with disk_errors(self.path):
            self._file = self._partial.open("wb")
            self._file.write(struct.pack("<Q", len(text)) + text)
            self._file.truncate(8 + len(text) + offset)
        return self

    def write(self, name: str, block: Block, values: Array) -> None:
        """Raises: StoreError JM-801 disk full."""
        rows, width = as_matrix(self.shapes[name])
        data = np.ascontiguousarray(from_fp32(values, self.kind))
        assert data.shape == (block.stop - block.start, width), (name, data.shape)
        assert block.stop <= rows
        place = self._offsets[name] + block.start * width * data.itemsize
        with disk_errors(self.path), self._lock:
            self._file.seek(place)
            self._file.write(data.data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with disk_errors(self.path):
            self._file.close()
            if kind is None:
                self._partial.replace(self.path)
            else:
                self._partial.unlink(missing_ok=True)
